//! Reads. Lists are walked by key, never by offset.

pub(super) mod certificates;

use std::path::Path;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::super::cursor::{self, List};
use super::super::{AuditFilter, CertificateCounts, HostRow, StoreError};
use super::failure::{unavailable, words};
use super::{rows, sql};
use crate::base::{Id, Timestamp};
use crate::model::audit::Record;
use crate::model::enrollment::PendingRequest;
use crate::model::{
    Certificate, CertificateFilter, CertificateStatus, Identity, IdentityKind, IssuerKind, Page, PageRequest,
    Token,
};
use crate::pki::{IdentityName, Serial};

type Answer<T> = Result<T, StoreError>;

/// Reads through a pool.
pub struct Reader<'s> {
    place: &'s Path,
    pool: &'s SqlitePool,
}

impl<'s> Reader<'s> {
    /// A reader of the database at `place`.
    pub fn new(place: &'s Path, pool: &'s SqlitePool) -> Self {
        Self { place, pool }
    }

    /// Every row of a query.
    pub async fn all(&self, query: Query<'_, Sqlite, SqliteArguments>) -> Answer<Vec<SqliteRow>> {
        query
            .fetch_all(self.pool)
            .await
            .map_err(|e| unavailable(self.place, words(&e)))
    }

    /// The one row of a query, read.
    pub async fn one<T>(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
        read: impl Fn(&SqliteRow) -> Answer<T>,
    ) -> Answer<Option<T>> {
        let row = query.fetch_optional(self.pool).await;
        let row = row.map_err(|e| unavailable(self.place, words(&e)))?;
        row.as_ref().map(read).transpose()
    }

    /// Whether reading works.
    pub async fn answers(&self) -> Answer<()> {
        self.all(sqlx::query("SELECT 1")).await.map(drop)
    }

    /// See [`super::Store::token`].
    pub async fn token(&self, id: Id) -> Answer<Option<Token>> {
        self.one(sqlx::query(sql::TOKEN).bind(bytes(id)), rows::token)
            .await
    }

    /// See [`super::Store::tokens`].
    pub async fn tokens(&self, page: &PageRequest) -> Answer<Page<Token>> {
        let after = cursor::start::<(i64, Id)>(List::Tokens, page)?;
        let (time, id) = after.map_or((i64::MAX, Vec::new()), |(time, id)| (time, bytes(id)));
        let limit = cursor::limit(page);
        let query = sqlx::query(sql::TOKENS).bind(time).bind(id).bind(one_more(limit));
        let keyed = |token: Token| ((token.created_at.as_millis(), token.id), token);
        let tokens = collect(self.all(query).await?, rows::token, keyed)?;
        Ok(cursor::page(List::Tokens, limit, tokens))
    }

    /// See [`super::Store::identity`].
    pub async fn identity(&self, kind: IdentityKind, name: &IdentityName) -> Answer<Option<Identity>> {
        let query = sqlx::query(sql::IDENTITY_NAMED)
            .bind(kind.as_str())
            .bind(name.as_str());
        self.one(query, rows::identity).await
    }

    /// See [`super::Store::identity_by_id`].
    pub async fn identity_by_id(&self, id: Id) -> Answer<Option<Identity>> {
        self.one(sqlx::query(sql::IDENTITY).bind(bytes(id)), rows::identity)
            .await
    }

    /// See [`super::Store::identities`].
    pub async fn identities(
        &self,
        kind: IdentityKind,
        page: &PageRequest,
    ) -> Answer<Page<(Identity, Option<Certificate>)>> {
        let after = cursor::start::<IdentityName>(List::Identities, page)?;
        let limit = cursor::limit(page);
        let query = sqlx::query(sql::IDENTITIES)
            .bind(kind.as_str())
            .bind(name_text(after.as_ref()))
            .bind(one_more(limit));
        let read = |row: &SqliteRow| {
            Ok((
                rows::identity(row)?,
                rows::optional_certificate(row, sql::IDENTITY_WIDTH)?,
            ))
        };
        let keyed = |row: (Identity, Option<Certificate>)| (row.0.name.clone(), row);
        let identities = collect(self.all(query).await?, read, keyed)?;
        Ok(cursor::page(List::Identities, limit, identities))
    }

    /// See [`super::Store::host`].
    pub async fn host(&self, name: &IdentityName) -> Answer<Option<HostRow>> {
        self.one(sqlx::query(sql::HOST).bind(name.as_str()), host_row)
            .await
    }

    /// See [`super::Store::hosts`].
    pub async fn hosts(&self, page: &PageRequest) -> Answer<Page<HostRow>> {
        let after = cursor::start::<IdentityName>(List::Hosts, page)?;
        let limit = cursor::limit(page);
        let query = sqlx::query(sql::HOSTS)
            .bind(name_text(after.as_ref()))
            .bind(one_more(limit));
        let keyed = |row: HostRow| (row.identity.name.clone(), row);
        let hosts = collect(self.all(query).await?, host_row, keyed)?;
        Ok(cursor::page(List::Hosts, limit, hosts))
    }

    /// See [`super::Store::certificate`].
    pub async fn certificate(&self, serial: &Serial) -> Answer<Option<Certificate>> {
        let query = sqlx::query(sql::CERTIFICATE).bind(serial.as_bytes().to_vec());
        self.one(query, plain_certificate).await
    }

    /// See [`super::Store::holder`].
    pub async fn holder(&self, serial: &Serial) -> Answer<Option<(Identity, Certificate)>> {
        let query = sqlx::query(sql::HOLDER).bind(serial.as_bytes().to_vec());
        let read = |row: &SqliteRow| {
            let (_, certificate) = rows::certificate(row, sql::IDENTITY_WIDTH)?;
            Ok((rows::identity(row)?, certificate))
        };
        self.one(query, read).await
    }

    /// See [`super::Store::certificate_by_key`].
    pub async fn certificate_by_key(&self, token: Id, key: [u8; 32]) -> Answer<Option<Certificate>> {
        let query = sqlx::query(sql::CERTIFICATE_BY_KEY)
            .bind(bytes(token))
            .bind(key.to_vec());
        self.one(query, plain_certificate).await
    }

    /// See [`super::Store::certificates`].
    pub async fn certificates(
        &self,
        filter: &CertificateFilter,
        now: Timestamp,
        page: &PageRequest,
    ) -> Answer<Page<Certificate>> {
        let after = cursor::start::<(i64, i64)>(List::Certificates, page)?;
        let limit = cursor::limit(page);
        let mut query = certificates::query(filter, now, after, one_more(limit));
        let keyed = |(number, c): (i64, Certificate)| ((c.not_after.as_millis(), number), c);
        let rows = self.all(query.build()).await?;
        let certificates = collect(rows, |row| rows::certificate(row, 0), keyed)?;
        Ok(cursor::page(List::Certificates, limit, certificates))
    }

    /// See [`super::Store::certificate_counts`].
    pub async fn certificate_counts(&self, now: Timestamp) -> Answer<CertificateCounts> {
        use CertificateStatus::{Expired, Revoked, Superseded, Valid};
        let mut counts = CertificateCounts::new();
        for kind in [IdentityKind::Host, IdentityKind::Client] {
            let query = sqlx::query(sql::COUNT_CERTIFICATES)
                .bind(kind.as_str())
                .bind(IssuerKind::from(kind).as_str())
                .bind(now.as_millis());
            let found = self.one(query, rows::counts::<5>).await?;
            let [expired, revoked, both, ahead, current] = found.unwrap_or_default();
            let of_kind = [
                (Revoked, revoked),
                (Expired, expired - both),
                (Superseded, ahead - (revoked - both) - current),
                (Valid, current),
            ];
            let some = of_kind.into_iter().filter(|(_, count)| *count > 0);
            counts.extend(some.map(|(status, count)| ((kind, status), count)));
        }
        Ok(counts)
    }

    /// See [`super::Store::requests`].
    pub async fn requests(&self, all: bool, page: &PageRequest) -> Answer<Page<PendingRequest>> {
        let after = cursor::start::<(i64, Id)>(List::Requests, page)?;
        let (time, id) = after.map_or((i64::MIN, Vec::new()), |(time, id)| (time, bytes(id)));
        let limit = cursor::limit(page);
        let text = if all { sql::REQUESTS } else { sql::REQUESTS_WAITING };
        let query = sqlx::query(text).bind(time).bind(id).bind(one_more(limit));
        let keyed = |request: PendingRequest| ((request.created_at.as_millis(), request.id), request);
        let requests = collect(self.all(query).await?, rows::request, keyed)?;
        Ok(cursor::page(List::Requests, limit, requests))
    }

    /// See [`super::Store::audit`].
    pub async fn audit(&self, filter: &AuditFilter, page: &PageRequest) -> Answer<Page<Record>> {
        let list = filter.list();
        let cursor = cursor::start::<i64>(list, page)?;
        let limit = cursor::limit(page);
        let mut query = audit_query(filter, cursor, one_more(limit));
        let keyed = |record: Record| (record.seq as i64, record);
        let records = collect(self.all(query.build()).await?, rows::record, keyed)?;
        Ok(cursor::page(list, limit, records))
    }
}

pub(super) fn audit_query(filter: &AuditFilter, cursor: Option<i64>, limit: i64) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(sql::AUDIT);
    match filter.after {
        Some(after) => {
            let after = cursor.unwrap_or_else(|| i64::try_from(after).unwrap_or(i64::MAX));
            query.push(" > ").push_bind(after);
        }
        None => {
            query.push(" < ").push_bind(cursor.unwrap_or(i64::MAX));
        }
    }
    if let Some(subject) = &filter.subject {
        query.push(" AND (a.subject = ").push_bind(subject.clone());
        query
            .push(" OR a.actor IN (")
            .push_bind(format!("host:{subject}"));
        query.push(", ").push_bind(format!("client:{subject}"));
        query.push(", ").push_bind(format!("token:{subject}")).push("))");
    }
    let direction = if filter.after.is_some() { "ASC" } else { "DESC" };
    query
        .push(" ORDER BY a.seq ")
        .push(direction)
        .push(" LIMIT ")
        .push_bind(limit);
    query
}

pub(super) fn host_row(row: &SqliteRow) -> Answer<HostRow> {
    let identity = rows::identity(row)?;
    let status_at = sql::IDENTITY_WIDTH + sql::CERTIFICATE_WIDTH;
    Ok(HostRow {
        status: rows::optional_status(row, status_at, identity.id)?,
        certificate: rows::optional_certificate(row, sql::IDENTITY_WIDTH)?,
        identity,
    })
}

fn plain_certificate(row: &SqliteRow) -> Answer<Certificate> {
    rows::certificate(row, 0).map(|(_, certificate)| certificate)
}

pub(super) fn collect<T, R, K>(
    rows: Vec<SqliteRow>,
    read: impl Fn(&SqliteRow) -> Answer<T>,
    keyed: impl Fn(T) -> (K, R),
) -> Answer<Vec<(K, R)>> {
    rows.iter().map(|row| read(row).map(&keyed)).collect()
}

fn bytes(id: Id) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// What a list by name starts after: every name is greater than the empty text.
fn name_text(after: Option<&IdentityName>) -> String {
    after.map(ToString::to_string).unwrap_or_default()
}

pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1))
}
