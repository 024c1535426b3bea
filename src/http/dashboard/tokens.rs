//! `GET /tokens`: join tokens and what they are good for; `POST /tokens/{id}/delete` withdraws one. None is made here: its secret would
//! stand on a page.

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
use crate::base::limits::DASHBOARD_ROWS;
use crate::model::{Approval, PageRequest, Token};
use crate::service::Operator;

/// What an address says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    cursor: String,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    shell: Shell,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: String,
    profile: &'static str,
    state: &'static str,
    class: &'static str,
    allows: Vec<String>,
    gives: Vec<String>,
    used: u32,
    uses: u32,
    expires: Moment,
    made: Moment,
    by: String,
    reason: String,
    is_manual: bool,
}

/// The list.
pub(super) async fn list(
    State(api): State<Api>,
    person: Person<Operator>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    let Query(asked) = query.map_err(|e| person.refusal(e.into()))?;
    let page = PageRequest {
        limit: DASHBOARD_ROWS,
        cursor: (!asked.cursor.is_empty()).then(|| asked.cursor.clone()),
    };
    let found = api.service().tokens(&person.caller, page).await;
    let found = found.map_err(|e| person.refusal(e.into()))?;
    let shell = person.shell(Section::Tokens, "Join tokens");
    show(&TokensPage {
        rows: found.items.iter().map(|token| row(token, &shell)).collect(),
        next: found.next.map(|next| format!("/tokens?cursor={next}")),
        shell,
    })
}

fn row(token: &Token, shell: &Shell) -> Row {
    let names = token.rules.names.iter().map(ToString::to_string);
    let addresses = token.rules.addresses.iter().map(ToString::to_string);
    let sources = token.sources.iter().map(|source| format!("from {source}"));
    let labels = token
        .labels
        .pairs()
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let role = token.role.iter().map(|role| format!("role {role}"));
    let permission = token
        .permission
        .iter()
        .map(|permission| format!("permission {permission}"));
    let (state, class) = match token.uses_left {
        _ if token.expires_at < shell.now => ("expired", "expired"),
        0 => ("spent", "expired"),
        _ => ("usable", "valid"),
    };
    Row {
        id: token.id.to_string(),
        profile: token.kind.as_str(),
        state,
        class,
        allows: names.chain(addresses).chain(sources).collect(),
        gives: role.chain(permission).chain(labels).collect(),
        used: token.uses_max.saturating_sub(token.uses_left),
        uses: token.uses_max,
        expires: shell.moment(token.expires_at),
        made: shell.moment(token.created_at),
        by: token.created_by.clone(),
        reason: token.reason.clone(),
        is_manual: token.approval == Approval::Manual,
    }
}

/// Withdraws it.
pub(super) async fn delete(
    State(api): State<Api>,
    id: Result<Part<Id>, ApiError>,
    sent: Sent<Operator>,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| sent.person.refusal(error.into());
    let Part(id) = id.map_err(refuse)?;
    let deleted = api.service().delete_token(&sent.person.caller, id).await;
    deleted.map_err(|e| refuse(e.into()))?;
    Ok(Redirect::to("/tokens").into_response())
}
