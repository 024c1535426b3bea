//! Mode `daemon` when things go wrong: a dockerd that does not start, somebody else at the same files, windows, a daemon
//! that was stopped on purpose. What was served is served again, and everybody can see why.

use std::io::ErrorKind;
use std::time::Duration;

use dockwarden::agent::{Reconciler, Verdict};
use dockwarden::base::Clock;
use dockwarden::model::{Condition, ConditionKind, ConditionStatus};
use dockwarden::sys::fake::Fault;

use crate::support::agent::Bench;
use crate::support::dockerd::{CONFIG, DROP_INS, Sabotage, SimDockerd, Starter, drop_in};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

fn condition(verdict: &Verdict, kind: ConditionKind) -> &Condition {
    verdict.conditions.iter().find(|c| c.kind == kind).unwrap()
}

#[track_caller]
fn assert_condition(verdict: &Verdict, kind: ConditionKind, reason: &str, says: &str) {
    let found = condition(verdict, kind);
    assert_eq!(
        (found.status, found.reason.as_str()),
        (ConditionStatus::False, reason),
        "{found:?}"
    );
    assert!(found.message.contains(says), "{found:?}");
}

async fn joined(toml: &str) -> (Bench, Reconciler) {
    let mut bench = Bench::with_dockerd(Starter::Systemd, toml);
    let (agent, _) = bench.join().await;
    (bench, agent)
}

/// What goes wrong.
type Act = Box<dyn Fn(&mut Sabotage)>;

fn past_renewal(bench: &Bench) {
    bench.clock.set(bench.current().unwrap().leaf.not_after - DAY * 5);
}

#[tokio::test]
async fn a_dockerd_that_does_not_come_up_gets_back_what_it_served_and_the_log_says_why() {
    let exits = |times| move |s: &mut Sabotage| s.exits = Some((times, "out of inodes".into()));
    let rows: [(&str, Act, &str); 3] = [
        (
            "ends at start until systemd gives up",
            Box::new(exits(3)),
            "out of inodes",
        ),
        (
            "hangs at start",
            Box::new(|s| s.hangs = 1),
            "was not up after 90 s",
        ),
        (
            "hangs, and then ends once",
            Box::new(move |s| {
                s.hangs = 1;
                exits(1)(s);
            }),
            "was not up after 90 s",
        ),
    ];
    for (name, sabotage, says) in rows {
        let (bench, mut agent) = joined("").await;
        let (old, containers) = (bench.serial(), bench.dockerd().containers());
        let config = bench.disk.peek(CONFIG);
        past_renewal(&bench);
        bench.dockerd().sabotage(|s| sabotage(s));
        let verdict = agent.pass().await;
        assert_eq!(bench.dockerd().served(), Some(old.clone()), "{name}: {verdict:?}");
        assert_eq!(bench.serial(), old, "{name}");
        assert_eq!(
            (bench.disk.peek(CONFIG), bench.dockerd().containers()),
            (config, containers),
            "{name}"
        );
        assert_condition(&verdict, ConditionKind::ConfigApplied, "RolledBack", says);
        assert_condition(
            &verdict,
            ConditionKind::Serving,
            "RestartFailed",
            "is issued and not served",
        );
        let starts = bench.dockerd().started();
        bench.clock.advance(Duration::from_secs(240));
        agent.pass().await;
        assert_eq!(bench.dockerd().started(), starts, "{name}: not again at once");
        bench.clock.advance(Duration::from_secs(120));
        let verdict = agent.pass().await;
        assert!(verdict.is_good(), "{name}: {verdict:?}");
        assert_eq!(
            bench.server.issued(),
            2,
            "{name}: the certificate that waits is used"
        );
    }
}

#[tokio::test]
async fn a_dockerd_that_never_takes_the_new_certificate_is_left_alone_longer_and_longer() {
    let (bench, mut agent) = joined("").await;
    let old = bench.serial();
    past_renewal(&bench);
    let begin = bench.clock.now();
    let mut tries = 0;
    while bench.clock.now() < begin + DAY {
        bench.dockerd().sabotage(|s| s.hangs = 1);
        let starts = bench.dockerd().started();
        let verdict = agent.pass().await;
        tries += usize::from(bench.dockerd().started() > starts);
        assert_eq!(bench.dockerd().served(), Some(old.clone()));
        bench
            .clock
            .set(verdict.next.max(bench.clock.now() + Duration::from_secs(120)));
        bench.dockerd().sabotage(|s| s.hangs = 0);
    }
    assert!((3..=10).contains(&tries), "{tries} tries in a day");
}

#[tokio::test]
async fn a_port_that_somebody_else_has_costs_nobody_the_local_docker() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    bench.dockerd().sabotage(|s| s.taken = vec![2376]);
    let containers = bench.dockerd().containers();
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert!(bench.dockerd().runs(), "{verdict:?}");
    assert_condition(
        &verdict,
        ConditionKind::ConfigApplied,
        "RolledBack",
        "address already in use",
    );
    assert_eq!(
        (bench.disk.peek(CONFIG), bench.disk.peek(drop_in())),
        (None, None),
        "as it was found"
    );
    assert_eq!(bench.dockerd().containers(), containers);
    bench.dockerd().sabotage(|s| s.taken.clear());
    bench.clock.advance(HOUR);
    assert!(bench.converge(&mut agent, 3).await.is_good());
}

#[tokio::test]
async fn a_port_that_is_taken_while_dockerd_restarts_is_waited_for() {
    let (bench, mut agent) = joined("").await;
    let old = bench.serial();
    past_renewal(&bench);
    bench.dockerd().sabotage(|s| s.taken = vec![2376]);
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::ConfigApplied,
        "RollingBack",
        "address already in use",
    );
    assert_eq!(bench.serial(), old);
    bench.dockerd().sabotage(|s| s.taken.clear());
    bench.clock.set(verdict.next);
    agent.pass().await;
    assert_eq!(
        bench.dockerd().served(),
        Some(old),
        "what was served is served again"
    );
    bench.clock.advance(HOUR);
    assert!(bench.converge(&mut agent, 3).await.is_good());
}

#[tokio::test]
async fn a_daemon_json_that_somebody_breaks_mid_way_stops_the_restart() {
    let (bench, mut agent) = joined("").await;
    let (old, starts) = (bench.serial(), bench.dockerd().started());
    past_renewal(&bench);
    bench
        .dockerd()
        .sabotage(|s| s.before_restart = Some(b"{ \"debug\": tru".to_vec()));
    let verdict = agent.pass().await;
    assert_eq!(bench.dockerd().started(), starts, "{verdict:?}");
    assert_eq!(bench.dockerd().served(), Some(old.clone()));
    assert_eq!(bench.serial(), old);
    assert_condition(
        &verdict,
        ConditionKind::ConfigApplied,
        "Refused",
        "daemon.json:1:",
    );
    assert_eq!(
        bench.disk.peek(CONFIG).unwrap(),
        b"{ \"debug\": tru",
        "theirs, and left alone"
    );
    bench.disk.plant(CONFIG, b"{ \"debug\": true }");
    bench.clock.advance(HOUR);
    let verdict = bench.converge(&mut agent, 3).await;
    assert!(verdict.is_good(), "{verdict:?}");
    let config = String::from_utf8(bench.disk.peek(CONFIG).unwrap()).unwrap();
    assert!(config.contains("debug"), "theirs, and kept: {config}");
}

#[tokio::test]
async fn a_disk_that_fills_up_at_any_step_leaves_what_is_served() {
    for step in 1..90 {
        let (bench, mut agent) = joined("").await;
        let old = bench.serial();
        past_renewal(&bench);
        bench
            .disk
            .fail_at(bench.disk.steps() + step, Fault::FailFrom(ErrorKind::StorageFull));
        for _ in 0..3 {
            let verdict = agent.pass().await;
            bench.dockerd().could_start().unwrap();
            bench.clock.set(verdict.next);
        }
        let served = bench.dockerd().served();
        let newest = bench.server.with(|state| state.serials.last().cloned());
        assert!(served == Some(old) || served == newest, "step {step}");
        bench.disk.heal();
        bench.clock.advance(HOUR);
        let verdict = bench.converge(&mut agent, 5).await;
        assert!(verdict.is_good(), "step {step}: {verdict:?}");
        assert_eq!(
            (bench.server.issued(), bench.dockerd().started()),
            (2, 2),
            "step {step}"
        );
    }
}

#[tokio::test]
async fn a_dockerd_that_was_stopped_on_purpose_stays_stopped_and_serves_when_it_is_started() {
    let (bench, mut agent) = joined("").await;
    bench.dockerd().stop();
    past_renewal(&bench);
    for _ in 0..5 {
        let verdict = agent.pass().await;
        assert_condition(
            &verdict,
            ConditionKind::Serving,
            "DaemonStopped",
            "not ours to start",
        );
        bench.clock.set(verdict.next);
    }
    assert!(!bench.dockerd().runs());
    assert_eq!(bench.server.issued(), 2, "renewed all the same");
    bench.dockerd().start();
    let verdict = bench.converge(&mut agent, 3).await;
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(bench.dockerd().served(), Some(bench.serial()));
    assert_eq!(
        bench.dockerd().started(),
        2,
        "by whoever started it, and not again"
    );
}

#[tokio::test]
async fn a_host_whose_dockerd_never_ran_is_prepared_and_not_started() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    bench.dockerd().stop();
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Serving,
        "DaemonStopped",
        "systemctl start docker",
    );
    assert!(!bench.dockerd().runs() && bench.disk.peek(drop_in()).is_some());
    bench.dockerd().could_start().unwrap();
    bench.dockerd().start();
    assert!(bench.converge(&mut agent, 3).await.is_good());
    assert_eq!(bench.dockerd().started(), 1);
}

const SUNDAYS: &str =
    "[daemon]\nwindows = [{ cron = '0 3 * * SUN', duration = '2h', zone = 'Europe/Amsterdam' }]\n";

#[tokio::test]
async fn a_restart_waits_for_its_window_and_everything_else_is_ready_by_then() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, SUNDAYS);
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Serving,
        "RestartPending",
        "window Sun 03:00-05:00 Europe/Amsterdam",
    );
    assert_eq!(
        (bench.dockerd().started(), bench.disk.peek(CONFIG)),
        (0, None),
        "nothing is changed before"
    );
    let issued = verdict.conditions.len();
    assert!(issued > 0 && bench.server.issued() == 1);
    let (validations, calls) = (bench.dockerd().validations(), bench.server.with(|s| s.calls));
    let mut hours = 0;
    while bench.dockerd().started() == 0 {
        bench.clock.advance(HOUR / 2);
        agent.pass().await;
        hours += 1;
        assert!(hours < 2 * 24 * 8, "no window within eight days");
    }
    assert_eq!(bench.server.with(|s| s.calls), calls, "asked once");
    assert!(
        bench.dockerd().validations() <= validations + 2,
        "dockerd was not asked again and again"
    );
    let time = jiff::Timestamp::from_millisecond(bench.clock.now().as_millis()).unwrap();
    let local = time.in_tz("Europe/Amsterdam").unwrap();
    assert_eq!((local.weekday(), local.hour()), (jiff::civil::Weekday::Sunday, 3));
    assert_eq!(bench.dockerd().served(), Some(bench.serial()));
}

#[tokio::test]
async fn a_certificate_that_would_not_live_to_the_window_does_not_wait_for_it() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, SUNDAYS);
    bench.server.with(|state| state.lifetime = DAY * 2);
    let mut agent = bench.start();
    agent.settle();
    assert!(agent.pass().await.is_good(), "asked for now");
    drop(agent);
    bench.disk.restart();
    let mut agent = bench.start();
    for _ in 0..20 {
        bench.clock.advance(HOUR * 12);
        agent.pass().await;
        let served = bench.dockerd().served();
        assert!(served.is_some());
        assert!(
            bench.current().unwrap().leaf.not_after > bench.clock.now(),
            "never expired"
        );
    }
}

#[tokio::test]
async fn pulls_and_builds_are_waited_for_but_not_for_ever() {
    let (bench, mut agent) = joined("[daemon]\nidle_timeout = '10m'\n").await;
    past_renewal(&bench);
    bench.dockerd().set_busy(&["an image is being pulled"]);
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Serving,
        "WaitsForIdle",
        "an image is being pulled",
    );
    assert_eq!(bench.dockerd().started(), 1);
    bench.clock.advance(Duration::from_secs(590));
    agent.pass().await;
    assert_eq!(bench.dockerd().started(), 1);
    bench.clock.advance(Duration::from_secs(15));
    assert!(agent.pass().await.is_good());
    assert_eq!(bench.dockerd().started(), 2);
}

#[tokio::test]
async fn a_change_by_something_else_is_merged_at_once_without_a_restart_and_not_fought_for_ever() {
    let (bench, mut agent) = joined("").await;
    let theirs: &[u8] = b"{\n\t\"log-level\": \"warn\",\n\t\"tlscacert\": \"/srv/ca.pem\"\n}\n";
    for round in 1..=3 {
        bench.disk.plant(CONFIG, theirs);
        let verdict = agent.pass().await;
        assert!(verdict.is_good(), "{round}: {verdict:?}");
        let config = String::from_utf8(bench.disk.peek(CONFIG).unwrap()).unwrap();
        assert!(
            config.contains("\t\"log-level\": \"warn\"") && !config.contains("tlscacert"),
            "{config}"
        );
        bench.clock.advance(Duration::from_secs(60));
    }
    bench.disk.plant(CONFIG, theirs);
    for _ in 0..5 {
        let verdict = agent.pass().await;
        assert_condition(
            &verdict,
            ConditionKind::ConfigApplied,
            "Contested",
            "is another tool in charge of it?",
        );
        assert_eq!(
            condition(&verdict, ConditionKind::Serving).status,
            ConditionStatus::True
        );
        bench.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(bench.disk.peek(CONFIG).unwrap(), theirs);
    assert_eq!(
        bench.disk.peek(drop_in()),
        None,
        "with TLS in the file, none in the drop-in, and no port"
    );
    assert!(!bench.dockerd().would_be_exposed());
    bench.clock.advance(HOUR);
    assert!(agent.pass().await.is_good());
    assert_eq!(bench.dockerd().started(), 1, "none of it needed a restart");
}

#[tokio::test]
async fn daemon_json_overwritten_by_another_tool_and_dockerd_restarted_at_once_is_never_plain_tcp() {
    let silent = ["", "{}", r#"{"log-level": "warn"}"#, r#"{"tls": false}"#];
    let loud = [
        r#"{"tlsverify": false}"#,
        r#"{"tlsverify": true, "tlscert": "/srv/cert.pem"}"#,
        r#"{"hosts": ["tcp://0.0.0.0:2376"]}"#,
        r#"{"hosts": ["tcp://0.0.0.0:2376"], "tlsverify": false}"#,
    ];
    for theirs in silent.into_iter().chain(loud) {
        let (bench, mut agent) = joined("").await;
        let serial = bench.serial();
        bench.disk.plant(CONFIG, theirs);
        assert!(!bench.dockerd().would_be_exposed(), "{theirs}");
        bench.dockerd().restart_by_somebody();
        let stays = silent.contains(&theirs);
        assert_eq!(
            bench.dockerd().served(),
            stays.then(|| serial.clone()),
            "{theirs}"
        );
        assert_eq!(
            bench.dockerd().runs(),
            stays,
            "it serves as before, or does not start: {theirs}"
        );
        let starts = bench.dockerd().started();
        let verdict = bench.converge(&mut agent, 3).await;
        assert!(verdict.is_good(), "{theirs}: {verdict:?}");
        assert_eq!(bench.dockerd().served(), Some(serial), "{theirs}");
        assert_eq!(
            bench.dockerd().started(),
            starts + usize::from(!stays),
            "{theirs}"
        );
        let applied = condition(&verdict, ConditionKind::ConfigApplied);
        assert_eq!(applied.message.contains("put right at"), !stays, "{applied:?}");
        let names = ["hosts", "tlsverify"]
            .into_iter()
            .filter(|key| theirs.contains(key));
        for key in names {
            assert!(applied.message.contains(key), "{applied:?}");
        }
    }
}

#[tokio::test]
async fn a_dockerd_that_another_tool_keeps_bringing_down_is_left_with_its_local_socket() {
    let (bench, mut agent) = joined("").await;
    let theirs = r#"{"tlscacert": "/srv/ca.pem"}"#;
    for _ in 1..=4 {
        bench.disk.plant(CONFIG, theirs);
        bench.dockerd().restart_by_somebody();
        assert!(!bench.dockerd().runs());
        agent.pass().await;
        assert!(
            bench.dockerd().runs(),
            "it is started with the file mended, or without our flags"
        );
        bench.clock.advance(Duration::from_secs(60));
    }
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::ConfigApplied,
        "Contested",
        "is another tool in charge of it?",
    );
    assert_eq!(
        bench.disk.peek(CONFIG).unwrap(),
        theirs.as_bytes(),
        "theirs, and left alone"
    );
    assert_eq!(bench.dockerd().served(), None, "no port without our flags");
    assert!(!bench.dockerd().would_be_exposed());
    bench.dockerd().could_start().unwrap();
    bench.clock.advance(HOUR);
    assert!(bench.converge(&mut agent, 3).await.is_good());
    assert_eq!(bench.dockerd().served(), Some(bench.serial()));
}

#[tokio::test]
async fn a_dockerd_that_was_stopped_over_a_broken_file_is_not_started() {
    let (bench, mut agent) = joined("").await;
    bench.disk.plant(CONFIG, r#"{"tlsverify": true}"#);
    bench.dockerd().restart_by_somebody();
    bench.dockerd().stop();
    bench.converge(&mut agent, 3).await;
    assert!(!bench.dockerd().runs());
    bench.dockerd().could_start().unwrap();
}

#[tokio::test]
async fn leaving_gives_tls_back_to_the_file_of_an_admin_by_way_of_a_closed_port() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    let port = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2376\n";
    let original = r#"{"tlsverify": true, "tlscacert": "/srv/ca.pem", "tlscert": "/srv/cert.pem", "tlskey": "/srv/key.pem"}"#;
    let (agent, _) = bench.join().await;
    let pair = ["ca.pem", "cert.pem", "key.pem"];
    for name in pair {
        let bytes = bench
            .disk
            .peek(format!("/etc/docker/dockwarden/current/{name}"))
            .unwrap();
        bench.disk.plant(format!("/srv/{name}"), bytes);
    }
    leave(&agent, bench.dockerd()).await;
    drop(agent);
    bench.disk.restart();
    bench
        .files()
        .remove("/var/lib/dockwarden/agent/originals.json".as_ref())
        .unwrap();
    bench.disk.plant(format!("{DROP_INS}/override.conf"), port);
    bench.disk.plant(CONFIG, original);
    bench.dockerd().load();
    bench.dockerd().restart_by_somebody();
    assert!(bench.dockerd().served().is_some(), "as an admin had it");
    let mut agent = bench.start();
    let verdict = bench.converge(&mut agent, 4).await;
    assert!(verdict.is_good(), "{verdict:?}");
    assert!(
        !bench.dockerd().would_be_exposed_by(Some("{}")),
        "one file opens and guards"
    );
    let leaving = dockwarden::agent::daemon::leaving::preview(agent.world(), bench.dockerd())
        .await
        .unwrap();
    for change in &leaving.changes {
        match &change.after {
            Some(bytes) => bench.disk.plant(&change.path, &bytes.0),
            None => bench.files().remove(&change.path).unwrap(),
        }
        bench.dockerd().load();
        bench.dockerd().could_start().unwrap();
        assert!(!bench.dockerd().would_be_exposed(), "after {change}");
    }
    assert_eq!(bench.disk.peek(CONFIG).unwrap(), original.as_bytes());
}

#[tokio::test]
async fn a_change_that_took_effect_is_undone_with_a_restart() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, SUNDAYS);
    let mut agent = bench.start();
    agent.settle();
    assert!(agent.pass().await.is_good());
    drop(agent);
    bench.disk.restart();
    let mut agent = bench.start();
    bench.disk.plant(CONFIG, b"{}");
    bench.files().remove(drop_in().as_ref()).unwrap();
    bench.dockerd().load();
    bench.dockerd().stop();
    bench.dockerd().start();
    assert_eq!(bench.dockerd().served(), None);
    let verdict = bench.converge(&mut agent, 3).await;
    assert!(
        verdict.is_good(),
        "lost to everybody: no window is waited for: {verdict:?}"
    );
    assert_eq!(bench.dockerd().served(), Some(bench.serial()));
}

#[tokio::test]
async fn in_a_swarm_live_restore_is_left_alone() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    bench.dockerd().set_swarm();
    let mut agent = bench.start();
    assert!(agent.pass().await.is_good());
    let config = String::from_utf8(bench.disk.peek(CONFIG).unwrap_or_default()).unwrap();
    assert!(
        !config.contains("live-restore") && !bench.dockerd().live_restore(),
        "{config}"
    );
}

#[tokio::test]
async fn a_process_that_serves_what_it_should_is_not_dialled_in_every_pass() {
    let (bench, mut agent) = joined("").await;
    agent.pass().await;
    let dials = bench.dockerd().dials();
    for _ in 0..20 {
        bench.clock.advance(Duration::from_secs(30));
        assert!(agent.pass().await.is_good());
    }
    assert!(
        bench.dockerd().dials() <= dials + 1,
        "each dial is a line in its log"
    );
}

async fn leave(agent: &Reconciler, sim: &SimDockerd) -> Vec<String> {
    use dockwarden::agent::daemon::leaving;
    let leaving = leaving::preview(agent.world(), sim).await.unwrap();
    leaving::leave(agent.world(), sim, &leaving).await.unwrap();
    leaving.left
}

#[tokio::test]
async fn leaving_puts_everything_back_as_it_was_with_one_restart_that_no_container_feels() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    let original = b"{\n    \"log-driver\": \"journald\",\n    \"debug\": false\n}\n";
    bench.disk.plant(CONFIG, original);
    let containers = bench.dockerd().containers();
    let (mut agent, _) = bench.join().await;
    past_renewal(&bench);
    assert!(agent.pass().await.is_good());
    let starts = bench.dockerd().started();
    assert!(leave(&agent, bench.dockerd()).await.is_empty());
    assert_eq!(bench.disk.peek(CONFIG).unwrap(), original);
    assert_eq!(bench.disk.peek(drop_in()), None);
    assert!(
        !bench
            .disk
            .peek_names("/etc/systemd/system")
            .contains(&"docker.service.d".to_owned()),
        "we made it"
    );
    assert_eq!(
        (bench.dockerd().started(), bench.dockerd().served()),
        (starts + 1, None)
    );
    assert_eq!(bench.dockerd().containers(), containers);
    let again = leave(&agent, bench.dockerd()).await;
    assert!(
        again.is_empty() && bench.dockerd().started() == starts + 1,
        "nothing is left to do"
    );
}

#[tokio::test]
async fn leaving_keeps_what_others_have_changed_since() {
    let (bench, agent) = joined("").await;
    let config = String::from_utf8(bench.disk.peek(CONFIG).unwrap()).unwrap();
    let edited = config.replacen('{', "{\n  \"log-level\": \"warn\",", 1);
    bench.disk.plant(CONFIG, &edited);
    leave(&agent, bench.dockerd()).await;
    let left: serde_json::Value = serde_json::from_slice(&bench.disk.peek(CONFIG).unwrap()).unwrap();
    assert_eq!(left, serde_json::json!({ "log-level": "warn" }));
}

#[tokio::test]
async fn a_host_that_is_taken_over_again_after_leaving_keeps_its_containers() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    let containers = bench.dockerd().containers();
    let (mut agent, _) = bench.join().await;
    leave(&agent, bench.dockerd()).await;
    // The engine still has live-restore on, and nothing tells the next one.
    // To the agent, somebody took its files away: they are mended first, and the restart is the next pass's.
    agent.pass().await;
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:#?}");
    assert_eq!(bench.dockerd().served(), Some(bench.serial()));
    assert_eq!(bench.dockerd().containers(), containers);
}

#[tokio::test]
async fn files_that_dockerd_does_not_start_with_are_not_given_back() {
    use dockwarden::agent::daemon::leaving;
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    // It runs, since nobody has restarted it: hosts are flags, too.
    bench
        .disk
        .plant(CONFIG, b"{\"hosts\": [\"unix:///var/run/docker.sock\"]}\n");
    let (agent, serial) = bench.join().await;
    let sim = bench.dockerd();
    let leaving = leaving::preview(agent.world(), sim).await.unwrap();
    let error = leaving::leave(agent.world(), sim, &leaving).await.unwrap_err();
    assert!(error.to_string().contains("left with ours"), "{error}");
    assert_eq!(sim.served(), Some(serial), "it is not left down");
}

#[tokio::test]
async fn a_directory_that_was_made_for_a_change_goes_with_it() {
    let mut bench = Bench::with_dockerd(Starter::Systemd, "");
    bench
        .dockerd()
        .sabotage(|s| s.exits = Some((3, "out of inodes".into())));
    let mut agent = bench.start();
    assert!(!agent.pass().await.is_good());
    let names = bench.disk.peek_names("/etc/systemd/system");
    assert!(!names.contains(&"docker.service.d".to_owned()), "{names:?}");
}
