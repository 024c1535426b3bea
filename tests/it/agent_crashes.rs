//! The agent is stopped before every single change it makes to the disk, and loses every answer: what comes out is
//! always one certificate, one spent use of the token, and a key that matches its certificate.

use std::io::ErrorKind;
use std::time::Duration;

use dockwarden::base::Clock;
use dockwarden::model::ConditionKind;
use dockwarden::pki::Serial;
use dockwarden::sys::fake::Fault;

use crate::support::agent::{Bench, STATE, Whim};

/// How a stopped machine comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The process was killed: everything it did is there.
    Killed,
    /// The power failed: what was not synced is gone.
    PowerFailed,
}

fn come_back(bench: &Bench, stop: Stop) {
    match stop {
        Stop::Killed => bench.disk.restart(),
        Stop::PowerFailed => bench.disk.power_failure(),
    }
}

/// What must be true once nothing is in the way any more.
fn assert_settled(bench: &Bench, certificates: usize, context: &str) {
    let pair = bench
        .current()
        .unwrap_or_else(|| panic!("no certificate: {context}"));
    pair.verify(&pair.leaf.sans, bench.clock.now()).unwrap();
    assert_eq!(bench.server.issued(), certificates, "{context}");
    assert_eq!(bench.server.with(|state| state.uses_left), 0, "{context}");
    let last = bench.server.with(|state| state.serials.last().cloned());
    assert_eq!(
        Some(pair.serial()),
        last.as_ref(),
        "the newest certificate is in use: {context}"
    );
    let left = bench.files().list(STATE.as_ref()).unwrap();
    assert!(
        !left.iter().any(|name| name.contains("tmp")),
        "{left:?}: {context}"
    );
    let expected = ["lock", "memory.json", "status.json"];
    assert_eq!(
        left,
        expected,
        "{context}; journal: {:?}",
        bench
            .files()
            .read_text(&std::path::Path::new(STATE).join("journal.json"), 99999)
    );
}

#[tokio::test]
async fn an_enrolment_that_is_stopped_anywhere_spends_one_use_and_ends_with_one_certificate() {
    for stop in [Stop::Killed, Stop::PowerFailed] {
        let mut visited = 0;
        for step in 1.. {
            let mut bench = Bench::new();
            bench.disk.fail_at(step, Fault::Stop);
            if let Ok(mut agent) = bench.try_start() {
                bench.converge(&mut agent, 5).await;
            }
            let stopped = bench.disk.stopped();
            come_back(&bench, stop);
            bench.assert_whole();
            bench.clock.advance(Duration::from_secs(20));
            let mut agent = bench.start();
            let verdict = bench.converge(&mut agent, 5).await;
            assert!(verdict.is_good(), "{stop:?} at {step}: {verdict:?}");
            agent.pass().await;
            assert_settled(&bench, 1, &format!("{stop:?} at step {step}"));
            if !stopped {
                break;
            }
            visited = step;
        }
        assert!(visited > 30, "only {visited} steps were visited");
    }
}

#[tokio::test]
async fn a_renewal_that_is_stopped_anywhere_keeps_the_old_certificate_until_the_new_one_is_whole() {
    for stop in [Stop::Killed, Stop::PowerFailed] {
        let mut visited = 0;
        for step in 1.. {
            let mut bench = Bench::new();
            let (mut agent, old) = bench.join().await;
            bench.clock.advance(Duration::from_secs(25 * 86_400));
            bench.disk.fail_at(bench.disk.steps() + step, Fault::Stop);
            bench.converge(&mut agent, 5).await;
            let stopped = bench.disk.stopped();
            drop(agent);
            come_back(&bench, stop);
            let found = bench.serial();
            assert!(
                found == old || Some(&found) == bench.server.with(|s| s.serials.last().cloned()).as_ref()
            );
            let mut agent = bench.start();
            let verdict = bench.converge(&mut agent, 5).await;
            assert!(verdict.is_good(), "{stop:?} at {step}: {verdict:?}");
            assert_settled(&bench, 2, &format!("{stop:?} at step {step}"));
            if !stopped {
                break;
            }
            visited = step;
        }
        assert!(visited > 30, "only {visited} steps were visited");
    }
}

/// Two stops in one renewal, at every pair of steps that are a few apart.
#[tokio::test]
async fn being_stopped_again_while_recovering_changes_nothing() {
    for first in (1..40).step_by(5) {
        for second in (2..40).step_by(7) {
            let mut bench = Bench::new();
            let (mut agent, _) = bench.join().await;
            bench.clock.advance(Duration::from_secs(25 * 86_400));
            for step in [first, second] {
                bench.disk.fail_at(bench.disk.steps() + step, Fault::Stop);
                bench.converge(&mut agent, 3).await;
                drop(agent);
                bench.disk.power_failure();
                bench.assert_whole();
                agent = bench.start();
            }
            let verdict = bench.converge(&mut agent, 5).await;
            assert!(verdict.is_good(), "{first}, {second}: {verdict:?}");
            assert_settled(&bench, 2, &format!("stopped at {first} and {second}"));
        }
    }
}

#[tokio::test]
async fn lost_requests_and_lost_answers_end_with_one_certificate_for_each_time_one_was_wanted() {
    let rows: [&[Whim]; 4] = [
        &[Whim::LoseRequest],
        &[Whim::LoseAnswer],
        &[
            Whim::LoseAnswer,
            Whim::LoseAnswer,
            Whim::LoseRequest,
            Whim::LoseAnswer,
        ],
        &[Whim::LoseRequest, Whim::LoseAnswer],
    ];
    for whims in rows {
        let mut bench = Bench::new();
        bench.server.with(|state| state.whims = whims.to_vec());
        let (mut agent, _) = bench.join_in(10).await;
        assert_settled(&bench, 1, &format!("{whims:?}"));
        bench.clock.advance(Duration::from_secs(25 * 86_400));
        bench.server.with(|state| state.whims = whims.to_vec());
        let verdict = bench.converge(&mut agent, 10).await;
        assert!(verdict.is_good(), "{whims:?}: {verdict:?}");
        assert_settled(&bench, 2, &format!("{whims:?}"));
    }
}

/// The answer was lost, the agent was killed, and meanwhile the host got another address: the token is spent on the
/// old key, so only that one may be sent again.
#[tokio::test]
async fn a_spent_token_is_not_wasted_when_addresses_change_while_enrolling() {
    let mut bench = Bench::new();
    bench.server.with(|state| state.always = Some(Whim::LoseAnswer));
    let mut agent = bench.start();
    agent.pass().await;
    drop(agent);
    bench.disk.restart();
    bench.server.with(|state| state.always = None);
    bench.host.0.lock().unwrap().addresses = vec!["10.20.3.9".parse().unwrap()];
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_eq!(bench.server.issued(), 1, "{verdict:?}");
    bench.clock.advance(Duration::from_secs(20));
    agent.pass().await;
    let names: Vec<String> = bench
        .current()
        .unwrap()
        .leaf
        .sans
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        names.contains(&"10.20.3.9".to_owned()),
        "renewed with the new address: {names:?}"
    );
    assert_eq!(bench.server.with(|state| state.uses_left), 0);
}

#[tokio::test]
async fn a_disk_that_fills_up_at_any_step_costs_no_certificate_and_no_token() {
    let mut visited = 0;
    for step in 1.. {
        let mut bench = Bench::new();
        let (mut agent, old) = bench.join().await;
        bench.clock.advance(Duration::from_secs(25 * 86_400));
        let armed = bench.disk.steps() + step;
        bench.disk.fail_at(armed, Fault::FailFrom(ErrorKind::StorageFull));
        for _ in 0..3 {
            let verdict = agent.pass().await;
            bench.assert_whole();
            bench.clock.set(verdict.next);
        }
        let found: Serial = bench.serial();
        assert!(found == old || bench.server.issued() == 2);
        bench.disk.heal();
        bench.clock.advance(Duration::from_secs(700));
        let verdict = bench.converge(&mut agent, 5).await;
        assert!(verdict.is_good(), "step {step}: {verdict:?}");
        assert_settled(&bench, 2, &format!("full from step {step}"));
        if bench.disk.steps() < armed {
            break;
        }
        visited = step;
        if step > 45 {
            break;
        }
    }
    assert!(visited > 30, "only {visited} steps were visited");
}

#[tokio::test]
async fn a_disk_that_is_full_is_named_with_the_file_and_the_fix() {
    let mut bench = Bench::new();
    bench.files().private_directory(STATE.as_ref()).unwrap();
    bench
        .disk
        .fail_at(bench.disk.steps() + 1, Fault::FailFrom(ErrorKind::StorageFull));
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    let applied = verdict
        .conditions
        .iter()
        .find(|c| c.kind == ConditionKind::ConfigApplied)
        .unwrap();
    assert_eq!(applied.reason, "DiskFailure");
    assert!(
        applied.message.contains(STATE) && applied.message.contains("no space left; free some"),
        "{applied:?}"
    );
    assert_eq!(
        bench.server.issued(),
        0,
        "nothing is asked for whose key could not be kept"
    );
}
