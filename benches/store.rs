//! Durable enrolments per second on the SQLite store, by number of callers that wait for their answers.
//!
//! `cargo bench --bench store`: each item is one `enroll` that was answered after its commit was synced.
//! The database lies in the directory for temporary files; set `TMPDIR` to try another disk.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockwarden::base::{Id, Random, SeededRandom, Timestamp};
use dockwarden::model::audit::Actor;
use dockwarden::model::{
    Approval, Certificate, Identity, IdentityKind, IssuerKind, Labels, NameRules, Token,
};
use dockwarden::pki::{San, Serial};
use dockwarden::store::sqlite::{Missing, SqliteStore};
use dockwarden::store::{Enrolled, Enrollment, Renewal, Renewed, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// Bytes of a P-256 leaf with the usual extensions.
const DER_BYTES: usize = 700;

/// How hosts are called. Names that follow each other share pages of the indexes; a commit costs what it
/// dirties.
#[derive(Clone, Copy)]
enum Naming {
    Numbered,
    Random,
}

struct Bench {
    naming: Naming,
    hosts: AtomicU32,
    runtime: Runtime,
    store: Arc<SqliteStore>,
    random: Arc<dyn Random>,
    _directory: TempDir,
}

impl Bench {
    fn new(naming: Naming) -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let runtime = Runtime::new().expect("a runtime");
        let path = directory.path().join("dockwarden.db");
        let store = runtime
            .block_on(SqliteStore::open(&path, Missing::Create))
            .expect("a new database");
        Self {
            naming,
            hosts: AtomicU32::new(0),
            runtime,
            store: Arc::new(store),
            random: Arc::new(SeededRandom::new(1)),
            _directory: directory,
        }
    }

    fn token(&self, uses: u32) -> Id {
        let token = self.new_token(uses);
        let id = token.id;
        self.run(1, vec![token], create_token);
        id
    }

    /// An enrolment each, with a token of its own.
    fn with_tokens(&self, count: usize) -> Vec<Enrollment> {
        let tokens: Vec<Token> = (0..count).map(|_| self.new_token(1)).collect();
        let enrollments = tokens.iter().map(|token| self.enrollment(token.id)).collect();
        self.run(256, tokens, create_token);
        enrollments
    }

    fn new_token(&self, uses: u32) -> Token {
        Token {
            id: Id::draw(&*self.random),
            secret_sha256: self.random.bytes(),
            kind: IdentityKind::Host,
            rules: rules(),
            sources: Vec::new(),
            uses_max: uses,
            uses_left: uses,
            expires_at: now() + Duration::from_secs(3600),
            labels: Labels::default(),
            role: None,
            permission: None,
            approval: Approval::Auto,
            replace: false,
            created_at: now(),
            created_by: "bench".to_owned(),
            reason: String::new(),
            deleted_at: None,
        }
    }

    fn enrollment(&self, token: Id) -> Enrollment {
        let id = Id::draw(&*self.random);
        let host = match self.naming {
            Naming::Numbered => self.hosts.fetch_add(1, Ordering::Relaxed),
            Naming::Random => u32::from_be_bytes(self.random.bytes()),
        };
        let name = format!("web-{host:010}.fleet.internal");
        let identity = Identity {
            id,
            kind: IdentityKind::Host,
            name: name.parse().expect("a name"),
            rules: rules(),
            labels: Labels::default(),
            role: None,
            permission: None,
            created_at: now(),
        };
        Enrollment {
            token,
            certificate: self.certificate(&identity, host),
            identity,
            source: Some(IpAddr::from([10, 20, 0, 1])),
            now: now(),
        }
    }

    fn certificate(&self, identity: &Identity, host: u32) -> Certificate {
        let address = IpAddr::from(host.to_be_bytes());
        let sans = ["localhost", "127.0.0.1", "::1"].map(|san| san.parse().expect("a name"));
        let own: San = identity.name.as_str().parse().expect("a name");
        let mut der = vec![0; DER_BYTES];
        self.random.fill(&mut der);
        Certificate {
            serial: Serial::draw(&*self.random),
            issuer: IssuerKind::Hosts,
            identity: identity.id,
            name: identity.name.clone(),
            kind: IdentityKind::Host,
            sans: [vec![own, San::Ip(address)], sans.to_vec()].concat(),
            not_before: now(),
            not_after: now() + Duration::from_secs(30 * 86_400),
            issued_at: now(),
            renew_after: now() + Duration::from_secs(20 * 86_400),
            spki_sha256: self.random.bytes(),
            der,
            token: None,
            renewed_from: None,
            superseded_by: None,
            revoked_at: None,
        }
    }

    fn renewal(&self, current: &Enrollment) -> Renewal {
        Renewal {
            current: current.certificate.serial.clone(),
            certificate: self.certificate(&current.identity, 0),
            source: None,
            now: now(),
        }
    }

    /// `callers` tasks, each with one operation under way at a time.
    fn run<T: Send + 'static, F: Future<Output = ()> + Send>(
        &self,
        callers: usize,
        work: Vec<T>,
        call: impl Fn(Arc<SqliteStore>, T) -> F + Copy + Send + 'static,
    ) {
        let work = Arc::new(Mutex::new(work));
        self.runtime.block_on(async {
            let mut running = tokio::task::JoinSet::new();
            for _ in 0..callers {
                let (work, store) = (work.clone(), self.store.clone());
                running.spawn(async move {
                    loop {
                        let next = work.lock().expect("no panic").pop();
                        let Some(next) = next else { break };
                        call(store.clone(), next).await;
                    }
                });
            }
            running.join_all().await;
        });
    }
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn rules() -> NameRules {
    NameRules {
        names: vec!["web-*.fleet.internal".parse().expect("a pattern")],
        addresses: vec!["10.20.0.0/16".parse().expect("a range")],
    }
}

async fn create_token(store: Arc<SqliteStore>, token: Token) {
    let created = store.create_token(token, Actor::System, None).await;
    created.expect("a token is stored");
}

async fn enroll(store: Arc<SqliteStore>, enrollment: Enrollment) {
    let enrolled = store.enroll(enrollment).await.expect("an answer");
    assert!(matches!(enrolled, Enrolled::Issued { .. }), "{enrolled:?}");
}

async fn renew(store: Arc<SqliteStore>, renewal: Renewal) {
    let renewed = store.renew(renewal).await.expect("an answer");
    assert_eq!(renewed, Renewed::Issued);
}

/// Items in one sample: enough that starting and ending do not count.
fn items(callers: usize) -> usize {
    (callers * 64).clamp(512, 8192)
}

#[divan::bench(args = [1, 8, 64, 256], sample_count = 5, sample_size = 1)]
fn enroll_with_one_token(bencher: divan::Bencher, callers: usize) {
    let bench = Bench::new(Naming::Numbered);
    let token = bench.token(u32::MAX);
    bencher
        .counter(divan::counter::ItemsCount::new(items(callers)))
        .with_inputs(|| (0..items(callers)).map(|_| bench.enrollment(token)).collect())
        .bench_local_values(|work: Vec<Enrollment>| bench.run(callers, work, enroll));
}

#[divan::bench(args = [64, 256], sample_count = 5, sample_size = 1)]
fn enroll_hosts_with_random_names(bencher: divan::Bencher, callers: usize) {
    let bench = Bench::new(Naming::Random);
    let token = bench.token(u32::MAX);
    bencher
        .counter(divan::counter::ItemsCount::new(items(callers)))
        .with_inputs(|| (0..items(callers)).map(|_| bench.enrollment(token)).collect())
        .bench_local_values(|work: Vec<Enrollment>| bench.run(callers, work, enroll));
}

#[divan::bench(args = [64, 256], sample_count = 5, sample_size = 1)]
fn enroll_with_a_token_each(bencher: divan::Bencher, callers: usize) {
    let bench = Bench::new(Naming::Numbered);
    bencher
        .counter(divan::counter::ItemsCount::new(items(callers)))
        .with_inputs(|| bench.with_tokens(items(callers)))
        .bench_local_values(|work: Vec<Enrollment>| bench.run(callers, work, enroll));
}

#[divan::bench(args = [1, 64, 256], sample_count = 5, sample_size = 1)]
fn renew_certificates(bencher: divan::Bencher, callers: usize) {
    let bench = Bench::new(Naming::Numbered);
    let token = bench.token(u32::MAX);
    bencher
        .counter(divan::counter::ItemsCount::new(items(callers)))
        .with_inputs(|| {
            let hosts: Vec<_> = (0..items(callers)).map(|_| bench.enrollment(token)).collect();
            let renewals = hosts.iter().map(|host| bench.renewal(host)).collect();
            bench.run(256, hosts, enroll);
            renewals
        })
        .bench_local_values(|work: Vec<Renewal>| bench.run(callers, work, renew));
}

#[divan::bench(args = [1, 64], sample_count = 5, sample_size = 1)]
fn read_tokens(bencher: divan::Bencher, callers: usize) {
    let bench = Bench::new(Naming::Numbered);
    let token = bench.token(1);
    bencher
        .counter(divan::counter::ItemsCount::new(8192usize))
        .with_inputs(|| vec![token; 8192])
        .bench_local_values(|work: Vec<Id>| {
            bench.run(callers, work, |store, id| async move {
                assert!(store.token(id).await.expect("an answer").is_some());
            });
        });
}
