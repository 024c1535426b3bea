//! A real server and a real agent with a million revoked certificates: how long each takes to have them after a start, what
//! they hold in memory and on disk, and what one more revocation costs.
//!
//! `cargo bench --bench million [-- --revoked N --revocations N]`
//!
//! The million stands in the feed's table alone, as certificates the server has no record of; those that are revoked while
//! it is measured were enrolled. Processor time of a revocation includes the list that is signed a moment after it. What
//! the parts cost by themselves, `cargo bench --bench revocation` says.

#[expect(dead_code, reason = "each bench uses its part of what they share")]
#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use dockwarden::model::IdentityKind;
use dockwarden::pki::{KeyAlgorithm, LeafKey, Serial, csr};
use dockwarden::wire::{Applied, EnrollRequest, Issued, Revoked};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use support::agent::Agent;
use support::http::{Target, post};
use support::server::Place;
use support::{PROGRAM, Running, clock};

/// A CRL entry is at least this long, bytes.
const ENTRY_BYTES_MIN: usize = 30;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// The million, in one statement: serials as they are drawn, with the top bit clear.
const FILL: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1), \
       head(number) AS (SELECT COALESCE(max(number), 0) FROM feed) \
     INSERT INTO feed (number, previous, at, kind, serial, issuer, name, not_after, reason, revoker) \
     SELECT head.number + i, head.number + i - 1, $2, 'revoked', \
       unhex(substr('01234567', 1 + abs(random() % 8), 1) || substr(hex(randomblob(16)), 2)), \
       'clients', 'client-' || i, $3, 1, 'system' FROM n, head";

#[derive(Debug, Parser)]
struct Options {
    /// Revoked certificates
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    revoked: u32,
    /// Revocations more
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    revocations: u32,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = support::directory()?;
    let place = Place::init(scratch.path())?;
    let server = place.start()?;
    // One more for the agent that is there by then.
    let victims = runtime.block_on(enroll(&place, options.revocations + 1))?;
    let agent = Agent::prepare(scratch.path(), &place)?;
    server.stop()?;
    runtime.block_on(fill(&place, options.revoked))?;

    let began = clock();
    let server = place.start()?;
    println!(
        "server, {} revoked: ready {:.0?} after its start",
        options.revoked, server.ready_after
    );
    let admin = Target::new(place.address, &place.ca()?, Some(&place.admin()))?;
    let bytes = runtime.block_on(list_is_published(&admin, options.revoked as usize))?;
    println!(
        "  its CRL, {bytes} bytes, published {:.1?} after its start",
        began.elapsed()
    );
    report("server", &server)?;

    let (last, first) = victims.split_last().context("one more than asked for")?;
    runtime.block_on(revoke_all(&server, &admin, first))?;
    report("server", &server)?;

    let began = clock();
    let running = agent.start(PROGRAM)?;
    runtime.block_on(all_applied(&admin))?;
    println!(
        "\nagent, new: ready after {:.0?}, has all of them {:.1?} after its start; on its disk {} bytes",
        running.ready_after,
        began.elapsed(),
        bytes_in(&agent.state())?
    );
    report("agent", &running)?;
    report("server", &server)?;
    running.stop()?;
    let running = agent.start(PROGRAM)?;
    println!(
        "\nagent, started again: ready after {:.0?}, its processor time until then {:.2?}",
        running.ready_after,
        processor_time(&running)?
    );
    report("agent", &running)?;
    runtime.block_on(all_applied(&admin))?;
    let before = processor_time(&running)?;
    let began = clock();
    runtime.block_on(revoke(&admin, last))?;
    let answered = began.elapsed();
    runtime.block_on(all_applied(&admin))?;
    println!(
        "  one more: answered after {answered:.1?}, refused and on disk there and acknowledged after {:.1?}; {:.0?} of its processor time",
        began.elapsed(),
        processor_time(&running)? - before
    );
    report("agent", &running)
}

/// Has so many clients enrol.
async fn enroll(place: &Place, count: u32) -> anyhow::Result<Vec<Serial>> {
    let token = place.token_for(IdentityKind::Client, "revoked-*", count).await?;
    let mut connection = Target::new(place.address, &place.ca()?, None)?.connect().await?;
    let mut serials = Vec::new();
    for number in 0..count {
        let key = LeafKey::generate(KeyAlgorithm::EcdsaP256)?;
        let request = EnrollRequest {
            profile: Some(IdentityKind::Client),
            token: token.clone(),
            csr: csr::make(&key, &format!("revoked-{number}").parse()?, &[]).to_pem(),
            names: Vec::new(),
            addresses: Vec::new(),
            labels: Default::default(),
        };
        let request = post("/enroll", &serde_json::to_string(&request)?);
        let (status, body) = connection.call(&request).await?;
        ensure!(status == 201, "not enrolled ({status})");
        serials.push(serde_json::from_slice::<Issued>(body)?.serial);
    }
    Ok(serials)
}

async fn fill(place: &Place, count: u32) -> anyhow::Result<()> {
    const DAY_MS: i64 = 86_400_000;
    let now = std::fs::metadata(place.database())?.modified()?;
    let now = i64::try_from(now.duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
    let options = SqliteConnectOptions::new().filename(place.database());
    let mut connection = options.connect().await?;
    sqlx::query(FILL)
        .bind(i64::from(count))
        .bind(now)
        .bind(now + 30 * DAY_MS)
        .execute(&mut connection)
        .await?;
    Ok(())
}

/// Waits for a list with as many entries, and gives its length.
async fn list_is_published(admin: &Target, entries: usize) -> anyhow::Result<usize> {
    let began = clock();
    while began.elapsed() < PATIENCE {
        let asked = b"GET /crl/clients.crl HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // 503 until there is one.
        if let Ok(bytes) = admin.connect().await?.download(asked).await
            && bytes >= entries * ENTRY_BYTES_MIN
        {
            return Ok(bytes);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("no CRL of {entries} entries was published")
}

async fn revoke(admin: &Target, serial: &Serial) -> anyhow::Result<u64> {
    let request = post(&format!("/v1/certificates/{serial}/revoke"), "{}");
    let (status, body) = admin.call(&request).await?;
    ensure!(status == 200, "not revoked ({status})");
    Ok(serde_json::from_slice::<Revoked>(&body)?.feed)
}

async fn revoke_all(server: &Running, admin: &Target, victims: &[Serial]) -> anyhow::Result<()> {
    let (mut took, mut used) = (Vec::new(), Vec::new());
    for serial in victims {
        let before = processor_time(server)?;
        let began = clock();
        revoke(admin, serial).await?;
        took.push(began.elapsed());
        // The list is signed a moment later.
        tokio::time::sleep(Duration::from_secs(2)).await;
        used.push(processor_time(server)? - before);
    }
    took.sort();
    used.sort();
    let at = |times: &[Duration], part: usize| times[(times.len() - 1) * part / 100];
    println!(
        "\n{} more, two seconds apart, each with a TLS connection of its own: answered after p50 {:.1?}, p99 {:.1?}; \
         processor time of the server with the signing of the list p50 {:.0?}, longest {:.0?}",
        victims.len(),
        at(&took, 50),
        at(&took, 99),
        at(&used, 50),
        at(&used, 100),
    );
    Ok(())
}

/// Waits until every host, which is the one, has applied the newest number.
async fn all_applied(admin: &Target) -> anyhow::Result<()> {
    let began = clock();
    while began.elapsed() < PATIENCE {
        let asked = b"GET /v1/feed/applied?wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let (status, body) = admin.call(asked).await?;
        ensure!(status == 200, "status {status}");
        let applied: Applied = serde_json::from_slice(&body)?;
        if applied.hosts > 0 && applied.applied == applied.hosts {
            return Ok(());
        }
    }
    anyhow::bail!("the agent has not said that it applied all")
}

fn processor_time(running: &Running) -> anyhow::Result<Duration> {
    let (user, kernel) = running.processor_time()?;
    Ok(user + kernel)
}

fn bytes_in(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_in(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

fn report(name: &str, running: &Running) -> anyhow::Result<()> {
    let mib = |key| anyhow::Ok(running.status_kib(key)? as f64 / 1024.0);
    println!(
        "  {name}: {:.1} MiB resident, at its peak {:.1} MiB, its own {:.1} MiB",
        mib("VmRSS")?,
        mib("VmHWM")?,
        mib("RssAnon")?
    );
    Ok(())
}
