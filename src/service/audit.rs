//! The audit log: reading it, and what the server writes about itself.

use std::collections::BTreeMap;

use super::{Authorized, Operator, Service, ServiceError};
use crate::model::audit::{Actor, Checkpoint, Event, Record};
use crate::model::{Page, PageRequest};
use crate::store::AuditFilter;

impl Service {
    /// Records something the server itself did, such as starting.
    ///
    /// # Errors
    /// The store's.
    pub async fn note(&self, action: &'static str, subject: &str) -> Result<(), ServiceError> {
        let event = Event {
            at: self.clock.now(),
            actor: Actor::System,
            action,
            subject: subject.to_owned(),
            outcome: "ok".to_owned(),
            source: None,
            detail: BTreeMap::new(),
        };
        Ok(self.store.append_audit(event).await?)
    }

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

    /// After which record the chain begins; `None` when none was ever removed.
    ///
    /// # Errors
    /// The store's.
    pub async fn audit_checkpoint(
        &self,
        _operator: &Authorized<Operator>,
    ) -> Result<Option<Checkpoint>, ServiceError> {
        Ok(self.store.audit_checkpoint().await?)
    }
}
