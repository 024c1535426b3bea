//! What people are told: found by scans, delivered whatever receivers do.

mod receiver;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use dockwarden::base::ManualClock;
use dockwarden::jobs::{Channel, Deliver, HttpChannel, HttpForm, Job, keep};
use dockwarden::model::job::{JobCause, JobName, JobOutcome, JobRun};
use dockwarden::model::problem::{ChannelRule, Notification, Severity};
use dockwarden::service::{PruneOutcome, Service};
use dockwarden::sys::Files;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::receiver::{BROKEN, GOOD, HANGS_UP, MOVED, Receiver, SILENT, TWICE};
use crate::support::peer::{Peer, json as answer, server_tls};
use crate::support::pki::{DAY, Fleet, t0};
use crate::support::server::{PATIENCE, Setup, TestServer, csr_pem, key};

fn with_channel(mut setup: Setup, name: &str) -> Setup {
    setup.settings.alerts.channels = vec![ChannelRule {
        name: name.to_owned(),
        least: Severity::Warning,
    }];
    setup
}

fn hook(server: &TestServer, url: &str) -> HttpChannel {
    HttpChannel {
        name: "hook".to_owned(),
        url: Ok(url.parse().unwrap()),
        form: HttpForm::CloudEvents,
        source: "/dockwarden/ca.fleet".to_owned(),
        secret_file: None,
        ca_file: None,
        files: Files::system(),
        clock: Arc::new(server.clock.clone()),
    }
}

fn deliver(server: &TestServer, channel: impl Channel) -> JoinHandle<()> {
    let job = Deliver::new(Arc::clone(&server.service), vec![Arc::new(channel)]);
    let job = job.paced(Duration::from_millis(10), Duration::from_millis(300));
    tokio::spawn(keep(
        Arc::new(job),
        Arc::clone(&server.service),
        server.stop.clone(),
    ))
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it happens");
}

/// Moves the clock, and waits until the server shows a certificate that is good then.
async fn advance(server: &TestServer, by: Duration) {
    server.clock.advance(by);
    let now = server.clock_now();
    let renewed = || {
        let job = server.service.job_state(JobName::OwnCertificate);
        job.and_then(|job| job.last)
            .is_some_and(|last| last.ended_at >= now)
    };
    until(renewed).await;
}

/// Until nothing waits any more, or `failures` more attempts have failed; the clock goes on so that they are made.
async fn drain(server: &TestServer, receiver: &Receiver, taken: usize) {
    let wait = async {
        while receiver.seen().iter().filter(|one| one.taken).count() < taken {
            server.clock.advance(Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("everything is delivered");
}

async fn waiting(server: &TestServer) -> Vec<Value> {
    let viewer = server.person("vera", dockwarden::model::Permission::Viewer).await;
    let answer = server.get(Some(&viewer), "/v1/notifications?waiting=true").await;
    answer.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn whatever_a_receiver_does_nothing_is_lost_and_the_order_is_kept() {
    let server = with_channel(Setup::sqlite().await, "hook").start().await;
    // Down: the port is known, and nobody listens.
    let reserved = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut channel = hook(&server, &format!("http://{reserved}/x"));
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut secret.as_file(), b"geheim\n").unwrap();
    channel.secret_file = Some(secret.path().to_owned());
    deliver(&server, channel);
    let web = server.join("host", "web-1.fleet").await;
    server.join("host", "web-2.fleet").await;
    advance(&server, DAY.mul_f64(24.2)).await;
    let found = server.service.scan_hosts().await.unwrap();
    assert_eq!(
        (found.opened, found.queued),
        (2, 2),
        "no agent was needed to notice"
    );
    let failing = async || waiting(&server).await.iter().all(|n| n["error"].is_string());
    let mut patience = 400;
    while !failing().await {
        patience -= 1;
        assert!(patience > 0, "attempts at a port where nobody listens fail");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let why = waiting(&server).await[0]["error"].as_str().unwrap().to_owned();
    assert!(
        why.contains("cannot be reached") && why.contains("127.0.0.1"),
        "{why}"
    );

    let receiver = Receiver::new(BROKEN);
    receiver.listen(reserved).await;
    let renewed = server.renew(&web, &csr_pem(&key(), "web-1.fleet", &[])).await;
    assert_eq!(renewed.status, 201, "{}", renewed.text());
    assert_eq!(server.service.scan_hosts().await.unwrap().resolved, 1);
    for mode in [BROKEN, SILENT, HANGS_UP, MOVED] {
        receiver.set(mode);
        for _ in 0..6 {
            server.clock.advance(Duration::from_secs(700));
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    let errors: Vec<String> = waiting(&server)
        .await
        .iter()
        .map(|n| n["error"].to_string())
        .collect();
    assert!(
        errors.iter().any(|e| e.contains("redirects are not followed")),
        "{errors:?}"
    );
    assert!(
        !errors.iter().any(|e| e.contains("secret") || e.contains("/x")),
        "{errors:?}"
    );
    receiver.set(TWICE);
    drain(&server, &receiver, 3).await;
    until(|| receiver.seen().iter().filter(|one| one.taken).count() == 3).await;
    assert!(waiting(&server).await.is_empty());

    let seen = receiver.seen();
    let about = |key: &str| -> Vec<String> {
        let taken = seen.iter().filter(|one| one.taken && one.body["subject"] == key);
        taken
            .map(|one| one.body["type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        about("host/web-1.fleet"),
        ["dockwarden.problem.opened", "dockwarden.problem.resolved"]
    );
    assert_eq!(about("host/web-2.fleet"), ["dockwarden.problem.opened"]);
    let ids: BTreeSet<&str> = seen.iter().map(|one| one.body["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3, "the same id however often it is sent");
    for one in &seen {
        assert_eq!(one.header("idempotency-key"), one.body["id"].as_str().unwrap());
        assert_eq!(
            one.header("content-type"),
            "application/cloudevents+json; charset=utf-8"
        );
        let (at, tag) = one.header("dockwarden-signature").split_once(",v1=").unwrap();
        let signed = format!("{}.{}", at.strip_prefix("t=").unwrap(), one.raw);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"geheim");
        let tag = dockwarden::base::encoding::hex_decode(tag).unwrap();
        aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_delivery_that_was_killed_before_it_was_written_down_is_made_again_under_the_same_id() {
    let server = with_channel(Setup::sqlite().await, "hook").start().await;
    let receiver = Receiver::new(SILENT);
    let address = receiver.listen("127.0.0.1:0".parse().unwrap()).await;
    let url = format!("http://{address}/");
    server.join("host", "web-1.fleet").await;
    advance(&server, DAY.mul_f64(24.2)).await;
    server.service.scan_hosts().await.unwrap();
    let first = deliver(&server, hook(&server, &url));
    until(|| receiver.seen().len() == 1).await;
    // As by kill -9, after the receiver had it all: nobody writes anything down.
    first.abort();
    let _ = first.await;
    receiver.set(GOOD);
    deliver(&server, hook(&server, &url));
    until(|| receiver.seen().len() == 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body, seen[1].body);
    assert!(waiting(&server).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_receiver_over_tls_is_believed_by_the_ca_that_is_configured_alone() {
    let server = with_channel(Setup::memory(), "hook").start().await;
    let fleet = Fleet::new();
    let leaf = fleet.host("127.0.0.1");
    let peer = Peer::start(
        Some(server_tls(&fleet, &leaf)),
        Arc::new(|_: usize, _: &str| Some(answer("200 OK", "", "{}"))),
    )
    .await;
    let ca = tempfile::NamedTempFile::new().unwrap();
    let root = dockwarden::pki::pem::encode_certificate(&fleet.root.der);
    std::io::Write::write_all(&mut ca.as_file(), root.as_bytes()).unwrap();
    let mut channel = hook(&server, &peer.url().to_string());
    let operator = server
        .person("olga", dockwarden::model::Permission::Operator)
        .await;
    let test = server
        .call(Some(&operator), "POST", "/v1/channels/hook/test", None)
        .await;
    assert_eq!(test.status, 202, "{}", test.text());
    let unknown = server
        .call(Some(&operator), "POST", "/v1/channels/nobody/test", None)
        .await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let message = server.service.next_notification("hook").await.unwrap().unwrap();
    let refused = channel.send(&message).await.unwrap_err();
    assert!(refused.contains("is not trusted"), "{refused}");
    channel.ca_file = Some(ca.path().to_owned());
    channel.send(&message).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn problems_are_listed_while_they_last_and_counted_for_prometheus() {
    let server = with_channel(Setup::memory(), "hook").start().await;
    let web = server.join("host", "web-1.fleet").await;
    let report = json!({
        "observed_generation": 1, "mode": "gate", "agent_version": "1", "engine_version": null,
        "endpoints": [], "issued": null, "served": null, "renew_at": null, "clock_offset_ms": 120_000, "conditions": [],
    });
    let path = "/v1/hosts/web-1.fleet/status";
    let put = async |report: &Value| {
        server
            .call(Some(&web), "PUT", path, Some(report.clone()))
            .await
            .status
    };
    assert_eq!(put(&report).await, 200);
    server.service.scan_hosts().await.unwrap();
    let listed = async |query: &str| {
        let answer = server
            .get(Some(&server.admin), &format!("/v1/problems{query}"))
            .await;
        answer.json()["items"].as_array().unwrap().clone()
    };
    let open = listed("").await;
    assert_eq!(
        (&open[0]["kind"], &open[0]["severity"]),
        (&json!("clock-off"), &json!("warning"))
    );
    assert!(open[0]["message"].as_str().unwrap().contains("off by 120 s"));
    let metrics = server.get(None, "/metrics").await;
    crate::support::metrics::judge(metrics.text());
    let samples = crate::support::metrics::read(metrics.text());
    assert_eq!(
        samples["dockwarden_problems{kind=\"clock-off\",severity=\"warning\"}"],
        1.0
    );
    let mut right = report;
    right["clock_offset_ms"] = json!(10);
    assert_eq!(put(&right).await, 200);
    server.service.scan_hosts().await.unwrap();
    assert!(listed("").await.is_empty());
    assert_eq!(listed("?all=true").await[0]["resolved_at"], json!(t0()));
    server.stop().await;
}

/// Takes everything; each takes as long as it says.
struct Slow {
    name: &'static str,
    takes: Duration,
    clock: ManualClock,
    taken: Arc<AtomicU8>,
}

#[async_trait::async_trait]
impl Channel for Slow {
    fn name(&self) -> &str {
        self.name
    }

    async fn send(&self, _notification: &Notification) -> Result<(), String> {
        self.clock.advance(self.takes);
        self.taken.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn a_receiver_that_is_slow_does_not_hold_up_the_others() {
    let mut setup = Setup::memory();
    let rule = |name: &str| ChannelRule {
        name: name.to_owned(),
        least: Severity::Warning,
    };
    setup.settings.alerts.channels = vec![rule("slow"), rule("quick")];
    let server = setup.start().await;
    for number in 1..=5 {
        server.join("host", &format!("web-{number}.fleet")).await;
    }
    advance(&server, DAY.mul_f64(24.2)).await;
    assert_eq!(server.service.scan_hosts().await.unwrap().queued, 10);
    let channel = |name, takes| {
        let taken = Arc::new(AtomicU8::new(0));
        let channel = Slow {
            name,
            takes,
            clock: server.clock.clone(),
            taken: Arc::clone(&taken),
        };
        (Arc::new(channel) as Arc<dyn Channel>, taken)
    };
    let (slow, taken_slowly) = channel("slow", Duration::from_secs(6));
    let (quick, taken_quickly) = channel("quick", Duration::ZERO);
    let deliver = Deliver::new(Arc::clone(&server.service), vec![slow, quick]);
    deliver.run().await.unwrap();
    let taken = |count: &AtomicU8| count.load(Ordering::SeqCst);
    assert_eq!((taken(&taken_slowly), taken(&taken_quickly)), (2, 5));
    for _ in 0..2 {
        deliver.run().await.unwrap();
    }
    assert_eq!((taken(&taken_slowly), taken(&taken_quickly)), (5, 5));
    server.stop().await;
}

#[tokio::test]
async fn a_restart_ends_no_problem_and_tells_nobody_twice() {
    let setup = with_channel(Setup::sqlite().await, "hook");
    let (store, authority, clock) = (
        Arc::clone(&setup.store),
        Arc::clone(&setup.authority),
        setup.clock.clone(),
    );
    let settings = setup.settings.clone();
    let server = setup.start().await;
    let web = server.join("host", "web-1.fleet").await;
    let report = json!({
        "observed_generation": 1, "mode": "gate", "agent_version": "1", "engine_version": null,
        "endpoints": [], "issued": null, "served": null, "renew_at": null, "clock_offset_ms": 1, "conditions": [],
    });
    let path = "/v1/hosts/web-1.fleet/status";
    let put = server.call(Some(&web), "PUT", path, Some(report)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    clock.advance(Duration::from_secs(1000));
    let first = server.service.scan_hosts().await.unwrap();
    assert_eq!((first.opened, first.queued), (1, 1));

    let restarted = || {
        let random = Arc::new(dockwarden::base::SystemRandom);
        let clock = Arc::new(clock.clone());
        let (store, authority) = (Arc::clone(&store), Arc::clone(&authority));
        Service::new(store, authority, settings.clone(), clock, random)
    };
    let again = restarted();
    for minutes in [0, 1, 13] {
        clock.advance(Duration::from_secs(60 * minutes));
        let found = again.scan_hosts().await.unwrap();
        let changed = (found.open, found.opened, found.resolved, found.queued);
        assert_eq!(changed, (1, 0, 0, 0), "{minutes}");
    }
    clock.advance(Duration::from_secs(60));
    let found = again.scan_hosts().await.unwrap();
    assert_eq!(
        (found.open, found.opened, found.queued),
        (1, 0, 0),
        "silent as before"
    );
    // It slept: the run of the scan was missed.
    clock.advance(DAY);
    again.listen_anew();
    assert_eq!(again.scan_hosts().await.unwrap().resolved, 0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_over_is_forgotten_by_the_retention_and_what_nobody_took_is_not() {
    let mut setup = with_channel(Setup::sqlite().await, "hook");
    setup.settings.retention.problems = Some(DAY * 10);
    let server = setup.start().await;
    let web = server.join("host", "web-1.fleet").await;
    server.join("host", "web-2.fleet").await;
    advance(&server, DAY.mul_f64(24.2)).await;
    assert_eq!(server.service.scan_hosts().await.unwrap().opened, 2);
    let renewed = server.renew(&web, &csr_pem(&key(), "web-1.fleet", &[])).await;
    assert_eq!(renewed.status, 201, "{}", renewed.text());
    assert_eq!(server.service.scan_hosts().await.unwrap().resolved, 1);
    // Its beginning was taken, its end was not; the other one was not taken at all, and lasts.
    let next = server.service.next_notification("hook").await.unwrap().unwrap();
    assert_eq!(next.problem.subject, "web-1.fleet");
    server.service.note_attempt(&next, None).await.unwrap();

    let pruned = async |days| {
        advance(&server, DAY * days).await;
        let at = server.clock_now() - DAY;
        let run = JobRun {
            started_at: at,
            ended_at: at,
            cause: JobCause::Schedule,
            outcome: JobOutcome::Ok,
            detail: String::new(),
        };
        server.service.note_run(JobName::Prune, run);
        match server.service.prune().await.unwrap() {
            PruneOutcome::Removed(pruned) => (pruned.problems, pruned.notifications),
            PruneOutcome::Waiting(moved) => panic!("{moved:?}"),
        }
    };
    assert_eq!(pruned(9).await, (0, 0));
    assert_eq!(pruned(2).await, (1, 1));
    assert_eq!(waiting(&server).await.len(), 2);
    server.stop().await;
}
