//! Mode `daemon` under whatever comes: kills, stops, boots, edits by others, ports that are taken, disks that fill up, in
//! any order. dockerd can be started all the time, nobody gets in without a certificate, one that somebody stopped stays
//! stopped, and once it is quiet the newest certificate is served.

use std::io::ErrorKind;
use std::time::Duration;

use dockwarden::agent::Reconciler;
use dockwarden::sys::fake::Fault;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::agent::Bench;
use crate::support::dockerd::{CONFIG, Starter};

const HOUR: Duration = Duration::from_secs(3600);

/// Something that happens to a host.
#[derive(Clone, Debug)]
enum Event {
    /// The agent is killed so many steps into its next pass.
    AgentKilled(usize),
    /// The same, and the power fails with it.
    PowerFails(usize),
    /// dockerd is killed.
    DockerdKilled,
    /// Somebody stops it.
    Stopped,
    /// Somebody starts it, or starts it again.
    Started,
    /// The machine boots.
    Booted,
    /// Another tool writes its own configuration.
    Overwritten,
    /// It writes TLS of its own, beside our flags, and restarts dockerd.
    Duplicated,
    /// The next start hangs.
    Hangs,
    /// So many of the next starts end at once.
    Ends(usize),
    /// Somebody listens on the port, or stops that.
    PortTaken(bool),
    /// The disk is full from so many steps on, for a pass.
    DiskFull(usize),
    /// Time passes, hours.
    Hours(u64),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1usize..90).prop_map(Event::AgentKilled),
        2 => (1usize..90).prop_map(Event::PowerFails),
        2 => Just(Event::DockerdKilled),
        1 => Just(Event::Stopped),
        2 => Just(Event::Started),
        1 => Just(Event::Booted),
        1 => Just(Event::Overwritten),
        1 => Just(Event::Duplicated),
        1 => Just(Event::Hangs),
        1 => (1usize..4).prop_map(Event::Ends),
        1 => any::<bool>().prop_map(Event::PortTaken),
        1 => (1usize..60).prop_map(Event::DiskFull),
        4 => (1u64..400).prop_map(Event::Hours),
    ]
}

struct Story {
    bench: Bench,
    agent: Option<Reconciler>,
    stopped: bool,
}

impl Story {
    fn begin() -> Self {
        Self {
            bench: Bench::with_dockerd(Starter::Systemd, ""),
            agent: None,
            stopped: false,
        }
    }

    async fn pass(&mut self) {
        if self.agent.is_none() {
            self.agent = self.bench.try_start().ok();
        }
        if let Some(agent) = &mut self.agent {
            agent.pass().await;
        }
    }

    async fn happen(&mut self, event: &Event) {
        let sim = self.bench.dockerd().clone();
        match event {
            Event::AgentKilled(step) | Event::PowerFails(step) => {
                self.bench
                    .disk
                    .fail_at(self.bench.disk.steps() + step, Fault::Stop);
                self.pass().await;
                if self.bench.disk.stopped() {
                    self.agent = None;
                    match event {
                        Event::PowerFails(_) => {
                            self.bench.disk.power_failure();
                            sim.boot();
                            self.stopped = false;
                        }
                        _ => self.bench.disk.restart(),
                    }
                }
                self.bench.disk.heal();
            }
            Event::DockerdKilled => sim.kill(),
            Event::Stopped => {
                sim.stop();
                self.stopped = true;
            }
            Event::Started => {
                sim.stop();
                sim.forget_failures();
                sim.start();
                self.stopped = false;
            }
            Event::Booted => {
                sim.boot();
                self.stopped = false;
            }
            Event::Overwritten => self.bench.disk.plant(CONFIG, "{ \"log-level\": \"warn\" }"),
            Event::Duplicated => {
                self.bench
                    .disk
                    .plant(CONFIG, "{ \"tlscacert\": \"/srv/ca.pem\" }");
                if sim.runs() {
                    sim.restart_by_somebody();
                }
            }
            Event::Hangs => sim.sabotage(|s| s.hangs = 1),
            Event::Ends(times) => sim.sabotage(|s| s.exits = Some((*times, "out of inodes".into()))),
            Event::PortTaken(taken) => {
                let taken = if *taken { vec![2376] } else { Vec::new() };
                sim.sabotage(|s| s.taken = taken);
            }
            Event::DiskFull(step) => {
                let fault = Fault::FailFrom(ErrorKind::StorageFull);
                self.bench.disk.fail_at(self.bench.disk.steps() + step, fault);
                self.pass().await;
                self.bench.disk.heal();
            }
            Event::Hours(hours) => self.live(u32::try_from(*hours).unwrap()).await,
        }
    }

    /// Time passes, and the agent looks again now and then: one that never looked would lose its certificate to age.
    async fn live(&mut self, hours: u32) {
        for begun in (0..hours).step_by(48) {
            self.bench.clock.advance(HOUR * (hours - begun).min(48));
            self.pass().await;
        }
    }

    fn check(&self, event: &Event, passed: bool) {
        let sim = self.bench.dockerd();
        // Who writes TLS into the file, too, keeps dockerd from starting until the next pass.
        let duplicated = matches!(event, Event::Duplicated) && !passed;
        match sim.could_start() {
            Err(why) if !duplicated => panic!("after {event:?} dockerd could not start: {why}"),
            _ => {}
        }
        assert!(!sim.would_be_exposed(), "after {event:?}");
        assert!(
            !(self.stopped && sim.runs()),
            "after {event:?}: somebody stopped it"
        );
    }

    async fn end(&mut self) {
        let sim = self.bench.dockerd().clone();
        sim.sabotage(|s| *s = Default::default());
        sim.boot();
        for _ in 0..6 {
            self.pass().await;
            self.bench.clock.advance(HOUR * 6);
        }
        self.pass().await;
        let newest = self.bench.server.with(|state| state.serials.last().cloned());
        let verdict = self.agent.as_mut().unwrap().pass().await;
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!(sim.served(), newest);
        assert_eq!(self.bench.server.with(|state| state.uses_left), 0);
    }
}

proptest! {
    // The same stories each time: a new one that fails is for whoever looks for it (another seed), not for whoever
    // changes something else.
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2376),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_comes_dockerd_can_be_started_and_serves_the_newest_certificate_in_the_end(
        events in proptest::collection::vec(any_event(), 1..14)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut story = Story::begin();
            for event in &events {
                story.happen(event).await;
                story.check(event, false);
                story.pass().await;
                story.check(event, true);
            }
            story.end().await;
        });
    }
}
