//! The follower of the feed: learns what was revoked, has it refused at once, keeps it on disk, says so, and gives back
//! what a restored server lost. [`crate::wire::feed`] is the contract.
//!
//! **Invariant:** what is revoked stays revoked here: nothing is ever taken out of what is enforced, whatever a server
//! says and whatever became of the files. A number is acknowledged after it is refused, cut and on disk.
//!
//! Runs on a thread of its own, so that waiting for the disk makes neither the gate nor the controller wait.

mod acknowledge;
mod disk;
mod follow;
mod ledger;
mod metrics;
mod roles;
mod state;

use std::collections::BTreeSet;

use async_trait::async_trait;

pub use disk::{Kept, KeptError, Place, directory, revoked};
pub use follow::{Follower, Parts, RETRY_CAP, RETRY_FLOOR, Turn, count_silence};
pub use ledger::everything;
pub use metrics::source;
pub use state::{FeedState, FeedView};

use super::Pair;
use crate::client::{Error, Feed, FeedEvent};
use crate::model::role::RolesDigest;
use crate::model::{FeedApplied, Position};
use crate::wire::{FeedKnown, FeedTaken};

/// The server, as far as the follower needs it. Every call shows the certificate of `pair`.
#[async_trait]
pub trait FeedServer: Send + Sync + 'static {
    /// Follows after `after`; by a snapshot without it. `roles` are in force here and need not be said again.
    async fn follow(
        &self,
        pair: &Pair,
        after: Option<&Position>,
        roles: Option<RolesDigest>,
    ) -> Result<Box<dyn Events>, Error>;

    /// Says how far this host is.
    async fn acknowledge(&self, pair: &Pair, applied: &FeedApplied) -> Result<(), Error>;

    /// Gives back what the server lost.
    async fn give_back(&self, pair: &Pair, known: &FeedKnown) -> Result<FeedTaken, Error>;
}

/// What comes on a feed.
#[async_trait]
pub trait Events: Send {
    /// The next one. Safe to drop and to call again. After an error it is of no more use.
    async fn next(&mut self) -> Result<FeedEvent, Error>;
}

#[async_trait]
impl Events for Feed {
    async fn next(&mut self) -> Result<FeedEvent, Error> {
        Feed::next(self).await
    }
}

/// Ends open connections. The gate, where there is one.
pub trait Cut: Send + Sync + 'static {
    /// Ends every connection whose certificate is revoked by now; returns how many.
    fn cut_revoked(&self) -> usize;

    /// Ends every connection of these clients; returns how many.
    fn cut_clients(&self, names: &BTreeSet<String>) -> usize;
}

/// Where nothing is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingOpen;

impl Cut for NothingOpen {
    fn cut_revoked(&self) -> usize {
        0
    }

    fn cut_clients(&self, _names: &BTreeSet<String>) -> usize {
        0
    }
}
