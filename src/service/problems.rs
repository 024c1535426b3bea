//! What somebody should look at: the scans that find it, the lists of it, and the queue of what people are told.

mod news;
mod scans;

use std::time::Duration;

use super::{Authorized, Operator, Service, ServiceError, Viewer};
use crate::base::{Id, Windows};
use crate::model::problem::{AlertRules, ChannelRule, Notification, Problem};
use crate::model::{Page, PageRequest};
use crate::store::{DeliveryOrder, TestOrder};

pub(super) use news::News;

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
        self.news.count_attempt(&notification.channel, failed.is_none());
        let order = DeliveryOrder {
            number: notification.number,
            failed: failed.map(|(why, wait)| (why, now + wait)),
            now,
        };
        Ok(self.store.record_attempt(order).await?)
    }
}
