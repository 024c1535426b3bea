//! A server that is killed at any moment, or whose disk fails to sync, has lost nothing it answered, and
//! answers a repeated request with what it had stored.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dockwarden::base::{Id, Random, SeededRandom, SystemRandom, Timestamp, encoding};
use dockwarden::model::audit::{Actor, Chain};
use dockwarden::model::{
    Approval, Certificate, CertificateFilter, Identity, IdentityKind, IssuerKind, Labels, NameRules,
    PageRequest, Token,
};
use dockwarden::pki::Serial;
use dockwarden::store::sqlite::{Missing, SqliteStore};
use dockwarden::store::{AuditFilter, Enrolled, Enrollment, Store, StoreError};

/// Tells the child which database to write to.
const DATABASE: &str = "DOCKWARDEN_TEST_CRASH_DATABASE";
/// Tells the child which host to begin with.
const FIRST: &str = "DOCKWARDEN_TEST_CRASH_FIRST";
/// Tells the child after which host to end by itself.
const LAST: &str = "DOCKWARDEN_TEST_CRASH_LAST";
/// The child's own test.
const CHILD: &str = "store_crash::child_enrols_until_it_is_killed";
const ROUNDS: u32 = 20;
const CALLERS: u32 = 24;
const USES: u32 = 1_000_000;

fn token() -> Token {
    Token {
        id: Id::from_bytes([7; 16]),
        secret_sha256: [7; 32],
        kind: IdentityKind::Host,
        rules: NameRules::default(),
        sources: Vec::new(),
        uses_max: USES,
        uses_left: USES,
        expires_at: now() + Duration::from_secs(3600),
        labels: Labels::default(),
        role: None,
        permission: None,
        approval: Approval::Auto,
        replace: false,
        created_at: now(),
        created_by: "test".to_owned(),
        reason: "to be killed".to_owned(),
        deleted_at: None,
    }
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// Host `number` asks: always with the same key, each time with a new certificate.
fn enrollment(number: u32) -> Enrollment {
    let random: &dyn Random = &SystemRandom;
    let identity = Identity {
        id: Id::draw(random),
        kind: IdentityKind::Host,
        name: format!("host-{number}").parse().unwrap(),
        rules: NameRules::default(),
        labels: Labels::default(),
        role: None,
        permission: None,
        created_at: now(),
    };
    let certificate = Certificate {
        serial: Serial::draw(random),
        issuer: IssuerKind::Hosts,
        identity: identity.id,
        name: identity.name.clone(),
        kind: IdentityKind::Host,
        sans: vec![identity.name.as_str().parse().unwrap()],
        not_before: now(),
        not_after: now() + Duration::from_secs(86_400),
        issued_at: now(),
        renew_after: now() + Duration::from_secs(43_200),
        spki_sha256: encoding::sha256(&number.to_be_bytes()),
        der: random.bytes::<700>().to_vec(),
        token: None,
        renewed_from: None,
        superseded_by: None,
        revoked_at: None,
    };
    Enrollment {
        token: token().id,
        identity,
        certificate,
        source: None,
        now: now(),
    }
}

/// The child: enrols hosts `FIRST`, `FIRST` + 1, ... and prints each number with the serial it got. Asks
/// again when it got none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started, and killed, by the tests of this file"]
async fn child_enrols_until_it_is_killed() {
    let Ok(path) = std::env::var(DATABASE) else {
        return;
    };
    let number = |name| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let store = Arc::new(
        SqliteStore::open(Path::new(&path), Missing::Refuse)
            .await
            .unwrap(),
    );
    let (next, last) = (Arc::new(AtomicU32::new(number(FIRST))), number(LAST));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (store, next) = (store.clone(), next.clone());
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > last {
                    break;
                }
                enroll(&store, number).await;
            }
        });
    }
    callers.join_all().await;
    store.close().await;
}

async fn enroll(store: &SqliteStore, number: u32) {
    loop {
        let wanted = enrollment(number);
        let new = wanted.certificate.serial.clone();
        let serial = match store.enroll(wanted).await {
            Ok(Enrolled::Issued { .. }) => new,
            Ok(Enrolled::Repeated(certificate)) => certificate.serial,
            Err(StoreError::Unavailable { why, .. }) => {
                say(&format!("failed {why}"));
                continue;
            }
            other => panic!("host {number}: {other:?}"),
        };
        return say(&format!("ack {number} {serial}"));
    }
}

/// Whole lines, whatever the test harness has printed before.
fn say(line: &str) {
    writeln!(std::io::stdout().lock(), "\n{line}").unwrap();
}

/// Starts this test binary again, as the child; through `wrapper`, when that is not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "a test starts itself again, as the process to kill"
)]
fn start_child(
    wrapper: &[&str],
    database: &Path,
    hosts: RangeInclusive<u32>,
) -> (Child, BufReader<ChildStdout>) {
    let itself = std::env::current_exe().unwrap();
    let mut words: Vec<&OsStr> = wrapper.iter().map(OsStr::new).collect();
    words.push(itself.as_os_str());
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .env(FIRST, hosts.start().to_string())
        .env(LAST, hosts.end().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{:?} does not run ({e}): install it", words[0]));
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// Lets a child enrol, kills it `after` its first answer, and returns what it had answered.
fn run_and_kill(database: &Path, first: u32, after: Duration) -> Vec<(u32, Serial)> {
    let (mut child, mut output) = start_child(&[], database, first..=u32::MAX);
    let mut text = String::new();
    while !text.contains("ack ") {
        assert_ne!(
            output.read_line(&mut text).unwrap(),
            0,
            "the child ended by itself:\n{text}"
        );
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_string(&mut text).unwrap();
    text.lines().filter_map(answered).collect()
}

fn answered(line: &str) -> Option<(u32, Serial)> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().unwrap()))
}

async fn new_database(directory: &tempfile::TempDir) -> PathBuf {
    let database = directory.path().join("dockwarden.db");
    let store = SqliteStore::open(&database, Missing::Create).await.unwrap();
    store.create_token(token(), Actor::System, None).await.unwrap();
    store.close().await;
    database
}

#[tokio::test]
async fn whatever_was_answered_before_a_kill_is_there_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let database = new_database(&directory).await;
    let random: &dyn Random = &SeededRandom::new(20);
    let mut known: BTreeMap<u32, Serial> = BTreeMap::new();
    for round in 0..ROUNDS {
        // Begins again with the first host that has no answer: some of those have a certificate.
        let first = (0..).find(|number| !known.contains_key(number)).unwrap();
        let after = Duration::from_micros(random.between(0.0..60_000.0) as u64);
        for (number, serial) in run_and_kill(&database, first, after) {
            let before = known.insert(number, serial.clone());
            assert!(
                before.is_none_or(|before| before == serial),
                "host {number} has two certificates"
            );
        }
        check(&database, &known, round).await;
    }
    assert!(known.len() > 100, "the children did something");
}

/// Every connection's 20th sync fails. SQLite gives such a commit up; whoever shared it asks again, on a
/// new connection.
#[tokio::test]
async fn a_sync_that_fails_is_no_answer_and_loses_none() {
    const HOSTS: u32 = 1500;
    let directory = tempfile::tempdir().unwrap();
    let database = new_database(&directory).await;
    let failing = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
    ];
    let wrapper = [&failing[..], &["-e", "inject=fsync,fdatasync:error=EIO:when=20"]].concat();
    let (mut child, mut output) = start_child(&wrapper, &database, 1..=HOSTS);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let failures: Vec<&str> = text.lines().filter(|line| line.starts_with("failed ")).collect();
    let said = "failed the disk failed to read or write: look at the kernel's log (";
    assert!(!failures.is_empty(), "no sync failed:\n{text}");
    assert!(
        failures.iter().all(|failure| failure.starts_with(said)),
        "{failures:?}"
    );
    let known: BTreeMap<u32, Serial> = text.lines().filter_map(answered).collect();
    assert!(
        known.keys().copied().eq(1..=HOSTS),
        "everybody is answered in the end"
    );
    check(&database, &known, 0).await;
}

async fn check(database: &Path, known: &BTreeMap<u32, Serial>, round: u32) {
    assert_eq!(integrity(database).await, ["ok"]);
    let store = SqliteStore::open(database, Missing::Refuse).await.unwrap();
    let stored = all_certificates(&store).await;
    for (number, serial) in known {
        let certificate = stored.get(serial);
        let key = certificate.map(|certificate| certificate.spki_sha256);
        assert_eq!(
            key,
            Some(encoding::sha256(&number.to_be_bytes())),
            "round {round}: host {number}"
        );
    }
    let spent = USES - store.token(token().id).await.unwrap().unwrap().uses_left;
    assert_eq!(
        spent as usize,
        stored.len(),
        "round {round}: uses spent and certificates"
    );
    assert_eq!(
        audited(&store).await,
        stored.len(),
        "round {round}: audit records and certificates"
    );
    for certificate in stored.values() {
        let identity = store.identity_by_id(certificate.identity).await.unwrap().unwrap();
        assert_eq!(identity.name, certificate.name);
    }
    store.close().await;
}

async fn integrity(database: &Path) -> Vec<String> {
    use sqlx::{ConnectOptions as _, Connection as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.unwrap();
    let found = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    found
}

fn page(cursor: Option<String>) -> PageRequest {
    PageRequest { limit: 1000, cursor }
}

async fn all_certificates(store: &SqliteStore) -> BTreeMap<Serial, Certificate> {
    let (mut all, mut cursor) = (BTreeMap::new(), None);
    loop {
        let filter = CertificateFilter::default();
        let found = store.certificates(filter, now(), page(cursor)).await.unwrap();
        all.extend(found.items.into_iter().map(|c| (c.serial.clone(), c)));
        cursor = found.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// Checks the chain; gives the number of certificates it speaks of.
async fn audited(store: &SqliteStore) -> usize {
    let filter = AuditFilter {
        subject: None,
        after: Some(0),
    };
    let (mut chain, mut issued, mut cursor) = (Chain::default(), 0, None);
    loop {
        let found = store.audit(filter.clone(), page(cursor)).await.unwrap();
        for record in &found.items {
            chain.check(record).unwrap();
            issued += usize::from(record.action == "certificate.issue");
        }
        cursor = found.next;
        if cursor.is_none() {
            return issued;
        }
    }
}
