//! A store that forgets everything when the process ends: for tests of what stands above the store.
//! Decides and pages like the others; the conformance suite holds them to it.

mod feed;
mod look;
mod problems;
mod roles;
mod sessions;
mod upkeep;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::watch;

use super::cursor::{self, List};
use super::op::{Answer, Op};
use super::state::{State, is_waiting};
use super::{
    AuditFilter, CertificateCounts, Enrolled, Enrollment, HostRow, HostStatus, Renewal, Renewed, Store,
    StoreError, canonical_name,
};
use crate::base::{Id, Timestamp};
use crate::model::audit::{Actor, Event, Record};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::{
    Certificate, CertificateFilter, Change, Identity, IdentityKind, Page, PageRequest, Token,
};
use crate::pki::{IdentityName, Serial};

/// The in-memory store.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    feed: watch::Sender<u64>,
    roles: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    log: Vec<Record>,
    feed: Vec<Change>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while the lock is held")
    }

    fn run(&self, op: &Op) -> Result<Answer, StoreError> {
        let mut inner = self.lock();
        let outcome = inner.state.apply(op);
        let changes_roles = inner.state.changes_roles();
        let (records, feed) = inner.state.changes.take_logs();
        inner.log.extend(records);
        if !feed.is_empty() {
            inner.feed.extend(feed);
            self.feed.send_replace(inner.state.head.feed);
        }
        if changes_roles {
            self.roles.send_modify(|count| *count += 1);
        }
        outcome
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create_token(
        &self,
        token: Token,
        actor: Actor,
        source: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        let token = Box::new(token);
        self.run(&Op::CreateToken { token, actor, source }).map(drop)
    }

    async fn delete_token(&self, id: Id, actor: Actor, now: Timestamp) -> Result<bool, StoreError> {
        self.run(&Op::DeleteToken { id, actor, now }).map(Answer::deleted)
    }

    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError> {
        self.run(&Op::Enroll(Box::new(enrollment))).map(Answer::enrolled)
    }

    async fn renew(&self, renewal: Renewal) -> Result<Renewed, StoreError> {
        self.run(&Op::Renew(Box::new(renewal))).map(Answer::renewed)
    }

    async fn adopt(
        &self,
        identity: Identity,
        certificate: Certificate,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let (identity, certificate) = (Box::new(identity), Box::new(certificate));
        self.run(&Op::Adopt {
            identity,
            certificate,
            actor,
        })
        .map(drop)
    }

    async fn submit_request(&self, request: PendingRequest) -> Result<Option<PendingRequest>, StoreError> {
        self.run(&Op::SubmitRequest(Box::new(request)))
            .map(Answer::request)
    }

    async fn decide_request(
        &self,
        id: Id,
        state: RequestState,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Option<PendingRequest>, StoreError> {
        self.run(&Op::DecideRequest {
            id,
            state,
            actor,
            now,
        })
        .map(Answer::request)
    }

    async fn put_host_status(&self, status: HostStatus) -> Result<(), StoreError> {
        self.run(&Op::Report(Box::new(status))).map(drop)
    }

    async fn append_audit(&self, event: Event) -> Result<(), StoreError> {
        self.run(&Op::Audit(Box::new(event))).map(drop)
    }

    async fn token(&self, id: Id) -> Result<Option<Token>, StoreError> {
        Ok(self.lock().state.token(id).cloned())
    }

    async fn tokens(&self, page: PageRequest) -> Result<Page<Token>, StoreError> {
        let after = cursor::start::<(i64, Id)>(List::Tokens, &page)?;
        let inner = self.lock();
        let mut rows: Vec<_> = inner
            .state
            .tokens()
            .filter(|token| token.deleted_at.is_none())
            .map(|token| ((token.created_at.as_millis(), token.id), token.clone()))
            .collect();
        rows.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
        rows.retain(|(key, _)| after.is_none_or(|after| *key < after));
        Ok(cursor::page(List::Tokens, cursor::limit(&page), rows))
    }

    async fn identity(
        &self,
        kind: IdentityKind,
        name: &IdentityName,
    ) -> Result<Option<Identity>, StoreError> {
        Ok(self.lock().state.identity_named(kind, name).cloned())
    }

    async fn identity_by_id(&self, id: Id) -> Result<Option<Identity>, StoreError> {
        Ok(self.lock().state.identity(id).cloned())
    }

    async fn identities(
        &self,
        kind: IdentityKind,
        page: PageRequest,
    ) -> Result<Page<(Identity, Option<Certificate>)>, StoreError> {
        let rows = self.lock().rows(List::Identities, kind, &page, |row| {
            (row.identity, row.certificate)
        })?;
        Ok(cursor::page(List::Identities, cursor::limit(&page), rows))
    }

    async fn host(&self, name: &IdentityName) -> Result<Option<HostRow>, StoreError> {
        let inner = self.lock();
        let host = inner.state.identity_named(IdentityKind::Host, name);
        Ok(host.map(|host| inner.row(host)))
    }

    async fn hosts(&self, page: PageRequest) -> Result<Page<HostRow>, StoreError> {
        let rows = self
            .lock()
            .rows(List::Hosts, IdentityKind::Host, &page, |row| row)?;
        Ok(cursor::page(List::Hosts, cursor::limit(&page), rows))
    }

    async fn certificate(&self, serial: &Serial) -> Result<Option<Certificate>, StoreError> {
        Ok(self.lock().state.certificate_by_serial(serial).cloned())
    }

    async fn holder(&self, serial: &Serial) -> Result<Option<(Identity, Certificate)>, StoreError> {
        let state = &self.lock().state;
        let certificate = state.certificate_by_serial(serial);
        let held = certificate.and_then(|certificate| {
            let identity = state.identity(certificate.identity)?;
            Some((identity.clone(), certificate.clone()))
        });
        Ok(held)
    }

    async fn certificate_by_key(
        &self,
        token: Id,
        spki_sha256: [u8; 32],
    ) -> Result<Option<Certificate>, StoreError> {
        Ok(self.lock().state.certificate_by_key(token, spki_sha256).cloned())
    }

    async fn certificates(
        &self,
        filter: CertificateFilter,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<Page<Certificate>, StoreError> {
        let after = cursor::start::<(i64, i64)>(List::Certificates, &page)?;
        let inner = self.lock();
        let mut rows: Vec<_> = inner
            .state
            .certificates()
            .filter(|(_, certificate)| fits(&filter, certificate, now))
            .map(|(row, certificate)| ((certificate.not_after.as_millis(), row), certificate.clone()))
            .collect();
        rows.sort_by_key(|(key, _)| *key);
        rows.retain(|(key, _)| after.is_none_or(|after| *key > after));
        Ok(cursor::page(List::Certificates, cursor::limit(&page), rows))
    }

    async fn certificate_counts(&self, now: Timestamp) -> Result<CertificateCounts, StoreError> {
        let mut counts = CertificateCounts::new();
        for (_, certificate) in self.lock().state.certificates() {
            *counts
                .entry((certificate.kind, certificate.status(now)))
                .or_default() += 1;
        }
        Ok(counts)
    }

    async fn requests(&self, all: bool, page: PageRequest) -> Result<Page<PendingRequest>, StoreError> {
        let after = cursor::start::<(i64, Id)>(List::Requests, &page)?;
        let inner = self.lock();
        let mut rows: Vec<_> = inner
            .state
            .requests()
            .filter(|request| all || is_waiting(request))
            .map(|request| ((request.created_at.as_millis(), request.id), request.clone()))
            .collect();
        rows.sort_by_key(|(key, _)| *key);
        rows.retain(|(key, _)| after.is_none_or(|after| *key > after));
        Ok(cursor::page(List::Requests, cursor::limit(&page), rows))
    }

    async fn audit(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<Record>, StoreError> {
        let list = filter.list();
        let cursor = cursor::start::<i64>(list, &page)?;
        let inner = self.lock();
        let fits = |record: &&Record| {
            filter
                .subject
                .as_deref()
                .is_none_or(|name| concerns(record, name))
        };
        let keyed = |record: &Record| (record.seq as i64, record.clone());
        let rows: Vec<_> = match filter.after {
            Some(after) => {
                let after = cursor.unwrap_or_else(|| i64::try_from(after).unwrap_or(i64::MAX));
                let records = inner.log.iter().filter(fits).map(keyed);
                records.filter(|(seq, _)| *seq > after).collect()
            }
            None => {
                let records = inner.log.iter().rev().filter(fits).map(keyed);
                records
                    .filter(|(seq, _)| cursor.is_none_or(|c| *seq < c))
                    .collect()
            }
        };
        Ok(cursor::page(list, cursor::limit(&page), rows))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn backup(&self, path: &std::path::Path) -> Result<(), StoreError> {
        Err(StoreError::Unavailable {
            place: path.display().to_string(),
            why: "the in-memory store has nothing to copy".to_owned(),
        })
    }

    async fn close(&self) {}
}

impl Inner {
    pub(super) fn row(&self, identity: &Identity) -> HostRow {
        let mut certificates = self.state.certificates_of(identity.id);
        HostRow {
            identity: identity.clone(),
            status: self.state.report(identity.id).cloned(),
            certificate: certificates
                .find(|certificate| certificate.revoked_at.is_none())
                .cloned(),
        }
    }

    fn rows<T>(
        &self,
        list: List,
        kind: IdentityKind,
        page: &PageRequest,
        shape: impl Fn(HostRow) -> T,
    ) -> Result<Vec<(IdentityName, T)>, StoreError> {
        let after = cursor::start::<IdentityName>(list, page)?;
        let identities = self
            .state
            .identities()
            .filter(|identity| identity.kind == kind && after.as_ref().is_none_or(|a| identity.name > *a));
        let rows = identities.map(|identity| (identity.name.clone(), shape(self.row(identity))));
        Ok(rows.take(cursor::limit(page) + 1).collect())
    }
}

fn fits(filter: &CertificateFilter, certificate: &Certificate, now: Timestamp) -> bool {
    let named = |name: &str| {
        let name = canonical_name(name);
        certificate.name.as_str() == name || certificate.sans.iter().any(|san| san.to_string() == name)
    };
    let soon = |within| now <= certificate.not_after && certificate.not_after <= now + within;
    (filter.statuses.is_empty() || filter.statuses.contains(&certificate.status(now)))
        && filter.expires_within.is_none_or(soon)
        && filter.kind.is_none_or(|kind| certificate.kind == kind)
        && filter.name.as_deref().is_none_or(named)
        && filter
            .serial
            .as_ref()
            .is_none_or(|serial| certificate.serial == *serial)
        && filter
            .identity
            .is_none_or(|identity| certificate.identity == identity)
}

fn concerns(record: &Record, name: &str) -> bool {
    let actor_name = record.actor.split_once(':').map(|(_, name)| name);
    record.subject == name || actor_name == Some(name)
}
