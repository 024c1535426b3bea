//! The feed: who follows it, how far the hosts are, and what comes back after a restoration.

mod applied;
mod follower;
mod lost;
mod roles;
mod tail;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore, watch};

use super::{Service, ServiceError};
use crate::base::Id;
use crate::base::limits::{FEED_FOLLOWERS_MAX, FEED_SPREAD_EACH};
use crate::model::{Change, FeedOrigin, Seal, SealKey};

pub use applied::AppliedError;
pub use follower::{FollowError, Follower, Told};
pub use lost::KnownError;

/// A change with the seal that this server puts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The change.
    pub change: Change,
    /// Its seal.
    pub seal: Seal,
}

/// A change as all who follow are told it: put into words once, however many they are.
#[derive(Debug)]
pub struct News {
    sealed: Sealed,
    words: OnceLock<Bytes>,
}

impl News {
    fn new(sealed: Sealed) -> Self {
        Self {
            sealed,
            words: OnceLock::new(),
        }
    }

    /// The change.
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// What `say` says of it, who asks first.
    pub fn words(&self, say: impl FnOnce(&Sealed) -> Bytes) -> Bytes {
        self.words.get_or_init(|| say(&self.sealed)).clone()
    }

    fn number(&self) -> u64 {
        self.sealed.change.number
    }
}

/// What the feed needs to remember while the server runs.
pub(super) struct Feed {
    origin: OnceCell<FeedOrigin>,
    tail: tail::Tail,
    /// The last seal that was looked up: a fleet that comes back asks for one number.
    looked_up: Mutex<Option<(u64, Seal)>>,
    places: Arc<Semaphore>,
    /// Counts what hosts have said, to wake who waits for them.
    said: watch::Sender<u64>,
    complaints: lost::Complaints,
    /// Hosts that enforced other roles than this server says since it was restored.
    astray: std::sync::Mutex<std::collections::BTreeSet<String>>,
}

impl Feed {
    /// The places of those who follow; at most [`FEED_FOLLOWERS_MAX`] of them are free.
    pub(super) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    /// Over how long those who follow now should spread what they say of a change.
    fn spread(&self) -> Duration {
        let following = FEED_FOLLOWERS_MAX - self.places.available_permits();
        FEED_SPREAD_EACH * u32::try_from(following).unwrap_or(u32::MAX)
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            origin: OnceCell::new(),
            tail: tail::Tail::default(),
            looked_up: Mutex::default(),
            places: Arc::new(Semaphore::new(FEED_FOLLOWERS_MAX)),
            said: watch::Sender::new(0),
            complaints: lost::Complaints::default(),
            astray: std::sync::Mutex::default(),
        }
    }
}

impl Service {
    /// Which feed this is. Drawn when it is first asked, and kept with the data.
    ///
    /// # Errors
    /// The store's.
    pub async fn feed_origin(&self) -> Result<&FeedOrigin, ServiceError> {
        let draw = || async {
            let candidate = FeedOrigin {
                feed: Id::draw(&*self.random),
                key: SealKey::from_bytes(self.random.bytes()),
            };
            self.store
                .feed_origin(candidate)
                .await
                .map_err(ServiceError::from)
        };
        self.feed.origin.get_or_try_init(draw).await
    }

    async fn seal(&self, change: Change) -> Result<Sealed, ServiceError> {
        let seal = self.feed_origin().await?.key.seal(&change);
        Ok(Sealed { change, seal })
    }

    /// The seal of a number, if there is one.
    async fn seal_of(&self, number: u64) -> Result<Option<Seal>, ServiceError> {
        if let Some(known) = self.feed.tail.find(number).await {
            return Ok(Some(known.sealed().seal));
        }
        let looked_up = || {
            self.feed
                .looked_up
                .lock()
                .expect("no panic while the lock is held")
        };
        if let Some((_, seal)) = looked_up().filter(|(known, _)| *known == number) {
            return Ok(Some(seal));
        }
        let Some(change) = self.store.change(number).await? else {
            return Ok(None);
        };
        let seal = self.seal(change).await?.seal;
        // A number never means another change, so this is never out of date.
        *looked_up() = Some((number, seal));
        Ok(Some(seal))
    }
}
