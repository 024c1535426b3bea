//! Lists are walked along an index, whatever the size of the database.

use std::time::Duration;

use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::super::look;
use super::super::read::{audit_query, certificates};
use super::super::sql;
use super::{Place, SqliteStore};
use crate::model::CertificateStatus::{Expired, Revoked, Superseded, Valid};
use crate::model::{CertificateFilter, CertificateStatus, IdentityKind};
use crate::store::conformance::fixture::*;
use crate::store::{AuditFilter, CertificateWalk, Store, UpkeepStore, WalkOrder};

const DAYS_30: Duration = Duration::from_secs(30 * 86_400);

async fn plan(connection: &mut SqliteConnection, text: &str) -> String {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
    let query = sqlx::query_with::<Sqlite, _>(explain, SqliteArguments::default());
    let rows = query.fetch_all(connection).await.unwrap();
    let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    steps.join("; ")
}

fn page(filter: &CertificateFilter, after: Option<(i64, i64)>) -> QueryBuilder<Sqlite> {
    certificates::query(filter, t0(), after, 100)
}

#[tokio::test]
async fn expiring_soon_is_one_range_of_the_index_on_expiry() {
    let place = Place::new();
    let store = place.create().await;
    let mut other = place.other().await;
    let soon = CertificateFilter {
        expires_within: Some(DAYS_30),
        ..Default::default()
    };
    for after in [None, Some((7, 7))] {
        let plan = plan(&mut other, page(&soon, after).sql().as_str()).await;
        let range = "SEARCH c USING INDEX certificate_expiry (not_after>? AND not_after<?)";
        assert_eq!(plan, range, "after {after:?}");
    }
    store.close().await;
}

/// Plans of the first and a later page of each list: they use the index, walk no table, and sort only
/// where `sorted`.
async fn check(lists: Vec<(CertificateFilter, &str)>, sorted: bool) {
    for tuned in [false, true] {
        check_on(&lists, sorted, tuned).await;
    }
}

/// A database with some rows of each kind, after its upkeep: that leaves no statistics which change a plan.
async fn filled_and_tuned(store: &SqliteStore) {
    for number in 1..=60 {
        let host = enroll_fresh(
            store,
            number,
            &format!("web-{number}.fleet.internal"),
            hour(number),
        )
        .await;
        if number % 3 == 0 {
            revoke(store, number, hour(number)).await;
        }
        store
            .renew(renewal(number + 1000, &host, number + 1000, hour(number)))
            .await
            .unwrap();
        store
            .submit_request(request(number, number + 500, number, hour(number)))
            .await
            .unwrap();
    }
    store.tune().await.unwrap();
}

async fn check_on(lists: &[(CertificateFilter, &str)], sorted: bool, tuned: bool) {
    let place = Place::new();
    let store = place.create().await;
    if tuned {
        filled_and_tuned(&store).await;
    }
    let mut other = place.other().await;
    for (filter, index) in lists {
        for after in [None, Some((7, 7))] {
            let plan = plan(&mut other, page(filter, after).sql().as_str()).await;
            // Walking an index from its start is how a first page begins; walking the table is not.
            let walks_table = plan.contains("SCAN") && !plan.contains(&format!("SCAN c USING INDEX {index}"));
            assert!(plan.contains(index) && !walks_table, "{filter:?} {tuned}: {plan}");
            assert_eq!(plan.contains("TEMP B-TREE"), sorted, "{filter:?}: {plan}");
        }
    }
    store.close().await;
}

fn with_status(statuses: &[CertificateStatus]) -> CertificateFilter {
    CertificateFilter {
        statuses: statuses.to_vec(),
        ..Default::default()
    }
}

#[tokio::test]
async fn long_lists_of_certificates_follow_an_index_and_are_not_sorted() {
    let clients = CertificateFilter {
        kind: Some(IdentityKind::Client),
        ..Default::default()
    };
    let clients_soon = CertificateFilter {
        expires_within: Some(DAYS_30),
        ..clients.clone()
    };
    let one = CertificateFilter {
        serial: Some(serial(1)),
        ..Default::default()
    };
    let lists = vec![
        (CertificateFilter::default(), "certificate_expiry"),
        // Either index will do: they differ in what is in them, not in how far they are walked.
        (with_status(&[Valid, Superseded]), "certificate_expiry"),
        (with_status(&[Expired]), "certificate_expiry"),
        (with_status(&[Revoked]), "certificate_revoked"),
        (clients, "certificate_kind_expiry"),
        (clients_soon, "certificate_kind_expiry"),
        (one, "(serial=?)"),
    ];
    check(lists, false).await;
}

#[tokio::test]
async fn the_few_certificates_of_a_name_or_an_identity_are_found_and_sorted() {
    let named = CertificateFilter {
        name: Some("web-1".to_owned()),
        ..Default::default()
    };
    let named_soon = CertificateFilter {
        expires_within: Some(DAYS_30),
        statuses: vec![Valid],
        ..named.clone()
    };
    let of = CertificateFilter {
        identity: Some(id(1)),
        ..with_status(&[Valid])
    };
    let lists = vec![
        (named, "PRIMARY KEY (name=?)"),
        (named_soon, "PRIMARY KEY (name=?)"),
        (of, "(holder=?"),
    ];
    check(lists, true).await;
}

#[tokio::test]
async fn searches_and_walks_follow_an_index_and_are_bounded() {
    let place = Place::new();
    let store = place.create().await;
    let mut other = place.other().await;
    let walk_of = |order, statuses: &[CertificateStatus]| CertificateWalk {
        order,
        statuses: statuses.to_vec(),
        kind: Some(IdentityKind::Host),
    };
    for statuses in [vec![], vec![Valid], vec![Revoked]] {
        for order in [WalkOrder::Name, WalkOrder::Beginning("web".to_owned())] {
            let walk = walk_of(order, &statuses);
            let query = look::named_query(("web", &walk), t0(), ("web", 7), 51);
            let plan = plan(&mut other, query.sql().as_str()).await;
            assert!(plan.contains("SEARCH n USING PRIMARY KEY"), "{plan}");
            assert!(plan.contains("SEARCH c USING INTEGER PRIMARY KEY"), "{plan}");
            assert!(!plan.contains("SCAN c") && !plan.contains("SCAN n"), "{plan}");
        }
        let query = look::newest_query(&walk_of(WalkOrder::Newest, &statuses), t0(), 9, 1, 51);
        let plan = plan(&mut other, query.sql().as_str()).await;
        assert_eq!(plan, "SEARCH c USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
    }
    store.close().await;
}

#[tokio::test]
async fn the_newest_certificates_of_an_identity_are_read_from_the_end_of_its_own() {
    let place = Place::new();
    let store = place.create().await;
    let mut other = place.other().await;
    let plan = plan(&mut other, sql::NEWEST_OF).await;
    assert!(
        plan.contains("SEARCH c USING INDEX certificate_holder (holder=?)"),
        "{plan}"
    );
    store.close().await;
}

#[tokio::test]
async fn counts_for_the_overview_read_whole_hours_and_what_is_left_of_one() {
    let place = Place::new();
    let store = place.create().await;
    let mut other = place.other().await;
    for (text, index) in [
        (
            sql::EXPIRY_COUNTS,
            "certificate_open (kind=? AND not_after>? AND not_after<?)",
        ),
        (
            sql::DUE_COUNTS,
            "certificate_due (renew_after>? AND renew_after<?)",
        ),
    ] {
        let plan = plan(&mut other, text).await;
        assert!(
            plan.contains("SEARCH h USING PRIMARY KEY (what=? AND hour>? AND hour<?)"),
            "{plan}"
        );
        assert!(
            plan.contains(&format!("SEARCH c USING COVERING INDEX {index}")),
            "{plan}"
        );
    }
    store.close().await;
}

#[tokio::test]
async fn hosts_in_trouble_are_found_without_reading_the_others() {
    let place = Place::new();
    let store = place.create().await;
    let mut other = place.other().await;
    for (text, heard) in [(sql::HOSTS_WITH, ">?"), (sql::SILENT_HOSTS, "<?")] {
        let plan = plan(&mut other, text).await;
        let search =
            format!("SEARCH h USING COVERING INDEX host_status_health (health=? AND reported_at{heard})");
        assert!(plan.contains(&search), "{plan}");
        for table in ["i", "s"] {
            assert!(
                plan.contains(&format!("SEARCH {table} USING INTEGER PRIMARY KEY")),
                "{plan}"
            );
        }
    }
    store.close().await;
}

/// Statements that are the same every time.
const PLAIN: [&str; 78] = [
    sql::HOST_COUNTS,
    sql::NEWEST_OF,
    sql::BINDINGS_OF,
    sql::DUE_COUNTS,
    sql::SOONEST_END,
    sql::SESSION,
    sql::SESSION_BY_LINK,
    sql::SESSION_BY_COOKIE,
    sql::SESSIONS,
    sql::SESSIONS_OF,
    sql::WALKED_TO,
    sql::SERIALS_STARTING,
    sql::HOSTS_STARTING,
    sql::EXPIRY_COUNTS,
    sql::COUNT_OVERDUE,
    sql::OVERDUE,
    sql::HEAD,
    sql::LOAD_TOKENS,
    sql::LOAD_TOKEN_KEYS,
    sql::LOAD_NAMED,
    sql::LOAD_IDENTITIES,
    sql::LOAD_SERIALS,
    sql::LOAD_HOLDER_KEYS,
    sql::LOAD_CURRENT,
    sql::LOAD_LIVE,
    sql::LOAD_REQUESTS,
    sql::LOAD_REQUEST_KEYS,
    sql::LOAD_WAITING,
    sql::SPEND_TOKENS,
    sql::DELETE_TOKENS,
    sql::UPDATE_IDENTITY,
    sql::UPDATE_CERTIFICATES,
    sql::DECIDE_REQUEST,
    sql::TOKEN,
    sql::TOKENS,
    sql::IDENTITY_NAMED,
    sql::IDENTITY,
    sql::IDENTITIES,
    sql::HOST,
    sql::HOSTS,
    sql::CERTIFICATE,
    sql::CERTIFICATE_BY_KEY,
    sql::COUNT_CERTIFICATES,
    sql::REQUESTS,
    sql::REQUESTS_WAITING,
    sql::LOAD_HELD,
    sql::LOAD_REVOKED,
    sql::UNSETTLED,
    sql::FEED_NUMBER,
    sql::FEED,
    sql::CHANGE,
    sql::REVOCATION,
    sql::REVOCATIONS,
    sql::REVOCATIONS_OF,
    sql::PROGRESS,
    sql::MISSING,
    sql::LOAD_ENDED,
    sql::LOAD_ENDED_TOKENS,
    sql::LOAD_OLDEST_AUDIT,
    sql::REMOVE_CERTIFICATES,
    sql::REMOVE_NAMES,
    sql::REMOVE_TOKENS,
    sql::REMOVE_TOKEN_REQUESTS,
    sql::AUDIT_CHECKPOINT,
    sql::LAST_NUMBERS,
    sql::LOAD_PROBLEMS,
    sql::LOAD_REMINDED,
    sql::LOAD_NOTIFICATION,
    sql::PROBLEMS,
    sql::PROBLEMS_OPEN,
    sql::NOTIFICATIONS,
    sql::NOTIFICATIONS_WAITING,
    sql::NEXT_NOTIFICATION,
    sql::WAITING,
    sql::LOAD_OVER,
    sql::LOAD_DELIVERED,
    sql::REMOVE_PROBLEMS,
    sql::REMOVE_NOTIFICATIONS,
];

#[tokio::test]
async fn no_other_statement_reads_a_whole_table() {
    no_scans(false).await;
    no_scans(true).await;
}

#[tokio::test]
async fn what_is_not_revoked_is_counted_in_indexes_alone() {
    let place = Place::new();
    let store = place.create().await;
    let mut other = place.other().await;
    for text in [sql::COUNT_CERTIFICATES, sql::SOONEST_END, sql::COUNT_OVERDUE] {
        let plan = plan(&mut other, text).await;
        let reads = plan.split("; ").filter(|step| step.contains("INDEX"));
        let mut reads = reads.filter(|step| !step.contains("certificate_issuer_revoked"));
        assert!(reads.all(|step| step.contains("COVERING INDEX")), "{plan}");
    }
    store.close().await;
}

async fn no_scans(tuned: bool) {
    let place = Place::new();
    let store = place.create().await;
    if tuned {
        filled_and_tuned(&store).await;
    }
    let mut other = place.other().await;
    let mut texts: Vec<String> = PLAIN.map(str::to_owned).to_vec();
    for (after, subject) in [
        (None, None),
        (None, Some("x")),
        (Some(1), None),
        (Some(1), Some("x")),
    ] {
        let subject = subject.map(str::to_owned);
        texts.push(
            audit_query(&AuditFilter { subject, after }, None, 10)
                .sql()
                .as_str()
                .to_owned(),
        );
    }
    for text in texts {
        let plan = plan(&mut other, &text).await;
        let scans: Vec<&str> = plan
            .split("; ")
            .filter(|step| step.contains("SCAN") && !step.contains("SCAN k VIRTUAL TABLE"))
            // One row each.
            .filter(|step| !step.contains("SCAN CONSTANT ROW") && !step.contains("SCAN (subquery"))
            .collect();
        assert!(scans.is_empty(), "{text}\n{plan}");
        assert!(
            !plan.contains("TEMP B-TREE FOR ORDER BY") || text.contains("a.subject ="),
            "{text}\n{plan}"
        );
    }
    store.close().await;
}
