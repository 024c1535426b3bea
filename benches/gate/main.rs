//! The gate next to nginx and HAProxy, in front of the same socket, with the same certificates, in the same run.
//!
//! `cargo bench --bench gate [-- --seconds N --connections N --docker --save MEBIBYTES]`
//!
//! The gate as it comes, asking for the client's role on every request, and one that does without roles. Requests on kept
//! connections (how many, how long each), a new connection for each request (full handshakes: nobody resumes), and bytes of
//! one large answer. Three rounds, one after the other in turn; the median counts. An nginx stands in for the engine and
//! answers at once; with `--docker` it is a dockerd of the bench's own, and the large answer is `docker save` by the real
//! CLI. Load, proxies and engine share the processors. Needs nginx and HAProxy (`apt-get install nginx-light haproxy`); the
//! dockerd needs root.

#[expect(dead_code, reason = "each bench uses its part of what they share")]
#[path = "../support/mod.rs"]
mod support;

mod peers;
mod save;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use support::http::Target;
use support::server::{Place, free_address, text};
use support::{Running, clock};

const ROUNDS: usize = 3;
/// The gate, the gate without roles, nginx, HAProxy.
const PROXIES: usize = 4;
const PING: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n";

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Seconds for each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Connections at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// A dockerd of its own, rather than an engine that stands in
    #[arg(long)]
    docker: bool,
    /// MiB of the image that dockerd saves
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=16384))]
    save: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was measured of one of them in one round.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    requests: f64,
    p50: f64,
    p99: f64,
    handshakes: f64,
    mebibytes: f64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = support::directory()?;
    let scratch = scratch.path();
    let _engine = match options.docker {
        true => save::engine(scratch, options.save)?,
        false => peers::engine(scratch)?,
    };
    let socket = text(&scratch.join("docker.sock"))?;

    let place = Place::init(scratch)?;
    let _server = place.start()?;
    let token = runtime.block_on(place.token("*.bench", 2))?;
    let (gate_address, _gate) = gate(scratch, &place, &token, "enforce")?;
    let (open_address, _open) = gate(scratch, &place, &token, "ignore")?;
    let host = scratch.join("enforce/current");
    let (nginx_address, _nginx) = peers::nginx_in_front(scratch, &socket, &host)?;
    let (haproxy_address, _haproxy) = peers::haproxy_in_front(scratch, &socket, &host)?;
    let proxies = [
        ("gate", gate_address),
        ("no roles", open_address),
        ("nginx", nginx_address),
        ("HAProxy", haproxy_address),
    ];
    let target = |address| Target::new(address, &place.ca()?, Some(&place.admin()));
    runtime.block_on(role_arrives(&target(gate_address)?))?;

    let mut rounds: Vec<[Figures; PROXIES]> = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = [Figures::default(); PROXIES];
        for (figures, (_, address)) in round.iter_mut().zip(proxies) {
            *figures = runtime.block_on(measure(&target(address)?, &options))?;
            figures.mebibytes = match options.docker {
                true => save::save(scratch, Some(address), &place.admin())?,
                false => runtime.block_on(download(&target(address)?, "/images/large/get"))?,
            };
        }
        rounds.push(round);
    }
    let engine = match options.docker {
        false => "an engine that answers at once".to_owned(),
        true => {
            let direct = save::save(scratch, None, &place.admin())?;
            format!("dockerd (docker save over its socket itself: {direct:.0} MiB/s)")
        }
    };
    println!(
        "in front of {engine}, {} connections at a time, medians of {ROUNDS} rounds of {} s",
        options.connections, options.seconds
    );
    report(&proxies, &rounds);
    Ok(())
}

/// A gate on a host of its own name, with the setting `roles`.
fn gate(scratch: &Path, place: &Place, token: &str, roles: &str) -> anyhow::Result<(SocketAddr, Running)> {
    let own = scratch.join(roles);
    std::fs::create_dir(&own)?;
    File::create(own.join("token"))?.write_all(token.as_bytes())?;
    let path = |name: &str| text(&own.join(name));
    let (port, address) = (place.address.port(), free_address()?);
    let configuration = format!(
        "server = \"https://localhost:{port}\"\nnames = [\"{roles}.bench\", \"localhost\"]\nlisten = \"{address}\"\n\
         roles = \"{roles}\"\ntoken_file = \"{}\"\ndocker_socket = \"{}\"\nfiles = \"{}\"\nstate = \"{}\"\n",
        path("token")?,
        text(&scratch.join("docker.sock"))?,
        text(&own)?,
        path("state")?,
    );
    File::create(own.join("agent.toml"))?.write_all(configuration.as_bytes())?;
    let running = Running::start(&own, "agent", &["agent", "run", "--config", &path("agent.toml")?])?;
    Ok((address, running))
}

/// Waits until the gate knows the role of the administrator, who is the client here.
async fn role_arrives(gate: &Target) -> anyhow::Result<()> {
    for _ in 0..100 {
        if gate.call(PING).await?.0 == 200 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the gate was not told of the client's role")
}

async fn measure(target: &Target, options: &Options) -> anyhow::Result<Figures> {
    let lasting = Duration::from_secs(options.seconds);
    let mut kept = at_once(options.connections, |_| kept(target.clone(), lasting)).await?;
    kept.sort_unstable();
    let anew = at_once(options.connections, |_| anew(target.clone(), lasting)).await?;
    let at = |share: f64| kept[((kept.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Ok(Figures {
        requests: kept.len() as f64 / lasting.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        handshakes: anew.len() as f64 / lasting.as_secs_f64(),
        mebibytes: 0.0,
    })
}

/// Runs as many at a time, and has what all of them have.
async fn at_once<F>(connections: u32, start: impl Fn(u32) -> F) -> anyhow::Result<Vec<Duration>>
where
    F: Future<Output = anyhow::Result<Vec<Duration>>> + Send + 'static,
{
    let running: Vec<_> = (0..connections).map(|n| tokio::spawn(start(n))).collect();
    let mut all = Vec::new();
    for one in running {
        all.extend(one.await??);
    }
    Ok(all)
}

/// How long each request took on a connection that is kept.
async fn kept(target: Target, lasting: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut connection = target.connect().await?;
    let (began, mut took) = (clock(), Vec::new());
    while began.elapsed() < lasting {
        let asked = clock();
        let (status, _) = connection.call(PING).await?;
        ensure!(status == 200, "status {status}");
        took.push(asked.elapsed());
    }
    Ok(took)
}

/// How long each request took with a connection of its own.
async fn anew(target: Target, lasting: Duration) -> anyhow::Result<Vec<Duration>> {
    let (began, mut took) = (clock(), Vec::new());
    while began.elapsed() < lasting {
        let asked = clock();
        let (status, _) = target.call(PING).await?;
        ensure!(status == 200, "status {status}");
        took.push(asked.elapsed());
    }
    Ok(took)
}

/// MiB/s of a large answer.
async fn download(target: &Target, path: &str) -> anyhow::Result<f64> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n");
    let mut connection = target.connect().await?;
    let began = clock();
    let bytes = connection.download(request.as_bytes()).await?;
    Ok(bytes as f64 / 1048576.0 / began.elapsed().as_secs_f64())
}

/// A figure, its unit, and where it is found.
type Row = (&'static str, fn(&Figures) -> f64);

fn report(proxies: &[(&str, SocketAddr); PROXIES], rounds: &[[Figures; PROXIES]]) {
    let rows: [Row; 5] = [
        ("requests/s, kept connections", |f| f.requests),
        ("p50, us", |f| f.p50),
        ("p99, us", |f| f.p99),
        ("requests/s, a full handshake each", |f| f.handshakes),
        ("MiB/s of one large answer", |f| f.mebibytes),
    ];
    print!("{:<36}", "");
    proxies.iter().for_each(|(name, _)| print!("{name:>12}"));
    println!(
        "{:>14}{:>14}{:>18}",
        "gate/nginx", "gate/HAProxy", "no roles/HAProxy"
    );
    for (name, figure) in rows {
        let medians: Vec<f64> = (0..proxies.len())
            .map(|proxy| {
                let mut values: Vec<f64> = rounds.iter().map(|round| figure(&round[proxy])).collect();
                values.sort_by(f64::total_cmp);
                values[values.len() / 2]
            })
            .collect();
        print!("{name:<36}");
        medians.iter().for_each(|median| print!("{median:>12.0}"));
        println!(
            "{:>14.2}{:>14.2}{:>18.2}",
            medians[0] / medians[2],
            medians[0] / medians[3],
            medians[1] / medians[3]
        );
    }
}
