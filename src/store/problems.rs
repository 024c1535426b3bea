//! The part of the store that keeps problems, and what people are told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use async_trait::async_trait;

use super::StoreError;
use crate::base::{Id, Timestamp};
use crate::model::audit::Actor;
use crate::model::problem::{
    Area, ChannelRule, Finding, Notification, Problem, ProblemKind, Severity, Telling,
};
use crate::model::{Page, PageRequest};

/// Everything that a scan found in its area.
#[derive(Clone, Debug)]
pub struct FindingsOrder {
    /// The area.
    pub area: Area,
    /// What was found, each key once.
    pub found: Vec<Finding>,
    /// Of these keys nothing can be said yet: what is known of them stays as it is.
    pub unsure: BTreeSet<String>,
    /// Whether everything was looked at. Otherwise nothing is over because it was not found.
    pub is_whole: bool,
    /// Who is told.
    pub channels: Vec<ChannelRule>,
    /// When.
    pub telling: Telling,
    /// What the ids of notifications are drawn from.
    pub draw: Id,
    /// When.
    pub now: Timestamp,
}

/// What a scan changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Problems that are open now.
    pub open: u64,
    /// Problems that are new.
    pub opened: u64,
    /// Problems that are over.
    pub resolved: u64,
    /// Notifications that were queued.
    pub queued: u64,
    /// What is open now, by kind and severity.
    pub counts: BTreeMap<(ProblemKind, Severity), u64>,
}

/// A message that somebody tries out a channel with.
#[derive(Clone, Debug)]
pub struct TestOrder {
    /// The channel.
    pub channel: String,
    /// Names the message.
    pub id: Id,
    /// Who.
    pub actor: Actor,
    /// From where.
    pub source: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct DeliveryOrder {
    /// Which notification.
    pub number: u64,
    /// Why it failed, and when it is tried again; `None` when it was delivered.
    pub failed: Option<(String, Timestamp)>,
    /// When.
    pub now: Timestamp,
}

/// Notifications of one channel that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub count: u64,
    /// From when on somebody was to be told the first of them.
    pub oldest: Option<Timestamp>,
}

/// Problems and notifications. As with [`super::Store`], each write method is one transaction, answered after the commit.
#[async_trait]
pub trait ProblemStore: Send + Sync + 'static {
    /// `problem.found`: brings the problems of an area up to date, and queues what people are told of them.
    async fn record_findings(&self, order: FindingsOrder) -> Result<Found, StoreError>;
    /// `notify.test`: queues a message that says that it is a test. Audited. Gives its number.
    async fn queue_test(&self, order: TestOrder) -> Result<u64, StoreError>;
    /// `notify.attempt`: a notification was delivered, or will be tried again.
    async fn record_attempt(&self, order: DeliveryOrder) -> Result<(), StoreError>;

    /// Problems, newest first; with `all`, those that are over too.
    async fn problems(&self, all: bool, page: PageRequest) -> Result<Page<Problem>, StoreError>;
    /// Notifications, newest first; with `waiting`, only those that were not delivered.
    async fn notifications(&self, waiting: bool, page: PageRequest)
    -> Result<Page<Notification>, StoreError>;
    /// The notification that is next for a channel at `now`: nothing of the same problem is still waiting before it.
    async fn next_notification(
        &self,
        channel: &str,
        now: Timestamp,
    ) -> Result<Option<Notification>, StoreError>;
    /// What waits for a channel.
    async fn waiting(&self, channel: &str) -> Result<Waiting, StoreError>;
}
