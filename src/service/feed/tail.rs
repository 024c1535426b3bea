//! The newest changes, sealed once for all who follow: a revocation that wakes ten thousand followers reads the
//! database once.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{News, Sealed, Service};
use crate::base::limits::{FEED_PAGE, FEED_TAIL_MAX};
use crate::service::ServiceError;

/// Changes without a gap from `start` (exclusive) on.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    start: u64,
    changes: VecDeque<Arc<News>>,
}

impl Kept {
    fn last(&self) -> u64 {
        self.changes.back().map_or(self.start, |newest| newest.number())
    }

    fn after(&self, number: u64) -> Vec<Arc<News>> {
        let from = self.changes.partition_point(|c| c.number() <= number);
        self.changes
            .range(from..)
            .take(FEED_PAGE as usize)
            .cloned()
            .collect()
    }

    fn push(&mut self, sealed: Sealed) {
        self.changes.push_back(Arc::new(News::new(sealed)));
        if self.changes.len() > FEED_TAIL_MAX
            && let Some(oldest) = self.changes.pop_front()
        {
            self.start = oldest.number();
        }
    }
}

impl Tail {
    /// One change, if it is among the newest.
    pub(super) async fn find(&self, number: u64) -> Option<Arc<News>> {
        let kept = self.0.lock().await;
        let changes = &kept.as_ref()?.changes;
        let at = changes.binary_search_by_key(&number, |c| c.number()).ok()?;
        changes.get(at).cloned()
    }
}

impl Service {
    /// The next changes after a number, at most a page; none when there are none yet.
    pub(super) async fn changes_after(&self, number: u64) -> Result<Vec<Arc<News>>, ServiceError> {
        let mut kept = self.feed.tail.0.lock().await;
        let tail = kept.get_or_insert_with(|| Kept {
            start: number,
            changes: VecDeque::new(),
        });
        if number < tail.start {
            drop(kept);
            return self.read_after(number).await;
        }
        let found = tail.after(number);
        if !found.is_empty() {
            return Ok(found);
        }
        if number > tail.last() {
            // What lies in between is nobody's news any more.
            tail.changes.clear();
            tail.start = number;
        }
        // Whoever comes meanwhile waits for this one reading.
        for change in self.store.feed(tail.last(), FEED_PAGE).await? {
            tail.push(self.seal(change).await?);
        }
        let caught_up = number >= tail.start;
        let found = tail.after(number);
        drop(kept);
        if caught_up {
            Ok(found)
        } else {
            self.read_after(number).await
        }
    }

    /// For those who are further behind than what is kept.
    async fn read_after(&self, number: u64) -> Result<Vec<Arc<News>>, ServiceError> {
        let mut page = Vec::new();
        for change in self.store.feed(number, FEED_PAGE).await? {
            page.push(Arc::new(News::new(self.seal(change).await?)));
        }
        Ok(page)
    }
}
