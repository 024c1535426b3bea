//! How long the pages of the dashboard take with many certificates in the database: a real server, an administrator's
//! certificate, one kept connection, from the request to the last byte of the page.
//!
//! `cargo bench --bench dashboard [-- --certificates N --hosts N --rounds N]`
//!
//! The certificates are written into the database while no server runs: copies of a real one with names, serials and times
//! of their own. Half of them are in use, good for 30 to 90 days more and to be renewed 30 days before that, but for one in a
//! thousand, which nobody renewed. The others were replaced, and half of these have ended. Hosts report; one in a hundred is
//! unhealthy, one in fifty is silent. The rest are clients, each with the role of its join token.

#[expect(dead_code, reason = "each bench uses its part of what they share")]
#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use dockwarden::base::limits::OVERVIEW_AGE_MIN;
use dockwarden::model::IdentityKind;
use dockwarden::pki::{KeyAlgorithm, LeafKey, csr, pem};
use dockwarden::wire::{EnrollRequest, Issued};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use support::clock;
use support::http::{Target, post};
use support::server::Place;

/// $1: how many identities, $2: how many of them are hosts, $3: now, $4: the DER of a certificate.
const GIVEN: &str = "CREATE TEMP TABLE given AS SELECT $1 AS identities, $2 AS hosts, $3 AS now, $4 AS der";
const FILL: [&str; 5] = [
    "CREATE TEMP TABLE fresh AS \
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n, given WHERE i < identities) \
     SELECT i, head.number + i AS number, randomblob(16) AS id, \
       iif(i <= hosts, 'host', 'client') AS kind, iif(i <= hosts, 'hosts', 'clients') AS issuer, \
       iif(i <= hosts, printf('web-%07d.fleet.internal', i), printf('job-%07d', i)) AS name, \
       now + iif(i % 1000 = 0, 0, 30 * 86400000) \
         + i * 2654435761 % (iif(i % 1000 = 0, 30, 60) * 86400000) AS ends \
     FROM n, given, (SELECT max(number) AS number FROM identity) AS head",
    "INSERT INTO identity (number, id, kind, name, names, addresses, labels, role, permission, created_at) \
     SELECT number, id, kind, name, '[]', '[]', '{}', iif(kind = 'client', 'viewer', NULL), NULL, now FROM fresh, given",
    "INSERT INTO certificate (id, serial, issuer, identity, holder, name, kind, sans, not_before, not_after, issued_at, \
       renew_after, spki_sha256, token, renewed_from, superseded_by, revoked_at, revocation_reason, der) \
     SELECT head.id + 2 * i - older, unhex('4' || substr(hex(randomblob(16)), 2)), issuer, fresh.id, number, name, kind, '[]', \
       ends - (90 + 60 * older) * 86400000, ends - 60 * older * 86400000, ends - (90 + 60 * older) * 86400000, \
       ends - (30 + 60 * older) * 86400000, randomblob(32), NULL, NULL, iif(older, x'40', NULL), NULL, NULL, der \
     FROM fresh, given, (SELECT max(id) AS id FROM certificate) AS head, (SELECT 1 AS older UNION ALL SELECT 0)",
    "INSERT INTO certificate_name (name, certificate) \
     SELECT name, head.id - 2 * (SELECT max(i) FROM fresh) + 2 * i - older \
     FROM fresh, (SELECT max(id) AS id FROM certificate) AS head, (SELECT 1 AS older UNION ALL SELECT 0)",
    // Heard of in an hour, so that nobody falls silent while it is measured.
    "INSERT INTO host_status (host, reported_at, source, report, health) \
     SELECT number, now + iif(i % 50 = 7, -3600000, 3600000), '10.20.0.7', \
       json_object('observed_generation', 1, 'mode', 'gate', 'agent_version', '0.1.0', 'engine_version', '28.5.2', \
         'endpoints', json_array('tcp://' || name || ':2376'), 'issued', NULL, 'served', NULL, 'renew_at', NULL, \
         'clock_offset_ms', 3, 'conditions', json_array(json_object('type', 'ConfigApplied', \
           'status', iif(i % 100 = 3, 'False', 'True'), 'reason', 'Bench', 'message', 'made by a bench', \
           'since', '2026-01-01T00:00:00Z'))), \
       iif(i % 100 = 3, 'unhealthy', 'well') \
     FROM fresh, given WHERE kind = 'host'",
];

#[derive(Debug, Parser)]
struct Options {
    /// Certificates in the database
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=20_000_000))]
    certificates: u32,
    /// Hosts among their holders
    #[arg(long, default_value_t = 10_000)]
    hosts: u32,
    /// How often each page is asked for
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
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
    let template = runtime.block_on(enroll(&place))?;
    server.stop()?;
    let began = clock();
    runtime.block_on(fill(&place, &options, &template))?;
    let bytes = std::fs::metadata(place.database())?.len();
    println!(
        "{} certificates, {} hosts: written in {:.0?}, {:.2} GB",
        options.certificates,
        options.hosts,
        began.elapsed(),
        bytes as f64 / 1e9
    );
    let server = place.start()?;
    println!("server: ready {:.0?} after its start", server.ready_after);
    runtime.block_on(pages(&place, &options))?;
    println!(
        "server: {:.1} MiB resident",
        server.status_kib("VmRSS")? as f64 / 1024.0
    );
    server.stop()
}

/// A client that joins; gives its certificate, DER.
async fn enroll(place: &Place) -> anyhow::Result<Vec<u8>> {
    let token = place.token_for(IdentityKind::Client, "template", 1).await?;
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256)?;
    let request = EnrollRequest {
        profile: Some(IdentityKind::Client),
        token,
        csr: csr::make(&key, &"template".parse()?, &[]).to_pem(),
        names: Vec::new(),
        addresses: Vec::new(),
        labels: Default::default(),
    };
    let target = Target::new(place.address, &place.ca()?, None)?;
    let (status, body) = target
        .call(&post("/enroll", &serde_json::to_string(&request)?))
        .await?;
    ensure!(status == 201, "not enrolled ({status})");
    let issued: Issued = serde_json::from_slice(&body)?;
    let leaf = pem::certificates(&issued.certificate)?.into_iter().next();
    Ok(leaf.context("a certificate")?.to_vec())
}

async fn fill(place: &Place, options: &Options, der: &[u8]) -> anyhow::Result<()> {
    let now = std::fs::metadata(place.database())?.modified()?;
    let now = i64::try_from(now.duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
    let settings = SqliteConnectOptions::new()
        .filename(place.database())
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-2000000")
        .pragma("temp_store", "MEMORY");
    let mut connection: SqliteConnection = settings.connect().await?;
    sqlx::query(GIVEN)
        .bind(i64::from(options.certificates / 2))
        .bind(i64::from(options.hosts.min(options.certificates / 4)))
        .bind(now)
        .bind(der.to_vec())
        .execute(&mut connection)
        .await?;
    for text in FILL.into_iter().chain(["PRAGMA wal_checkpoint(TRUNCATE)"]) {
        sqlx::query(text).execute(&mut connection).await?;
    }
    Ok(())
}

async fn pages(place: &Place, options: &Options) -> anyhow::Result<()> {
    let admin = Target::new(place.address, &place.ca()?, Some(&place.admin()))?;
    let client = options.hosts.min(options.certificates / 4) + 1;
    let asked =
        format!("GET /v1/certificates?name=job-{client:07}&limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (_, body) = admin.call(asked.as_bytes()).await?;
    let found: serde_json::Value = serde_json::from_slice(&body)?;
    let serial = found["items"][0]["serial"].as_str().unwrap_or("00").to_owned();
    let paths = [
        "/".to_owned(),
        "/certificates".to_owned(),
        "/certificates?status=valid&within=30d".to_owned(),
        "/certificates?q=job-00004".to_owned(),
        format!("/certificates?q={}", &serial[..serial.len().min(8)]),
        "/certificates?sort=name".to_owned(),
        "/certificates?sort=newest".to_owned(),
        "/certificates?status=superseded".to_owned(),
        "/certificates?status=revoked".to_owned(),
        format!("/certificates/{serial}"),
        "/hosts".to_owned(),
        "/hosts?q=web-000042".to_owned(),
        "/hosts/web-0000042.fleet.internal".to_owned(),
        "/clients".to_owned(),
        "/audit".to_owned(),
        "/jobs".to_owned(),
        "/ca".to_owned(),
    ];
    println!("\n| page | first | p50 | p99 |\n|---|---|---|---|");
    for path in paths {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
        let mut connection = admin.connect().await?;
        let mut times = Vec::new();
        let rounds = if path == "/" {
            options.rounds.min(10)
        } else {
            options.rounds
        };
        for _ in 0..rounds {
            // What everybody is shown for a while is read anew each time.
            if path == "/" {
                tokio::time::sleep(OVERVIEW_AGE_MIN + Duration::from_millis(100)).await;
            }
            let began = clock();
            connection
                .download(request.as_bytes())
                .await
                .with_context(|| path.clone())?;
            times.push(began.elapsed());
        }
        let first = times[0];
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 100];
        let shown = path
            .replace(&serial, "SERIAL")
            .replace(&serial[..serial.len().min(8)], "SERIA");
        println!("| `{shown}` | {first:.1?} | {:.1?} | {:.1?} |", at(50), at(99));
    }
    Ok(())
}
