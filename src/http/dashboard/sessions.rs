//! `GET /sessions`: browsers that are signed in; `POST /sessions/{id}/end` signs one out.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::super::extract::Part;
use super::super::problem::ApiError;
use super::super::{Api, views};
use super::forms::Sent;
use super::moment::Moment;
use super::page::{Refusal, Section, Shell, show};
use super::person::Person;
use crate::base::Id;
use crate::service::{Admin, Viewer};

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    shell: Shell,
    everybodys: bool,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    serial: String,
    is_this: bool,
    is_link: bool,
    since: Moment,
    seen: Moment,
    ends: Moment,
    source: String,
}

/// The list.
pub(super) async fn list(State(api): State<Api>, person: Person<Viewer>) -> Result<Response, Refusal> {
    let found = api.service().sessions(&person.caller).await;
    let found = found.map_err(|e| person.refusal(e.into()))?;
    let shell = person.shell(Section::Sessions, "Sessions");
    let row = |session| {
        let view = views::session(session);
        Row {
            is_this: Some(view.id) == person.session(),
            is_link: view.started_at.is_none(),
            id: view.id.to_string(),
            name: view.name,
            serial: view.serial.to_string(),
            since: shell.moment(view.started_at.unwrap_or(view.created_at)),
            seen: shell.moment(view.seen_at),
            ends: shell.moment(view.ends_at),
            source: view.source.unwrap_or_default(),
        }
    };
    show(&SessionsPage {
        everybodys: person.caller.reaches::<Admin>(),
        rows: found.iter().map(row).collect(),
        shell,
    })
}

/// Ends it.
pub(super) async fn end(
    State(api): State<Api>,
    id: Result<Part<Id>, ApiError>,
    sent: Sent<Viewer>,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| sent.person.refusal(error.into());
    let Part(id) = id.map_err(refuse)?;
    let ended = api.service().end_session(&sent.person.caller, id).await;
    ended.map_err(|e| refuse(e.into()))?;
    Ok(Redirect::to("/sessions").into_response())
}
