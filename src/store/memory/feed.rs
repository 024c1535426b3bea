//! Revocations and the feed in memory.

use async_trait::async_trait;
use tokio::sync::watch;

use super::super::StoreError;
use super::super::feed::{
    Acknowledgement, CrlSlot, FeedHead, FeedStore, HostProgress, Progress, ProgressQuery, Regain, Regained,
    RevocationRange, RevokeOrder, Withdrawn,
};
use super::super::op::{Answer, Op};
use super::{Inner, MemoryStore};
use crate::base::Timestamp;
use crate::model::audit::Actor;
use crate::model::{Change, ChangeKind, FeedOrigin, Identity, IdentityKind, IssuerKind, Revocation};
use crate::pki::Serial;

#[async_trait]
impl FeedStore for MemoryStore {
    async fn revoke(&self, order: RevokeOrder) -> Result<Withdrawn, StoreError> {
        self.run(&Op::Revoke(Box::new(order))).map(Answer::withdrawn)
    }

    async fn regain(&self, regain: Regain) -> Result<Regained, StoreError> {
        self.run(&Op::Regain(Box::new(regain))).map(Answer::regained)
    }

    async fn restored(&self, actor: Actor, now: Timestamp) -> Result<u64, StoreError> {
        self.run(&Op::Restored { actor, now }).map(Answer::number)
    }

    async fn settle(&self, number: u64, actor: Actor, now: Timestamp) -> Result<bool, StoreError> {
        self.run(&Op::Settle { number, actor, now }).map(Answer::settled)
    }

    async fn acknowledge(&self, acknowledgement: Acknowledgement) -> Result<(), StoreError> {
        self.run(&Op::Acknowledge(Box::new(acknowledgement))).map(drop)
    }

    async fn reserve_crl(&self, issuer: IssuerKind, now: Timestamp) -> Result<CrlSlot, StoreError> {
        self.run(&Op::ReserveCrl { issuer, now }).map(Answer::crl)
    }

    async fn feed_origin(&self, candidate: FeedOrigin) -> Result<FeedOrigin, StoreError> {
        let origin = self.run(&Op::Origin(Box::new(candidate)))?;
        Ok(*origin.origin())
    }

    async fn feed(&self, after: u64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let inner = self.lock();
        let changes = inner.feed.iter().filter(|change| change.number > after);
        Ok(changes.take(limit as usize).cloned().collect())
    }

    async fn change(&self, number: u64) -> Result<Option<Change>, StoreError> {
        let inner = self.lock();
        Ok(inner.feed.iter().find(|change| change.number == number).cloned())
    }

    async fn revocation(&self, serial: &Serial) -> Result<Option<Revocation>, StoreError> {
        Ok(self.lock().state.revocation(serial).cloned())
    }

    async fn revocations(&self, range: RevocationRange, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        let inner = self.lock();
        let revocations = inner.feed.iter().filter_map(|change| match &change.kind {
            ChangeKind::Revoked(revocation) => Some(&**revocation),
            ChangeKind::Restored => None,
        });
        let wanted = revocations.filter(|revocation| {
            range.after < revocation.feed
                && revocation.feed <= range.to
                && revocation.not_after >= range.since
                && range.issuer.is_none_or(|issuer| revocation.issuer == issuer)
        });
        Ok(wanted.take(limit as usize).cloned().collect())
    }

    async fn feed_head(&self) -> Result<FeedHead, StoreError> {
        let inner = self.lock();
        Ok(FeedHead {
            number: inner.state.head.feed,
            unsettled: inner.state.unsettled(),
        })
    }

    async fn progress(&self, query: ProgressQuery) -> Result<Progress, StoreError> {
        Ok(self.lock().progress(&query))
    }

    fn feed_watch(&self) -> watch::Receiver<u64> {
        self.feed.subscribe()
    }
}

impl Inner {
    fn progress(&self, query: &ProgressQuery) -> Progress {
        let mut progress = Progress::default();
        let counts = |identity: &&Identity| {
            identity.kind == IdentityKind::Host
                && identity.name != query.except
                && self.state.live(identity.id, query.now).next().is_some()
        };
        for host in self.state.identities().filter(counts) {
            let said = self.state.acknowledgement(host.id);
            let number = said.map(|said| said.applied.number);
            progress.hosts += 1;
            if number == Some(query.number) {
                progress.cut += said.map_or(0, |said| said.applied.cut);
            }
            let knows = number.is_some_and(|number| number >= query.number);
            let refuses = said.is_none_or(|said| said.applied.refuses);
            progress.followed += u64::from(knows);
            if knows && refuses {
                progress.applied += 1;
            } else if progress.missing.len() < query.missing_max as usize {
                let reported = self.state.report(host.id).map(|report| report.reported_at);
                progress.missing.push(HostProgress {
                    name: host.name.clone(),
                    applied: number,
                    last_seen: said.map(|said| said.at).max(reported),
                    denies_after: said.and_then(|said| said.applied.denies_after),
                    refuses,
                });
            }
        }
        progress
    }
}
