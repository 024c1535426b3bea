//! What somebody should look at: the scans that find it, the lists of it, and the queue of what people are told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::hosts::is_server;
use super::{Authorized, Operator, Service, ServiceError, Viewer};
use crate::base::limits::{FINDINGS_MAX, JOB_FAILURES_MAX, PAGE_MAX};
use crate::base::metrics::{Page as MetricsPage, Source};
use crate::base::{Id, Timestamp, Windows};
use crate::model::job::JobName;
use crate::model::problem::{
    AlertRules, Area, CaFacts, ChannelRule, Finding, HostFacts, Notification, Problem, ProblemKind, Severity,
    Telling, look_at_ca, look_at_client, look_at_host,
};
use crate::model::{IdentityKind, IssuerKind, Page, PageRequest};
use crate::store::{DeliveryOrder, FindingsOrder, Found, HostRow, TestOrder};

/// What is a problem, and who is told of it.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// From when on something is wrong.
    pub rules: AlertRules,
    /// Who is told.
    pub channels: Vec<ChannelRule>,
    /// Maintenance windows in which nothing new is said; none: always.
    pub quiet: Windows,
    /// How long until somebody is told again of what lasts.
    pub remind_every: Duration,
    /// After how long a warning becomes critical, if ever.
    pub escalate_after: Option<Duration>,
    /// A channel that does not take what it is told for this long is a problem itself.
    pub channel_stuck_after: Duration,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            rules: AlertRules::default(),
            channels: Vec::new(),
            quiet: Windows::default(),
            remind_every: Duration::from_secs(86_400),
            escalate_after: None,
            channel_stuck_after: Duration::from_secs(1800),
        }
    }
}

/// Why a channel was not tried out.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// There is none of this name.
    #[error("no channel is named {0:?}: [[notify]] in server.toml has {1}")]
    Unknown(String, String),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// What is new, for who delivers and who scrapes.
#[derive(Debug)]
pub(super) struct News {
    queued: Notify,
    open: Arc<Open>,
    attempts: Arc<Attempts>,
}

/// Attempts to deliver since the start, by channel and result.
#[derive(Debug)]
struct Attempts(Mutex<BTreeMap<(String, &'static str), u64>>);

/// How many problems of each area are open, by kind and severity, as of the last scan.
#[derive(Debug, Default)]
struct Open(Mutex<BTreeMap<Area, Counts>>);

/// How many problems there are of each kind and severity.
type Counts = BTreeMap<(ProblemKind, Severity), u64>;

impl News {
    pub(super) fn new(alerts: &Alerts) -> Self {
        let names = alerts.channels.iter().map(|channel| &channel.name);
        let rows = names.flat_map(|name| [DELIVERED, FAILED].map(|result| ((name.clone(), result), 0)));
        Self {
            queued: Notify::new(),
            open: Arc::default(),
            attempts: Arc::new(Attempts(Mutex::new(rows.collect()))),
        }
    }

    pub(super) fn sources(&self) -> [Arc<dyn Source>; 2] {
        [self.open.clone(), self.attempts.clone()]
    }
}

/// Values of `result` on `/metrics`.
const DELIVERED: &str = "delivered";
const FAILED: &str = "failed";

impl Attempts {
    fn count(&self, channel: &str, result: &'static str) {
        let mut attempts = self.0.lock().expect("no panic while the lock is held");
        // A channel that was taken out of the configuration gets no series.
        if let Some(count) = attempts.get_mut(&(channel.to_owned(), result)) {
            *count += 1;
        }
    }
}

impl Source for Attempts {
    fn write(&self, page: &mut MetricsPage) {
        let attempts = self.0.lock().expect("no panic while the lock is held").clone();
        let mut family = page.counter(
            "dockwarden_notifications_total",
            "Attempts to deliver a notification since the start, by channel and result.",
        );
        for ((channel, result), count) in &attempts {
            family.sample(&[("channel", channel), ("result", result)], *count as f64);
        }
    }
}

impl Source for Open {
    fn write(&self, page: &mut MetricsPage) {
        let areas = self.0.lock().expect("no panic while the lock is held").clone();
        let mut family = page.gauge(
            "dockwarden_problems",
            "Problems that are open, by kind and severity, as of the last scan.",
        );
        for kind in ProblemKind::ALL {
            for severity in Severity::ALL {
                let count: u64 = areas
                    .values()
                    .filter_map(|area| area.get(&(*kind, *severity)))
                    .sum();
                let labels = [("kind", kind.as_str()), ("severity", severity.as_str())];
                family.sample(&labels, count as f64);
            }
        }
    }
}

/// The scans.
impl Service {
    /// Looks at every host, and at the enrolments that wait.
    ///
    /// # Errors
    /// The store's.
    pub async fn scan_hosts(&self) -> Result<Found, ServiceError> {
        let (now, rules) = (self.clock.now(), &self.settings.alerts.rules);
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = PageRequest {
                limit: PAGE_MAX,
                cursor,
            };
            let page = self.store.hosts(page).await?;
            let hosts = page.items.iter().filter(|row| !is_server(row));
            found.extend(hosts.filter_map(|row| self.look_at_host(row, rules, now)));
            cursor = page.next;
            if cursor.is_none() || found.len() > FINDINGS_MAX {
                break;
            }
        }
        found.extend(self.waiting_requests(rules, now).await?);
        self.record(Area::Hosts, found, now).await
    }

    fn look_at_host(&self, row: &HostRow, rules: &AlertRules, now: Timestamp) -> Option<Finding> {
        let report = row
            .status
            .as_ref()
            .map(|status| (status.reported_at, &status.report));
        let facts = HostFacts {
            name: row.identity.name.as_str(),
            certificate: row.certificate.as_ref(),
            report,
            listening_since: self.started_at,
        };
        look_at_host(facts, rules, now)
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
        let finding = |request: crate::model::enrollment::PendingRequest| Finding {
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
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = PageRequest {
                limit: PAGE_MAX,
                cursor,
            };
            let page = self.store.identities(IdentityKind::Client, page).await?;
            let look =
                |(client, certificate): &(crate::model::Identity, Option<crate::model::Certificate>)| {
                    look_at_client(client.name.as_str(), certificate.as_ref(), rules, now)
                };
            found.extend(page.items.iter().filter_map(look));
            cursor = page.next;
            if cursor.is_none() || found.len() > FINDINGS_MAX {
                break;
            }
        }
        self.record(Area::Clients, found, now).await
    }

    /// Looks at the server itself: CA certificates, CRLs, its own certificate, jobs, channels.
    ///
    /// # Errors
    /// The store's.
    pub async fn scan_server(&self) -> Result<Found, ServiceError> {
        let now = self.clock.now();
        let mut found = self.look_at_cas(now);
        found.extend(IssuerKind::ALL.into_iter().filter_map(|issuer| {
            let why = self.crl_trouble(issuer)?;
            Some(upkeep(
                &format!("crl/{issuer}"),
                issuer.as_str(),
                format!("the CRL of {issuer} is not published: {why}"),
            ))
        }));
        let own = self.store.host(&super::OWN_NAME.parse().expect("a name")).await?;
        let late = own
            .and_then(|own| own.certificate)
            .filter(|c| now > c.renew_after + (c.not_after.since(c.renew_after) / 2));
        found.extend(late.map(|own| {
            let message = format!(
                "the server has not renewed its own certificate, which ends at {}: see its log",
                own.not_after
            );
            upkeep("own-certificate", super::OWN_NAME, message)
        }));
        found.extend(JobName::ALL.into_iter().filter_map(|job| {
            let state = self
                .job_state(job)
                .filter(|state| state.failures >= JOB_FAILURES_MAX)?;
            let why = state.last.map_or(String::new(), |last| last.detail);
            Some(Finding {
                key: format!("job/{job}"),
                kind: ProblemKind::JobFailing,
                severity: Severity::Warning,
                subject: job.to_string(),
                message: format!(
                    "job {job} did not succeed {} times in a row: {why}",
                    state.failures
                ),
            })
        }));
        found.extend(self.stuck_channels(now).await?);
        self.record(Area::Server, found, now).await
    }

    fn look_at_cas(&self, now: Timestamp) -> Vec<Finding> {
        let settings = &self.settings;
        let longest = settings.host.lifetime.max(settings.client.lifetime);
        let of = |issuer| self.authority.issuer(issuer).certificate();
        let cas = [
            ("root", self.authority.root(), longest),
            ("hosts", of(IssuerKind::Hosts), settings.host.lifetime),
            ("clients", of(IssuerKind::Clients), settings.client.lifetime),
        ];
        let look = |(name, certificate, longest): (&str, &crate::pki::Certificate, Duration)| {
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

    async fn record(
        &self,
        area: Area,
        mut found: Vec<Finding>,
        now: Timestamp,
    ) -> Result<Found, ServiceError> {
        if found.len() > FINDINGS_MAX {
            tracing::warn!(%area, found = found.len(), "more was found than is kept: the rest waits until some of it is over");
            found.truncate(FINDINGS_MAX);
        }
        let mut counts = Counts::new();
        for finding in &found {
            *counts.entry((finding.kind, finding.severity)).or_default() += 1;
        }
        let alerts = &self.settings.alerts;
        let quiet_until = match alerts.quiet.0.is_empty() {
            true => None,
            false => alerts.quiet.closes_at(now),
        };
        let order = FindingsOrder {
            area,
            found,
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
        self.news
            .open
            .0
            .lock()
            .expect("no panic while the lock is held")
            .insert(area, counts);
        if done.queued > 0 {
            self.news.queued.notify_one();
        }
        Ok(done)
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

/// For people.
impl Service {
    /// Problems, newest first; with `all`, those that are over too.
    ///
    /// # Errors
    /// The store's.
    pub async fn problems(
        &self,
        _viewer: &Authorized<Viewer>,
        all: bool,
        page: PageRequest,
    ) -> Result<Page<Problem>, ServiceError> {
        Ok(self.store.problems(all, page).await?)
    }

    /// Notifications, newest first; with `waiting`, only those that were not delivered.
    ///
    /// # Errors
    /// The store's.
    pub async fn notifications(
        &self,
        _viewer: &Authorized<Viewer>,
        waiting: bool,
        page: PageRequest,
    ) -> Result<Page<Notification>, ServiceError> {
        Ok(self.store.notifications(waiting, page).await?)
    }

    /// Sends a message to a channel that says that it is a test. Gives its number.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn test_channel(
        &self,
        operator: &Authorized<Operator>,
        channel: &str,
    ) -> Result<u64, ChannelError> {
        let channels = &self.settings.alerts.channels;
        if !channels.iter().any(|known| known.name == channel) {
            let names: Vec<&str> = channels.iter().map(|known| known.name.as_str()).collect();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(ChannelError::Unknown(channel.chars().take(40).collect(), names));
        }
        let order = TestOrder {
            channel: channel.to_owned(),
            id: Id::draw(&*self.random),
            actor: operator.actor(),
            source: operator.source(),
            now: self.clock.now(),
        };
        let number = self.store.queue_test(order).await.map_err(ServiceError::from)?;
        self.news.queued.notify_one();
        Ok(number)
    }
}

/// For who delivers.
impl Service {
    /// Waits until something was queued.
    pub async fn notification_queued(&self) {
        self.news.queued.notified().await;
    }

    /// The notification that is next for a channel.
    ///
    /// # Errors
    /// The store's.
    pub async fn next_notification(&self, channel: &str) -> Result<Option<Notification>, ServiceError> {
        Ok(self.store.next_notification(channel, self.clock.now()).await?)
    }

    /// Writes down how an attempt ended; with `failed`, why, and how long until the next one.
    ///
    /// # Errors
    /// The store's: then it is sent again, under the same id.
    pub async fn note_attempt(
        &self,
        notification: &Notification,
        failed: Option<(String, Duration)>,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let result = if failed.is_none() { DELIVERED } else { FAILED };
        self.news.attempts.count(&notification.channel, result);
        let order = DeliveryOrder {
            number: notification.number,
            failed: failed.map(|(why, wait)| (why, now + wait)),
            now,
        };
        Ok(self.store.record_attempt(order).await?)
    }
}
