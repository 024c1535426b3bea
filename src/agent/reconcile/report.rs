//! What is told about the host: to the server, and to `agent status`.

use std::time::Duration;

use super::super::conditions::conditions;
use super::super::daemon::conditions::{issued, wait_in_words};
use super::super::desired::Desired;
use super::super::execute::remember;
use super::super::freshness::freshness;
use super::super::observe::load;
use super::super::observed::Observed;
use super::super::plan::{Held, Plan};
use super::super::records::Status;
use super::super::step::Served;
use super::Reconciler;
use crate::model::HostReport;
use crate::wire::StatusAnswer;

/// The server hears of this host at least this often, seconds; drawn anew each time.
const REPORT_EVERY: std::ops::Range<f64> = 40.0..60.0;

impl Reconciler {
    pub(super) fn report(&mut self, observed: &Observed, desired: &Desired, plan: &Plan) -> HostReport {
        let now = self.world.clock.now();
        let before = std::mem::take(&mut self.conditions);
        self.conditions = conditions(observed, desired, plan, now, &before);
        let (feed, lists) = (self.world.feed.as_deref(), self.world.lists.as_deref());
        let plug = observed.daemon.as_ref().map(|sight| &sight.plug);
        let freshness = freshness(feed, lists, plug, desired.mode, now);
        self.conditions.push(freshness.after(&before));
        let pair = observed.pair();
        let renewal = observed.memory.renewal.as_ref();
        HostReport {
            observed_generation: desired.generation,
            mode: desired.mode,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_version: observed.engine.version.clone(),
            endpoints: desired.endpoints.clone(),
            issued: issued(observed),
            served: match &observed.served {
                Served::Certificate(served) => Some(served.seen()),
                Served::NotDialled | Served::Failed(_) => None,
            },
            renew_at: renewal
                .filter(|point| pair.is_some_and(|p| p.serial == point.serial))
                .map(|p| p.at),
            clock_offset_ms: self.world.server.clock_offset_ms(),
            revocations: self.world.feed.as_ref().and_then(|feed| feed.applied()),
            conditions: self.conditions.clone(),
        }
    }

    /// Tells the server when something changed, and about once a minute when nothing did.
    pub(super) async fn tell_server(&mut self, observed: &Observed, report: &HostReport) {
        let Some(version) = observed.pair().map(|pair| pair.version) else {
            return;
        };
        let now = self.world.clock.now();
        let due = match &self.reported {
            Some((last, at)) => !says_the_same(last, report) || now >= *at,
            None => true,
        };
        let Ok(pair) = load(&self.world.versions(), version) else {
            return;
        };
        if !due || pair.verify(&[], now).is_err() {
            return;
        }
        match self.world.server.report(&pair, report).await {
            Ok(answer) => {
                let wait = Duration::from_secs_f64(self.world.random.between(REPORT_EVERY));
                self.reported = Some((report.clone(), now + wait));
                self.connected = Some(true);
                self.heed(observed, &answer);
            }
            Err(error) => {
                if self.connected != Some(false) {
                    tracing::warn!("the server could not be told how this host is: {error}");
                }
                self.connected = Some(false);
            }
        }
    }

    /// The server may move the renewal earlier, never later.
    fn heed(&mut self, observed: &Observed, answer: &StatusAnswer) {
        self.generation = answer.generation;
        let point = observed.memory.renewal.as_ref();
        if let Some((point, at)) = point.zip(answer.renew_at)
            && at < point.at
        {
            tracing::info!(%at, "the server wants this host to renew earlier");
            let serial = point.serial.clone();
            let moved = remember(&self.world, |memory| {
                if let Some(point) = memory.renewal.as_mut().filter(|point| point.serial == serial) {
                    point.at = point.at.min(at);
                }
            });
            if let Err(error) = moved {
                tracing::warn!("{error}");
            }
        }
    }

    pub(super) fn keep_status(
        &self,
        observed: &Observed,
        desired: &Desired,
        mut report: HostReport,
        plan: &Plan,
    ) {
        // The answer to this very report may have been the first to show the server's clock.
        report.clock_offset_ms = self.world.server.clock_offset_ms();
        let name = observed.pair().map(|pair| &pair.name).or(desired.name.as_ref());
        let status = Status {
            name: name.map_or_else(|| "(no name)".to_owned(), ToString::to_string),
            server: desired.server.to_string(),
            connected: self.connected,
            updated_at: self.world.clock.now(),
            next: next_in_words(plan),
            report,
        };
        if let Err(error) = self.world.records().keep_status(&status) {
            tracing::warn!("{error}");
        }
    }
}

fn next_in_words(plan: &Plan) -> Option<String> {
    let waits = plan.waits.as_ref().map(wait_in_words);
    let Some(held) = &plan.held else { return waits };
    let held = match held {
        Held::Until(at) => format!("waits until {at}"),
        Held::NoToken(why) | Held::Unreadable(why) => why.clone(),
        Held::NoName => "needs a name".to_owned(),
    };
    let reason = plan.because.iter().find(|reason| reason.wants_certificate())?;
    Some(format!("{reason}; {held}"))
}

/// Messages hold times that pass; everything else is compared.
fn says_the_same(one: &HostReport, other: &HostReport) -> bool {
    let without_words = |report: &HostReport| {
        let mut report = report.clone();
        report.clock_offset_ms = None;
        report
            .conditions
            .iter_mut()
            .for_each(|condition| condition.message.clear());
        report
    };
    without_words(one) == without_words(other)
}
