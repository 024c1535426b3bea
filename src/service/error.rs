//! What every use case can fail with.

use crate::ca::IssueError;
use crate::store::StoreError;

/// A fault that is not of the request's making, or one that every list shares.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A cursor that this server did not give.
    #[error("the cursor is not one this server gave: start again without it")]
    Cursor,
    /// The database cannot be used right now; nothing was changed.
    #[error(transparent)]
    Unavailable(StoreError),
    /// The store failed in another way; nothing was changed.
    #[error(transparent)]
    Store(StoreError),
    /// The CA would not sign: its own rules, dates or keys are at fault, never the request.
    #[error("the CA could not issue the certificate: {0}")]
    Issue(#[from] IssueError),
    /// The server's own key or request could not be made.
    #[error("the server's own certificate could not be made: {0}")]
    Key(String),
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cursor => Self::Cursor,
            StoreError::Unavailable { .. } => Self::Unavailable(error),
            other => Self::Store(other),
        }
    }
}
