//! `GET /audit`: who did what; `POST /audit/verify` checks that nothing of it was changed or is missing.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::super::Api;
use super::super::extract::{Query, parse};
use super::super::problem::ApiError;
use super::certificates::escaped;
use super::forms::Sent;
use super::moment::Moment;
use super::page::{Refusal, Section, Shell, show};
use super::person::Person;
use crate::base::Timestamp;
use crate::base::encoding::hex;
use crate::base::limits::DASHBOARD_ROWS;
use crate::model::PageRequest;
use crate::model::audit::Record;
use crate::service::{AuditFilter, Operator, Verified};

/// A record in a list.
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) at: Moment,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) outcome: String,
    pub(super) source: String,
    pub(super) detail: String,
}

impl Event {
    pub(super) fn new(record: Record, now: Timestamp) -> Self {
        Self {
            seq: record.seq,
            at: Moment::new(record.at, now),
            actor: record.actor,
            action: record.action,
            subject: record.subject,
            outcome: record.outcome,
            source: record.source.unwrap_or_default(),
            detail: in_words(&record.detail),
        }
    }
}

/// `{"a":"b","c":"d"}` as `a b, c d`.
fn in_words(detail: &str) -> String {
    let map: std::collections::BTreeMap<String, String> = serde_json::from_str(detail).unwrap_or_default();
    let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key} {value}")).collect();
    pairs.join(", ")
}

/// What an address says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    subject: String,
    after: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    subject: String,
    events: Vec<Event>,
    next: Option<String>,
    paged: bool,
    oldest_first: bool,
    verified: Option<(bool, String)>,
}

/// The list, newest first, or oldest first after a number.
pub(super) async fn list(
    State(api): State<Api>,
    person: Person<Operator>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    let Query(asked) = query.map_err(|e| person.refusal(e.into()))?;
    show(&page(&api, &person, asked, None).await?)
}

/// The list, with what checking the whole log has found.
pub(super) async fn verify(State(api): State<Api>, sent: Sent<Operator>) -> Result<Response, Refusal> {
    let person = &sent.person;
    let verified = api.service().verify_audit(&person.caller).await;
    let verified = match verified.map_err(|e| person.refusal(e.into()))? {
        Verified::Whole(count, hash) => {
            let text = format!(
                "The log is whole up to record {count}, none changed or missing. That one has hash {}: note it down elsewhere, and a log cut off at its end is found too.",
                hex(&hash)
            );
            (true, text)
        }
        Verified::Broken(broken) => {
            let text =
                format!("{broken}. Compare with a backup, and find out who can write to the database.");
            (false, text)
        }
        Verified::Untold(seq) => {
            let text = format!(
                "The log begins after record {seq}, and no record says that those before were removed on purpose."
            );
            (false, text)
        }
        Verified::Busy => (
            false,
            "Somebody else is having the log checked right now: try again.".to_owned(),
        ),
    };
    show(&page(&api, person, Asked::default(), Some(verified)).await?)
}

async fn page(
    api: &Api,
    person: &Person<Operator>,
    asked: Asked,
    verified: Option<(bool, String)>,
) -> Result<AuditPage, Refusal> {
    let after = (!asked.after.is_empty()).then_some(asked.after.as_str());
    let after: Option<u64> = parse("after", after).map_err(|e| person.refusal(e.into()))?;
    let filter = AuditFilter {
        subject: (!asked.subject.is_empty()).then(|| asked.subject.clone()),
        after,
    };
    let page = PageRequest {
        limit: DASHBOARD_ROWS,
        cursor: (!asked.cursor.is_empty()).then(|| asked.cursor.clone()),
    };
    let found = api.service().audit(&person.caller, filter, page).await;
    let found = found.map_err(|e| person.refusal(e.into()))?;
    let shell = person.shell(Section::Audit, "Audit log");
    let (subject, after) = (escaped(&asked.subject), escaped(&asked.after));
    Ok(AuditPage {
        events: found
            .items
            .into_iter()
            .map(|record| Event::new(record, shell.now))
            .collect(),
        next: found
            .next
            .map(|next| format!("/audit?subject={subject}&after={after}&cursor={next}")),
        paged: !asked.cursor.is_empty() || !asked.after.is_empty(),
        oldest_first: !asked.after.is_empty(),
        subject: asked.subject,
        verified,
        shell,
    })
}
