//! Enrolments that wait for an operator.

use super::{Authorized, Operator, Service, ServiceError};
use crate::base::Id;
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::{Page, PageRequest};
use crate::store::StoreError;

/// Why a request was not decided.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is none with this id.
    #[error("no request has id {0}: list them with dockwarden host ls, or GET /v1/requests")]
    Unknown(Id),
    /// It was decided the other way before.
    #[error("request {id} was {} before: a decision stands; the joining side can ask again with a new key", .state.as_str())]
    Decided {
        /// Which.
        id: Id,
        /// What was decided.
        state: RequestState,
    },
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl Service {
    /// Requests that wait, oldest first; with `all`, decided ones too.
    ///
    /// # Errors
    /// The store's.
    pub async fn requests(
        &self,
        _operator: &Authorized<Operator>,
        all: bool,
        page: PageRequest,
    ) -> Result<Page<PendingRequest>, ServiceError> {
        Ok(self.store.requests(all, page).await?)
    }

    /// Approves or denies a request. The same decision twice is fine; the other one is refused.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn decide_request(
        &self,
        operator: &Authorized<Operator>,
        id: Id,
        state: RequestState,
    ) -> Result<PendingRequest, RequestError> {
        let decided = self
            .store
            .decide_request(id, state, operator.actor(), self.clock.now())
            .await?;
        let decided = decided.ok_or(RequestError::Unknown(id))?;
        if decided.state == state {
            Ok(decided)
        } else {
            Err(RequestError::Decided {
                id,
                state: decided.state,
            })
        }
    }
}
