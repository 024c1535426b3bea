//! Mode `daemon`: the authorization plugin is plugged in by a reload, proved by a canary, put back when somebody takes it
//! out, and taken out when it is not to be asked.

use dockwarden::agent::Reconciler;
use dockwarden::agent::daemon::leaving;
use dockwarden::agent::daemon::plug::SPEC;
use dockwarden::sys::fake::Fault;
use serde_json::{Value, json};

use crate::support::agent::Bench;
use crate::support::dockerd::{CONFIG, SimDockerd, Starter};

fn host(toml: &str) -> Bench {
    let mut bench = Bench::with_dockerd(Starter::Systemd, toml);
    bench.has_plugin_socket = true;
    bench
}

fn listed(bench: &Bench) -> Option<Value> {
    let config: Value = serde_json::from_slice(&bench.disk.peek(CONFIG)?).unwrap();
    config.get("authorization-plugins").cloned()
}

/// What must hold after every pass and every crash: nobody restarted dockerd for it, and it did not die of it.
fn assert_unharmed(sim: &SimDockerd, starts: usize, containers: &[(String, u32)]) {
    assert!(sim.runs(), "dockerd died");
    assert_eq!((sim.started(), &sim.containers()[..]), (starts, containers));
}

/// Passes until nothing is to be done, with the waits in between.
async fn settle(bench: &Bench, agent: &mut Reconciler) {
    for _ in 0..4 {
        let verdict = agent.pass().await;
        bench.clock.set(verdict.next);
    }
}

#[tokio::test]
async fn dockerd_asks_after_a_reload_and_no_restart_of_its_own() {
    let mut bench = host("");
    let mut agent = bench.start();
    agent.pass().await;
    let (starts, containers) = (bench.dockerd().started(), bench.dockerd().containers());
    assert_eq!(bench.dockerd().served(), Some(bench.serial()));
    assert_eq!(
        bench.dockerd().plugins(),
        ["dockwarden"],
        "in the pass that had dockerd serve"
    );
    assert_eq!(starts, 1, "the one that opened the port");
    assert_eq!(listed(&bench), Some(json!(["dockwarden"])));
    assert_eq!(
        bench.disk.peek(SPEC).unwrap(),
        b"unix:///run/dockwarden/authz.sock\n"
    );
    let reloads = bench.dockerd().reloads();
    settle(&bench, &mut agent).await;
    assert_eq!(bench.dockerd().reloads(), reloads, "once is enough");
    assert_unharmed(bench.dockerd(), starts, &containers);
    assert!(bench.dockerd().could_start().is_ok());
}

#[tokio::test]
async fn it_comes_before_the_plugins_of_others_which_stay_where_they_are() {
    let mut bench = host("");
    bench.disk.plant(
        CONFIG,
        "{\n  \"authorization-plugins\": [\"theirs\", \"more\"]\n}\n",
    );
    bench.dockerd().restart_by_somebody();
    let mut agent = bench.start();
    settle(&bench, &mut agent).await;
    assert_eq!(bench.dockerd().plugins(), ["dockwarden", "theirs", "more"]);
    let text = String::from_utf8(bench.disk.peek(CONFIG).unwrap()).unwrap();
    assert!(text.contains("[\"dockwarden\", \"theirs\", \"more\"]"), "{text}");
}

#[tokio::test]
async fn whoever_takes_it_out_finds_it_back_with_the_next_pass() {
    let mut bench = host("");
    let (mut agent, _) = bench.join().await;
    settle(&bench, &mut agent).await;
    let (starts, containers) = (bench.dockerd().started(), bench.dockerd().containers());
    // From a template, as other tools do, and a reload; again and again: letting revoked clients in is no peace.
    for _ in 0..6 {
        bench.disk.plant(CONFIG, "{\"live-restore\": true}");
        let sim = bench.dockerd().clone();
        dockwarden::agent::daemon::Dockerd::reload(&sim).await.unwrap();
        assert!(sim.plugins().is_empty());
        let verdict = agent.pass().await;
        assert_eq!(sim.plugins(), ["dockwarden"], "{verdict:?}");
        bench.clock.set(verdict.next);
    }
    assert_unharmed(bench.dockerd(), starts, &containers);
    // Only in memory: nobody wrote anything, and dockerd does not ask.
    let kept = bench.disk.peek(CONFIG).unwrap();
    bench.disk.plant(CONFIG, "{\"live-restore\": true}");
    dockwarden::agent::daemon::Dockerd::reload(bench.dockerd())
        .await
        .unwrap();
    bench.disk.plant(CONFIG, kept);
    agent.pass().await;
    assert_eq!(bench.dockerd().plugins(), ["dockwarden"]);
}

#[tokio::test]
async fn one_that_does_not_answer_is_never_plugged_in() {
    let mut bench = host("");
    bench.dockerd().set_plugin_dead(true);
    let mut agent = bench.start();
    agent.pass().await;
    assert_eq!(bench.dockerd().served(), Some(bench.serial()));
    let starts = bench.dockerd().started();
    let containers = bench.dockerd().containers();
    settle(&bench, &mut agent).await;
    assert_eq!((listed(&bench), bench.dockerd().plugins()), (None, vec![]));
    assert_unharmed(bench.dockerd(), starts, &containers);
    bench.dockerd().set_plugin_dead(false);
    for _ in 0..8 {
        settle(&bench, &mut agent).await;
    }
    assert_eq!(bench.dockerd().plugins(), ["dockwarden"]);
}

#[tokio::test]
async fn without_a_socket_nobody_is_plugged_in_and_who_is_stays() {
    let mut bench = host("");
    bench.has_plugin_socket = false;
    let (mut agent, _) = bench.join().await;
    settle(&bench, &mut agent).await;
    assert_eq!(listed(&bench), None);
    drop(agent);
    bench.has_plugin_socket = true;
    let mut agent = bench.start();
    settle(&bench, &mut agent).await;
    assert_eq!(listed(&bench), Some(json!(["dockwarden"])));
    drop(agent);
    // Started by hand, say. Letting revoked clients in is nothing that happens by itself.
    bench.has_plugin_socket = false;
    let mut agent = bench.start();
    settle(&bench, &mut agent).await;
    assert_eq!(listed(&bench), Some(json!(["dockwarden"])));
}

#[tokio::test]
async fn authz_false_takes_it_out_by_a_reload() {
    let mut bench = host("");
    bench.disk.plant(CONFIG, "{\"authorization-plugins\": []}");
    let (mut agent, _) = bench.join().await;
    settle(&bench, &mut agent).await;
    assert_eq!(bench.dockerd().plugins(), ["dockwarden"]);
    let (starts, containers) = (bench.dockerd().started(), bench.dockerd().containers());
    drop(agent);
    bench.toml.push_str("[daemon]\nauthz = false\n");
    let mut agent = bench.start();
    settle(&bench, &mut agent).await;
    assert!(bench.dockerd().plugins().is_empty());
    assert_eq!(listed(&bench), Some(json!([])), "as it was found");
    assert_unharmed(bench.dockerd(), starts, &containers);
}

#[tokio::test]
async fn what_somebody_unplugs_by_hand_stays_so_until_it_is_taken_back() {
    let mut bench = host("");
    let (mut agent, _) = bench.join().await;
    settle(&bench, &mut agent).await;
    let world = agent.world();
    world.records().keep_unplugged(world.clock.now()).unwrap();
    let sim = bench.dockerd().clone();
    assert!(leaving::unplug(world, &sim).await.unwrap());
    assert_eq!((listed(&bench), sim.plugins()), (None, vec![]));
    settle(&bench, &mut agent).await;
    assert_eq!(listed(&bench), None);
    agent.world().records().forget_unplugged().unwrap();
    settle(&bench, &mut agent).await;
    assert_eq!(sim.plugins(), ["dockwarden"]);
}

#[tokio::test]
async fn plugins_that_are_flags_and_plugins_that_dockerd_never_loaded_are_left_alone() {
    let mut bench = host("");
    bench.disk.plant(
        "/etc/default/docker",
        "DOCKER_OPTS=\"--authorization-plugin=theirs\"\n",
    );
    bench.dockerd().restart_by_somebody();
    let (mut agent, _) = bench.join().await;
    settle(&bench, &mut agent).await;
    assert_eq!(listed(&bench), None, "both would keep dockerd from starting");
    assert!(bench.dockerd().could_start().is_ok());

    let mut bench = host("");
    let (mut agent, _) = bench.join().await;
    let theirs = "{\"live-restore\": true, \"authorization-plugins\": [\"dead\"]}";
    bench.disk.plant(CONFIG, theirs);
    settle(&bench, &mut agent).await;
    assert_eq!(
        listed(&bench),
        Some(json!(["dead"])),
        "dockerd would die of a reload"
    );
}

#[tokio::test]
async fn an_agent_that_is_killed_anywhere_on_the_way_is_continued_and_dockerd_survives() {
    for step in 1.. {
        let mut bench = host("");
        bench.has_plugin_socket = false;
        drop(bench.join().await);
        bench.has_plugin_socket = true;
        let mut agent = bench.start();
        let (starts, containers) = (bench.dockerd().started(), bench.dockerd().containers());
        bench.disk.fail_at(bench.disk.steps() + step, Fault::Stop);
        agent.pass().await;
        let stopped = bench.disk.stopped();
        drop(agent);
        bench.disk.restart();
        assert!(bench.dockerd().could_start().is_ok(), "step {step}");
        let mut agent = bench.start();
        settle(&bench, &mut agent).await;
        assert_eq!(bench.dockerd().plugins(), ["dockwarden"], "step {step}");
        assert_eq!(listed(&bench), Some(json!(["dockwarden"])), "step {step}");
        assert_unharmed(bench.dockerd(), starts, &containers);
        if !stopped {
            assert!(step > 5, "only {step} steps were tried");
            return;
        }
    }
}

#[tokio::test]
async fn leaving_takes_it_out_first_and_puts_every_file_back() {
    let mut bench = host("");
    let found = "{\n  \"log-level\": \"info\"\n}\n";
    bench.disk.plant(CONFIG, found);
    let (mut agent, _) = bench.join().await;
    settle(&bench, &mut agent).await;
    assert_eq!(bench.dockerd().plugins(), ["dockwarden"]);
    let sim = bench.dockerd().clone();
    let preview = leaving::preview(agent.world(), &sim).await.unwrap();
    assert!(preview.left.is_empty(), "{preview:?}");
    leaving::leave(agent.world(), &sim, &preview).await.unwrap();
    assert_eq!(bench.disk.peek(CONFIG).unwrap(), found.as_bytes());
    assert_eq!(bench.disk.peek(SPEC), None);
    assert!(sim.plugins().is_empty() && sim.runs());
}

/// As mode `gate` begins on a host that was in mode `daemon`.
async fn hand_back(bench: &Bench, agent: &Reconciler) -> Result<(), leaving::LeavingError> {
    leaving::hand_back(agent.world(), bench.dockerd()).await.map(drop)
}

#[tokio::test]
async fn another_mode_takes_the_port_first_and_the_plugin_with_it_and_mode_daemon_brings_it_before_the_port()
{
    let mut bench = host("");
    let found = "{\n  \"log-level\": \"info\"\n}\n";
    bench.disk.plant(CONFIG, found);
    let (mut agent, serial) = bench.join().await;
    settle(&bench, &mut agent).await;
    let sim = bench.dockerd().clone();
    let (starts, reloads, containers) = (sim.started(), sim.reloads(), sim.containers());
    hand_back(&bench, &agent).await.unwrap();
    assert_eq!(bench.disk.peek(CONFIG).unwrap(), found.as_bytes());
    assert_eq!(bench.disk.peek(SPEC), None);
    assert_eq!((sim.served(), sim.plugins()), (None, vec![]));
    assert_unharmed(&sim, starts + 1, &containers);
    assert_eq!(sim.reloads(), reloads, "it asked until it was restarted");
    hand_back(&bench, &agent).await.unwrap();
    assert_eq!(sim.started(), starts + 1, "once");
    drop(agent);

    // Back to mode daemon, with the certificate that the host has.
    sim.forget_failures();
    let mut agent = bench.start();
    agent.pass().await;
    assert_eq!(sim.served(), Some(serial));
    assert_eq!(sim.plugins(), ["dockwarden"]);
    assert_unharmed(&sim, starts + 2, &containers);
    assert_eq!(
        sim.plugins_at_start(),
        ["dockwarden"],
        "before anybody could come"
    );
}

#[tokio::test]
async fn a_change_of_mode_that_is_killed_anywhere_is_finished_by_the_next_run() {
    for step in 1.. {
        let mut bench = host("");
        let (mut agent, _) = bench.join().await;
        settle(&bench, &mut agent).await;
        let (sim, containers) = (bench.dockerd().clone(), bench.dockerd().containers());
        bench.disk.fail_at(bench.disk.steps() + step, Fault::Stop);
        let outcome = hand_back(&bench, &agent).await;
        let stopped = bench.disk.stopped();
        assert_eq!(outcome.is_err(), stopped, "step {step}");
        let guarded = sim.served().is_none() || sim.plugins() == ["dockwarden"];
        assert!(guarded, "step {step}: open, and nobody is asked");
        drop(agent);
        bench.disk.restart();
        assert!(sim.could_start().is_ok(), "step {step}");
        sim.forget_failures();
        let agent = bench.start();
        hand_back(&bench, &agent).await.unwrap();
        assert_eq!((sim.served(), sim.plugins()), (None, vec![]), "step {step}");
        assert_eq!(listed(&bench), None, "step {step}");
        assert!(sim.runs());
        assert_eq!(sim.containers(), containers, "step {step}");
        if !stopped {
            assert!(step > 5, "only {step} steps were tried");
            return;
        }
    }
}
