//! The store in a SQLite file: one task that writes and commits in groups, a pool of connections that
//! only read. The write-ahead log is synced at every commit, so that what was answered survives a power
//! cut.

mod backup;
mod failure;
mod feed;
mod load;
mod look;
mod open;
mod problems;
mod read;
mod roles;
mod rows;
mod save;
mod sessions;
mod sql;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

pub use backup::write as backup;
pub use open::Missing;

use self::failure::{unavailable, words};
use self::read::Reader;
use self::writer::{Writer, WriterHandle};
use super::op::{Answer, Op};
use super::{
    AuditFilter, CertificateCounts, Enrolled, Enrollment, HostRow, HostStatus, Renewal, Renewed, Store,
    StoreError,
};
use crate::base::{Id, Timestamp};
use crate::model::audit::{Actor, Event, Record};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::{Certificate, CertificateFilter, Identity, IdentityKind, Page, PageRequest, Token};
use crate::pki::{IdentityName, Serial};

/// Connections that read.
const READERS_MAX: u32 = 4;

/// The SQLite store. Cheap to share behind an `Arc`; [`Store::close`] it before the runtime ends.
#[derive(Debug)]
pub struct SqliteStore {
    place: PathBuf,
    writer: WriterHandle,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database at `path`, bringing an older schema up to date, and starts the writer. Must be
    /// called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when a newer or another program has written it, or an upgrade stopped
    /// half-way; [`StoreError::Unavailable`] when it is missing (and `missing` does not say to make it),
    /// may not be opened, or lies where a write-ahead log does not work.
    pub async fn open(path: &Path, missing: Missing) -> Result<Self, StoreError> {
        let place = open::place(path)?;
        open::prepare_file(&place, missing)?;
        let mut connection = open::connect_writer(&place).await?;
        let feed: i64 = sqlx::query_scalar(sql::FEED_NUMBER)
            .fetch_one(&mut connection)
            .await
            .map_err(|e| unavailable(&place, words(&e)))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .test_before_acquire(false)
            .connect_with(open::reader_options(&place))
            .await
            .map_err(|e| unavailable(&place, words(&e)))?;
        let writer = Writer::new(place.clone(), open::writer_options(&place), connection);
        let store = Self {
            place,
            writer: WriterHandle::start(writer),
            readers,
        };
        store.writer.note_feed(u64::try_from(feed).unwrap_or(0));
        Ok(store)
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(&self.place, &self.readers)
    }

    async fn run(&self, op: Op) -> Result<Answer, StoreError> {
        self.writer.run(op).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_token(
        &self,
        token: Token,
        actor: Actor,
        source: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        let token = Box::new(token);
        self.run(Op::CreateToken { token, actor, source }).await.map(drop)
    }

    async fn delete_token(&self, id: Id, actor: Actor, now: Timestamp) -> Result<bool, StoreError> {
        self.run(Op::DeleteToken { id, actor, now })
            .await
            .map(Answer::deleted)
    }

    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError> {
        self.run(Op::Enroll(Box::new(enrollment)))
            .await
            .map(Answer::enrolled)
    }

    async fn renew(&self, renewal: Renewal) -> Result<Renewed, StoreError> {
        self.run(Op::Renew(Box::new(renewal))).await.map(Answer::renewed)
    }

    async fn adopt(
        &self,
        identity: Identity,
        certificate: Certificate,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let (identity, certificate) = (Box::new(identity), Box::new(certificate));
        self.run(Op::Adopt {
            identity,
            certificate,
            actor,
        })
        .await
        .map(drop)
    }

    async fn submit_request(&self, request: PendingRequest) -> Result<Option<PendingRequest>, StoreError> {
        self.run(Op::SubmitRequest(Box::new(request)))
            .await
            .map(Answer::request)
    }

    async fn decide_request(
        &self,
        id: Id,
        state: RequestState,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Option<PendingRequest>, StoreError> {
        self.run(Op::DecideRequest {
            id,
            state,
            actor,
            now,
        })
        .await
        .map(Answer::request)
    }

    async fn put_host_status(&self, status: HostStatus) -> Result<(), StoreError> {
        self.run(Op::Report(Box::new(status))).await.map(drop)
    }

    async fn append_audit(&self, event: Event) -> Result<(), StoreError> {
        self.run(Op::Audit(Box::new(event))).await.map(drop)
    }

    async fn token(&self, id: Id) -> Result<Option<Token>, StoreError> {
        self.reader().token(id).await
    }

    async fn tokens(&self, page: PageRequest) -> Result<Page<Token>, StoreError> {
        self.reader().tokens(&page).await
    }

    async fn identity(
        &self,
        kind: IdentityKind,
        name: &IdentityName,
    ) -> Result<Option<Identity>, StoreError> {
        self.reader().identity(kind, name).await
    }

    async fn identity_by_id(&self, id: Id) -> Result<Option<Identity>, StoreError> {
        self.reader().identity_by_id(id).await
    }

    async fn identities(
        &self,
        kind: IdentityKind,
        page: PageRequest,
    ) -> Result<Page<(Identity, Option<Certificate>)>, StoreError> {
        self.reader().identities(kind, &page).await
    }

    async fn host(&self, name: &IdentityName) -> Result<Option<HostRow>, StoreError> {
        self.reader().host(name).await
    }

    async fn hosts(&self, page: PageRequest) -> Result<Page<HostRow>, StoreError> {
        self.reader().hosts(&page).await
    }

    async fn certificate(&self, serial: &Serial) -> Result<Option<Certificate>, StoreError> {
        self.reader().certificate(serial).await
    }

    async fn holder(&self, serial: &Serial) -> Result<Option<(Identity, Certificate)>, StoreError> {
        self.reader().holder(serial).await
    }

    async fn certificate_by_key(
        &self,
        token: Id,
        spki_sha256: [u8; 32],
    ) -> Result<Option<Certificate>, StoreError> {
        self.reader().certificate_by_key(token, spki_sha256).await
    }

    async fn certificates(
        &self,
        filter: CertificateFilter,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<Page<Certificate>, StoreError> {
        self.reader().certificates(&filter, now, &page).await
    }

    async fn certificate_counts(&self, now: Timestamp) -> Result<CertificateCounts, StoreError> {
        self.reader().certificate_counts(now).await
    }

    async fn requests(&self, all: bool, page: PageRequest) -> Result<Page<PendingRequest>, StoreError> {
        self.reader().requests(all, &page).await
    }

    async fn audit(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<Record>, StoreError> {
        self.reader().audit(&filter, &page).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.run(Op::Probe).await?;
        self.reader().answers().await
    }

    async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        backup::write(&self.place, path).await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}
