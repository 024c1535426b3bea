//! The scans: each looks at everything in its area, and has the store say what of it is new.

use std::collections::BTreeSet;

use super::super::hosts::is_server;
use super::super::{OWN_NAME, Service, ServiceError};
use crate::base::limits::{FINDINGS_MAX, JOB_FAILURES_MAX, PAGE_MAX};
use crate::base::{Id, Timestamp};
use crate::model::enrollment::PendingRequest;
use crate::model::job::JobName;
use crate::model::problem::{
    AlertRules, Area, CaFacts, Finding, HostFacts, Look, ProblemKind, Severity, Telling, look_at_ca,
    look_at_client, look_at_host,
};
use crate::model::{IdentityKind, IssuerKind, PageRequest};
use crate::pki::Certificate;
use crate::store::{FindingsOrder, Found, HostRow};

/// What a scan saw.
struct Sight {
    found: Vec<Finding>,
    unsure: BTreeSet<String>,
    is_whole: bool,
}

impl Sight {
    fn new() -> Self {
        Self {
            found: Vec::new(),
            unsure: BTreeSet::new(),
            is_whole: true,
        }
    }

    fn add(&mut self, look: Look) {
        match look {
            Look::Well => {}
            Look::Wrong(finding) => self.found.push(finding),
            Look::Unsure(key) => {
                self.unsure.insert(key);
            }
        }
    }

    /// No more than [`FINDINGS_MAX`]: the rest waits until some of it is over.
    fn bound(&mut self, area: Area) {
        if self.found.len() > FINDINGS_MAX {
            tracing::warn!(%area, "more is wrong than is kept: nothing is said of the rest until some of it is over");
            self.found.truncate(FINDINGS_MAX);
            self.is_whole = false;
        }
    }
}

impl Service {
    /// Looks at every host, and at the enrolments that wait.
    ///
    /// # Errors
    /// The store's.
    pub async fn scan_hosts(&self) -> Result<Found, ServiceError> {
        let (now, rules) = (self.clock.now(), &self.settings.alerts.rules);
        let listening_since = self.news.listening_since();
        let mut sight = Sight::new();
        sight.found = self.waiting_requests(rules, now).await?;
        let mut cursor = None;
        loop {
            let page = PageRequest {
                limit: PAGE_MAX,
                cursor,
            };
            let page = self.store.hosts(page).await?;
            for row in page.items.iter().filter(|row| !is_server(row)) {
                sight.add(look_at_host(facts(row, listening_since), rules, now));
            }
            cursor = page.next;
            if cursor.is_none() || sight.found.len() > FINDINGS_MAX {
                break;
            }
        }
        self.record(Area::Hosts, sight, now).await
    }

    /// The server was away until now, or its clock has jumped: nobody was heard meanwhile.
    pub fn listen_anew(&self) {
        self.news.listen_anew(self.clock.now());
    }

    /// Of enrolments that wait, those that wait too long: the oldest page of them.
    async fn waiting_requests(
        &self,
        rules: &AlertRules,
        now: Timestamp,
    ) -> Result<Vec<Finding>, ServiceError> {
        let page = PageRequest {
            limit: PAGE_MAX,
            cursor: None,
        };
        let waiting = self.store.requests(false, page).await?.items;
        let late = waiting
            .into_iter()
            .filter(|request| now.since(request.created_at) >= rules.waiting_after);
        let finding = |request: PendingRequest| Finding {
            key: format!("request/{}", request.id),
            kind: ProblemKind::ApprovalWaiting,
            severity: Severity::Warning,
            subject: request.name.to_string(),
            message: format!(
                "{} {} waits for approval since {}: dockwarden host approve {}",
                request.kind, request.name, request.created_at, request.id
            ),
        };
        Ok(late.map(finding).collect())
    }

    /// Looks at every client.
    ///
    /// # Errors
    /// The store's.
    pub async fn scan_clients(&self) -> Result<Found, ServiceError> {
        let (now, rules) = (self.clock.now(), &self.settings.alerts.rules);
        let mut sight = Sight::new();
        let mut cursor = None;
        loop {
            let page = PageRequest {
                limit: PAGE_MAX,
                cursor,
            };
            let page = self.store.identities(IdentityKind::Client, page).await?;
            for (client, certificate) in &page.items {
                let found = look_at_client(client.name.as_str(), certificate.as_ref(), rules, now);
                sight.found.extend(found);
            }
            cursor = page.next;
            if cursor.is_none() || sight.found.len() > FINDINGS_MAX {
                break;
            }
        }
        self.record(Area::Clients, sight, now).await
    }

    /// Looks at the server itself: CA certificates, CRLs, its own certificate, jobs, channels.
    ///
    /// # Errors
    /// The store's.
    pub async fn scan_server(&self) -> Result<Found, ServiceError> {
        let now = self.clock.now();
        let mut sight = Sight::new();
        let found = &mut sight.found;
        found.extend(self.look_at_cas(now));
        found.extend(IssuerKind::ALL.into_iter().filter_map(|issuer| {
            let why = self.crl_trouble(issuer)?;
            let message = format!("the CRL of {issuer} is not published: {why}");
            Some(upkeep(&format!("crl/{issuer}"), issuer.as_str(), message))
        }));
        found.extend(self.look_at_own_certificate(now).await?);
        found.extend(JobName::ALL.into_iter().filter_map(|job| self.look_at_job(job)));
        found.extend(self.stuck_channels(now).await?);
        self.record(Area::Server, sight, now).await
    }

    fn look_at_cas(&self, now: Timestamp) -> Vec<Finding> {
        let settings = &self.settings;
        let longest = settings.host.lifetime.max(settings.client.lifetime);
        let of = |issuer| self.authority.issuer(issuer).certificate();
        let cas: [(&str, &Certificate, _); 3] = [
            ("root", self.authority.root(), longest),
            ("hosts", of(IssuerKind::Hosts), settings.host.lifetime),
            ("clients", of(IssuerKind::Clients), settings.client.lifetime),
        ];
        let look = |(name, certificate, longest): (&str, &Certificate, _)| {
            let facts = CaFacts {
                name,
                not_before: certificate.not_before,
                not_after: certificate.not_after,
                longest,
            };
            look_at_ca(facts, &settings.alerts.rules, now)
        };
        cas.into_iter().filter_map(look).collect()
    }

    async fn look_at_own_certificate(&self, now: Timestamp) -> Result<Option<Finding>, ServiceError> {
        let own = self.store.host(&OWN_NAME.parse().expect("a name")).await?;
        let late = own
            .and_then(|own| own.certificate)
            .filter(|c| now > c.renew_after + (c.not_after.since(c.renew_after) / 2));
        Ok(late.map(|own| {
            let message = format!(
                "the server has not renewed its own certificate, which ends at {}: see its log",
                own.not_after
            );
            upkeep("own-certificate", OWN_NAME, message)
        }))
    }

    fn look_at_job(&self, job: JobName) -> Option<Finding> {
        let state = self.job_state(job)?;
        (state.failures >= JOB_FAILURES_MAX).then(|| {
            let why = state.last.map_or(String::new(), |last| last.detail);
            Finding {
                key: format!("job/{job}"),
                kind: ProblemKind::JobFailing,
                severity: Severity::Warning,
                subject: job.to_string(),
                message: format!(
                    "job {job} did not succeed {} times in a row: {why}",
                    state.failures
                ),
            }
        })
    }

    async fn stuck_channels(&self, now: Timestamp) -> Result<Vec<Finding>, ServiceError> {
        let mut found = Vec::new();
        for channel in &self.settings.alerts.channels {
            let waiting = self.store.waiting(&channel.name).await?;
            let stuck = |at: &Timestamp| now.since(*at) >= self.settings.alerts.channel_stuck_after;
            if let Some(oldest) = waiting.oldest.filter(stuck) {
                found.push(Finding {
                    key: format!("channel/{}", channel.name),
                    kind: ProblemKind::ChannelFailing,
                    severity: Severity::Warning,
                    subject: channel.name.clone(),
                    message: format!(
                        "channel {} has not taken {} notifications, the oldest of {oldest}: dockwarden notify ls says why",
                        channel.name, waiting.count
                    ),
                });
            }
        }
        Ok(found)
    }

    async fn record(&self, area: Area, mut sight: Sight, now: Timestamp) -> Result<Found, ServiceError> {
        sight.bound(area);
        let alerts = &self.settings.alerts;
        let quiet_until = match alerts.quiet.0.is_empty() {
            true => None,
            false => alerts.quiet.closes_at(now),
        };
        let order = FindingsOrder {
            area,
            found: sight.found,
            unsure: sight.unsure,
            is_whole: sight.is_whole,
            channels: alerts.channels.clone(),
            telling: Telling {
                quiet_until,
                remind_every: alerts.remind_every,
                escalate_after: alerts.escalate_after,
            },
            draw: Id::draw(&*self.random),
            now,
        };
        let done = self.store.record_findings(order).await?;
        self.news.put_open(area, done.counts.clone());
        if done.queued > 0 {
            self.news.queued.notify_one();
        }
        Ok(done)
    }
}

fn facts(row: &HostRow, listening_since: Timestamp) -> HostFacts<'_> {
    let status = row.status.as_ref();
    HostFacts {
        name: row.identity.name.as_str(),
        certificate: row.certificate.as_ref(),
        report: status.map(|status| (status.reported_at, &status.report)),
        listening_since,
    }
}

fn upkeep(key: &str, subject: &str, message: String) -> Finding {
    Finding {
        key: key.to_owned(),
        kind: ProblemKind::ServerUpkeep,
        severity: Severity::Critical,
        subject: subject.to_owned(),
        message,
    }
}
