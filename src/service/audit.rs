//! The audit log: reading it, and what the server writes about itself.

use std::collections::BTreeMap;

use super::{Authorized, Operator, Service, ServiceError};
use crate::base::limits::PAGE_MAX;
use crate::model::audit::{Actor, Chain, ChainError, Checkpoint, Event, Record};
use crate::model::{Page, PageRequest};
use crate::store::AuditFilter;

/// What a walk along the whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Every record is there and has its hash: how many, and the hash of the last.
    Whole(u64, [u8; 32]),
    /// It is broken.
    Broken(ChainError),
    /// It begins after this record, and none says that those before were removed on purpose.
    Untold(u64),
    /// Somebody else is having it checked right now.
    Busy,
}

impl Service {
    /// Checks the hash chain of the whole log. One at a time.
    ///
    /// # Errors
    /// The store's.
    pub async fn verify_audit(&self, _operator: &Authorized<Operator>) -> Result<Verified, ServiceError> {
        let Ok(_alone) = self.verifying.try_lock() else {
            return Ok(Verified::Busy);
        };
        let begin = self.store.audit_checkpoint().await?;
        let mut told = begin.is_none();
        let mut chain = begin.as_ref().map_or_else(Chain::default, Chain::after);
        loop {
            let filter = AuditFilter {
                subject: None,
                after: Some(chain.head().0),
            };
            let page = PageRequest {
                limit: PAGE_MAX,
                cursor: None,
            };
            let found = self.store.audit(filter, page).await?;
            for record in &found.items {
                if let Err(broken) = chain.check(record) {
                    return Ok(Verified::Broken(broken));
                }
                told |= begin.is_some_and(|begin| begin.is_told_by(record));
            }
            if found.next.is_none() {
                if let Some(begin) = begin.filter(|_| !told) {
                    return Ok(Verified::Untold(begin.seq));
                }
                let (count, hash) = chain.head();
                return Ok(Verified::Whole(count, hash));
            }
        }
    }

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
