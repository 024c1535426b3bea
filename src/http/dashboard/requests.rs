//! `GET /requests`: who waits to be let in; `POST /requests/{id}/approve` and `/deny`.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::super::Api;
use super::super::extract::{Part, Query};
use super::super::problem::ApiError;
use super::forms::Sent;
use super::moment::Moment;
use super::page::{Refusal, Section, Shell, show};
use super::person::Person;
use crate::base::Id;
use crate::base::encoding::hex;
use crate::base::limits::DASHBOARD_ROWS;
use crate::model::PageRequest;
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::service::Operator;

/// What an address says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    all: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "requests.html")]
struct RequestsPage {
    shell: Shell,
    all: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: String,
    name: String,
    profile: &'static str,
    state: &'static str,
    waits: bool,
    /// In groups of four, as the joining side prints it to compare.
    key: String,
    sans: Vec<String>,
    source: String,
    token: String,
    since: Moment,
    decided: Option<(String, Moment)>,
}

/// The list.
pub(super) async fn list(
    State(api): State<Api>,
    person: Person<Operator>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    let Query(asked) = query.map_err(|e| person.refusal(e.into()))?;
    let all = !asked.all.is_empty();
    let page = PageRequest {
        limit: DASHBOARD_ROWS,
        cursor: (!asked.cursor.is_empty()).then(|| asked.cursor.clone()),
    };
    let found = api.service().requests(&person.caller, all, page).await;
    let found = found.map_err(|e| person.refusal(e.into()))?;
    let shell = person.shell(Section::Requests, "Requests");
    let kept = if all { "all=1&" } else { "" };
    show(&RequestsPage {
        all,
        rows: found.items.iter().map(|request| row(request, &shell)).collect(),
        next: found.next.map(|next| format!("/requests?{kept}cursor={next}")),
        shell,
    })
}

fn row(request: &PendingRequest, shell: &Shell) -> Row {
    Row {
        id: request.id.to_string(),
        name: request.name.to_string(),
        profile: request.kind.as_str(),
        state: request.state.as_str(),
        waits: request.state == RequestState::Pending,
        key: hex(&request.spki_sha256),
        sans: request.sans.iter().map(ToString::to_string).collect(),
        source: request
            .source
            .map(|source| source.to_string())
            .unwrap_or_default(),
        token: request.token.to_string(),
        since: shell.moment(request.created_at),
        decided: request
            .decided
            .as_ref()
            .map(|(by, at)| (by.clone(), shell.moment(*at))),
    }
}

/// Lets it in.
pub(super) async fn approve(
    State(api): State<Api>,
    id: Result<Part<Id>, ApiError>,
    sent: Sent<Operator>,
) -> Result<Response, Refusal> {
    decide(&api, id, &sent, RequestState::Approved).await
}

/// Turns it away, for good.
pub(super) async fn deny(
    State(api): State<Api>,
    id: Result<Part<Id>, ApiError>,
    sent: Sent<Operator>,
) -> Result<Response, Refusal> {
    decide(&api, id, &sent, RequestState::Denied).await
}

async fn decide(
    api: &Api,
    id: Result<Part<Id>, ApiError>,
    sent: &Sent<Operator>,
    state: RequestState,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| sent.person.refusal(error.into());
    let Part(id) = id.map_err(refuse)?;
    let decided = api.service().decide_request(&sent.person.caller, id, state).await;
    decided.map_err(|e| refuse(e.into()))?;
    Ok(Redirect::to("/requests").into_response())
}
