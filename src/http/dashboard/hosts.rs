//! `GET /hosts`: every host, what state it is in and until when.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::super::Api;
use super::super::extract::Query;
use super::super::problem::ApiError;
use super::certificates::escaped;
use super::moment::Moment;
use super::page::{Refusal, Section, Shell, show};
use super::person::Person;
use crate::base::Timestamp;
use crate::base::limits::{DASHBOARD_ROWS, HOST_SILENT_AFTER};
use crate::model::{ConditionStatus, Health, PageRequest};
use crate::service::{HostRow, Viewer};

/// What an address says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    q: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    shell: Shell,
    q: String,
    paged: bool,
    rows: Vec<Row>,
    next: Option<String>,
    first: String,
    /// This very page.
    here: String,
}

/// What a person has to know of a host first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostState {
    Healthy,
    /// It serves another certificate than the one it was issued.
    Behind,
    /// A condition does not hold.
    Unhealthy,
    /// It was heard of, but not lately.
    Silent,
    /// It has joined, and never reported.
    Unheard,
}

impl HostState {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Behind => "serves an old one",
            Self::Unhealthy => "unhealthy",
            Self::Silent => "silent",
            Self::Unheard => "never heard of",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Healthy => "valid",
            Self::Behind | Self::Unhealthy => "bad",
            Self::Silent => "late",
            Self::Unheard => "unknown",
        }
    }
}

/// A host in a list.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: HostState,
    pub(super) seen: Option<Moment>,
    pub(super) is_silent: bool,
    pub(super) issued: Option<Moment>,
    pub(super) served: Option<Moment>,
    pub(super) is_behind: bool,
    pub(super) renews: Option<Moment>,
    pub(super) mode: String,
    pub(super) engine: String,
    pub(super) conditions: Vec<(String, ConditionStatus, String)>,
    /// The first thing that is wrong, in the agent's words.
    pub(super) why: String,
}

impl Row {
    pub(super) fn new(host: &HostRow, now: Timestamp) -> Self {
        let status = host.status.as_ref();
        let report = status.map(|status| &status.report);
        let moment = |at| Moment::new(at, now);
        let conditions = report
            .map(|report| report.conditions.as_slice())
            .unwrap_or_default();
        let health = report.map(|report| report.health());
        let is_behind = health == Some(Health::Behind);
        let wrong = conditions.iter().find(|c| c.status == ConditionStatus::False);
        let is_silent = status.is_some_and(|status| now.since(status.reported_at) > HOST_SILENT_AFTER);
        let state = match status {
            None => HostState::Unheard,
            Some(_) if is_silent => HostState::Silent,
            Some(_) if is_behind => HostState::Behind,
            Some(_) if health == Some(Health::Unhealthy) => HostState::Unhealthy,
            Some(_) => HostState::Healthy,
        };
        Self {
            name: host.identity.name.to_string(),
            state,
            seen: status.map(|status| moment(status.reported_at)),
            is_silent,
            issued: host.certificate.as_ref().map(|c| moment(c.not_after)),
            served: report
                .and_then(|report| report.served.as_ref())
                .map(|served| moment(served.not_after)),
            is_behind,
            renews: report.and_then(|report| report.renew_at).map(moment),
            mode: report.map(|report| report.mode.to_string()).unwrap_or_default(),
            engine: report
                .and_then(|report| report.engine_version.clone())
                .unwrap_or_default(),
            conditions: conditions
                .iter()
                .map(|c| (c.kind.to_string(), c.status, c.message.clone()))
                .collect(),
            why: wrong.map(|c| c.reason.clone()).unwrap_or_default(),
        }
    }
}

/// The list.
pub(super) async fn list(
    State(api): State<Api>,
    person: Person<Viewer>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    let Query(asked) = query.map_err(|e| person.refusal(e.into()))?;
    let page = PageRequest {
        limit: DASHBOARD_ROWS,
        cursor: (!asked.cursor.is_empty()).then(|| asked.cursor.clone()),
    };
    let found = api.service().hosts_starting(&person.caller, &asked.q, page).await;
    let found = found.map_err(|e| person.refusal(e.into()))?;
    let shell = person.shell(Section::Hosts, "Hosts");
    show(&HostsPage {
        first: format!("/hosts?q={}", escaped(&asked.q)),
        here: format!("/hosts?q={}&cursor={}", escaped(&asked.q), escaped(&asked.cursor)),
        next: found
            .next
            .map(|next| format!("/hosts?q={}&cursor={next}", escaped(&asked.q))),
        q: asked.q,
        paged: !asked.cursor.is_empty(),
        rows: found.items.iter().map(|host| Row::new(host, shell.now)).collect(),
        shell,
    })
}
