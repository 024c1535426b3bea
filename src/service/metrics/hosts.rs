//! What is shown of each host, for the first [`METRICS_HOSTS_MAX`] of them.

use crate::base::Timestamp;
use crate::base::limits::{METRICS_HOSTS_MAX, PAGE_MAX};
use crate::base::metrics::Page;
use crate::model::{ConditionKind, ConditionStatus, PageRequest};
use crate::service::hosts::is_server;
use crate::store::{HostRow, Store, StoreError};

/// What is shown of a host.
#[derive(Debug)]
pub(super) struct HostSeries {
    name: String,
    issued: Option<Timestamp>,
    renew_after: Option<Timestamp>,
    served: Option<Timestamp>,
    reported: Option<Timestamp>,
    conditions: Vec<(ConditionKind, ConditionStatus)>,
}

impl From<HostRow> for HostSeries {
    fn from(row: HostRow) -> Self {
        let status = row.status.as_ref();
        let served = status.and_then(|status| status.report.served.as_ref());
        let conditions = status.into_iter().flat_map(|status| &status.report.conditions);
        Self {
            name: row.identity.name.to_string(),
            issued: row.certificate.as_ref().map(|certificate| certificate.not_after),
            renew_after: row.certificate.map(|certificate| certificate.renew_after),
            served: served.map(|seen| seen.not_after),
            reported: status.map(|status| status.reported_at),
            conditions: conditions.map(|c| (c.kind, c.status)).collect(),
        }
    }
}

/// The first [`METRICS_HOSTS_MAX`], in the order of their names, and whether these are all.
pub(super) async fn first(store: &dyn Store) -> Result<(Vec<HostSeries>, bool), StoreError> {
    let mut hosts: Vec<HostSeries> = Vec::new();
    let mut cursor = None;
    loop {
        let limit = PAGE_MAX;
        let page = store.hosts(PageRequest { limit, cursor }).await?;
        let rows = page.items.into_iter().filter(|row| !is_server(row));
        hosts.extend(rows.map(HostSeries::from));
        let more = page.next.is_some() || hosts.len() > METRICS_HOSTS_MAX;
        if hosts.len() >= METRICS_HOSTS_MAX || page.next.is_none() {
            hosts.truncate(METRICS_HOSTS_MAX);
            return Ok((hosts, !more));
        }
        cursor = page.next;
    }
}

/// Adds the series of each.
pub(super) fn write(page: &mut Page, hosts: &[HostSeries]) {
    type Value = fn(&HostSeries) -> Option<Timestamp>;
    let times: [(&str, &str, Value); 4] = [
        (
            "dockwarden_host_certificate_issued_not_after_seconds",
            "When the newest certificate of the host ends, seconds since 1970.",
            |host| host.issued,
        ),
        (
            "dockwarden_host_certificate_renew_after_seconds",
            "From when the newest certificate of the host is to be renewed, seconds since 1970.",
            |host| host.renew_after,
        ),
        (
            "dockwarden_host_certificate_served_not_after_seconds",
            "When the certificate that the host was last seen serving ends, seconds since 1970.",
            |host| host.served,
        ),
        (
            "dockwarden_host_last_report_timestamp_seconds",
            "When the host last reported, seconds since 1970.",
            |host| host.reported,
        ),
    ];
    for (name, help, value) in times {
        let mut family = page.gauge(name, help);
        for host in hosts {
            if let Some(time) = value(host) {
                family.time(&[("host", &host.name)], time);
            }
        }
    }
    let mut family = page.gauge(
        "dockwarden_host_condition",
        "1 for the status that the condition of the host has, 0 for the others.",
    );
    for host in hosts {
        for (kind, actual) in &host.conditions {
            for (status, holds) in actual.samples() {
                let kind = kind.to_string();
                family.sample(
                    &[("host", &host.name), ("type", &kind), ("status", status)],
                    holds,
                );
            }
        }
    }
}
