//! What is new, for who delivers and who scrapes: kept in memory, and made anew at every start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::Alerts;
use crate::base::Timestamp;
use crate::base::metrics::{Page as MetricsPage, Source};
use crate::model::problem::{Area, ProblemKind, Severity};

/// What is new, for who delivers and who scrapes.
#[derive(Debug)]
pub(in super::super) struct News {
    pub(super) queued: Notify,
    open: Arc<Open>,
    attempts: Arc<Attempts>,
    listening_since: Mutex<Timestamp>,
}

/// Attempts to deliver since the start, by channel and result.
#[derive(Debug)]
struct Attempts(Mutex<BTreeMap<(String, &'static str), u64>>);

/// How many problems of each area are open, by kind and severity, as of the last scan.
#[derive(Debug, Default)]
struct Open(Mutex<BTreeMap<Area, Counts>>);

/// How many problems there are of each kind and severity.
pub(super) type Counts = BTreeMap<(ProblemKind, Severity), u64>;

impl News {
    pub(in super::super) fn new(alerts: &Alerts, now: Timestamp) -> Self {
        let names = alerts.channels.iter().map(|channel| &channel.name);
        let rows = names.flat_map(|name| [DELIVERED, FAILED].map(|result| ((name.clone(), result), 0)));
        Self {
            queued: Notify::new(),
            open: Arc::default(),
            attempts: Arc::new(Attempts(Mutex::new(rows.collect()))),
            listening_since: Mutex::new(now),
        }
    }

    pub(in super::super) fn sources(&self) -> [Arc<dyn Source>; 2] {
        [self.open.clone(), self.attempts.clone()]
    }

    /// Since when hosts could have been heard.
    pub(super) fn listening_since(&self) -> Timestamp {
        *self
            .listening_since
            .lock()
            .expect("no panic while the lock is held")
    }

    pub(super) fn listen_anew(&self, now: Timestamp) {
        *self
            .listening_since
            .lock()
            .expect("no panic while the lock is held") = now;
    }

    /// What a scan left open.
    pub(super) fn put_open(&self, area: Area, counts: Counts) {
        let mut areas = self.open.0.lock().expect("no panic while the lock is held");
        areas.insert(area, counts);
    }

    pub(super) fn count_attempt(&self, channel: &str, is_delivered: bool) {
        let result = if is_delivered { DELIVERED } else { FAILED };
        self.attempts.count(channel, result);
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
