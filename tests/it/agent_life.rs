//! A host's life with its agent: joining, renewing, moving, and everything that goes wrong on the way.

use std::path::Path;
use std::time::Duration;

use dockwarden::agent::{Pair, Verdict};
use dockwarden::base::{Clock, Timestamp};
use dockwarden::model::{Condition, ConditionKind, ConditionStatus};
use dockwarden::pki::{San, pem};
use dockwarden::sys::Access;
use dockwarden::wire::{Code, Issued};

use crate::support::agent::{Bench, FILES, STATE, Whim};
use crate::support::pki::Fleet;

const DAY: Duration = Duration::from_secs(86_400);

fn condition(verdict: &Verdict, kind: ConditionKind) -> &Condition {
    verdict.conditions.iter().find(|c| c.kind == kind).unwrap()
}

#[track_caller]
fn assert_condition(verdict: &Verdict, kind: ConditionKind, status: ConditionStatus, reason: &str) {
    let found = condition(verdict, kind);
    assert_eq!(
        (found.status, found.reason.as_str()),
        (status, reason),
        "{found:?}"
    );
}

fn names(pair: &Pair) -> Vec<String> {
    pair.leaf.sans.iter().map(ToString::to_string).collect()
}

/// Goes to where the certificate in use is renewed, and past it.
fn past_renewal(bench: &Bench) {
    let not_after = bench.current().unwrap().leaf.not_after;
    bench.clock.set(not_after - DAY * 5);
}

#[tokio::test]
async fn a_host_joins_serves_and_tells_the_server() {
    let mut bench = Bench::new();
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "one pass is enough: {verdict:?}");
    let pair = bench.current().unwrap();
    let expected = [
        "web-07.fleet.internal",
        "web-07",
        "localhost",
        "10.20.3.7",
        "127.0.0.1",
        "::1",
    ];
    assert_eq!(names(&pair), expected);
    assert_eq!(
        bench.front.published.lock().unwrap().as_ref().unwrap().serial,
        *pair.serial()
    );
    let enrolled = condition(&verdict, ConditionKind::Enrolled);
    assert!(enrolled.message.ends_with("… used (1 of 1)"), "{enrolled:?}");
    let report = bench.server.with(|state| state.reports.pop().unwrap());
    assert_eq!(report.issued.as_ref().unwrap().serial, *pair.serial());
    assert_eq!(
        (report.served, report.engine_version.as_deref()),
        (report.issued, Some("28.5.2"))
    );
    assert_eq!(
        report.endpoints,
        ["tcp://web-07.fleet.internal:2376", "tcp://10.20.3.7:2376"]
    );
    for (file, mode) in [("key.pem", 0o400), ("cert.pem", 0o444), ("ca.pem", 0o444)] {
        assert_eq!(
            bench.disk.mode(format!("{FILES}/current/{file}")),
            Some(mode),
            "{file}"
        );
    }
    assert_eq!(bench.disk.mode(STATE), Some(0o700));
}

#[tokio::test]
async fn nothing_happens_while_nothing_is_wrong() {
    let mut bench = Bench::new();
    let (mut agent, serial) = bench.join().await;
    agent.pass().await;
    let (calls, steps) = (bench.server.with(|state| state.calls), bench.disk.steps());
    for _ in 0..20 {
        bench.clock.advance(Duration::from_secs(30));
        assert!(agent.pass().await.is_good());
    }
    assert_eq!(
        (bench.server.with(|state| state.calls), bench.serial()),
        (calls, serial)
    );
    // Its status, and nothing else: a temporary file, its rename, the directory.
    assert_eq!(bench.disk.steps() - steps, 20 * 3);
    let reports = bench.server.with(|state| state.reports.len());
    assert!((8..=20).contains(&reports), "{reports} reports in ten minutes");
}

#[tokio::test]
async fn the_renewal_point_is_drawn_once_and_lies_where_it_should() {
    let mut bench = Bench::new();
    let start = bench.clock.now();
    let (agent, _) = bench.join().await;
    let drawn = agent.world().records().memory().unwrap().renewal.unwrap();
    let lifetime = DAY * 30;
    assert!(
        (start + lifetime.mul_f64(0.6)..=start + lifetime.mul_f64(0.75)).contains(&drawn.at),
        "{drawn:?}"
    );
    drop(agent);
    let mut agent = bench.start();
    agent.pass().await;
    assert_eq!(
        agent.world().records().memory().unwrap().renewal,
        Some(drawn.clone())
    );
    bench.clock.set(drawn.at - Duration::from_secs(1));
    agent.pass().await;
    assert_eq!(bench.server.issued(), 1);
    bench.clock.set(drawn.at);
    let verdict = agent.pass().await;
    assert!(verdict.is_good() && bench.server.issued() == 2, "{verdict:?}");
}

#[tokio::test]
async fn certificates_of_a_minute_are_not_renewed_all_the_time_because_they_are_backdated() {
    let mut bench = Bench::new();
    bench
        .server
        .with(|state| state.lifetime = Duration::from_secs(60));
    let (mut agent, _) = bench.join().await;
    let start = bench.clock.now();
    while bench.clock.now() < start + Duration::from_secs(600) {
        let verdict = agent.pass().await;
        assert!(verdict.is_good(), "{verdict:?}");
        bench.clock.set(verdict.next);
    }
    let issued = bench.server.issued();
    assert!(
        (13..=18).contains(&issued),
        "{issued} certificates in ten minutes"
    );
}

#[tokio::test]
async fn every_renewal_has_a_new_key_and_the_last_three_versions_stay() {
    let mut bench = Bench::new();
    let (mut agent, _) = bench.join().await;
    let mut keys = vec![bench.current().unwrap().leaf.spki_sha256];
    for _ in 0..5 {
        past_renewal(&bench);
        assert!(agent.pass().await.is_good());
        keys.push(bench.current().unwrap().leaf.spki_sha256);
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 6);
    assert_eq!(agent.world().versions().list().unwrap(), [3, 4, 5, 6]);
}

#[tokio::test]
async fn the_server_moves_the_renewal_earlier_and_never_later() {
    let mut bench = Bench::new();
    let (mut agent, _) = bench.join().await;
    let drawn = agent.world().records().memory().unwrap().renewal.unwrap().at;
    bench.server.with(|state| state.renew_at = Some(drawn + DAY));
    bench.clock.advance(Duration::from_secs(90));
    agent.pass().await;
    assert_eq!(
        agent.world().records().memory().unwrap().renewal.unwrap().at,
        drawn
    );
    let soon = bench.clock.now() + Duration::from_secs(600);
    bench.server.with(|state| state.renew_at = Some(soon));
    bench.clock.advance(Duration::from_secs(90));
    agent.pass().await;
    assert_eq!(
        agent.world().records().memory().unwrap().renewal.unwrap().at,
        soon
    );
    bench.clock.set(soon);
    agent.pass().await;
    assert_eq!(bench.server.issued(), 2);
}

#[tokio::test]
async fn a_host_that_moved_gets_a_certificate_for_its_new_address() {
    let mut bench = Bench::new();
    let (mut agent, _) = bench.join().await;
    bench.host.0.lock().unwrap().addresses = vec!["10.20.3.9".parse().unwrap()];
    let preview = agent.preview().await;
    let because: Vec<String> = preview.plan.because.iter().map(ToString::to_string).collect();
    assert_eq!(because, ["SANs changed: 10.20.3.7 is gone, 10.20.3.9 is new"]);
    let steps: Vec<String> = preview
        .plan
        .steps
        .iter()
        .map(|planned| planned.step.to_string())
        .collect();
    assert_eq!(
        steps[1..4],
        [
            "renew at https://ca:8443",
            "write version 2 and check it",
            "swap to version 2"
        ]
    );
    agent.pass().await;
    assert_eq!(
        bench.server.issued(),
        1,
        "addresses come one by one while a machine boots: not at once"
    );
    bench.clock.advance(Duration::from_secs(15));
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:?}");
    let names = names(&bench.current().unwrap());
    assert!(
        names.contains(&"10.20.3.9".into()) && !names.contains(&"10.20.3.7".into()),
        "{names:?}"
    );
}

#[tokio::test]
async fn an_address_that_comes_back_within_minutes_changes_nothing() {
    let mut bench = Bench::new();
    let (mut agent, _) = bench.join().await;
    bench.host.0.lock().unwrap().addresses.clear();
    for _ in 0..4 {
        agent.pass().await;
        bench.clock.advance(Duration::from_secs(60));
    }
    bench.host.0.lock().unwrap().addresses = vec!["10.20.3.7".parse().unwrap()];
    agent.pass().await;
    assert_eq!(bench.server.issued(), 1);
}

#[tokio::test]
async fn names_the_server_refuses_do_not_cost_the_host_its_renewal() {
    let mut bench = Bench::new();
    let (mut agent, _) = bench.join().await;
    let new: San = "192.0.2.9".parse().unwrap();
    bench.server.with(|state| state.forbidden = vec![new]);
    bench
        .host
        .0
        .lock()
        .unwrap()
        .addresses
        .push("192.0.2.9".parse().unwrap());
    agent.pass().await;
    bench.clock.advance(Duration::from_secs(15));
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::CertificateValid,
        ConditionStatus::False,
        "NamesRefused",
    );
    assert_eq!(bench.server.issued(), 1);
    past_renewal(&bench);
    for _ in 0..3 {
        let verdict = agent.pass().await;
        bench.clock.set(verdict.next);
    }
    assert_eq!(bench.server.issued(), 2, "renewed with the names it had");
    assert!(names(&bench.current().unwrap()).contains(&"10.20.3.7".into()));
}

#[tokio::test]
async fn a_host_whose_names_are_refused_joins_once_they_are_corrected() {
    let mut bench = Bench::new();
    bench
        .server
        .with(|state| state.forbidden = vec!["10.20.3.7".parse().unwrap()]);
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Enrolled,
        ConditionStatus::False,
        "NamesRefused",
    );
    bench.host.0.lock().unwrap().addresses.clear();
    bench.clock.set(verdict.next + Duration::from_secs(60));
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(bench.server.with(|state| state.uses_left), 0);
}

#[tokio::test]
async fn a_host_waits_for_its_operator_with_the_same_key() {
    let mut bench = Bench::new();
    bench
        .server
        .with(|state| state.whims = vec![Whim::Pend(30), Whim::Pend(30)]);
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Enrolled,
        ConditionStatus::False,
        "AwaitingApproval",
    );
    let message = &condition(&verdict, ConditionKind::Enrolled).message;
    assert!(
        message.contains("host approve") && message.contains("abab"),
        "{message}"
    );
    let key = agent.world().records().request().unwrap().unwrap().spki_sha256;
    bench.clock.advance(Duration::from_secs(29));
    agent.pass().await;
    assert_eq!(
        bench.server.with(|state| state.calls),
        1,
        "not before Retry-After"
    );
    for _ in 0..2 {
        bench.clock.advance(Duration::from_secs(31));
        agent.pass().await;
    }
    let leaf = bench.current().unwrap().leaf;
    assert_eq!(dockwarden::base::encoding::hex(&leaf.spki_sha256), key);
}

#[tokio::test]
async fn without_a_token_it_says_where_one_is_looked_for_and_asks_nobody() {
    let mut bench = Bench::configured("token_file = '/etc/dockwarden/join.token'\n");
    bench.has_token = false;
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Enrolled,
        ConditionStatus::False,
        "NoToken",
    );
    let message = &condition(&verdict, ConditionKind::Enrolled).message;
    assert!(
        message.contains("/etc/dockwarden/join.token") && message.contains("token create"),
        "{message}"
    );
    assert_eq!(bench.server.with(|state| state.calls), 0);
}

type Garble = fn(&mut Issued);

/// One row per way in which an answer can be bad.
#[tokio::test]
async fn a_bad_answer_never_replaces_the_last_good_certificate() {
    fn strange_key(issued: &mut Issued) {
        let other = Fleet::new().host("web-07.fleet.internal");
        issued.chain = pem::encode_certificate(&other.der);
    }
    fn other_ca(issued: &mut Issued) {
        issued.ca = pem::encode_certificate(&Fleet::new().root.der);
    }
    fn no_issuer(issued: &mut Issued) {
        issued.chain = issued.certificate.clone();
    }
    let rows: [(&str, Garble); 6] = [
        ("another key", strange_key),
        ("another CA", other_ca),
        ("no issuer", no_issuer),
        ("truncated", |issued| issued.chain.truncate(200)),
        ("empty", |issued| issued.ca.clear()),
        ("not PEM", |issued| issued.chain = "<html>login</html>".into()),
    ];
    for (name, garble) in rows {
        let mut bench = Bench::new();
        let (mut agent, old) = bench.join().await;
        past_renewal(&bench);
        bench
            .server
            .with(|state| state.always = Some(Whim::Garble(garble)));
        for _ in 0..3 {
            let verdict = agent.pass().await;
            assert_condition(
                &verdict,
                ConditionKind::CertificateValid,
                ConditionStatus::True,
                "RenewalFailing",
            );
            assert_condition(&verdict, ConditionKind::Serving, ConditionStatus::True, "Serving");
            assert_eq!(bench.serial(), old, "{name}");
            bench.clock.set(verdict.next + Duration::from_secs(600));
        }
        bench.server.with(|state| state.always = None);
        let verdict = bench.converge(&mut agent, 5).await;
        assert!(verdict.is_good(), "{name}: {verdict:?}");
        assert_eq!(
            bench.server.issued(),
            2,
            "{name}: the same key was sent all along"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_not_installed() {
    let mut bench = Bench::new();
    bench.server.with(|state| state.backdate = Duration::ZERO);
    let (mut agent, old) = bench.join().await;
    past_renewal(&bench);
    // The server issues at a time that this host has not reached.
    let here = bench.clock.now();
    bench.server.with(|state| state.whims = vec![Whim::LoseAnswer]);
    bench.clock.advance(DAY);
    agent.pass().await;
    bench.clock.set(here);
    drop(agent);
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_eq!(bench.serial(), old);
    let valid = condition(&verdict, ConditionKind::CertificateValid);
    assert!(
        valid.message.contains("is this machine's clock right"),
        "{valid:?}"
    );
    bench.clock.set(here + DAY + Duration::from_secs(700));
    assert!(agent.pass().await.is_good());
    assert_eq!(bench.server.issued(), 2);
}

#[tokio::test]
async fn an_answer_that_has_expired_meanwhile_is_asked_for_with_another_key() {
    let mut bench = Bench::new();
    let (mut agent, _) = bench.join().await;
    past_renewal(&bench);
    bench.server.with(|state| {
        state.lifetime = Duration::from_secs(60);
        state.whims = vec![Whim::LoseAnswer];
    });
    agent.pass().await;
    bench.server.with(|state| state.lifetime = DAY * 30);
    bench.clock.advance(DAY);
    agent.pass().await;
    bench.clock.advance(Duration::from_secs(700));
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(bench.server.issued(), 3);
}

#[tokio::test]
async fn while_the_server_is_away_it_keeps_trying_and_the_host_keeps_serving() {
    let mut bench = Bench::new();
    let (mut agent, old) = bench.join().await;
    past_renewal(&bench);
    bench.server.with(|state| state.always = Some(Whim::LoseRequest));
    let before = bench.server.with(|state| state.calls);
    let end = bench.current().unwrap().leaf.not_after;
    while bench.clock.now() < end - Duration::from_secs(60) {
        let verdict = agent.pass().await;
        assert_eq!(bench.serial(), old);
        assert_condition(&verdict, ConditionKind::Serving, ConditionStatus::True, "Serving");
        // Straight to the next try: the passes in between only look.
        let retry = condition(&verdict, ConditionKind::CertificateValid);
        assert_eq!(retry.reason, "RenewalFailing");
        bench.clock.set(verdict.next + Duration::from_secs(600));
    }
    let calls = bench.server.with(|state| state.calls) - before;
    assert!(calls > 300, "{calls} tries in five days");
    bench.clock.set(end + Duration::from_secs(60));
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::CertificateValid,
        ConditionStatus::False,
        "Expired",
    );
    bench.server.with(|state| state.always = None);
    bench.clock.advance(Duration::from_secs(700));
    assert!(
        agent.pass().await.is_good(),
        "the server allows renewal for a while after expiry"
    );
}

#[tokio::test]
async fn a_certificate_the_server_does_not_accept_any_more_is_replaced_with_a_token() {
    let mut bench = Bench::new();
    let (mut agent, _) = bench.join().await;
    past_renewal(&bench);
    bench.server.with(|state| {
        state.whims = vec![Whim::Refuse(Code::CertificateRefused)];
        state.uses_left = 1;
    });
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Enrolled,
        ConditionStatus::False,
        "CertificateRefused",
    );
    bench.clock.advance(Duration::from_secs(700));
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(bench.server.with(|state| state.uses_left), 0);
}

#[tokio::test]
async fn damaged_files_are_replaced_by_the_last_good_version_at_once() {
    let rows: [(&str, &[u8], &str); 4] = [
        ("key.pem", b"", "CertificateUnreadable"),
        (
            "cert.pem",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n",
            "CertificateUnreadable",
        ),
        ("ca.pem", b"garbage", "CertificateUnreadable"),
        ("key.pem", b"other", "KeyMismatch"),
    ];
    for (file, contents, reason) in rows {
        let mut bench = Bench::new();
        let (mut agent, first) = bench.join().await;
        past_renewal(&bench);
        agent.pass().await;
        let contents = match contents {
            b"other" => bench
                .files()
                .read(&Path::new(FILES).join("versions/1/key.pem"), 9999)
                .unwrap(),
            other => other.to_vec(),
        };
        bench.disk.plant(format!("{FILES}/versions/2/{file}"), contents);
        let preview = agent.preview().await;
        assert_eq!(preview.plan.because[0].word(), reason, "{file}");
        agent.pass().await;
        assert_eq!(bench.serial(), first, "{file}: version 1 is still good");
        bench.clock.advance(Duration::from_secs(700));
        let verdict = bench.converge(&mut agent, 5).await;
        assert!(verdict.is_good(), "{file}: {verdict:?}");
        assert_eq!(
            bench.server.issued(),
            3,
            "{file}: and is renewed, because its time has come"
        );
    }
}

#[tokio::test]
async fn a_gate_that_refuses_the_new_certificate_gets_the_old_version_back() {
    let mut bench = Bench::new();
    let (mut agent, old) = bench.join().await;
    past_renewal(&bench);
    *bench.front.refuses.lock().unwrap() = true;
    let verdict = agent.pass().await;
    assert!(!verdict.is_good());
    assert_eq!(bench.serial(), old, "rolled back");
    assert_eq!(agent.world().versions().list().unwrap(), [1]);
    assert_eq!(
        bench.front.published.lock().unwrap().as_ref().unwrap().serial,
        old
    );
    *bench.front.refuses.lock().unwrap() = false;
    bench.clock.advance(Duration::from_secs(700));
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:?}");
    assert_ne!(bench.serial(), old);
}

#[tokio::test]
async fn a_failing_hook_is_a_failure_that_is_retried_and_does_not_stop_renewal() {
    let mut bench = Bench::configured("mode = 'files'\nhook = ['/usr/sbin/nginx', '-s', 'reload']\n");
    *bench.programs.exit.lock().unwrap() = 1;
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::ConfigApplied,
        ConditionStatus::False,
        "HookFailed",
    );
    let message = &condition(&verdict, ConditionKind::ConfigApplied).message;
    assert!(
        message.contains("exited with 1; it said: nginx: configuration test failed"),
        "{message}"
    );
    let command = bench.programs.runs.lock().unwrap()[0].clone();
    assert_eq!(command.words, ["/usr/sbin/nginx", "-s", "reload"]);
    assert_eq!(
        command.environment["DOCKWARDEN_DIRECTORY"],
        format!("{FILES}/current")
    );
    agent.pass().await;
    assert_eq!(bench.programs.runs.lock().unwrap().len(), 1, "not again at once");
    past_renewal(&bench);
    agent.pass().await;
    assert_eq!(bench.server.issued(), 2, "renewed all the same");
    *bench.programs.exit.lock().unwrap() = 0;
    bench.clock.advance(Duration::from_secs(1200));
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::ConfigApplied,
        ConditionStatus::True,
        "Applied",
    );
    let runs = bench.programs.runs.lock().unwrap().len();
    agent.pass().await;
    assert_eq!(
        bench.programs.runs.lock().unwrap().len(),
        runs,
        "once per version"
    );
}

#[tokio::test]
async fn a_hook_without_effect_is_run_again_until_the_certificate_in_use_is_served() {
    let mut bench = Bench::configured("mode = 'files'\nhook = 'true'\ndial = '127.0.0.1:443'\n");
    *bench.programs.in_vain.lock().unwrap() = 1;
    let mut agent = bench.start();
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::Serving,
        ConditionStatus::False,
        "OtherCertificate",
    );
    let message = &condition(&verdict, ConditionKind::Serving).message;
    assert!(
        message.contains("has not loaded") && message.contains("Next try:"),
        "{message}"
    );
    assert!(
        verdict.next <= bench.clock.now() + Duration::from_secs(10),
        "{verdict:?}"
    );
    bench.clock.set(verdict.next);
    let verdict = agent.pass().await;
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(bench.programs.runs.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_second_agent_is_kept_out() {
    let mut bench = Bench::new();
    let (agent, _) = bench.join().await;
    let error = bench
        .try_start()
        .err()
        .expect("the first one holds the lock")
        .to_string();
    assert!(error.contains("another dockwarden holds its lock"), "{error}");
    drop(agent);
    assert!(bench.try_start().is_ok());
}

#[tokio::test]
async fn a_preview_changes_nothing() {
    let mut bench = Bench::new();
    let agent = bench.start();
    let (steps, calls) = (bench.disk.steps(), bench.server.with(|state| state.calls));
    let preview = agent.preview().await;
    let text: Vec<String> = preview
        .plan
        .steps
        .iter()
        .map(|planned| planned.step.to_string())
        .collect();
    assert_eq!(
        text,
        [
            "make a key and a request for web-07.fleet.internal, web-07, localhost, 10.20.3.7, 127.0.0.1, ::1",
            "enrol at https://ca:8443 with the join token",
            "write version 1 and check it",
            "swap to version 1",
            "hand it to the gate, which serves it without a restart",
            "draw the time of the next renewal",
            "forget the request and the oldest versions",
            "dial :2376 and compare the serial",
        ]
    );
    assert_eq!(
        (bench.disk.steps(), bench.server.with(|state| state.calls)),
        (steps, calls)
    );
}

#[tokio::test]
async fn keys_and_tokens_are_readable_by_their_owner_alone_and_never_in_the_status() {
    let mut bench = Bench::new();
    bench.server.with(|state| state.always = Some(Whim::LoseAnswer));
    let mut agent = bench.start();
    agent.pass().await;
    assert_eq!(bench.disk.mode(format!("{STATE}/request.json")), Some(0o600));
    let status = bench
        .files()
        .read_text(&Path::new(STATE).join("status.json"), 99_999)
        .unwrap();
    let secret = bench.server.token.expose().split('_').nth(2).unwrap().to_owned();
    assert!(!status.contains(&secret) && !status.contains("PRIVATE KEY"));
    let debug = format!("{:?}", agent.world().records().request().unwrap());
    assert!(!debug.contains("PRIVATE KEY"), "{debug}");
}

#[tokio::test]
async fn a_state_that_cannot_be_read_stops_everything_but_serving() {
    let mut bench = Bench::new();
    let (agent, _) = bench.join().await;
    drop(agent);
    bench
        .files()
        .remove(&Path::new(STATE).join("memory.json"))
        .unwrap();
    bench
        .files()
        .disk()
        .create_directory(&Path::new(STATE).join("memory.json"), 0o700)
        .unwrap();
    let mut agent = bench.start();
    past_renewal(&bench);
    let verdict = agent.pass().await;
    assert_condition(&verdict, ConditionKind::Serving, ConditionStatus::True, "Serving");
    assert_eq!(bench.server.issued(), 1);
    bench
        .files()
        .remove_tree(&Path::new(STATE).join("memory.json"))
        .unwrap();
    bench
        .files()
        .write(&Path::new(STATE).join("memory.json"), b"{ torn", Access::Private)
        .unwrap();
    let verdict = bench.converge(&mut agent, 4).await;
    assert!(
        verdict.is_good(),
        "what is damaged is found out again: {verdict:?}"
    );
}

#[tokio::test]
async fn a_clock_that_jumps_back_leaves_the_certificate_alone() {
    let mut bench = Bench::new();
    let (mut agent, old) = bench.join().await;
    bench.clock.set(Timestamp::from_secs(1_000_000_000));
    let verdict = agent.pass().await;
    assert_condition(
        &verdict,
        ConditionKind::CertificateValid,
        ConditionStatus::False,
        "NotYetValid",
    );
    assert_eq!((bench.serial(), bench.server.issued()), (old, 1));
}
