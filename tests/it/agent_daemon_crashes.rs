//! Mode `daemon` is stopped before every single thing it does, on the disk and to dockerd, and dockerd is killed, too:
//! at no moment could dockerd not start, it is never open to everybody, and it is restarted once more at most.

use std::time::Duration;

use dockwarden::pki::Serial;
use dockwarden::sys::fake::Fault;

use crate::support::agent::{Bench, STATE};
use crate::support::dockerd::{CONFIG, SimDockerd, Starter};

/// What happens besides the agent being killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// Nothing.
    None,
    /// dockerd is killed, too.
    DockerdKilled,
    /// The power fails: what was not synced is gone, and the machine boots.
    PowerFails,
}

const BLOWS: [Blow; 3] = [Blow::None, Blow::DockerdKilled, Blow::PowerFails];

#[track_caller]
fn assert_startable(sim: &SimDockerd, context: &str) {
    sim.could_start()
        .unwrap_or_else(|why| panic!("dockerd could not start: {why}: {context}"));
    assert!(!sim.would_be_exposed(), "{context}");
}

/// Where port and TLS are in one file, no other tool opens the port.
#[track_caller]
fn assert_in_one_file(sim: &SimDockerd, context: &str) {
    for theirs in [
        None,
        Some("{}"),
        Some(r#"{"debug": true, "tls": false}"#),
        Some(r#"{"tlsverify": false}"#),
    ] {
        assert!(!sim.would_be_exposed_by(theirs), "by {theirs:?}: {context}");
    }
}

fn strike(bench: &Bench, blow: Blow) {
    match blow {
        Blow::None => bench.disk.restart(),
        Blow::DockerdKilled => {
            bench.dockerd().kill();
            bench.disk.restart();
        }
        Blow::PowerFails => {
            bench.disk.power_failure();
            assert_startable(bench.dockerd(), "after the power failed");
            bench.dockerd().boot();
        }
    }
    bench.clock.advance(Duration::from_secs(5));
    bench.dockerd().settle();
}

/// What must be true once nothing is in the way any more.
#[track_caller]
fn assert_settled(bench: &Bench, certificates: usize, context: &str) {
    let newest = bench.server.with(|state| state.serials.last().cloned());
    assert_eq!(bench.dockerd().served(), newest, "{context}");
    assert_eq!(Some(bench.serial()), newest, "{context}");
    assert_eq!(bench.server.issued(), certificates, "{context}");
    let left = bench.files().list(STATE.as_ref()).unwrap();
    let expected = [
        "daemon.json",
        "lock",
        "memory.json",
        "originals.json",
        "status.json",
    ];
    assert_eq!(left, expected, "{context}");
    for directory in ["/etc/docker", "/etc/systemd/system/docker.service.d"] {
        let names = bench.disk.peek_names(directory);
        assert!(
            !names.iter().any(|name| name.contains("tmp")),
            "{names:?}: {context}"
        );
    }
}

/// Stops the agent at every step of what begins at `prepare`'s end, and looks that everything comes right.
async fn at_every_step(
    starter: Starter,
    blow: Blow,
    certificates: usize,
    prepare: impl AsyncFn(&mut Bench),
) -> usize {
    for step in 1.. {
        let context = format!("{starter:?}, {blow:?} at step {step}");
        let mut bench = Bench::with_dockerd(starter, "");
        prepare(&mut bench).await;
        let (containers, started) = (bench.dockerd().containers(), bench.dockerd().started());
        bench.disk.fail_at(bench.disk.steps() + step, Fault::Stop);
        if let Ok(mut agent) = bench.try_start() {
            bench.converge(&mut agent, 6).await;
        }
        let stopped = bench.disk.stopped();
        assert_startable(bench.dockerd(), &context);
        if !bench.is_as_an_earlier_agent_left_it() {
            assert_in_one_file(bench.dockerd(), &context);
        }
        let restarts = bench.dockerd().started() - started;
        strike(&bench, blow);
        let mut agent = bench.start();
        let verdict = bench.converge(&mut agent, 8).await;
        assert!(verdict.is_good(), "{context}: {verdict:?}");
        agent.pass().await;
        assert_settled(&bench, certificates, &context);
        assert_in_one_file(bench.dockerd(), &context);
        let all = bench.dockerd().started() - started;
        let by_others = usize::from(blow != Blow::None);
        assert!(restarts <= 1 && all <= 1 + by_others, "{all} starts: {context}");
        // Without live-restore, which came with the first certificate, containers end with a dockerd that is killed.
        if blow == Blow::None || blow == Blow::DockerdKilled && certificates > 1 {
            assert_eq!(bench.dockerd().containers(), containers, "{context}");
        }
        if !stopped {
            return step;
        }
    }
    unreachable!("some step is the last one")
}

#[tokio::test]
async fn a_takeover_that_is_stopped_anywhere_is_finished_and_dockerd_could_start_all_the_time() {
    for starter in [Starter::Systemd, Starter::Plain] {
        for blow in BLOWS {
            if starter == Starter::Plain && blow != Blow::None {
                continue;
            }
            let visited = at_every_step(starter, blow, 1, async |_| {}).await;
            assert!(visited > 60, "only {visited} steps were visited");
        }
    }
}

#[tokio::test]
async fn a_renewal_that_is_stopped_anywhere_is_served_after_one_restart() {
    for starter in [Starter::Systemd, Starter::Plain] {
        for blow in BLOWS {
            if starter == Starter::Plain && blow != Blow::None {
                continue;
            }
            let visited = at_every_step(starter, blow, 2, async |bench| {
                let (agent, _): (_, Serial) = bench.join().await;
                drop(agent);
                bench.clock.advance(Duration::from_secs(25 * 86_400));
            })
            .await;
            assert!(visited > 50, "only {visited} steps were visited");
        }
    }
}

#[tokio::test]
async fn settings_that_move_into_one_file_with_a_renewal_can_be_stopped_anywhere() {
    for blow in BLOWS {
        let visited = at_every_step(Starter::Systemd, blow, 2, async |bench| {
            let (agent, _): (_, Serial) = bench.join().await;
            drop(agent);
            bench.as_an_earlier_agent_left_it();
            bench.clock.advance(Duration::from_secs(25 * 86_400));
        })
        .await;
        assert!(visited > 60, "only {visited} steps were visited");
    }
}

#[tokio::test]
async fn a_dockerd_that_another_tool_brought_down_comes_up_wherever_the_agent_is_stopped() {
    for step in 1.. {
        let context = format!("step {step}");
        let mut bench = Bench::with_dockerd(Starter::Systemd, "");
        let (mut agent, serial) = bench.join().await;
        bench
            .disk
            .plant(CONFIG, r#"{"tlsverify": true, "log-level": "warn"}"#);
        bench.dockerd().restart_by_somebody();
        assert!(!bench.dockerd().runs());
        bench.disk.fail_at(bench.disk.steps() + step, Fault::Stop);
        agent.pass().await;
        let stopped = bench.disk.stopped();
        assert!(!bench.dockerd().would_be_exposed(), "{context}");
        drop(agent);
        bench.disk.restart();
        let mut agent = bench.start();
        let verdict = bench.converge(&mut agent, 4).await;
        assert!(verdict.is_good(), "{context}: {verdict:?}");
        assert_eq!(bench.dockerd().served(), Some(serial), "{context}");
        assert_startable(bench.dockerd(), &context);
        if !stopped {
            assert!(step > 10, "only {step} steps were visited");
            return;
        }
    }
}
