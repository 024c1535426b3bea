//! Reading the audit log.

use super::{Authorized, Operator, Service, ServiceError};
use crate::model::audit::Record;
use crate::model::{Page, PageRequest};
use crate::store::AuditFilter;

impl Service {
    /// Audit records, with all that is needed to check their chain.
    ///
    /// # Errors
    /// The store's.
    pub async fn audit(
        &self,
        _operator: &Authorized<Operator>,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<Record>, ServiceError> {
        Ok(self.store.audit(filter, page).await?)
    }
}
