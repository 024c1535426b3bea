//! Hosts: what they report, and who sees what of it.

use super::{Anyone, AppliedError, Authorized, HostItself, RESERVED_LABELS, Service, ServiceError, Viewer};
use crate::base::Timestamp;
use crate::base::limits::{REPORT_CHARS_MAX, REPORT_ITEMS_MAX};
use crate::model::{HostReport, IdentityKind, Page, PageRequest};
use crate::pki::{IdentityName, San};
use crate::store::{HostRow, HostStatus, StoreError};

/// Why a host could not be shown, or its report not be taken.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is none of this name.
    #[error("no host is named {0}")]
    Unknown(IdentityName),
    /// A host asked about another one.
    #[error("{0} is a host: a host sees and reports only itself")]
    NotYours(IdentityName),
    /// The report cannot be true, or is too large.
    #[error("the status report was refused: {0}")]
    Report(String),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for HostError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// A host as far as the caller may see it.
#[derive(Clone, Debug)]
pub struct HostSeen {
    /// Its name.
    pub name: IdentityName,
    /// Where its Docker is reached.
    pub endpoints: Vec<String>,
    /// Everything, for viewers and the host itself.
    pub full: Option<HostRow>,
}

impl HostSeen {
    fn new(row: HostRow, everything: bool) -> Self {
        let endpoints = row
            .status
            .as_ref()
            .map(|s| s.report.endpoints.clone())
            .unwrap_or_default();
        Self {
            name: row.identity.name.clone(),
            endpoints,
            full: everything.then_some(row),
        }
    }
}

/// The server's own identity is a host on paper only.
pub(super) fn is_server(row: &HostRow) -> bool {
    row.identity
        .labels
        .pairs()
        .keys()
        .any(|key| key.starts_with(RESERVED_LABELS))
}

impl Service {
    /// Hosts by name: everything for viewers, names and endpoints for other clients.
    ///
    /// # Errors
    /// [`HostError::NotYours`] for hosts, the store's.
    pub async fn hosts(
        &self,
        caller: &Authorized<Anyone>,
        page: PageRequest,
    ) -> Result<Page<HostSeen>, HostError> {
        if caller.identity().kind == IdentityKind::Host {
            return Err(HostError::NotYours(caller.identity().name.clone()));
        }
        let everything = caller.reaches::<Viewer>();
        let page = self.store.hosts(page).await?;
        let rows = page.items.into_iter().filter(|row| !is_server(row));
        Ok(Page {
            items: rows.map(|row| HostSeen::new(row, everything)).collect(),
            next: page.next,
        })
    }

    /// One host: for clients as in the list, for a host only itself.
    ///
    /// # Errors
    /// [`HostError`].
    pub async fn host(
        &self,
        caller: &Authorized<Anyone>,
        name: &IdentityName,
    ) -> Result<HostSeen, HostError> {
        let itself = caller.identity().kind == IdentityKind::Host;
        if itself && caller.identity().name != *name {
            return Err(HostError::NotYours(caller.identity().name.clone()));
        }
        let row = self.store.host(name).await?.filter(|row| !is_server(row));
        let row = row.ok_or_else(|| HostError::Unknown(name.clone()))?;
        Ok(HostSeen::new(row, itself || caller.reaches::<Viewer>()))
    }

    /// Takes a host's report about itself. Gives the time at which it was taken.
    ///
    /// # Errors
    /// [`HostError`].
    pub async fn report(
        &self,
        host: &Authorized<HostItself>,
        name: &IdentityName,
        report: HostReport,
    ) -> Result<Timestamp, HostError> {
        if host.identity().name != *name {
            return Err(HostError::NotYours(host.identity().name.clone()));
        }
        check(&report, &host.certificate().sans).map_err(HostError::Report)?;
        let now = self.clock.now();
        let status = HostStatus {
            identity: host.identity().id,
            reported_at: now,
            source: host.source(),
            report,
        };
        let applied = status.report.revocations.clone();
        self.store.put_host_status(status).await?;
        if let Some(applied) = applied {
            match self.acknowledge(host, applied).await {
                Err(AppliedError::Service(error)) => return Err(error.into()),
                // It is told so when it follows the feed again; until then it has applied nothing.
                Err(AppliedError::NotOurs { .. }) | Ok(()) => {}
            }
        }
        Ok(now)
    }
}

/// Clients act on what stands in a report, so it is bounded and its endpoints lead to the reporting host:
/// each must be a name of the certificate that authenticates the report.
fn check(report: &HostReport, sans: &[San]) -> Result<(), String> {
    if report.endpoints.len() > REPORT_ITEMS_MAX || report.conditions.len() > REPORT_ITEMS_MAX {
        return Err(format!("more than {REPORT_ITEMS_MAX} endpoints or conditions"));
    }
    let conditions = report.conditions.iter();
    let texts = conditions
        .flat_map(|c| [&c.reason, &c.message])
        .chain(&report.endpoints);
    let versions = std::iter::once(&report.agent_version).chain(&report.engine_version);
    for text in texts.chain(versions) {
        if text.chars().count() > REPORT_CHARS_MAX || text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(format!(
                "a text of more than {REPORT_CHARS_MAX} characters, or with control characters"
            ));
        }
    }
    let mut kinds: Vec<_> = report.conditions.iter().map(|c| c.kind).collect();
    kinds.sort_unstable();
    if kinds.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a condition stands there twice".to_owned());
    }
    report
        .endpoints
        .iter()
        .try_for_each(|endpoint| check_endpoint(endpoint, sans))
}

fn check_endpoint(endpoint: &str, sans: &[San]) -> Result<(), String> {
    let host_and_port = endpoint
        .strip_prefix("tcp://")
        .and_then(|rest| rest.rsplit_once(':'));
    let shaped = host_and_port.filter(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0));
    let host = shaped.map(|(host, _)| {
        host.strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host)
    });
    match host.and_then(|host| host.parse::<San>().ok()) {
        None => Err(format!("endpoint {endpoint:?} is not tcp://HOST:PORT")),
        Some(san) if sans.contains(&san) => Ok(()),
        Some(san) => Err(format!(
            "endpoint {endpoint:?} leads to {san}, which is not a name or address in the host's certificate: renew it with that name first"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_lead_to_the_host_that_reports_them() {
        let sans: Vec<San> = ["web-1.fleet.internal", "10.0.0.7", "2001:db8::7"]
            .map(|s| s.parse().unwrap())
            .to_vec();
        for good in [
            "tcp://web-1.fleet.internal:2376",
            "tcp://10.0.0.7:2376",
            "tcp://[2001:db8::7]:2376",
        ] {
            assert_eq!(check_endpoint(good, &sans), Ok(()), "{good}");
        }
        for bad in [
            "tcp://db-1.fleet.internal:2376",
            "tcp://10.0.0.8:2376",
            "http://10.0.0.7:2376",
            "tcp://10.0.0.7",
            "tcp://10.0.0.7:0",
            "tcp://10.0.0.7:99999",
            "tcp://",
            "tcp://a/../b:1",
            "unix:///var/run/docker.sock",
        ] {
            assert!(check_endpoint(bad, &sans).is_err(), "{bad}");
        }
    }
}
