//! `GET /hosts/{name}`: what a host should be and what it reports, side by side.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Api;
use super::super::extract::Part;
use super::super::problem::ApiError;
use super::audit::Event;
use super::certificates;
use super::hosts::Row;
use super::moment::{Moment, span};
use super::page::{Refusal, Section, Shell};
use super::person::Person;
use crate::base::limits::DASHBOARD_HISTORY;
use crate::model::{Certificate, FeedApplied, PageRequest, SeenCertificate};
use crate::pki::IdentityName;
use crate::service::{AuditFilter, HostError, HostRow, Operator, Viewer};

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    shell: Shell,
    row: Row,
    certificate: Option<certificates::Row>,
    current: String,
    sans: Vec<String>,
    rules: Vec<String>,
    labels: Vec<String>,
    joined: Moment,
    report: Option<Report>,
    history: Vec<certificates::Row>,
    events: Option<Vec<Event>>,
}

/// What the agent said last.
struct Report {
    issued: Option<(String, Moment)>,
    served: Option<(String, Moment)>,
    renews: Option<Moment>,
    source: Option<String>,
    endpoints: Vec<String>,
    agent: String,
    clock: String,
    revocations: String,
    conditions: Vec<Condition>,
}

struct Condition {
    kind: String,
    status: String,
    since: Moment,
    reason: String,
    message: String,
}

/// The page.
pub(super) async fn show(
    State(api): State<Api>,
    person: Person<Viewer>,
    name: Result<Part<IdentityName>, ApiError>,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| person.refusal(error.into());
    let Part(name) = name.map_err(refuse)?;
    let service = api.service();
    let seen = service.host(&person.caller.anyone(), &name).await;
    let seen = seen.map_err(|e| refuse(e.into()))?;
    let host = seen
        .full
        .ok_or_else(|| refuse(HostError::Unknown(name.clone()).into()))?;
    let history = newest(&api, &person, host.identity.id).await?;
    let events = events_of(&api, &person, name.as_str()).await?;
    let shell = person.shell(Section::Hosts, name.to_string());
    super::page::show(&page(shell, &host, &history, events))
}

/// The newest certificates of an identity, newest first.
pub(super) async fn newest(
    api: &Api,
    person: &Person<Viewer>,
    identity: crate::base::Id,
) -> Result<Vec<Certificate>, Refusal> {
    let found = api
        .service()
        .newest_of(&person.caller, identity, DASHBOARD_HISTORY)
        .await;
    found.map_err(|e| person.refusal(e.into()))
}

/// What the audit log knows of a name or a serial, for who may read it.
pub(super) async fn events_of(
    api: &Api,
    person: &Person<Viewer>,
    subject: &str,
) -> Result<Option<Vec<Event>>, Refusal> {
    let Some(operator) = person.caller.also::<Operator>() else {
        return Ok(None);
    };
    let filter = AuditFilter {
        subject: Some(subject.to_owned()),
        after: None,
    };
    let page = PageRequest {
        limit: DASHBOARD_HISTORY,
        cursor: None,
    };
    let found = api.service().audit(&operator, filter, page).await;
    let records = found.map_err(|e| person.refusal(e.into()))?.items;
    let now = api.service().clock().now();
    Ok(Some(
        records
            .into_iter()
            .map(|record| Event::new(record, now))
            .collect(),
    ))
}

fn page(shell: Shell, host: &HostRow, history: &[Certificate], events: Option<Vec<Event>>) -> HostPage {
    let now = shell.now;
    let certificate = host.certificate.as_ref();
    let texts = |sans: &[crate::pki::San]| sans.iter().map(ToString::to_string).collect();
    let rules = &host.identity.rules;
    let names = rules.names.iter().map(ToString::to_string);
    let addresses = rules.addresses.iter().map(ToString::to_string);
    let labels = host.identity.labels.pairs().iter();
    HostPage {
        row: Row::new(host, now),
        certificate: certificate.map(|c| certificates::Row::new(c, now)),
        current: certificate.map(|c| c.serial.to_string()).unwrap_or_default(),
        sans: certificate.map(|c| texts(&c.sans)).unwrap_or_default(),
        rules: names.chain(addresses).collect(),
        labels: labels.map(|(key, value)| format!("{key}={value}")).collect(),
        joined: shell.moment(host.identity.created_at),
        report: report(host, &shell),
        history: history.iter().map(|c| certificates::Row::new(c, now)).collect(),
        events,
        shell,
    }
}

fn report(host: &HostRow, shell: &Shell) -> Option<Report> {
    let status = host.status.as_ref()?;
    let report = &status.report;
    let seen = |seen: &SeenCertificate| {
        let serial: String = seen.serial.to_string().chars().take(12).collect();
        (serial, shell.moment(seen.not_after))
    };
    let conditions = report.conditions.iter().map(|c| Condition {
        kind: c.kind.to_string(),
        status: c.status.to_string(),
        since: shell.moment(c.since),
        reason: c.reason.clone(),
        message: c.message.clone(),
    });
    Some(Report {
        issued: report.issued.as_ref().map(seen),
        served: report.served.as_ref().map(seen),
        renews: report.renew_at.map(|at| shell.moment(at)),
        source: status.source.map(|source| source.to_string()),
        endpoints: report.endpoints.clone(),
        agent: report.agent_version.clone(),
        clock: match report.clock_offset_ms {
            Some(offset) => format!("{:+.1} s from the server's", offset as f64 / 1000.0),
            None => "not compared".to_owned(),
        },
        revocations: revocations(report.revocations.as_ref()),
        conditions: conditions.collect(),
    })
}

/// How far it is with the feed, and what comes of it.
fn revocations(applied: Option<&FeedApplied>) -> String {
    let Some(applied) = applied else {
        return "does not follow the feed: nothing is refused there".to_owned();
    };
    let known = format!("knows all up to {}", applied.number);
    match applied.denies_after.map(Duration::from_secs) {
        _ if !applied.refuses => format!("{known}; nothing there refuses anybody"),
        Some(after) => format!(
            "{known}; refuses everybody when it hears nothing for {}",
            span(after)
        ),
        None => known,
    }
}
