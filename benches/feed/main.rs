//! Ten thousand agents on the feed of one server: how long a revocation takes to reach all of them and to be
//! acknowledged by all, what it costs the server, and how long they take to come back after it was started anew.
//!
//! `cargo bench --bench feed [-- --agents N --revocations N --quiet]`
//!
//! The real server with its database on disk, TLS with a client certificate of its own for each agent. The agents are
//! the agent's own client with its waits between attempts, all in this process: they enforce nothing and keep nothing
//! on disk. Server and agents share the processors, so all that the agents do is in the figures. Needs a limit of open
//! files above the number of agents; root raises it itself.

#[expect(dead_code, reason = "each bench uses its part of what they share")]
#[path = "../support/mod.rs"]
mod support;

mod agents;
mod fleet;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agents::{Agent, Said};
use anyhow::{Context, ensure};
use clap::Parser;
use dockwarden::client::Client;
use dockwarden::model::IdentityKind;
use dockwarden::wire::{AppliedQuery, RevokeRequest};
use fleet::Enrolled;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::server::Place;
use support::{Running, clock, processor_time};
use tokio::sync::mpsc;

/// How long all agents together may take for anything.
const PATIENCE: Duration = Duration::from_secs(180);
/// Open files besides the agents' connections.
const FILES_BESIDES: u64 = 1024;

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Agents that follow
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=12_000))]
    agents: u32,
    /// Revocations, one after the other, each after a second of rest
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    revocations: u32,
    /// Have the agents not say how far they are
    #[arg(long)]
    quiet: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    raise_limit(u64::from(options.agents) + FILES_BESIDES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(&options));
    // Without waiting for ten thousand agents to say goodbye.
    runtime.shutdown_background();
    measured
}

/// Connections are open files, here and in the server, which inherits the limit.
fn raise_limit(needed: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum.map(|maximum| maximum.max(needed)),
    };
    setrlimit(Resource::Nofile, raised).with_context(|| {
        format!("{needed} open files are needed: `ulimit -n {needed}` as root, or fewer --agents")
    })
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let (agents, revocations) = (options.agents as usize, options.revocations as usize);
    let scratch = support::directory()?;
    let mut place = Place::init(scratch.path())?;
    place.address = address_of_no_client()?;
    let server = place.start()?;
    let anchors = fleet::anchors(&place)?;
    let administrator = fleet::administrator(&place, &anchors)?;
    let hosts = fleet::enroll(&place, IdentityKind::Host, "*.feed.test", agents).await?;
    let victims = fleet::enroll(&place, IdentityKind::Client, "revoked-*", revocations).await?;
    println!("{agents} agents enrolled");

    // The server that is measured has not grown by enrolments.
    server.stop()?;
    let server = place.start()?;
    let idle = State::of(&server)?;
    let (said, mut hears) = mpsc::unbounded_channel();
    let began = clock();
    for host in hosts {
        let agent = Agent {
            client: Arc::new(host.client(place.address, &anchors)?),
            said: said.clone(),
            acknowledges: !options.quiet,
        };
        tokio::spawn(agent.run());
    }
    let arrival = all_follow(&mut hears, agents, began).await?;
    let connected = State::of(&server)?;
    println!("\nconnecting, all at once\n{arrival}");
    println!("  {}", connected.since(&idle, agents));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = State::of(&server)?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let rested = State::of(&server)?;
    println!(
        "\n20 s of rest\n  {} (heartbeats, every 10 s)",
        rested.since(&before, agents)
    );

    revoke_all(&server, &administrator, &victims, &mut hears, options).await?;

    server.stop()?;
    drain(&mut hears);
    let began = clock();
    let server = place.start()?;
    let (idle, ready) = (State::of(&server)?, server.ready_after);
    let arrival = all_follow(&mut hears, agents, began).await?;
    println!("\nthe server started anew; ready after {ready:.0?}, from its start on:\n{arrival}");
    println!("  {}", State::of(&server)?.since(&idle, agents));
    Ok(())
}

/// Below the ports that the system gives to whoever connects: one of ten thousand that try while the server is away
/// would get the server's own port, and connect to itself.
fn address_of_no_client() -> anyhow::Result<SocketAddr> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (20_000..32_000).find(free).context("no port is free")?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

async fn revoke_all(
    server: &Running,
    administrator: &Client,
    victims: &[Enrolled],
    hears: &mut mpsc::UnboundedReceiver<Said>,
    options: &Options,
) -> anyhow::Result<()> {
    let agents = options.agents as usize;
    let (mut from_call, mut from_answer, mut last, mut acknowledged) = (vec![], vec![], vec![], vec![]);
    let (mut answered, mut server_time, mut own_time) = (vec![], vec![], vec![]);
    let before_all = State::of(server)?;
    for victim in victims {
        drain(hears);
        let (before, own) = (State::of(server)?, own_processor_time()?);
        let called = clock();
        let revoked = administrator
            .revoke_serial(&victim.serial, &RevokeRequest::default())
            .await?;
        let answer = clock();
        let came = all_came(hears, agents, revoked.feed).await?;
        if !options.quiet {
            all_applied(administrator, revoked.feed, agents).await?;
            acknowledged.push(called.elapsed());
        }
        answered.push(answer - called);
        last.push(*came.iter().max().context("agents")? - called);
        from_call.extend(came.iter().map(|came| *came - called));
        from_answer.extend(came.iter().map(|came| came.saturating_duration_since(answer)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        server_time.push(State::of(server)?.time - before.time);
        own_time.push(own_processor_time()? - own);
    }
    println!(
        "\n{} revocations, {agents} agents; each second after a rest",
        victims.len()
    );
    println!(
        "  until it came, from the call on        {}",
        Spread::of(from_call)
    );
    println!(
        "  until it came, from the answer on      {}",
        Spread::of(from_answer)
    );
    println!(
        "  the call itself                        {}",
        Spread::of(answered)
    );
    println!("  until the last agent had it            {}", Spread::of(last));
    if !acknowledged.is_empty() {
        println!(
            "  until all had acknowledged             {}",
            Spread::of(acknowledged)
        );
    }
    println!(
        "  processor time of the server, each     {}",
        Spread::of(server_time)
    );
    println!(
        "  processor time of all agents, each     {}",
        Spread::of(own_time)
    );
    println!("  {}", State::of(server)?.since(&before_all, agents));
    Ok(())
}

async fn all_came(
    hears: &mut mpsc::UnboundedReceiver<Said>,
    agents: usize,
    number: u64,
) -> anyhow::Result<Vec<Instant>> {
    let mut came = Vec::with_capacity(agents);
    let all = async {
        while came.len() < agents {
            match hears.recv().await.context("agents run")? {
                Said::Came(what, at) if what == number => came.push(at),
                Said::Failed(why) => eprintln!("an agent failed: {why}"),
                _ => {}
            }
        }
        anyhow::Ok(())
    };
    let waited = tokio::time::timeout(PATIENCE, all).await;
    waited.context("not all agents had it in time")??;
    Ok(came)
}

/// Asks as `dockwarden cert revoke` does, until all have said it.
async fn all_applied(administrator: &Client, number: u64, agents: usize) -> anyhow::Result<()> {
    let began = clock();
    loop {
        let query = AppliedQuery {
            number: Some(number),
            wait: Some(20),
        };
        let applied = administrator.applied(&query).await?;
        if applied.applied as usize >= agents {
            return Ok(());
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "{} of {agents} have acknowledged",
            applied.applied
        );
    }
}

/// How long each took until it followed, and what went wrong before.
struct Arrival {
    spread: Spread,
    failures: BTreeMap<String, usize>,
}

async fn all_follow(
    hears: &mut mpsc::UnboundedReceiver<Said>,
    agents: usize,
    began: Instant,
) -> anyhow::Result<Arrival> {
    let (mut took, mut failures) = (Vec::with_capacity(agents), BTreeMap::new());
    let all = async {
        while took.len() < agents {
            match hears.recv().await.context("agents run")? {
                Said::Following(at) => took.push(at - began),
                Said::Failed(why) => *failures.entry(first_line(&why)).or_insert(0) += 1,
                Said::Came(..) => {}
            }
        }
        anyhow::Ok(())
    };
    let waited = tokio::time::timeout(PATIENCE, all).await;
    let followed = took.len();
    waited.with_context(|| format!("{followed} of {agents} agents follow: {failures:?}"))??;
    Ok(Arrival {
        spread: Spread::of(took),
        failures,
    })
}

fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(160)
        .collect()
}

impl std::fmt::Display for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "  until an agent follows                 {}", self.spread)?;
        for (why, count) in &self.failures {
            write!(f, "\n  {count} attempts failed: {why}")?;
        }
        Ok(())
    }
}

fn drain(hears: &mut mpsc::UnboundedReceiver<Said>) {
    while hears.try_recv().is_ok() {}
}

fn own_processor_time() -> anyhow::Result<Duration> {
    let (user, kernel) = processor_time("/proc/self/stat")?;
    Ok(user + kernel)
}

/// What the server has used and holds.
struct State {
    time: Duration,
    resident_kib: u64,
    own_kib: u64,
}

impl State {
    fn of(server: &Running) -> anyhow::Result<Self> {
        let (user, kernel) = server.processor_time()?;
        Ok(Self {
            time: user + kernel,
            resident_kib: server.status_kib("VmRSS")?,
            own_kib: server.status_kib("RssAnon")?,
        })
    }

    fn since(&self, before: &Self, agents: usize) -> String {
        let mib = |kib: u64| kib as f64 / 1024.0;
        format!(
            "server: {:.2} s of processor time; resident {:.1} MiB before, {:.1} MiB after: {:.1} KiB more for each agent",
            (self.time - before.time).as_secs_f64(),
            mib(before.resident_kib),
            mib(self.resident_kib),
            (self.own_kib as f64 - before.own_kib as f64) / agents as f64
        )
    }
}

/// How far times lie apart.
struct Spread(Vec<Duration>);

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| self.0[((self.0.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        write!(
            f,
            "p50 {:8.1} ms, p99 {:8.1} ms, max {:8.1} ms",
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }
}
