//! What the server remembers. One trait; implementations below; one conformance suite that all of them
//! run.
//!
//! A write method is one named, re-runnable transaction: state change, token spend and audit record
//! together, answered after the commit. Decisions inside transactions are pure functions of
//! [`crate::model`], so that every implementation decides alike. No method takes a clock: callers pass
//! the time.

#[cfg(test)]
mod conformance;
mod cursor;
mod events;
mod feed;
mod look;
pub mod memory;
mod op;
mod problems;
mod roles;
mod sessions;
pub mod sqlite;
mod state;
mod upkeep;

pub use feed::{
    Acknowledgement, CRL_JUMP, CrlSlot, FEED_JUMP, FeedHead, FeedStore, Given, HostProgress, Progress,
    ProgressQuery, Regain, Regained, RevocationRange, RevokeOrder, RevokeTarget, Shown, Withdrawn,
};
pub use look::{
    CertificateWalk, ExpiryCounts, HostCounts, LookStore, Overdue, SerialStart, WALK_MAX, WalkOrder,
};
pub use problems::{DeliveryOrder, FindingsOrder, Found, ProblemStore, TestOrder, Waiting};
pub use roles::{RoleChange, RoleChanged, RoleOrder, RoleStore, RolesApplied};
pub use sessions::{SessionChange, SessionOrder, SessionStore};
use std::collections::BTreeMap;
pub use upkeep::{DatabaseSize, JobChange, JobOrder, PruneOrder, Pruned, UpkeepStore};

use std::net::IpAddr;

use async_trait::async_trait;

use crate::base::{Id, Timestamp};
use crate::model::audit::{Actor, Event, Record};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::{
    Certificate, CertificateFilter, CertificateStatus, HostReport, Identity, IdentityKind, Page, PageRequest,
    Token, TokenProblem,
};
use crate::pki::{IdentityName, Serial};

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is of another version than this program knows.
    #[error("the database has schema version {found}, this program knows up to {known}: {advice}")]
    Schema {
        /// The version found.
        found: i64,
        /// The newest version this program knows.
        known: i64,
        /// What to do.
        advice: &'static str,
    },
    /// Something that must be unique is there already.
    #[error("{0} exists already")]
    Duplicate(&'static str),
    /// A page cursor that this server did not give.
    #[error("the cursor is not one this server gave: start again without it")]
    Cursor,
    /// Stored data cannot be read back. Nothing was changed.
    #[error("the database holds a {what} that cannot be read ({why}): restore a backup")]
    Corrupt {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The database does not take this one operation. Nothing was changed.
    #[error("the database refuses this operation ({0}): report it with the server's log")]
    Rejected(String),
    /// No room or no permission, I/O error, or the writer has stopped. Nothing is known to be committed:
    /// ask again, every operation may be repeated.
    #[error("the database at {place} cannot be used: {why}")]
    Unavailable {
        /// Which database.
        place: String,
        /// The database's own words.
        why: String,
    },
}

/// An enrolment to commit. The certificate is signed already; it is given out only if the answer is
/// [`Enrolled::Issued`].
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// The token to spend.
    pub token: Id,
    /// The identity to create, if the name is free. Its rules, labels, role and permission also replace
    /// those of an identity that rejoins.
    pub identity: Identity,
    /// The certificate. Its `identity` is set by the store when an existing identity rejoins.
    pub certificate: Certificate,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// How an enrolment ended. Every case but `Repeated` left an audit record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// One use is spent, the certificate is stored. With the uses left after it.
    Issued {
        /// Uses left on the token.
        uses_left: u32,
    },
    /// The same token and key got this certificate before. Nothing was changed.
    Repeated(Box<Certificate>),
    /// The token cannot be spent. Audited with the reason.
    TokenRefused(TokenProblem),
    /// A live identity holds this name. Audited.
    NameTaken(IdentityName),
}

/// A renewal to commit.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The certificate that authenticates it.
    pub current: Serial,
    /// The new one; same identity and kind.
    pub certificate: Certificate,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// How a renewal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Stored; the current certificate is superseded.
    Issued,
    /// The same identity and key got this certificate before, and it is neither expired nor revoked.
    /// Nothing was changed.
    Repeated(Box<Certificate>),
    /// The current certificate is unknown, revoked or another identity's. Audited.
    Refused,
}

/// A host's last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// The host.
    pub identity: Id,
    /// When the report came.
    pub reported_at: Timestamp,
    /// From where.
    pub source: Option<IpAddr>,
    /// The report.
    pub report: HostReport,
}

/// A host with its last report, for lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Who.
    pub identity: Identity,
    /// Its last report.
    pub status: Option<HostStatus>,
    /// Its newest certificate that is not revoked.
    pub certificate: Option<Certificate>,
}

/// How many certificates there are, by kind and status.
pub type CertificateCounts = BTreeMap<(IdentityKind, CertificateStatus), u64>;

/// Which audit records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Whose subject is this, or whose actor has this name.
    pub subject: Option<String>,
    /// After this number, oldest first; without it newest first.
    pub after: Option<u64>,
}

impl AuditFilter {
    fn list(&self) -> cursor::List {
        match self.after {
            Some(_) => cursor::List::AuditForward,
            None => cursor::List::AuditBackward,
        }
    }
}

/// The form in which a name is stored, for one that somebody typed.
fn canonical_name(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text.to_ascii_lowercase(),
    }
}

/// What the server remembers.
#[async_trait]
pub trait Store: FeedStore + LookStore + ProblemStore + RoleStore + SessionStore + UpkeepStore {
    // Transactions.

    /// `token.create`: stores a new token.
    async fn create_token(
        &self,
        token: Token,
        actor: Actor,
        source: Option<IpAddr>,
    ) -> Result<(), StoreError>;

    /// `token.delete`: makes a token unusable. False when there is none that is not deleted.
    async fn delete_token(&self, id: Id, actor: Actor, now: Timestamp) -> Result<bool, StoreError>;

    /// `enroll`: decides by [`crate::model::enrollment::decide`], spends one use, stores identity,
    /// certificate and audit record. A rejoin marks the identity's older certificates superseded.
    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError>;

    /// `renew`: stores the next certificate of an identity and marks its others superseded.
    async fn renew(&self, renewal: Renewal) -> Result<Renewed, StoreError>;

    /// `adopt`: stores an identity (unless its kind and name exist: then its permission and rules are
    /// replaced) and a certificate issued at the server's console or for the server itself, without a
    /// token; older certificates of the identity are superseded.
    async fn adopt(
        &self,
        identity: Identity,
        certificate: Certificate,
        actor: Actor,
    ) -> Result<(), StoreError>;

    /// `request.submit`: remembers a request that needs approval. The same token and key get the stored
    /// request back, with its state. At most [`PENDING_PER_TOKEN_MAX`] per token: then `None`.
    async fn submit_request(&self, request: PendingRequest) -> Result<Option<PendingRequest>, StoreError>;

    /// `request.decide`: approves or denies. Gives the state after it: a request that was decided before
    /// keeps its state. `None` when there is no such request.
    async fn decide_request(
        &self,
        id: Id,
        state: RequestState,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Option<PendingRequest>, StoreError>;

    /// `host.report`: replaces a host's last report. Not audited. Changes nothing when there is no such
    /// identity.
    async fn put_host_status(&self, status: HostStatus) -> Result<(), StoreError>;

    /// `audit.append`: records an event that changed nothing else (refusals, start and stop).
    async fn append_audit(&self, event: Event) -> Result<(), StoreError>;

    // Reads.

    /// A token by id.
    async fn token(&self, id: Id) -> Result<Option<Token>, StoreError>;
    /// Tokens that are not deleted, newest first.
    async fn tokens(&self, page: PageRequest) -> Result<Page<Token>, StoreError>;
    /// An identity by kind and name.
    async fn identity(&self, kind: IdentityKind, name: &IdentityName)
    -> Result<Option<Identity>, StoreError>;
    /// An identity by id.
    async fn identity_by_id(&self, id: Id) -> Result<Option<Identity>, StoreError>;
    /// Identities of a kind, by name, each with its newest certificate that is not revoked.
    async fn identities(
        &self,
        kind: IdentityKind,
        page: PageRequest,
    ) -> Result<Page<(Identity, Option<Certificate>)>, StoreError>;
    /// One host with its report.
    async fn host(&self, name: &IdentityName) -> Result<Option<HostRow>, StoreError>;
    /// Hosts by name.
    async fn hosts(&self, page: PageRequest) -> Result<Page<HostRow>, StoreError>;
    /// A certificate by serial.
    async fn certificate(&self, serial: &Serial) -> Result<Option<Certificate>, StoreError>;
    /// The certificate with this serial and whose it is, in one reading.
    async fn holder(&self, serial: &Serial) -> Result<Option<(Identity, Certificate)>, StoreError>;
    /// The certificate this token gave to this key.
    async fn certificate_by_key(
        &self,
        token: Id,
        spki_sha256: [u8; 32],
    ) -> Result<Option<Certificate>, StoreError>;
    /// Certificates, soonest expiry first.
    async fn certificates(
        &self,
        filter: CertificateFilter,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<Page<Certificate>, StoreError>;
    /// How many certificates of each kind have each status at `now`; combinations without any are left out.
    async fn certificate_counts(&self, now: Timestamp) -> Result<CertificateCounts, StoreError>;
    /// Requests that wait for an operator, oldest first; with `all`, decided ones too.
    async fn requests(&self, all: bool, page: PageRequest) -> Result<Page<PendingRequest>, StoreError>;
    /// Audit records.
    async fn audit(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<Record>, StoreError>;
    /// Whether the store answers and could write: for `/readyz`.
    async fn ready(&self) -> Result<(), StoreError>;
    /// Writes a consistent copy to `path`, which must not exist, while others go on writing.
    async fn backup(&self, path: &std::path::Path) -> Result<(), StoreError>;
    /// Finishes what is queued and closes.
    async fn close(&self);
}

/// Requests waiting per token.
pub const PENDING_PER_TOKEN_MAX: u32 = 1000;
