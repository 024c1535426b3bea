//! What people look through, in SQLite.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};

use super::super::cursor::{self, List};
use super::super::look::{
    CertificateWalk, ExpiryCounts, HostCounts, LookStore, Overdue, SerialStart, WALK_MAX, WalkOrder,
    sort_newest_lost,
};
use super::super::{HostRow, StoreError};
use super::read::{Reader, certificates, collect, host_row, one_more};
use super::{SqliteStore, rows, sql};
use crate::base::{Id, Timestamp};
use crate::model::{Certificate, Health, IdentityKind, Page, PageRequest};
use crate::pki::IdentityName;

#[async_trait]
impl LookStore for SqliteStore {
    async fn walk_certificates(
        &self,
        walk: CertificateWalk,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<Page<Certificate>, StoreError> {
        match &walk.order {
            WalkOrder::Newest => newest(self.reader(), &walk, now, &page).await,
            WalkOrder::Name => named(self.reader(), "", &walk, now, &page).await,
            WalkOrder::Beginning(start) => named(self.reader(), start, &walk, now, &page).await,
        }
    }

    async fn newest_of(&self, identity: Id, limit: u32) -> Result<Vec<Certificate>, StoreError> {
        let query = sqlx::query(sql::NEWEST_OF)
            .bind(identity.as_bytes().to_vec())
            .bind(limit);
        let rows = self.reader().all(query).await?;
        rows.iter().map(certificate).collect()
    }

    async fn serials_starting(&self, start: SerialStart, limit: u32) -> Result<Vec<Certificate>, StoreError> {
        let (low, high) = start.range();
        // Longer than any serial, and greater.
        let high = high.unwrap_or_else(|| vec![0xff; 32]);
        let query = sqlx::query(sql::SERIALS_STARTING)
            .bind(low)
            .bind(high)
            .bind(limit);
        let rows = self.reader().all(query).await?;
        rows.iter().map(certificate).collect()
    }

    async fn hosts_starting(&self, start: String, page: PageRequest) -> Result<Page<HostRow>, StoreError> {
        let after = cursor::start::<IdentityName>(List::Hosts, &page)?;
        let limit = cursor::limit(&page);
        let after = after.map(|name| name.to_string()).unwrap_or_default();
        let query = sqlx::query(sql::HOSTS_STARTING)
            .bind(after)
            .bind(one_more(limit))
            .bind(start.clone())
            .bind(end_of(&start));
        let keyed = |row: HostRow| (row.identity.name.clone(), row);
        let hosts = collect(self.reader().all(query).await?, host_row, keyed)?;
        Ok(cursor::page(List::Hosts, limit, hosts))
    }

    async fn expiry_counts(&self, edges: Vec<Timestamp>) -> Result<Vec<ExpiryCounts>, StoreError> {
        let edges = as_json(edges);
        let mut found = Vec::new();
        for kind in [IdentityKind::Host, IdentityKind::Client] {
            let query = sqlx::query(sql::EXPIRY_COUNTS)
                .bind(edges.clone())
                .bind(kind.as_str());
            let counts = between(&self.reader().all(query).await?)?;
            found.push(ExpiryCounts { kind, counts });
        }
        Ok(found)
    }

    async fn soonest_ends(&self, now: Timestamp) -> Result<Vec<(IdentityKind, Timestamp)>, StoreError> {
        let mut found = Vec::new();
        for kind in [IdentityKind::Host, IdentityKind::Client] {
            let query = sqlx::query(sql::SOONEST_END)
                .bind(kind.as_str())
                .bind(now.as_millis());
            let end = |row: &SqliteRow| rows::Columns::new(row, 0, "end of a certificate").time();
            found.extend(self.reader().one(query, end).await?.map(|end| (kind, end)));
        }
        Ok(found)
    }

    async fn due_counts(&self, edges: Vec<Timestamp>) -> Result<Vec<u64>, StoreError> {
        let query = sqlx::query(sql::DUE_COUNTS).bind(as_json(edges));
        between(&self.reader().all(query).await?)
    }

    async fn host_counts(&self, since: Timestamp, except: &IdentityName) -> Result<HostCounts, StoreError> {
        let query = sqlx::query(sql::HOST_COUNTS)
            .bind(since.as_millis())
            .bind(except.as_str().to_owned());
        let found = self.reader().one(query, rows::counts::<5>).await?;
        let [joined, well, unhealthy, behind, silent] = found.unwrap_or_default();
        Ok(HostCounts {
            joined,
            well,
            unhealthy,
            behind,
            silent,
        })
    }

    async fn hosts_with(
        &self,
        health: Health,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<HostRow>, StoreError> {
        let query = sqlx::query(sql::HOSTS_WITH)
            .bind(health.as_str())
            .bind(since.as_millis())
            .bind(limit);
        let rows = self.reader().all(query).await?;
        let mut found = rows.iter().map(host_row).collect::<Result<Vec<_>, _>>()?;
        found.sort_by(|a, b| a.identity.name.cmp(&b.identity.name));
        Ok(found)
    }

    async fn silent_hosts(&self, since: Timestamp, limit: u32) -> Result<Vec<HostRow>, StoreError> {
        let mut silent = Vec::new();
        for health in Health::ALL {
            let query = sqlx::query(sql::SILENT_HOSTS)
                .bind(health.as_str())
                .bind(since.as_millis())
                .bind(limit);
            let found = self.reader().all(query).await?;
            silent.extend(found.iter().map(host_row).collect::<Result<Vec<_>, _>>()?);
        }
        sort_newest_lost(&mut silent, limit);
        Ok(silent)
    }

    async fn overdue(&self, due: Timestamp, now: Timestamp, limit: u32) -> Result<Overdue, StoreError> {
        let bind = |text, limit: u32| {
            sqlx::query(text)
                .bind(due.as_millis())
                .bind(now.as_millis())
                .bind(limit)
        };
        let count = self
            .reader()
            .one(bind(sql::COUNT_OVERDUE, WALK_MAX), rows::counts::<1>)
            .await?;
        let first = self.reader().all(bind(sql::OVERDUE, limit)).await?;
        Ok(Overdue {
            count: count.unwrap_or_default()[0],
            first: first.iter().map(certificate).collect::<Result<_, _>>()?,
        })
    }
}

fn as_json(edges: Vec<Timestamp>) -> String {
    let edges: Vec<i64> = edges.into_iter().map(Timestamp::as_millis).collect();
    rows::json(&edges)
}

/// What lies between each two times, from what was counted of whole hours and in the hour of each time before it.
fn between(rows: &[SqliteRow]) -> Result<Vec<u64>, StoreError> {
    let counts: Result<Vec<[u64; 3]>, StoreError> = rows.iter().map(rows::counts).collect();
    let mut counts = counts?;
    counts.sort_unstable();
    let between = |pair: &[[u64; 3]]| (pair[0][1] + pair[1][2]).saturating_sub(pair[0][2]);
    Ok(counts.windows(2).map(between).collect())
}

fn certificate(row: &SqliteRow) -> Result<Certificate, StoreError> {
    rows::certificate(row, 0).map(|(_, certificate)| certificate)
}

/// Greater than every name that begins so.
fn end_of(start: &str) -> String {
    format!("{start}\u{10ffff}")
}

async fn newest(
    reader: Reader<'_>,
    walk: &CertificateWalk,
    now: Timestamp,
    page: &PageRequest,
) -> Result<Page<Certificate>, StoreError> {
    let before = cursor::start::<i64>(List::Newest, page)?;
    let before = match before {
        Some(before) => before,
        None => {
            let last = reader.one(sqlx::query(sql::LAST_CERTIFICATE), rows::counts::<1>);
            i64::try_from(last.await?.unwrap_or_default()[0]).map_or(i64::MAX, |last| last.saturating_add(1))
        }
    };
    let (limit, lowest) = (cursor::limit(page), before.saturating_sub(i64::from(WALK_MAX)));
    let mut query = newest_query(walk, now, before, lowest, one_more(limit));
    let rows = reader.all(query.build()).await?;
    let rows = collect(rows, |row| rows::certificate(row, 0), |(number, c)| (number, c))?;
    let mut found = cursor::page(List::Newest, limit, rows);
    if found.next.is_none() && lowest > 1 {
        found.next = Some(cursor::after(List::Newest, &lowest));
    }
    Ok(found)
}

/// A page of those with numbers below `before`, none below `lowest`.
pub(super) fn newest_query(
    walk: &CertificateWalk,
    now: Timestamp,
    before: i64,
    lowest: i64,
    limit: i64,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(sql::CERTIFICATES);
    query.push(" AND c.id < ").push_bind(before);
    query.push(" AND c.id >= ").push_bind(lowest);
    narrow(&mut query, walk, now);
    query.push(" ORDER BY c.id DESC LIMIT ").push_bind(limit);
    query
}

async fn named(
    reader: Reader<'_>,
    start: &str,
    walk: &CertificateWalk,
    now: Timestamp,
    page: &PageRequest,
) -> Result<Page<Certificate>, StoreError> {
    let after = cursor::start::<(i64, String)>(List::Named, page)?;
    let (number, name) = after.unwrap_or((0, start.to_owned()));
    let limit = cursor::limit(page);
    let mut query = named_query((start, walk), now, (&name, number), one_more(limit));
    let rows = reader.all(query.build()).await?;
    let read = |row: &SqliteRow| {
        let (number, certificate) = rows::certificate(row, 0)?;
        let mut name = rows::Columns::new(row, sql::CERTIFICATE_WIDTH, "name of a certificate");
        Ok(((number, name.raw::<String>()?), (number, certificate)))
    };
    let rows = collect(rows, read, |row| row)?;
    let found = cursor::page(List::Named, limit, rows);
    let mut next = found.next;
    if next.is_none() {
        let last = sqlx::query(sql::WALKED_TO)
            .bind(name)
            .bind(number)
            .bind(end_of(start))
            .bind(i64::from(WALK_MAX) - 1);
        let read = |row: &SqliteRow| {
            let mut columns = rows::Columns::new(row, 0, "name of a certificate");
            let name: String = columns.raw()?;
            Ok((columns.raw::<i64>()?, name))
        };
        let last = reader.one(last, read).await?;
        next = last.map(|last| cursor::after(List::Named, &last));
    }
    Ok(Page {
        items: cursor::once(found.items),
        next,
    })
}

/// A page of those with a name that begins with `start`, after a name of a certificate.
pub(super) fn named_query(
    (start, walk): (&str, &CertificateWalk),
    now: Timestamp,
    (name, number): (&str, i64),
    limit: i64,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(sql::CERTIFICATES_WALKED);
    query.push_bind(name.to_owned()).push(", ").push_bind(number);
    query.push(") AND n.name < ").push_bind(end_of(start));
    query
        .push(" ORDER BY n.name, n.certificate LIMIT ")
        .push_bind(i64::from(WALK_MAX));
    query.push(") AS w CROSS JOIN certificate AS c ON c.id = w.certificate WHERE true");
    if walk.order == WalkOrder::Name {
        query.push(" AND c.name = w.name");
    }
    narrow(&mut query, walk, now);
    query
        .push(" ORDER BY w.name, w.certificate LIMIT ")
        .push_bind(limit);
    query
}

fn narrow(query: &mut QueryBuilder<Sqlite>, walk: &CertificateWalk, now: Timestamp) {
    if let Some(kind) = walk.kind {
        // The `+` keeps SQLite on the way it was sent.
        query.push(" AND +c.kind = ").push_bind(kind.as_str());
    }
    certificates::with_statuses(query, &walk.statuses, now);
}
