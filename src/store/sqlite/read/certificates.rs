//! The list of certificates: conditions from a filter, always in order of expiry.

use sqlx::{QueryBuilder, Sqlite};

use super::super::super::canonical_name;
use super::super::sql;
use crate::base::Timestamp;
use crate::model::{CertificateFilter, CertificateStatus};

/// The query for a page of certificates after the one with this expiry and number.
pub fn query(
    filter: &CertificateFilter,
    now: Timestamp,
    after: Option<(i64, i64)>,
    limit: i64,
) -> QueryBuilder<Sqlite> {
    let mut query = start(filter);
    keys(&mut query, filter);
    expiry(&mut query, filter, now);
    with_statuses(&mut query, &filter.statuses, now);
    // A `+` keeps SQLite from walking the index on expiry where another key has few rows.
    let column = if is_narrow(filter) {
        "+c.not_after"
    } else {
        "c.not_after"
    };
    if let Some((not_after, number)) = after {
        query
            .push(" AND (")
            .push(column)
            .push(", c.id) > (")
            .push_bind(not_after);
        query.push(", ").push_bind(number).push(")");
    }
    query
        .push(" ORDER BY ")
        .push(column)
        .push(", c.id LIMIT ")
        .push_bind(limit);
    query
}

/// Whether a key in the filter leaves few certificates to sort.
fn is_narrow(filter: &CertificateFilter) -> bool {
    filter.name.is_some() || filter.serial.is_some() || filter.identity.is_some()
}

fn start(filter: &CertificateFilter) -> QueryBuilder<Sqlite> {
    let Some(name) = &filter.name else {
        return QueryBuilder::new(sql::CERTIFICATES);
    };
    let mut query = QueryBuilder::new(sql::CERTIFICATES_NAMED);
    query.push_bind(canonical_name(name));
    query
}

fn keys(query: &mut QueryBuilder<Sqlite>, filter: &CertificateFilter) {
    if let Some(serial) = &filter.serial {
        query
            .push(" AND c.serial = ")
            .push_bind(serial.as_bytes().to_vec());
    }
    if let Some(identity) = filter.identity {
        query.push(" AND c.holder = (SELECT number FROM identity WHERE id = ");
        query.push_bind(identity.as_bytes().to_vec()).push(")");
    }
    if let Some(kind) = filter.kind {
        query.push(" AND c.kind = ").push_bind(kind.as_str());
    }
}

/// Bounds on the expiry, also those that follow from the statuses, so that the index on it is entered at
/// the right place.
fn expiry(query: &mut QueryBuilder<Sqlite>, filter: &CertificateFilter, now: Timestamp) {
    use CertificateStatus::{Expired, Revoked, Superseded, Valid};
    let statuses = &filter.statuses;
    let within = |allowed: [CertificateStatus; 2]| {
        !statuses.is_empty() && statuses.iter().all(|status| allowed.contains(status))
    };
    let column = if is_narrow(filter) {
        "+c.not_after"
    } else {
        "c.not_after"
    };
    if filter.expires_within.is_some() || within([Valid, Superseded]) {
        query
            .push(" AND ")
            .push(column)
            .push(" >= ")
            .push_bind(now.as_millis());
    }
    if let Some(soon) = filter.expires_within {
        query
            .push(" AND ")
            .push(column)
            .push(" <= ")
            .push_bind((now + soon).as_millis());
    }
    if within([Expired, Expired]) {
        query
            .push(" AND ")
            .push(column)
            .push(" < ")
            .push_bind(now.as_millis());
    }
    // What the index on certificates in use is made for.
    if within([Valid, Valid]) {
        query.push(" AND c.superseded_by IS NULL AND c.revoked_at IS NULL");
    }
    if within([Revoked, Revoked]) {
        query.push(" AND c.revoked_at IS NOT NULL");
    }
}

/// The same order of precedence as [`crate::model::Certificate::status`].
pub fn with_statuses(query: &mut QueryBuilder<Sqlite>, statuses: &[CertificateStatus], now: Timestamp) {
    if statuses.is_empty() {
        return;
    }
    query.push(" AND CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked' WHEN c.not_after < ");
    query.push_bind(now.as_millis());
    query.push(" THEN 'expired' WHEN c.superseded_by IS NOT NULL THEN 'superseded' ELSE 'valid' END IN (");
    let mut words = query.separated(", ");
    for status in statuses {
        words.push_bind(status.as_str());
    }
    query.push(")");
}
