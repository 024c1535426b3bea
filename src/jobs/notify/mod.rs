//! Delivers what people are told. The queue is in the store: a notification leaves it when whoever gets it has said so.
//!
//! Nothing is lost: what fails is tried again, without end, less and less often. Order is kept per problem and channel:
//! the next message about a problem waits for the one before. A message whose delivery was not written down (the server
//! was killed between the receiver's answer and the commit) is sent again, under the same id.

mod command;
mod http;
mod message;
mod smtp;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

pub use command::CommandChannel;
pub use http::{HttpChannel, HttpForm, Target, TargetError};
pub use smtp::{SmtpChannel, SmtpPlan, SmtpTls};

use super::{AlwaysJob, Job, JobError, NOTHING};
use crate::base::limits::{NOTIFY_EVERY, NOTIFY_RETRY_MAX, NOTIFY_RETRY_MIN, NOTIFY_TIMEOUT};
use crate::model::job::JobName;
use crate::model::problem::Notification;
use crate::service::{Service, ServiceError};

/// Somewhere that notifications go.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Its name, as configured.
    fn name(&self) -> &str;
    /// Hands one over. Returns when whoever gets it has taken it; what is wrong otherwise, in words without secrets.
    async fn send(&self, notification: &Notification) -> Result<(), String>;
}

/// Attempts in a row that may fail before a channel is left alone until the next run: one that does not answer must not
/// hold up the others.
const FAILURES_MAX: u32 = 3;
/// Attempts of one channel in one run.
const ATTEMPTS_MAX: u32 = 1000;
/// A channel begins no further attempt in a run that has lasted this long: one that is slow must not hold up the others.
const TURN: Duration = Duration::from_secs(10);
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 300;

/// See [`JobName::Notify`].
pub struct Deliver {
    service: Arc<Service>,
    channels: Vec<Arc<dyn Channel>>,
    every: Duration,
    timeout: Duration,
}

impl Deliver {
    /// To these channels.
    pub fn new(service: Arc<Service>, channels: Vec<Arc<dyn Channel>>) -> Self {
        Self {
            service,
            channels,
            every: NOTIFY_EVERY,
            timeout: NOTIFY_TIMEOUT,
        }
    }

    /// With another time between looks, and another patience, than the usual ones.
    #[must_use]
    pub fn paced(self, every: Duration, timeout: Duration) -> Self {
        Self {
            every,
            timeout,
            ..self
        }
    }

    /// Everything that is due for a channel. Gives how many were taken, and how many not.
    async fn deliver(&self, channel: &dyn Channel) -> Result<(u32, u32), ServiceError> {
        let (mut taken, mut failed, mut in_a_row) = (0, 0, 0);
        let (clock, begun) = (self.service.clock(), self.service.clock().now());
        while taken + failed < ATTEMPTS_MAX && in_a_row < FAILURES_MAX && clock.now().since(begun) < TURN {
            let Some(next) = self.service.next_notification(channel.name()).await? else {
                break;
            };
            let sent = tokio::time::timeout(self.timeout, channel.send(&next)).await;
            let late = |_| Err(format!("no answer within {} s", self.timeout.as_secs_f64()));
            match sent.unwrap_or_else(late) {
                Ok(()) => {
                    self.service.note_attempt(&next, None).await?;
                    (taken, in_a_row) = (taken + 1, 0);
                }
                Err(why) => {
                    let why: String = why.chars().take(ERROR_CHARS_MAX).collect();
                    tracing::warn!(
                        channel = channel.name(),
                        number = next.number,
                        why,
                        "a notification was not taken; it is sent again"
                    );
                    let wait = self.wait(next.attempts);
                    self.service.note_attempt(&next, Some((why, wait))).await?;
                    (failed, in_a_row) = (failed + 1, in_a_row + 1);
                }
            }
        }
        Ok((taken, failed))
    }

    /// How long until the next attempt: doubled with each, half of it drawn.
    fn wait(&self, attempts: u32) -> Duration {
        let most = NOTIFY_RETRY_MIN
            .saturating_mul(1 << attempts.min(16))
            .min(NOTIFY_RETRY_MAX);
        most.mul_f64(0.5 + self.service.random().unit() / 2.0)
    }
}

#[async_trait]
impl Job for Deliver {
    fn name(&self) -> JobName {
        JobName::Notify
    }

    /// Channels side by side, each in its order.
    async fn run(&self) -> Result<String, JobError> {
        let runs = self.channels.iter().map(|channel| self.deliver(&**channel));
        let (mut taken, mut failed) = (0, 0);
        for run in join_all(runs).await {
            let (more, less) = run?;
            (taken, failed) = (taken + more, failed + less);
        }
        Ok(match (taken, failed) {
            (0, 0) if self.channels.is_empty() => "no channel is configured".to_owned(),
            (0, 0) => NOTHING.to_owned(),
            // A receiver that is down is its own problem, and told of as such; the job did its part.
            (taken, failed) => format!("{taken} delivered, {failed} to be sent again"),
        })
    }
}

#[async_trait]
impl AlwaysJob for Deliver {
    fn every(&self) -> Duration {
        self.every
    }

    async fn woken(&self) {
        self.service.notification_queued().await;
    }
}
