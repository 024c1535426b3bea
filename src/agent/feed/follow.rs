//! The loop: connect, apply what comes, connect again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use super::acknowledge::{acknowledge, moved, spread};
use super::disk::{self, Kept, KeptError, Place};
use super::roles;
use super::{Cut, Events, FeedServer, FeedState};
use crate::agent::Pair;
use crate::agent::observe::load;
use crate::base::limits::{FEED_KNOWN_MAX, FEED_PAGE};
use crate::base::{Backoff, Clock, Id, Random, Timestamp};
use crate::client::{self, FeedEvent};
use crate::model::{Enforced, FeedApplied};
use crate::pki::RevokedSet;
use crate::sys::{FileError, Files, Versions};
use crate::wire::FeedKnown;
use crate::wire::feed::{FeedChange, FeedHello, FeedSnapshot};

/// The first wait before connecting again, at least; it grows up to [`RETRY_CAP`].
pub const RETRY_FLOOR: Duration = Duration::from_millis(500);
/// The longest wait before connecting again.
pub const RETRY_CAP: Duration = Duration::from_secs(30);
/// How long to wait for a certificate, before it is looked for again.
const NO_CERTIFICATE_WAIT: Duration = Duration::from_millis(500);
/// Turns without a wait, one after the other: another feed, then giving back, then a snapshot.
const TURNS_MAX: u32 = 6;
/// What a server takes and then does not tell is not given back more often than this: its clock may be ahead by days.
const GIVEN_MAX: u32 = 8;
/// When the server was heard of is written down so often at most.
const KEEP_CONTACT_EVERY: Duration = Duration::from_secs(60);
/// How often silence is counted.
const TICK: Duration = Duration::from_secs(1);

/// Why the feed is not followed on.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("this host has no certificate to follow the feed with yet")]
    NoCertificate,
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("what the server said was not kept: {0}")]
    Kept(#[from] KeptError),
    #[error("the feed went from number {have} to {got}: asking again")]
    Gap { have: u64, got: u64 },
    #[error("the server said {0}, which makes no sense there: is it much older or newer than this agent?")]
    Nonsense(&'static str),
}

impl From<FileError> for FollowError {
    fn from(error: FileError) -> Self {
        Self::Kept(error.into())
    }
}

/// Follows the feed until told to end.
pub struct Follower {
    server: Arc<dyn FeedServer>,
    versions: Versions,
    kept: Kept,
    state: Arc<FeedState>,
    cut: Arc<dyn Cut>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// What is known does not fit what the server says: everything is asked for.
    anew: bool,
    /// How often what a snapshot does not tell was given back, one time after the other.
    given: u32,
    /// Whether the server was heard of since the last failure.
    heard: bool,
    contact_kept: Timestamp,
    /// Over how many milliseconds the server wants acknowledgements spread.
    spread_ms: Arc<AtomicU64>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// As it should: the next one goes on from another place.
    Again,
    /// It broke off, or could not be made; the state says why.
    Failed,
    /// This host has not joined yet.
    NoCertificate,
}

/// What a follower works with.
pub struct Parts {
    /// The server.
    pub server: Arc<dyn FeedServer>,
    /// The disk.
    pub files: Files,
    /// Where the agent keeps what it remembers; it exists.
    pub state_directory: std::path::PathBuf,
    /// The certificates.
    pub versions: Versions,
    /// What it enforces, and how far it is.
    pub state: Arc<FeedState>,
    /// Open connections.
    pub cut: Arc<dyn Cut>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

impl Follower {
    /// Reads what is known, and has it enforced from here on.
    ///
    /// # Errors
    /// The disk.
    pub fn begin(parts: Parts) -> Result<Self, FileError> {
        let directory = disk::directory(&parts.state_directory);
        let (kept, contact) = Kept::open(parts.files, directory, parts.clock.now())?;
        parts.state.enforced().begin(kept.set().clone(), contact);
        parts.state.begin(kept.set());
        roles::begin(&parts.state, &kept)?;
        parts.state.update(|view| view.place = kept.place());
        Ok(Self {
            server: parts.server,
            versions: parts.versions,
            kept,
            state: parts.state,
            cut: parts.cut,
            clock: parts.clock,
            random: parts.random,
            anew: false,
            given: 0,
            heard: false,
            contact_kept: contact,
            spread_ms: Arc::default(),
        })
    }

    /// Follows until `end` becomes true, or its sender is dropped.
    pub async fn run(mut self, mut end: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(RETRY_FLOOR, RETRY_CAP);
        let mut turns = 0;
        loop {
            let turn = tokio::select! {
                turn = self.turn() => turn,
                _ = end.wait_for(|end| *end) => return,
            };
            if std::mem::take(&mut self.heard) {
                backoff.reset();
                turns = 0;
            }
            turns += 1;
            let wait = match turn {
                Turn::Again if turns < TURNS_MAX => continue,
                Turn::NoCertificate => NO_CERTIFICATE_WAIT,
                Turn::Again | Turn::Failed => backoff.next_delay(&*self.random),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = end.wait_for(|end| *end) => return,
            }
        }
    }

    /// One connection to its end.
    pub async fn turn(&mut self) -> Turn {
        let outcome = self.follow().await;
        self.enforced().lost(self.clock.now());
        match outcome {
            Ok(()) => Turn::Again,
            Err(FollowError::NoCertificate) => Turn::NoCertificate,
            Err(error) => {
                self.failed(&error);
                Turn::Failed
            }
        }
    }

    fn failed(&self, error: &FollowError) {
        let first = self.state.view().failure.is_none();
        match first {
            true => tracing::warn!("the revocation feed is not followed: {error}"),
            false => tracing::debug!("the revocation feed is still not followed: {error}"),
        }
        self.state.update(|view| {
            view.failure = Some(error.to_string());
            view.failures += 1;
        });
    }

    /// One connection. `Ok`: come again at once.
    async fn follow(&mut self) -> Result<(), FollowError> {
        let pair = self.pair()?;
        self.note();
        let place = self.kept.place().filter(|_| !self.anew);
        let position = place.and_then(|place| place.position());
        let roles = self.state.roles().digest();
        let mut feed = self.server.follow(&pair, position.as_ref(), roles).await?;
        let FeedEvent::Hello(hello) = feed.next().await? else {
            return Err(FollowError::Nonsense("something before hello"));
        };
        self.state.update(|view| view.head = hello.head);
        let same = place.filter(|place| place.feed == hello.feed);
        if position.is_some() && same.is_none() {
            tracing::warn!(feed = %hello.feed, "the server tells another feed than before: everything is asked for, \
                and nothing that was revoked is forgotten");
            self.anew = true;
            return Ok(());
        }
        let baseline = self.state.view().cut;
        let (applied, said) = watch::channel(same.and_then(|_| self.state.applied()));
        let (server, random) = (Arc::clone(&self.server), Arc::clone(&self.random));
        let spread_ms = Arc::clone(&self.spread_ms);
        let wait = || spread(spread_ms.load(Ordering::Relaxed), &*random);
        tokio::select! {
            ended = self.read(&mut *feed, &hello, &pair, &applied, baseline) => ended,
            () = acknowledge(&*server, &pair, said, wait) => Ok(()),
        }
    }

    fn pair(&self) -> Result<Pair, FollowError> {
        let version = self.versions.current()?.ok_or(FollowError::NoCertificate)?;
        load(&self.versions, version).map_err(|_| FollowError::NoCertificate)
    }

    async fn read(
        &mut self,
        feed: &mut dyn Events,
        hello: &FeedHello,
        pair: &Pair,
        applied: &watch::Sender<Option<FeedApplied>>,
        baseline: u64,
    ) -> Result<(), FollowError> {
        self.kept.forget_parts();
        self.hear_at(hello.feed, hello.head);
        let mut pending = None;
        let mut others = self.state.others();
        loop {
            let event = match pending.take() {
                Some(event) => Some(event),
                None => tokio::select! {
                    event = feed.next() => Some(event),
                    () = moved(&mut others) => None,
                },
            };
            let Some(event) = event.transpose()? else {
                self.say(applied, baseline);
                continue;
            };
            match event {
                FeedEvent::Hello(_) => return Err(FollowError::Nonsense("hello twice")),
                FeedEvent::Heartbeat(heartbeat) => {
                    self.spread_ms.store(heartbeat.spread_ms, Ordering::Relaxed);
                    self.heartbeat(heartbeat.head)?;
                }
                FeedEvent::Lost(lost) => return self.give_back(pair, hello.feed, lost.have).await,
                FeedEvent::Roles(told) => roles::take(&self.state, &*self.cut, &self.kept, &told),
                FeedEvent::Snapshot(part) => {
                    if self.take_part(pair, hello.feed, part).await? {
                        return Ok(());
                    }
                }
                FeedEvent::Change(change) => {
                    let mut batch = vec![*change];
                    pending = more(feed, &mut batch);
                    self.apply(hello.feed, &batch)?;
                }
            }
            self.hear_at(hello.feed, hello.head);
            self.say(applied, baseline);
        }
    }

    /// Has the server told how far this host is, if that has changed.
    fn say(&self, applied: &watch::Sender<Option<FeedApplied>>, baseline: u64) {
        applied.send_if_modified(|told| {
            let now = self.state.applied().map(|applied| FeedApplied {
                cut: self.state.view().cut - baseline,
                ..applied
            });
            let changed = !self.anew && *told != now;
            if changed {
                *told = now;
            }
            changed
        });
    }

    /// What came is refused, cut, kept, in this order: the disk may be slow.
    fn apply(&mut self, feed: Id, batch: &[FeedChange]) -> Result<(), FollowError> {
        let place = self.kept.place().filter(|place| place.feed == feed);
        let place = place.ok_or(FollowError::Nonsense("a change before everything"))?;
        let (fitting, gap) = fitting(place, batch)?;
        self.enforce(&fitting);
        if !fitting.is_empty() {
            self.kept.apply(feed, &fitting)?;
            self.share();
        }
        self.note();
        match gap {
            Some(got) => Err(FollowError::Gap {
                have: self.kept.place().map_or(0, |place| place.number),
                got,
            }),
            None => Ok(()),
        }
    }

    /// Whether to come again, because the server has lost what is known here.
    async fn take_part(&mut self, pair: &Pair, feed: Id, part: FeedSnapshot) -> Result<bool, FollowError> {
        self.enforce(&part.changes);
        self.kept.add_part(feed, &part.changes)?;
        if part.last {
            // The place of this snapshot must not be kept: it would say that nothing beyond it is known here.
            let missing = self.kept.missing(self.clock.now())?;
            if self.given < GIVEN_MAX && !missing.is_empty() && self.give(pair, feed, missing).await? > 0 {
                self.given += 1;
                self.anew = true;
                return Ok(true);
            }
            self.given = 0;
            let place = Place {
                feed,
                number: part.at,
                seal: part.seal,
            };
            let set = RevokedSet::clone(&self.enforced().revoked());
            self.kept.finish(place, set, self.clock.now())?;
            self.anew = false;
            self.share();
        }
        self.note();
        Ok(false)
    }

    fn enforced(&self) -> &Arc<Enforced> {
        self.state.enforced()
    }

    fn enforce(&self, changes: &[FeedChange]) {
        let fresh = self.enforced().revoke(changes.iter().filter_map(disk::revoked));
        if fresh > 0 {
            let cut = self.cut.cut_revoked();
            self.state.update(|view| view.cut += cut as u64);
            self.state.tell();
            tracing::info!(
                certificates = fresh,
                cut,
                "certificates were revoked: they are refused from now on"
            );
        }
    }

    /// Both copies of the set share their memory again. What is enforced may be more than what is kept, never less.
    fn share(&self) {
        let enforced = self.enforced().revoked();
        if self.kept.set().len() == enforced.len() {
            self.enforced().publish(self.kept.set().clone());
        }
    }

    fn note(&self) {
        let place = self.kept.place();
        self.state.update(|view| {
            view.place = place;
            view.head = view.head.max(place.map_or(0, |place| place.number));
        });
    }

    fn heartbeat(&mut self, head: u64) -> Result<(), FollowError> {
        let have = self.kept.place().map_or(0, |place| place.number);
        if head > have {
            return Err(FollowError::Gap { have, got: head });
        }
        self.hear();
        Ok(())
    }

    /// Everything up to the head that was said at the beginning is known: that is as good as a heartbeat.
    fn hear_at(&mut self, feed: Id, head: u64) {
        let place = self.kept.place().filter(|place| place.feed == feed && !self.anew);
        if place.is_some_and(|place| place.number >= head) {
            self.hear();
        }
    }

    fn hear(&mut self) {
        let now = self.clock.now();
        self.heard = true;
        self.enforced().heard(now);
        self.state.update(|view| {
            view.heard_at = Some(now);
            if view.failure.take().is_some() {
                tracing::info!("the revocation feed is followed again");
            }
        });
        let age = now.since(self.contact_kept).max(self.contact_kept.since(now));
        if age >= KEEP_CONTACT_EVERY {
            self.contact_kept = now;
            if let Err(error) = self.kept.keep_contact(now) {
                tracing::warn!("{error}");
            }
        }
    }

    async fn give_back(&mut self, pair: &Pair, feed: Id, have: u64) -> Result<(), FollowError> {
        let lost = self.kept.after(feed, have)?;
        self.give(pair, feed, lost).await?;
        self.anew = true;
        Ok(())
    }

    /// Returns how many the server took for its own.
    async fn give(&mut self, pair: &Pair, feed: Id, lost: Vec<FeedChange>) -> Result<u64, FollowError> {
        tracing::warn!(
            revocations = lost.len(),
            "the server has lost what this host knows, as after a backup was restored: it is given back"
        );
        let mut parts = lost.chunks(FEED_KNOWN_MAX).map(<[_]>::to_vec);
        let mut next = Some(parts.next().unwrap_or_default());
        let mut taken_for_own = 0;
        while let Some(changes) = next {
            next = parts.next();
            let (last, count) = (next.is_none(), changes.len() as u64);
            match self
                .server
                .give_back(pair, &FeedKnown { feed, changes, last })
                .await
            {
                Ok(taken) => {
                    taken_for_own += count.saturating_sub(taken.refused);
                    self.state.update(|view| view.given_back += taken.regained);
                    tracing::info!(regained = taken.regained, refused = taken.refused, "given back");
                }
                // It does not want them, and will not another time either.
                Err(error @ client::Error::Problem { .. }) => {
                    tracing::error!("nothing was given back: {error}")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(taken_for_own)
    }
}

/// What has come already besides, so that one write to the disk does for all; and what came after it.
fn more(feed: &mut dyn Events, batch: &mut Vec<FeedChange>) -> Option<Result<FeedEvent, client::Error>> {
    while batch.len() < FEED_PAGE as usize {
        match feed.next().now_or_never()? {
            Ok(FeedEvent::Change(change)) => batch.push(*change),
            other => return Some(other),
        }
    }
    None
}

/// Those that follow one on the other from `place`, up to a gap; and the number after it.
fn fitting(place: Place, batch: &[FeedChange]) -> Result<(Vec<FeedChange>, Option<u64>), FollowError> {
    let (mut number, mut fitting) = (place.number, Vec::with_capacity(batch.len()));
    for change in batch {
        if change.number == place.number && place.seal.is_some_and(|seal| seal != change.seal) {
            return Err(FollowError::Nonsense("one number twice, with another content"));
        }
        if change.number <= number {
            continue;
        }
        if change.previous != number {
            return Ok((fitting, Some(change.number)));
        }
        number = change.number;
        fitting.push(change.clone());
    }
    Ok((fitting, None))
}

/// Counts the time since the server was heard of, for as long as it is polled. Runs elsewhere than the follower, so that
/// one that hangs is found out.
pub async fn count_silence(enforced: Arc<Enforced>) {
    loop {
        tokio::time::sleep(TICK).await;
        enforced.pass(TICK);
    }
}
