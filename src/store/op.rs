//! Writes as values, so that many of them can share one transaction, and their answers.

use std::net::IpAddr;

use super::feed::{Acknowledgement, CrlSlot, Regain, Regained, RevokeOrder, Withdrawn};
use super::problems::{DeliveryOrder, FindingsOrder, Found, TestOrder};
use super::roles::{RoleChanged, RoleOrder};
use super::sessions::SessionOrder;
use super::upkeep::{JobOrder, PruneOrder, Pruned};
use super::{Enrolled, Enrollment, HostStatus, Renewal, Renewed, StoreError};
use crate::base::{Id, Timestamp};
use crate::model::audit::{Actor, Event};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::job::JobState;
use crate::model::{Certificate, FeedOrigin, Identity, IssuerKind, Session, Token};

/// One write method of [`super::Store`] with its arguments.
#[derive(Clone, Debug)]
pub enum Op {
    /// `token.create`
    CreateToken {
        /// The token.
        token: Box<Token>,
        /// Who.
        actor: Actor,
        /// From where.
        source: Option<IpAddr>,
    },
    /// `token.delete`
    DeleteToken {
        /// Which.
        id: Id,
        /// Who.
        actor: Actor,
        /// When.
        now: Timestamp,
    },
    /// `enroll`
    Enroll(Box<Enrollment>),
    /// `renew`
    Renew(Box<Renewal>),
    /// `adopt`
    Adopt {
        /// Whose certificate.
        identity: Box<Identity>,
        /// The certificate.
        certificate: Box<Certificate>,
        /// Who.
        actor: Actor,
    },
    /// `request.submit`
    SubmitRequest(Box<PendingRequest>),
    /// `request.decide`
    DecideRequest {
        /// Which.
        id: Id,
        /// What was decided.
        state: RequestState,
        /// By whom.
        actor: Actor,
        /// When.
        now: Timestamp,
    },
    /// `host.report`
    Report(Box<HostStatus>),
    /// `audit.append`
    Audit(Box<Event>),
    /// `certificate.revoke`
    Revoke(Box<RevokeOrder>),
    /// `feed.regain`
    Regain(Box<Regain>),
    /// `feed.restore`
    Restored {
        /// Who.
        actor: Actor,
        /// When.
        now: Timestamp,
    },
    /// `feed.settle`
    Settle {
        /// Which restoration.
        number: u64,
        /// Who.
        actor: Actor,
        /// When.
        now: Timestamp,
    },
    /// `feed.acknowledge`
    Acknowledge(Box<Acknowledgement>),
    /// `crl.reserve`
    ReserveCrl {
        /// Whose CRL.
        issuer: IssuerKind,
        /// When.
        now: Timestamp,
    },
    /// `feed.origin`
    Origin(Box<FeedOrigin>),
    /// `role.put`, `role.remove`, `role.bind`, `role.unbind`
    Roles(Box<RoleOrder>),
    /// `job.plan`, `job.ask`, `job.begin`, `job.end`
    Job(Box<JobOrder>),
    /// `prune`
    Prune(Box<PruneOrder>),
    /// `session.offer`, `session.start`, `session.end`
    Session(Box<SessionOrder>),
    /// `problem.found`
    Findings(Box<FindingsOrder>),
    /// `notify.test`
    TestChannel(Box<TestOrder>),
    /// `notify.attempt`
    Delivery(Box<DeliveryOrder>),
    /// Changes nothing: asks whether a transaction can be made at all.
    Probe,
}

/// What an [`Op`] is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done; there is nothing to say.
    Done,
    /// Whether there was a token to delete.
    Deleted(bool),
    /// To [`Op::Enroll`].
    Enrolled(Enrolled),
    /// To [`Op::Renew`].
    Renewed(Renewed),
    /// To [`Op::SubmitRequest`] and [`Op::DecideRequest`].
    Request(Option<Box<PendingRequest>>),
    /// To [`Op::Revoke`].
    Withdrawn(Withdrawn),
    /// To [`Op::Regain`].
    Regained(Regained),
    /// To [`Op::Restored`]: the feed's newest number. To [`Op::TestChannel`]: that of the notification.
    Number(u64),
    /// Whether there was something to settle.
    Settled(bool),
    /// To [`Op::ReserveCrl`].
    Crl(CrlSlot),
    /// To [`Op::Origin`].
    Origin(Box<FeedOrigin>),
    /// To [`Op::Roles`].
    Roles(RoleChanged),
    /// To [`Op::Job`].
    Job(Box<JobState>),
    /// To [`Op::Findings`].
    Found(Found),
    /// To [`Op::Prune`].
    Pruned(Pruned),
    /// To [`Op::Session`].
    Session(Option<Box<Session>>),
}

/// An answer, or why the operation could not be done.
pub type Outcome = Result<Answer, StoreError>;

const MISMATCH: &str = "State::apply answers each kind of operation with its own kind of answer";

/// What an operation was answered with, out of the one kind of answer that it has.
macro_rules! answer {
    ($($(#[$doc:meta])* $name:ident: $kind:ident => $value:ty;)*) => {
        $($(#[$doc])*
        pub fn $name(self) -> $value {
            match self {
                Self::$kind(value) => value,
                other => unreachable!("{MISMATCH}: {other:?}"),
            }
        })*
    };
}

impl Answer {
    answer! {
        /// The answer to [`Op::Roles`].
        roles: Roles => RoleChanged;
        /// The answer to [`Op::Findings`].
        found: Found => Found;
        /// The answer to [`Op::Prune`].
        pruned: Pruned => Pruned;
        /// The answer to [`Op::DeleteToken`].
        deleted: Deleted => bool;
        /// The answer to [`Op::Enroll`].
        enrolled: Enrolled => Enrolled;
        /// The answer to [`Op::Renew`].
        renewed: Renewed => Renewed;
        /// The answer to [`Op::Revoke`].
        withdrawn: Withdrawn => Withdrawn;
        /// The answer to [`Op::Regain`].
        regained: Regained => Regained;
        /// The answer to [`Op::Restored`] and [`Op::TestChannel`].
        number: Number => u64;
        /// The answer to [`Op::Settle`].
        settled: Settled => bool;
        /// The answer to [`Op::ReserveCrl`].
        crl: Crl => CrlSlot;
        /// The answer to [`Op::Origin`].
        origin: Origin => Box<FeedOrigin>;
    }

    /// The answer to [`Op::Job`].
    pub fn job(self) -> JobState {
        match self {
            Self::Job(job) => *job,
            other => unreachable!("{MISMATCH}: {other:?}"),
        }
    }

    /// The answer to [`Op::Session`].
    pub fn session(self) -> Option<Session> {
        match self {
            Self::Session(session) => session.map(|session| *session),
            other => unreachable!("{MISMATCH}: {other:?}"),
        }
    }

    /// The answer to [`Op::SubmitRequest`] and [`Op::DecideRequest`].
    pub fn request(self) -> Option<PendingRequest> {
        match self {
            Self::Request(request) => request.map(|request| *request),
            other => unreachable!("{MISMATCH}: {other:?}"),
        }
    }
}
