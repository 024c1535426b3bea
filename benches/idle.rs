//! What server, and agent with gate, hold in memory when nothing happens, and how long they take to be ready.
//!
//! `cargo bench --bench idle [-- --settle SECONDS --agent-program PATH]`
//!
//! The server starts on a database that exists; the agent enrols at it, and its gate stands in front of a socket that
//! this bench made. Resident memory is the kernel's own count (`VmRSS`), of which `RssFile` is the program itself,
//! shared and given back under pressure.

#[expect(dead_code, reason = "each bench uses its part of what they share")]
#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use clap::Parser;
use support::Running;
use support::agent::Agent;
use support::server::Place;

/// Starts, of which the median counts.
const STARTS: usize = 9;

#[derive(Debug, Parser)]
struct Options {
    /// Seconds of rest before memory is read
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    settle: u64,
    /// Another build of the program for the agent, such as the static one for hosts
    #[arg(long, default_value = support::PROGRAM)]
    agent_program: String,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let scratch = support::directory()?;
    let place = Place::init(scratch.path())?;
    // The first start issues the server's own certificate; the ones after it find everything there.
    place.start()?.stop()?;
    let mut ready = Vec::new();
    for _ in 0..STARTS {
        let server = place.start()?;
        ready.push(server.ready_after);
        server.stop()?;
    }
    ready.sort();
    println!(
        "server: start to ready on an existing database {:.0?} (median of {STARTS}, {:.0?} to {:.0?})",
        ready[STARTS / 2],
        ready[0],
        ready[STARTS - 1]
    );
    let server = place.start()?;
    let agent = Agent::prepare(scratch.path(), &place)?.start(&options.agent_program)?;
    println!(
        "agent: start to ready with its enrolment {:.0?}",
        agent.ready_after
    );

    println!("\nidle for {} s", options.settle);
    std::thread::sleep(Duration::from_secs(options.settle));
    report("server", &server)?;
    report("agent with gate", &agent)
}

fn report(name: &str, running: &Running) -> anyhow::Result<()> {
    let mib = |key| anyhow::Ok(running.status_kib(key)? as f64 / 1024.0);
    println!(
        "{name}: {:.1} MiB resident, of which {:.1} MiB are its own (RssAnon) and {:.1} MiB the program's file (RssFile); {} threads",
        mib("VmRSS")?,
        mib("RssAnon")?,
        mib("RssFile")?,
        running.threads()?,
    );
    Ok(())
}
