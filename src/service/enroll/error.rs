//! Why an application is refused, in the caller's words and in the audit log's.

use std::time::Duration;

use super::super::ServiceError;
use super::super::names::NamesError;
use crate::base::Id;
use crate::model::{JoinTokenError, LabelsError, TokenProblem};
use crate::pki::IdentityName;
use crate::pki::csr::CsrError;
use crate::store::StoreError;

/// Why an application was refused.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The text is no token.
    #[error(transparent)]
    NotAToken(#[from] JoinTokenError),
    /// The token is unknown, expired, spent, or not for this. The same words for all of them; the audit log
    /// knows which.
    #[error(
        "the join token was refused: it is unknown, expired, used up, or not made for this machine; ask for a new one (dockwarden token create)"
    )]
    TokenRefused(TokenProblem),
    /// The CSR cannot be used.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The names cannot be had.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// The labels cannot be had.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// A label that is the server's own.
    #[error("the label {0:?} is reserved for the server: leave it out")]
    ReservedLabel(String),
    /// A live identity holds the name.
    #[error(
        "{0} is taken: a machine with a valid certificate holds this name. Revoke that one first, use a token made with --replace, or send a CSR signed by its current key"
    )]
    NameTaken(IdentityName),
    /// An operator said no.
    #[error("an operator denied this request; ask them, then join with a new key")]
    Denied,
    /// An operator approved something else.
    #[error(
        "request {0} was approved for other names than are asked for now: ask for the same again, or join with a new key"
    )]
    NotAsApproved(Id),
    /// Too many requests of this token wait for approval.
    #[error("too many requests of this token wait for approval: approve or deny some first")]
    TooManyPending,
    /// Too many failures from this address.
    #[error("too many failed enrolments from this address: wait {} s", .0.as_secs() + 1)]
    RateLimited(Duration),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for EnrollError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// The word in the audit log for refusals that the store has not recorded itself.
pub(super) fn outcome(error: &EnrollError) -> Option<String> {
    Some(match error {
        EnrollError::TokenRefused(problem) => format!("token-refused: {}", problem.as_str()),
        EnrollError::Csr(CsrError::KeyNotAllowed { found, .. }) => format!("key-not-allowed: {found}"),
        EnrollError::Csr(_) => "bad-csr".to_owned(),
        EnrollError::Names(NamesError::NotAllowed { refused, .. }) => {
            format!("name-not-allowed: {}", refused.join(" "))
        }
        EnrollError::Names(_) => "bad-name".to_owned(),
        EnrollError::Labels(_) | EnrollError::ReservedLabel(_) => "bad-label".to_owned(),
        EnrollError::NotAsApproved(_) => "not-as-approved".to_owned(),
        EnrollError::TooManyPending => "too-many-pending".to_owned(),
        EnrollError::NotAToken(_)
        | EnrollError::NameTaken(_)
        | EnrollError::Denied
        | EnrollError::RateLimited(_)
        | EnrollError::Service(_) => return None,
    })
}
