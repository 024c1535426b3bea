//! Revocations and the feed in SQLite.

use async_trait::async_trait;
use tokio::sync::watch;

use super::super::StoreError;
use super::super::feed::{
    Acknowledgement, CrlSlot, FeedHead, FeedStore, Progress, ProgressQuery, Regain, Regained,
    RevocationRange, RevokeOrder, Withdrawn,
};
use super::super::op::{Answer, Op};
use super::SqliteStore;
use super::read::Reader;
use super::rows::{self, Columns};
use super::sql;
use crate::base::Timestamp;
use crate::model::audit::Actor;
use crate::model::{Change, FeedOrigin, IssuerKind, Revocation};
use crate::pki::Serial;

#[async_trait]
impl FeedStore for SqliteStore {
    async fn revoke(&self, order: RevokeOrder) -> Result<Withdrawn, StoreError> {
        self.run(Op::Revoke(Box::new(order))).await.map(Answer::withdrawn)
    }

    async fn regain(&self, regain: Regain) -> Result<Regained, StoreError> {
        self.run(Op::Regain(Box::new(regain))).await.map(Answer::regained)
    }

    async fn restored(&self, actor: Actor, now: Timestamp) -> Result<u64, StoreError> {
        self.run(Op::Restored { actor, now }).await.map(Answer::number)
    }

    async fn settle(&self, number: u64, actor: Actor, now: Timestamp) -> Result<bool, StoreError> {
        self.run(Op::Settle { number, actor, now })
            .await
            .map(Answer::settled)
    }

    async fn acknowledge(&self, acknowledgement: Acknowledgement) -> Result<(), StoreError> {
        self.run(Op::Acknowledge(Box::new(acknowledgement)))
            .await
            .map(drop)
    }

    async fn reserve_crl(&self, issuer: IssuerKind, now: Timestamp) -> Result<CrlSlot, StoreError> {
        self.run(Op::ReserveCrl { issuer, now }).await.map(Answer::crl)
    }

    async fn feed_origin(&self, candidate: FeedOrigin) -> Result<FeedOrigin, StoreError> {
        let origin = self.run(Op::Origin(Box::new(candidate))).await?;
        Ok(*origin.origin())
    }

    async fn feed(&self, after: u64, limit: u32) -> Result<Vec<Change>, StoreError> {
        self.reader().feed(after, limit).await
    }

    async fn change(&self, number: u64) -> Result<Option<Change>, StoreError> {
        self.reader().change(number).await
    }

    async fn revocation(&self, serial: &Serial) -> Result<Option<Revocation>, StoreError> {
        self.reader().revocation(serial).await
    }

    async fn revocations(&self, range: RevocationRange, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        self.reader().revocations(range, limit).await
    }

    async fn feed_head(&self) -> Result<FeedHead, StoreError> {
        self.reader().feed_head().await
    }

    async fn progress(&self, query: ProgressQuery) -> Result<Progress, StoreError> {
        self.reader().progress(&query).await
    }

    fn feed_watch(&self) -> watch::Receiver<u64> {
        self.writer.feed()
    }
}

/// A number as the database keeps it; those it cannot hold are never given out.
fn kept(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Reader<'_> {
    async fn feed(&self, after: u64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let query = sqlx::query(sql::FEED).bind(kept(after)).bind(i64::from(limit));
        self.all(query).await?.iter().map(rows::change).collect()
    }

    async fn change(&self, number: u64) -> Result<Option<Change>, StoreError> {
        self.one(sqlx::query(sql::CHANGE).bind(kept(number)), rows::change)
            .await
    }

    async fn revocation(&self, serial: &Serial) -> Result<Option<Revocation>, StoreError> {
        let query = sqlx::query(sql::REVOCATION).bind(serial.as_bytes().to_vec());
        self.one(query, rows::revocation).await
    }

    async fn revocations(&self, range: RevocationRange, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        let text = match range.issuer {
            Some(_) => sql::REVOCATIONS_OF,
            None => sql::REVOCATIONS,
        };
        let mut query = sqlx::query(text)
            .bind(kept(range.after))
            .bind(kept(range.to))
            .bind(range.since.as_millis())
            .bind(i64::from(limit));
        if let Some(issuer) = range.issuer {
            query = query.bind(issuer.as_str());
        }
        self.all(query).await?.iter().map(rows::revocation).collect()
    }

    async fn feed_head(&self) -> Result<FeedHead, StoreError> {
        let number = self.one(sqlx::query(sql::FEED_NUMBER), |row| {
            Columns::new(row, 0, "head of the feed").count()
        });
        let unsettled = |row: &_| {
            let mut columns = Columns::new(row, 0, "restoration");
            Ok((columns.count()?, columns.time()?))
        };
        Ok(FeedHead {
            number: number.await?.unwrap_or(0),
            unsettled: self.one(sqlx::query(sql::UNSETTLED), unsettled).await?,
        })
    }

    async fn progress(&self, query: &ProgressQuery) -> Result<Progress, StoreError> {
        let bound = |text: &'static str| {
            sqlx::query(text)
                .bind(kept(query.number))
                .bind(query.except.as_str().to_owned())
                .bind(query.now.as_millis())
        };
        let counts = |row: &_| {
            let mut columns = Columns::new(row, 0, "progress of the hosts");
            Ok(Progress {
                hosts: columns.count()?,
                followed: columns.count()?,
                applied: columns.count()?,
                cut: columns.count()?,
                missing: Vec::new(),
            })
        };
        let mut progress = self.one(bound(sql::PROGRESS), counts).await?.unwrap_or_default();
        let missing = bound(sql::MISSING).bind(i64::from(query.missing_max));
        let missing = self.all(missing).await?;
        progress.missing = missing.iter().map(rows::progress).collect::<Result<_, _>>()?;
        Ok(progress)
    }
}
