//! Durable enrolments per second through HTTPS, next to the ceiling that the crypto alone sets on the same machine in
//! the same run.
//!
//! `cargo bench --bench load [-- --enrolments N --connections N]`
//!
//! Starts the real server on a new database on disk, makes all keys and requests before the clock starts, and enrols
//! over connections that are kept, then over a new one for each. Server and load share the processors. Afterwards the
//! server is killed, as by a power cut of its own process, and the certificates in the database are counted.

#[expect(dead_code, reason = "each bench uses its part of what they share")]
#[path = "../support/mod.rs"]
mod support;

mod ceiling;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use dockwarden::model::IdentityKind;
use dockwarden::pki::{KeyAlgorithm, LeafKey, csr};
use dockwarden::wire::EnrollRequest;
use support::http::{Connection, Target, post};
use support::server::Place;
use support::{Running, clock, processor_time};

/// What a token may be used for at most.
const USES_MAX: u32 = 100_000;

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Enrolments of each kind
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    enrolments: u32,
    /// Connections at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Only keep-alive, or only a new connection each (for profilers)
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    KeepAlive,
    NewConnection,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism()?.get();
    println!(
        "{processors} processors, {} connections, {} enrolments of each kind",
        options.connections, options.enrolments
    );
    let ceiling = ceiling::measure(processors);
    println!(
        "ceiling: one P-256 verification and one signature: {:.0}/s on one processor, {:.0}/s on all\n",
        ceiling.one, ceiling.all
    );

    let scratch = support::directory()?;
    let place = Place::init(scratch.path())?;
    let server = place.start()?;
    let target = Target::new(place.address, &place.ca()?, None)?;
    let token = place.token("*.load.test", USES_MAX).await?;
    let count = usize::try_from(options.enrolments)?;
    let began = clock();
    let kinds = [Kind::KeepAlive, Kind::NewConnection];
    let kinds = kinds
        .into_iter()
        .filter(|kind| options.only.is_none_or(|only| only == *kind));
    let batches: Vec<_> = kinds
        .map(|kind| (kind, Arc::new(requests(kind, count, &token))))
        .collect();
    let made = batches.len() * count;
    println!(
        "{made} keys and requests made before: {:.0} µs each",
        micros(began.elapsed(), made)
    );

    for (kind, requests) in batches {
        let result = run(&server, &target, requests, options.connections, kind).await?;
        println!("{}", result.line(kind, &ceiling));
    }
    println!("resident: {} KiB at its peak", server.status_kib("VmHWM")?);
    server.kill()?;
    let stored = stored(&place.database()).await?;
    ensure!(
        stored == made,
        "{stored} certificates in the database, {made} were given out"
    );
    println!("\nthe server was killed; all {stored} certificates are in the database");
    Ok(())
}

/// Whole HTTP requests, each with a key and a name of its own.
fn requests(kind: Kind, count: usize, token: &str) -> Vec<Vec<u8>> {
    let one = |index: usize| {
        let name = format!("{}-{index}.load.test", kind.name());
        let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let sans = [
            name.parse().expect("a name"),
            "127.0.0.1".parse().expect("an address"),
        ];
        let request = EnrollRequest {
            profile: Some(IdentityKind::Host),
            token: token.to_owned(),
            csr: csr::make(&key, &name.parse().expect("a name"), &sans).to_pem(),
            names: Vec::new(),
            addresses: Vec::new(),
            labels: Default::default(),
        };
        post("/enroll", &serde_json::to_string(&request).expect("JSON"))
    };
    (0..count).map(one).collect()
}

struct Outcome {
    took: Duration,
    latencies: Vec<Duration>,
    server: (Duration, Duration),
    generator: Duration,
}

async fn run(
    server: &Running,
    target: &Target,
    requests: Arc<Vec<Vec<u8>>>,
    connections: u32,
    kind: Kind,
) -> anyhow::Result<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    let server_before = server.processor_time()?;
    let own_before = processor_time("/proc/self/stat")?;
    let began = clock();
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            tokio::spawn(work(
                target.clone(),
                Arc::clone(&requests),
                Arc::clone(&next),
                kind,
            ))
        })
        .collect();
    let mut latencies = Vec::with_capacity(requests.len());
    for worker in workers {
        latencies.extend(worker.await??);
    }
    let took = began.elapsed();
    latencies.sort();
    let (server_after, own_after) = (server.processor_time()?, processor_time("/proc/self/stat")?);
    Ok(Outcome {
        took,
        latencies,
        server: (server_after.0 - server_before.0, server_after.1 - server_before.1),
        generator: own_after.0 + own_after.1 - own_before.0 - own_before.1,
    })
}

/// One connection's share: takes the next request until none is left.
async fn work(
    target: Target,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    kind: Kind,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut kept: Option<Connection> = None;
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = clock();
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => target.connect().await?,
        };
        let (status, body) = connection.call(request).await?;
        ensure!(
            status == 201,
            "refused ({status}): {}",
            String::from_utf8_lossy(body)
        );
        latencies.push(began.elapsed());
        if kind == Kind::KeepAlive {
            kept = Some(connection);
        } else {
            connection.close().await;
        }
    }
    Ok(latencies)
}

fn micros(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive",
            Self::NewConnection => "new-connection",
        }
    }
}

impl Outcome {
    fn line(&self, kind: Kind, ceiling: &ceiling::Ceiling) -> String {
        let count = self.latencies.len();
        let rate = count as f64 / self.took.as_secs_f64();
        let percentile = |part: usize| self.latencies[(count - 1) * part / 1000].as_secs_f64() * 1e3;
        format!(
            "{:15} {:6.0}/s = {:.0} % of the ceiling; p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms; processor time each: \
             server {:.0} µs + {:.0} µs in the kernel, load {:.0} µs",
            kind.name(),
            rate,
            rate / ceiling.all * 100.0,
            percentile(500),
            percentile(990),
            percentile(999),
            micros(self.server.0, count),
            micros(self.server.1, count),
            micros(self.generator, count),
        )
    }
}

async fn stored(database: &Path) -> anyhow::Result<usize> {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM certificate WHERE name LIKE '%.load.test'")
        .fetch_one(&mut connection)
        .await?;
    Ok(usize::try_from(count)?)
}
