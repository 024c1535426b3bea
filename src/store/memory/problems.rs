//! Problems and notifications in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::super::StoreError;
use super::super::cursor::{self, List};
use super::super::op::{Answer, Op};
use super::super::problems::{DeliveryOrder, FindingsOrder, Found, ProblemStore, TestOrder, Waiting};
use super::MemoryStore;
use crate::base::Timestamp;
use crate::model::problem::{Notification, Problem};
use crate::model::{Page, PageRequest};

#[async_trait]
impl ProblemStore for MemoryStore {
    async fn record_findings(&self, order: FindingsOrder) -> Result<Found, StoreError> {
        self.run(&Op::Findings(Box::new(order))).map(Answer::found)
    }

    async fn queue_test(&self, order: TestOrder) -> Result<u64, StoreError> {
        self.run(&Op::TestChannel(Box::new(order))).map(Answer::number)
    }

    async fn record_attempt(&self, order: DeliveryOrder) -> Result<(), StoreError> {
        self.run(&Op::Delivery(Box::new(order))).map(drop)
    }

    async fn problems(&self, all: bool, page: PageRequest) -> Result<Page<Problem>, StoreError> {
        let before = cursor::start::<i64>(List::Problems, &page)?;
        let inner = self.lock();
        let fits = |problem: &&Problem| all || problem.resolved_at.is_none();
        let rows = inner.state.problems().rev().filter(fits);
        let rows = rows.map(|problem| (problem.number as i64, problem.clone()));
        let rows = rows.filter(|(number, _)| before.is_none_or(|before| *number < before));
        Ok(cursor::page(List::Problems, cursor::limit(&page), rows.collect()))
    }

    async fn notifications(
        &self,
        waiting: bool,
        page: PageRequest,
    ) -> Result<Page<Notification>, StoreError> {
        let before = cursor::start::<i64>(List::Notifications, &page)?;
        let inner = self.lock();
        let fits = |n: &&Notification| !waiting || n.delivered_at.is_none();
        let rows = inner.state.notifications().rev().filter(fits);
        let rows = rows.map(|n| (n.number as i64, n.clone()));
        let rows = rows.filter(|(number, _)| before.is_none_or(|before| *number < before));
        Ok(cursor::page(
            List::Notifications,
            cursor::limit(&page),
            rows.collect(),
        ))
    }

    async fn next_notification(
        &self,
        channel: &str,
        now: Timestamp,
    ) -> Result<Option<Notification>, StoreError> {
        let inner = self.lock();
        let waits = |n: &&Notification| n.delivered_at.is_none() && n.channel == channel;
        let mut begun = BTreeSet::new();
        let first = inner.state.notifications().filter(waits);
        let first = first.filter(|n| begun.insert(n.problem.number) || n.problem.number == 0);
        let due = first.filter(|n| n.due_at <= now);
        Ok(due.min_by_key(|n| (n.due_at, n.number)).cloned())
    }

    async fn waiting(&self, channel: &str) -> Result<Waiting, StoreError> {
        let inner = self.lock();
        let waits = |n: &&Notification| n.delivered_at.is_none() && n.channel == channel;
        let times: Vec<_> = inner
            .state
            .notifications()
            .filter(waits)
            .map(|n| n.wanted_at)
            .collect();
        Ok(Waiting {
            count: times.len() as u64,
            oldest: times.into_iter().min(),
        })
    }
}
