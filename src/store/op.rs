//! Writes as values, so that many of them can share one transaction, and their answers.

use std::net::IpAddr;

use super::{Enrolled, Enrollment, HostStatus, Renewal, Renewed, StoreError};
use crate::base::{Id, Timestamp};
use crate::model::audit::{Actor, Event};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::{Certificate, Identity, Token};

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
}

/// An answer, or why the operation could not be done.
pub type Outcome = Result<Answer, StoreError>;

const MISMATCH: &str = "State::apply answers each kind of operation with its own kind of answer";

impl Answer {
    /// The answer to [`Op::DeleteToken`].
    pub fn deleted(self) -> bool {
        match self {
            Self::Deleted(deleted) => deleted,
            other => unreachable!("{MISMATCH}: {other:?}"),
        }
    }

    /// The answer to [`Op::Enroll`].
    pub fn enrolled(self) -> Enrolled {
        match self {
            Self::Enrolled(enrolled) => enrolled,
            other => unreachable!("{MISMATCH}: {other:?}"),
        }
    }

    /// The answer to [`Op::Renew`].
    pub fn renewed(self) -> Renewed {
        match self {
            Self::Renewed(renewed) => renewed,
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
