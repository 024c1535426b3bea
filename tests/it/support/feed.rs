//! A server's feed as the contract has it, that can be backed up, restored, and broken off at any event; and a host's
//! follower of it on a disk that can fail and stop.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use dockwarden::agent::Pair;
use dockwarden::agent::feed::{Events, FeedServer, FeedState, Follower, NothingOpen, Parts, Turn};
use dockwarden::base::{Clock, Id, ManualClock, SeededRandom};
use dockwarden::client::{Error, FeedEvent};
use dockwarden::model::role::{HostRoles, RolesDigest};
use dockwarden::model::{
    Change, ChangeKind, Enforced, FeedApplied, IssuerKind, Position, Revocation, Seal, SealKey,
};
use dockwarden::pki::{RevocationReason, Serial, pem};
use dockwarden::sys::fake::MemoryDisk;
use dockwarden::sys::{Access, Files, VersionFile, Versions};
use dockwarden::wire::{
    FeedChange, FeedChangeKind, FeedHeartbeat, FeedHello, FeedKnown, FeedLost, FeedRevoked, FeedSnapshot,
    FeedTaken,
};

use super::pki::{DAY, Fleet, t0};

/// Further behind than this gets a snapshot.
const BEHIND_MAX: u64 = 6;
/// Changes in a part of a snapshot.
const PART: usize = 2;
const JUMP: u64 = 1000;
static JUMPS: AtomicU64 = AtomicU64::new(0);

/// What the server knows.
#[derive(Clone)]
pub struct Told {
    pub feed: Id,
    key: SealKey,
    pub changes: Vec<Change>,
    pub roles: Option<HostRoles>,
}

impl Told {
    fn new(seed: u8) -> Self {
        Self {
            feed: Id::from_bytes([seed; 16]),
            key: SealKey::from_bytes([seed; 32]),
            roles: None,
            changes: Vec::new(),
        }
    }

    pub fn head(&self) -> u64 {
        self.changes.last().map_or(0, |change| change.number)
    }

    fn add(&mut self, number: u64, kind: ChangeKind) {
        let previous = self.head();
        self.changes.push(Change {
            number,
            previous,
            at: t0(),
            kind,
        });
    }

    pub fn revoke(&mut self, serial: &Serial) {
        if self.serials().contains(serial) {
            return;
        }
        let number = self.head() + 1;
        let revocation = Revocation {
            feed: number,
            issuer: IssuerKind::Clients,
            serial: serial.clone(),
            not_after: t0() + DAY * 30,
            revoked_at: t0(),
            reason: RevocationReason::KeyCompromise,
            name: "bob".parse().unwrap(),
            identity: None,
            by: String::new(),
        };
        self.add(number, ChangeKind::Revoked(Box::new(revocation)));
    }

    /// As `server restore` does.
    pub fn jump(&mut self) {
        self.jump_beyond(0);
    }

    /// The real one's numbers follow the clock; two jumps never lead to the same.
    fn jump_beyond(&mut self, number: u64) {
        let jumps = JUMPS.fetch_add(1, Ordering::Relaxed);
        let number = self.head().max(number) + JUMP * (jumps + 1);
        self.add(number, ChangeKind::Restored);
    }

    pub fn serials(&self) -> BTreeSet<Serial> {
        let revoked = self.changes.iter().filter_map(|change| match &change.kind {
            ChangeKind::Revoked(revocation) => Some(revocation.serial.clone()),
            ChangeKind::Restored => None,
        });
        revoked.collect()
    }

    fn seal_of(&self, number: u64) -> Option<Seal> {
        let change = self.changes.iter().find(|change| change.number == number)?;
        Some(self.key.seal(change))
    }

    fn wire(&self, change: &Change) -> FeedChange {
        FeedChange {
            number: change.number,
            previous: change.previous,
            seal: self.key.seal(change),
            at: change.at,
            kind: match &change.kind {
                ChangeKind::Restored => FeedChangeKind::Restored,
                ChangeKind::Revoked(revocation) => FeedChangeKind::Revoked(FeedRevoked {
                    issuer: revocation.issuer,
                    serial: revocation.serial.clone(),
                    name: revocation.name.to_string(),
                    not_after: revocation.not_after,
                    reason: revocation.reason,
                }),
            },
        }
    }

    fn events(&self, after: Option<&Position>) -> Vec<FeedEvent> {
        let head = self.head();
        let mut events = vec![FeedEvent::Hello(FeedHello {
            feed: self.feed,
            head,
            heartbeat: 10,
        })];
        events.extend(self.roles.clone().map(|roles| FeedEvent::Roles(Box::new(roles))));
        match after {
            Some(position) => match self.lost(position) {
                Some(have) => return [events, vec![FeedEvent::Lost(FeedLost { have })]].concat(),
                None if head - position.number > BEHIND_MAX => events.extend(self.snapshot()),
                None => events.extend(self.after(position.number)),
            },
            None => events.extend(self.snapshot()),
        }
        let now = t0();
        events.push(FeedEvent::Heartbeat(FeedHeartbeat {
            head,
            now,
            spread_ms: 0,
        }));
        events
    }

    fn lost(&self, position: &Position) -> Option<u64> {
        if position.number > self.head() {
            return Some(self.head());
        }
        match self.seal_of(position.number) {
            Some(ours) => (ours != position.seal).then_some(0),
            None => {
                let next = self.changes.iter().find(|change| change.number > position.number);
                Some(next.map_or(0, |change| change.previous))
            }
        }
    }

    fn after(&self, number: u64) -> impl Iterator<Item = FeedEvent> {
        let changes = self.changes.iter().filter(move |change| change.number > number);
        changes.map(|change| FeedEvent::Change(Box::new(self.wire(change))))
    }

    fn snapshot(&self) -> Vec<FeedEvent> {
        let revoked: Vec<FeedChange> = self
            .changes
            .iter()
            .filter(|change| matches!(change.kind, ChangeKind::Revoked(_)))
            .map(|change| self.wire(change))
            .collect();
        let mut parts: Vec<Vec<FeedChange>> = revoked.chunks(PART).map(<[_]>::to_vec).collect();
        parts.push(Vec::new());
        let last = parts.len() - 1;
        let part = |(index, changes)| {
            FeedEvent::Snapshot(FeedSnapshot {
                at: self.head(),
                seal: self.seal_of(self.head()),
                changes,
                last: index == last,
            })
        };
        parts.into_iter().enumerate().map(part).collect()
    }

    fn take_back(&mut self, known: &FeedKnown) -> FeedTaken {
        let (mut regained, mut refused) = (0, 0);
        for change in &known.changes {
            let FeedChangeKind::Revoked(revoked) = &change.kind else {
                continue;
            };
            let ours = Change {
                number: change.number,
                previous: change.previous,
                at: change.at,
                kind: ChangeKind::Revoked(Box::new(Revocation {
                    feed: change.number,
                    issuer: revoked.issuer,
                    serial: revoked.serial.clone(),
                    not_after: revoked.not_after,
                    revoked_at: change.at,
                    reason: revoked.reason,
                    name: revoked.name.parse().unwrap(),
                    identity: None,
                    by: String::new(),
                })),
            };
            if self.key.seal(&ours) != change.seal {
                refused += 1;
                continue;
            }
            if change.number > self.head() {
                self.jump_beyond(change.number);
            }
            let before = self.changes.len();
            self.revoke(&revoked.serial);
            regained += (self.changes.len() - before) as u64;
        }
        FeedTaken {
            regained,
            refused,
            head: self.head(),
        }
    }
}

/// The server and what hosts told it.
pub struct ServerState {
    pub told: Told,
    pub backup: Told,
    /// Events of the next connection before it breaks off.
    pub budget: usize,
    /// What a host has acknowledged, ever: it must be refused there from then on.
    pub acknowledged: BTreeSet<Serial>,
    pub last_acknowledged: Option<FeedApplied>,
    /// The roles that the last connection said were in force.
    pub said_roles: Option<RolesDigest>,
}

/// The fake.
pub struct FakeFeed(Mutex<ServerState>);

impl FakeFeed {
    pub fn new() -> Arc<Self> {
        let told = Told::new(7);
        Arc::new(Self(Mutex::new(ServerState {
            backup: told.clone(),
            told,
            budget: usize::MAX,
            acknowledged: BTreeSet::new(),
            last_acknowledged: None,
            said_roles: None,
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, ServerState> {
        self.0.lock().unwrap()
    }

    /// Another server in its place.
    pub fn replace_by_another(&self) {
        self.state().told = Told::new(8);
    }
}

#[async_trait]
impl FeedServer for FakeFeed {
    async fn follow(
        &self,
        _: &Pair,
        after: Option<&Position>,
        roles: Option<RolesDigest>,
    ) -> Result<Box<dyn Events>, Error> {
        let mut state = self.state();
        state.said_roles = roles;
        let events = state.told.events(after).into_iter().take(state.budget).collect();
        Ok(Box::new(Script(events)))
    }

    async fn acknowledge(&self, _: &Pair, applied: &FeedApplied) -> Result<(), Error> {
        let mut state = self.state();
        if applied.feed != state.told.feed || state.told.seal_of(applied.number) != applied.seal {
            return Err(closed());
        }
        let changes = state.told.changes.clone();
        for change in changes.iter().filter(|change| change.number <= applied.number) {
            if let ChangeKind::Revoked(revocation) = &change.kind {
                state.acknowledged.insert(revocation.serial.clone());
            }
        }
        state.last_acknowledged = Some(applied.clone());
        Ok(())
    }

    async fn give_back(&self, _: &Pair, known: &FeedKnown) -> Result<FeedTaken, Error> {
        let mut state = self.state();
        assert_eq!(known.feed, state.told.feed);
        Ok(state.told.take_back(known))
    }
}

struct Script(VecDeque<FeedEvent>);

#[async_trait]
impl Events for Script {
    async fn next(&mut self) -> Result<FeedEvent, Error> {
        // Acknowledging gets its turn between any two events.
        tokio::task::yield_now().await;
        self.0.pop_front().ok_or_else(closed)
    }
}

fn closed() -> Error {
    Error::Closed {
        server: "https://ca:8443".parse().unwrap(),
        reason: "it ended the feed".into(),
    }
}

/// The `number`th certificate.
pub fn serial(number: u64) -> Serial {
    let mut bytes = [0x40; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Serial::from_bytes(&bytes).unwrap()
}

/// A host with a certificate, and its follower.
pub struct Host {
    pub disk: MemoryDisk,
    pub clock: ManualClock,
    pub server: Arc<FakeFeed>,
    pub state: Arc<FeedState>,
    pub follower: Option<Follower>,
}

impl Host {
    pub fn new(fleet: &Fleet) -> Self {
        let disk = MemoryDisk::new();
        let files = Files::on(Arc::new(disk.clone()));
        let leaf = fleet.host("web-01");
        let certificates: String = leaf
            .chain()
            .iter()
            .map(|der| pem::encode_certificate(der))
            .collect();
        let root = pem::encode_certificate(&fleet.root.der);
        let key = leaf.key.serialize_pem();
        let contents = [("ca.pem", &root), ("cert.pem", &certificates), ("key.pem", &key)];
        let contents = contents.map(|(name, text)| VersionFile {
            name,
            contents: text.as_bytes(),
            access: Access::Private,
        });
        files.service_directory(STATE.as_ref()).unwrap();
        let versions = Versions::new(files, FILES);
        let version = versions.write(&contents).unwrap();
        versions.activate(version).unwrap();
        let mut host = Self {
            disk,
            clock: ManualClock::new(t0()),
            server: FakeFeed::new(),
            state: Arc::new(FeedState::new(Arc::new(Enforced::new(Some(DAY))))),
            follower: None,
        };
        host.start();
        host
    }

    /// A new process: it knows what is on the disk.
    pub fn start(&mut self) {
        self.follower = None;
        self.disk.restart();
        let files = Files::on(Arc::new(self.disk.clone()));
        self.state = Arc::new(FeedState::new(Arc::new(Enforced::new(Some(DAY)))));
        let follower = Follower::begin(Parts {
            server: self.server.clone(),
            state_directory: STATE.into(),
            versions: Versions::new(files.clone(), FILES),
            files,
            state: self.state.clone(),
            cut: Arc::new(NothingOpen),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SeededRandom::new(3)),
        });
        self.follower = follower.ok();
    }

    /// One connection, of so many events.
    pub async fn turn(&mut self, budget: usize) -> Option<Turn> {
        self.server.state().budget = budget;
        match &mut self.follower {
            Some(follower) => Some(follower.turn().await),
            None => None,
        }
    }

    /// Connections until one brings nothing new.
    pub async fn catch_up(&mut self) {
        for _ in 0..6 {
            self.turn(usize::MAX).await;
        }
    }

    pub fn refuses(&self, serial: &Serial) -> bool {
        self.state.enforced().is_revoked(IssuerKind::Clients, serial)
    }

    pub fn now(&self) -> dockwarden::base::Timestamp {
        self.clock.now()
    }
}

const FILES: &str = "/etc/docker/dockwarden";
/// Where the follower's files are.
pub const STATE: &str = "/var/lib/dockwarden/agent";
