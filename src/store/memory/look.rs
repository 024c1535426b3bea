//! What people look through, in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::super::cursor::{self, List};
use super::super::look::{
    CertificateWalk, ExpiryCounts, HostCounts, LookStore, Overdue, SerialStart, WalkOrder, sort_newest_lost,
};
use super::super::{HostRow, HostStatus, StoreError};
use super::MemoryStore;
use crate::base::{Id, Timestamp};
use crate::model::{Certificate, CertificateStatus, Health, IdentityKind, Page, PageRequest};
use crate::pki::IdentityName;

#[async_trait]
impl LookStore for MemoryStore {
    async fn walk_certificates(
        &self,
        walk: CertificateWalk,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<Page<Certificate>, StoreError> {
        let inner = self.lock();
        let fits = |certificate: &Certificate| {
            walk.kind.is_none_or(|kind| certificate.kind == kind)
                && (walk.statuses.is_empty() || walk.statuses.contains(&certificate.status(now)))
        };
        let fitting = inner.state.certificates().filter(|(_, c)| fits(c));
        let limit = cursor::limit(&page);
        if walk.order == WalkOrder::Newest {
            let before = cursor::start::<i64>(List::Newest, &page)?;
            let mut rows: Vec<_> = fitting.map(|(row, c)| (row, c.clone())).collect();
            rows.sort_by_key(|(row, _)| std::cmp::Reverse(*row));
            rows.retain(|(row, _)| before.is_none_or(|before| *row < before));
            return Ok(cursor::page(List::Newest, limit, rows));
        }
        let after = cursor::start::<(i64, String)>(List::Named, &page)?;
        let mut rows: Vec<_> = fitting
            .flat_map(|(row, c)| names(&walk.order, c).into_iter().map(move |name| (name, row, c)))
            .collect();
        rows.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        rows.retain(|(name, row, _)| {
            after
                .as_ref()
                .is_none_or(|after| (name, *row) > (&after.1, after.0))
        });
        let keyed = |(name, row, c): (String, i64, &Certificate)| ((row, name), (row, c.clone()));
        let found = cursor::page(List::Named, limit, rows.into_iter().map(keyed).collect());
        Ok(Page {
            items: cursor::once(found.items),
            next: found.next,
        })
    }

    async fn newest_of(&self, identity: Id, limit: u32) -> Result<Vec<Certificate>, StoreError> {
        let inner = self.lock();
        let newest = inner.state.certificates_of(identity);
        Ok(newest.take(limit as usize).cloned().collect())
    }

    async fn serials_starting(&self, start: SerialStart, limit: u32) -> Result<Vec<Certificate>, StoreError> {
        let inner = self.lock();
        let all = inner.state.certificates().map(|(_, certificate)| certificate);
        let begins = |c: &&Certificate| c.serial.to_string().starts_with(start.as_str());
        let mut found: Vec<_> = all.filter(begins).cloned().collect();
        found.sort_by(|a, b| a.serial.as_bytes().cmp(b.serial.as_bytes()));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn hosts_starting(&self, start: String, page: PageRequest) -> Result<Page<HostRow>, StoreError> {
        let everything = PageRequest {
            limit: u32::MAX,
            cursor: page.cursor.clone(),
        };
        let after = cursor::start::<IdentityName>(List::Hosts, &everything)?;
        let inner = self.lock();
        let wanted = inner.state.identities().filter(|identity| {
            identity.kind == IdentityKind::Host
                && identity.name.as_str().starts_with(&start)
                && after.as_ref().is_none_or(|after| identity.name > *after)
        });
        let rows = wanted.map(|identity| (identity.name.clone(), inner.row(identity)));
        Ok(cursor::page(List::Hosts, cursor::limit(&page), rows.collect()))
    }

    async fn expiry_counts(&self, edges: Vec<Timestamp>) -> Result<Vec<ExpiryCounts>, StoreError> {
        let inner = self.lock();
        let count = |kind, from: Timestamp, to: Timestamp| {
            let fits =
                |c: &Certificate| c.kind == kind && is_open(c) && c.not_after >= from && c.not_after < to;
            inner.state.certificates().filter(|(_, c)| fits(c)).count() as u64
        };
        let of = |kind| ExpiryCounts {
            kind,
            counts: edges
                .windows(2)
                .map(|pair| count(kind, pair[0], pair[1]))
                .collect(),
        };
        Ok([IdentityKind::Host, IdentityKind::Client].map(of).to_vec())
    }

    async fn soonest_ends(&self, now: Timestamp) -> Result<Vec<(IdentityKind, Timestamp)>, StoreError> {
        let inner = self.lock();
        let soonest = |kind| {
            let fits = |c: &&Certificate| c.kind == kind && is_open(c) && c.not_after >= now;
            let all = inner.state.certificates().map(|(_, c)| c).filter(fits);
            all.map(|c| c.not_after).min().map(|end| (kind, end))
        };
        let kinds = [IdentityKind::Host, IdentityKind::Client];
        Ok(kinds.into_iter().filter_map(soonest).collect())
    }

    async fn due_counts(&self, edges: Vec<Timestamp>) -> Result<Vec<u64>, StoreError> {
        let inner = self.lock();
        let count = |from: Timestamp, to: Timestamp| {
            let fits = |c: &Certificate| is_open(c) && c.renew_after >= from && c.renew_after < to;
            inner.state.certificates().filter(|(_, c)| fits(c)).count() as u64
        };
        Ok(edges.windows(2).map(|pair| count(pair[0], pair[1])).collect())
    }

    async fn host_counts(&self, since: Timestamp, except: &IdentityName) -> Result<HostCounts, StoreError> {
        let inner = self.lock();
        let mut counts = HostCounts::default();
        let hosts = inner.state.identities().filter(|i| i.kind == IdentityKind::Host);
        for host in hosts.filter(|host| host.name != *except) {
            counts.joined += 1;
            let Some(status) = inner.state.report(host.id) else {
                continue;
            };
            *match status.report.health() {
                _ if status.reported_at < since => &mut counts.silent,
                Health::Well => &mut counts.well,
                Health::Unhealthy => &mut counts.unhealthy,
                Health::Behind => &mut counts.behind,
            } += 1;
        }
        Ok(counts)
    }

    async fn hosts_with(
        &self,
        health: Health,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<HostRow>, StoreError> {
        let inner = self.lock();
        let is_so = |status: &HostStatus| status.reported_at >= since && status.report.health() == health;
        let mut found: Vec<_> = inner.state.identities().collect();
        found.retain(|identity| inner.state.report(identity.id).is_some_and(is_so));
        found.sort_by_key(|identity| inner.state.number_of(identity.id));
        found.truncate(limit as usize);
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found.into_iter().map(|identity| inner.row(identity)).collect())
    }

    async fn silent_hosts(&self, since: Timestamp, limit: u32) -> Result<Vec<HostRow>, StoreError> {
        let inner = self.lock();
        let is_silent = |status: &HostStatus| status.reported_at < since;
        let silent = inner
            .state
            .identities()
            .filter(|identity| inner.state.report(identity.id).is_some_and(is_silent));
        let mut silent: Vec<HostRow> = silent.map(|identity| inner.row(identity)).collect();
        sort_newest_lost(&mut silent, limit);
        Ok(silent)
    }

    async fn overdue(&self, due: Timestamp, now: Timestamp, limit: u32) -> Result<Overdue, StoreError> {
        let inner = self.lock();
        let all = inner.state.certificates();
        let fits = |c: &&Certificate| is_open(c) && c.renew_after < due && c.not_after >= now;
        let mut late: Vec<_> = all.map(|(_, c)| c).filter(fits).cloned().collect();
        late.sort_by_key(|certificate| certificate.renew_after);
        let count = late.len() as u64;
        late.truncate(limit as usize);
        Ok(Overdue { count, first: late })
    }
}

/// Neither replaced nor revoked.
fn is_open(certificate: &Certificate) -> bool {
    certificate.superseded_by.is_none()
        && certificate.status(certificate.not_after) == CertificateStatus::Valid
}

/// The names that this order finds a certificate by.
fn names(order: &WalkOrder, certificate: &Certificate) -> BTreeSet<String> {
    let own = certificate.name.to_string();
    match order {
        WalkOrder::Beginning(start) => {
            let sans = certificate.sans.iter().map(ToString::to_string);
            sans.chain([own]).filter(|name| name.starts_with(start)).collect()
        }
        WalkOrder::Name | WalkOrder::Newest => BTreeSet::from([own]),
    }
}
