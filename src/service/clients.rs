//! The clients the server knows.

use super::{Authorized, Operator, Service, ServiceError};
use crate::model::{Certificate, Identity, IdentityKind, Page, PageRequest};

impl Service {
    /// Clients by name, each with its newest certificate that is not revoked.
    ///
    /// # Errors
    /// The store's.
    pub async fn clients(
        &self,
        _operator: &Authorized<Operator>,
        page: PageRequest,
    ) -> Result<Page<(Identity, Option<Certificate>)>, ServiceError> {
        Ok(self.store.identities(IdentityKind::Client, page).await?)
    }
}
