//! The rows that decisions are made on, and the decisions. The in-memory store keeps everything here;
//! the SQLite store loads what a group of operations may ask for, applies them one after the other, and
//! writes down the [`Changes`]. All stores therefore decide alike, and two operations of one group see
//! each other.
//!
//! Does no I/O and reads no clock.

mod changes;
mod enroll;
mod feed;
mod problems;
mod requests;
mod roles;
mod sessions;
mod tokens;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};

pub use changes::Changes;
pub use enroll::host_names;
pub use sessions::SessionRow;

use super::feed::{Acknowledgement, CrlSlot};
use super::op::{Answer, Op, Outcome};
use super::{HostStatus, StoreError};
use crate::base::{Id, Timestamp};
use crate::model::audit::{Checkpoint, Event, GENESIS, Record};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::job::{JobName, JobState};
use crate::model::role::{Binding, BindingKey, RoleName, StoredRole};
use crate::model::{Certificate, FeedOrigin, Identity, IdentityKind, IssuerKind, Revocation, Token};
use crate::pki::{IdentityName, Serial};

/// The number of a certificate in order of issue, or of an identity in order of joining.
pub type Row = i64;
/// SHA-256 of a public key.
pub type Key = [u8; 32];

/// Where the numbered things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the newest audit record; 0 when there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// The number of the newest certificate.
    pub row: Row,
    /// The number of the newest identity.
    pub identity: Row,
    /// The newest number of the feed; 0 when there is none.
    pub feed: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: GENESIS,
            row: 0,
            identity: 0,
            feed: 0,
        }
    }
}

/// Rows by every key that decisions look them up with.
#[derive(Debug, Default)]
pub struct State {
    /// Where numbers continue.
    pub head: Head,
    /// What was changed by [`State::apply`].
    pub changes: Changes,
    tokens: BTreeMap<Id, Token>,
    identities: BTreeMap<Id, Identity>,
    numbers: BTreeMap<Id, Row>,
    names: BTreeMap<(IdentityKind, IdentityName), Id>,
    certificates: BTreeMap<Row, Certificate>,
    serials: BTreeMap<Serial, Row>,
    token_keys: BTreeMap<(Id, Key), Row>,
    held: BTreeMap<Id, BTreeSet<Row>>,
    requests: BTreeMap<Id, PendingRequest>,
    request_keys: BTreeMap<(Id, Key), Id>,
    waiting: BTreeMap<Id, u32>,
    reports: BTreeMap<Id, HostStatus>,
    revoked: BTreeMap<Serial, Revocation>,
    applied: BTreeMap<Id, Acknowledgement>,
    crls: BTreeMap<IssuerKind, CrlSlot>,
    origin: Option<FeedOrigin>,
    unsettled: Option<(u64, Timestamp)>,
    roles: BTreeMap<RoleName, StoredRole>,
    bindings: BTreeMap<BindingKey, Binding>,
    jobs: BTreeMap<JobName, JobState>,
    board: problems::Board,
    oldest: Vec<Checkpoint>,
    checkpoint: Option<Checkpoint>,
    sessions: BTreeMap<Id, SessionRow>,
}

/// Rows as they are in the database: nothing here counts as a change.
impl State {
    /// A state in which numbers continue after `head`.
    pub fn at(head: Head) -> Self {
        Self {
            head,
            ..Self::default()
        }
    }

    /// Knows this token.
    pub fn put_token(&mut self, token: Token) {
        self.tokens.insert(token.id, token);
    }

    /// Knows this identity.
    pub fn put_identity(&mut self, number: Row, identity: Identity) {
        self.numbers.insert(identity.id, number);
        self.names
            .insert((identity.kind, identity.name.clone()), identity.id);
        self.identities.insert(identity.id, identity);
    }

    /// Knows this certificate.
    pub fn put_certificate(&mut self, row: Row, certificate: Certificate) {
        self.serials.insert(certificate.serial.clone(), row);
        if let Some(token) = certificate.token {
            self.token_keys.insert((token, certificate.spki_sha256), row);
        }
        self.held.entry(certificate.identity).or_default().insert(row);
        self.certificates.insert(row, certificate);
    }

    /// Knows this request.
    pub fn put_request(&mut self, request: PendingRequest) {
        self.request_keys
            .insert((request.token, request.spki_sha256), request.id);
        self.requests.insert(request.id, request);
    }

    /// Knows how many requests wait for a decision under this token.
    pub fn put_waiting(&mut self, token: Id, count: u32) {
        self.waiting.insert(token, count);
    }
}

/// What it knows.
impl State {
    /// A token.
    pub fn token(&self, id: Id) -> Option<&Token> {
        self.tokens.get(&id)
    }

    /// All tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    /// An identity.
    pub fn identity(&self, id: Id) -> Option<&Identity> {
        self.identities.get(&id)
    }

    /// An identity's number.
    pub fn number_of(&self, id: Id) -> Option<Row> {
        self.numbers.get(&id).copied()
    }

    /// An identity by kind and name.
    pub fn identity_named(&self, kind: IdentityKind, name: &IdentityName) -> Option<&Identity> {
        let id = self.names.get(&(kind, name.clone()))?;
        self.identities.get(id)
    }

    /// All identities, by kind and name.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.names.values().filter_map(|id| self.identities.get(id))
    }

    /// A certificate by number.
    pub fn certificate(&self, row: Row) -> Option<&Certificate> {
        self.certificates.get(&row)
    }

    /// All certificates, with their numbers.
    pub fn certificates(&self) -> impl Iterator<Item = (Row, &Certificate)> {
        self.certificates
            .iter()
            .map(|(row, certificate)| (*row, certificate))
    }

    /// A certificate by serial.
    pub fn certificate_by_serial(&self, serial: &Serial) -> Option<&Certificate> {
        self.certificates.get(self.serials.get(serial)?)
    }

    /// The certificate this token gave to this key.
    pub fn certificate_by_key(&self, token: Id, key: Key) -> Option<&Certificate> {
        self.certificates.get(self.token_keys.get(&(token, key))?)
    }

    /// The certificates of an identity, newest first.
    pub fn certificates_of(&self, identity: Id) -> impl Iterator<Item = &Certificate> {
        let rows = self.held.get(&identity).into_iter().flatten().rev();
        rows.filter_map(|row| self.certificates.get(row))
    }

    /// Those that are neither expired nor revoked.
    pub fn live(&self, identity: Id, now: Timestamp) -> impl Iterator<Item = &Certificate> {
        self.certificates_of(identity)
            .filter(move |certificate| certificate.revoked_at.is_none() && now <= certificate.not_after)
    }

    /// A request.
    pub fn request(&self, id: Id) -> Option<&PendingRequest> {
        self.requests.get(&id)
    }

    /// All requests.
    pub fn requests(&self) -> impl Iterator<Item = &PendingRequest> {
        self.requests.values()
    }

    /// A host's last report.
    pub fn report(&self, identity: Id) -> Option<&HostStatus> {
        self.reports.get(&identity)
    }
}

/// Decisions.
impl State {
    /// Does one operation. An error leaves everything as it was.
    pub fn apply(&mut self, op: &Op) -> Outcome {
        match op {
            Op::CreateToken { token, actor, source } => self.create_token(token, actor, *source),
            Op::DeleteToken { id, actor, now } => Ok(self.delete_token(*id, actor, *now)),
            Op::Enroll(enrollment) => self.enroll(enrollment),
            Op::Renew(renewal) => self.renew(renewal),
            Op::Adopt {
                identity,
                certificate,
                actor,
            } => self.adopt(identity, certificate, actor),
            Op::SubmitRequest(request) => self.submit_request(request),
            Op::DecideRequest {
                id,
                state,
                actor,
                now,
            } => Ok(self.decide_request(*id, *state, actor, *now)),
            Op::Report(status) => Ok(self.put_report(status)),
            Op::Audit(event) => {
                self.record(event);
                Ok(Answer::Done)
            }
            Op::Revoke(order) => Ok(self.revoke(order)),
            Op::Regain(regain) => Ok(self.regain(regain)),
            Op::Restored { actor, now } => Ok(self.restored(actor, *now)),
            Op::Settle { number, actor, now } => Ok(self.settle(*number, actor, *now)),
            Op::Acknowledge(acknowledgement) => Ok(self.acknowledge(acknowledgement)),
            Op::ReserveCrl { issuer, now } => Ok(self.reserve_crl(*issuer, *now)),
            Op::Origin(candidate) => Ok(self.adopt_origin(candidate)),
            Op::Roles(order) => Ok(self.change_roles(order)),
            Op::Job(order) => Ok(self.change_job(order)),
            Op::Prune(order) => self.prune(order),
            Op::Session(order) => Ok(self.change_session(order)),
            Op::Findings(order) => Ok(self.record_findings(order)),
            Op::TestChannel(order) => Ok(self.queue_test(order)),
            Op::Delivery(order) => Ok(self.record_attempt(order)),
            Op::Probe => Ok(Answer::Done),
        }
    }

    /// A report of an identity that does not exist is dropped: there is nothing to show it with.
    fn put_report(&mut self, status: &HostStatus) -> Answer {
        if self.identities.contains_key(&status.identity) {
            self.changes.reports.insert(status.identity);
            self.reports.insert(status.identity, status.clone());
        }
        Answer::Done
    }

    fn record(&mut self, event: &Event) {
        let record = Record::chain(event, self.head.seq + 1, &self.head.hash);
        self.head.seq = record.seq;
        self.head.hash = record.hash;
        self.changes.records.push(record);
    }

    fn insert_identity(&mut self, identity: Identity) {
        self.head.identity += 1;
        self.changes.identities.insert(identity.id);
        self.put_identity(self.head.identity, identity);
    }

    fn insert_certificate(&mut self, certificate: Certificate) {
        self.head.row += 1;
        self.changes.certificates.insert(self.head.row);
        self.put_certificate(self.head.row, certificate);
    }

    /// Marks every other certificate of the identity as replaced by `successor`.
    fn supersede(&mut self, identity: Id, successor: &Serial) {
        for row in self.held.get(&identity).into_iter().flatten() {
            let certificate = self.certificates.get_mut(row).expect("held rows exist");
            if certificate.superseded_by.is_none() && certificate.serial != *successor {
                certificate.superseded_by = Some(successor.clone());
                self.changes.certificates.touch(*row);
            }
        }
    }

    fn unused_serial(&self, certificate: &Certificate) -> Result<(), StoreError> {
        if self.serials.contains_key(&certificate.serial) {
            return Err(StoreError::Duplicate("a certificate with this serial"));
        }
        Ok(())
    }

    fn unused_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        if self.identities.contains_key(&identity.id) {
            return Err(StoreError::Duplicate("an identity with this id"));
        }
        Ok(())
    }

    fn waiting_mut(&mut self, token: Id) -> &mut u32 {
        self.waiting.entry(token).or_default()
    }
}

/// Whether a request still waits for an operator.
pub fn is_waiting(request: &PendingRequest) -> bool {
    request.state == RequestState::Pending
}
