//! What people are told: found by scans, delivered whatever receivers do.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockwarden::jobs::{Channel, Deliver, HttpChannel, HttpForm, keep};
use dockwarden::model::job::JobName;
use dockwarden::model::problem::{ChannelRule, Severity};
use dockwarden::sys::Files;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::peer::{Peer, json as answer, server_tls};
use crate::support::pki::{DAY, Fleet, t0};
use crate::support::server::{PATIENCE, Setup, TestServer, csr_pem, key};

/// How a receiver answers.
const GOOD: u8 = 0;
const BROKEN: u8 = 1;
const SILENT: u8 = 2;
const TWICE: u8 = 3;
const HANGS_UP: u8 = 4;
const MOVED: u8 = 5;

/// A request as it came, and whether it was answered well.
#[derive(Clone, Debug)]
struct Received {
    head: String,
    body: Value,
    raw: String,
    taken: bool,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let line = self
            .head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.map_or("", |line| line.split_once(':').unwrap().1.trim())
    }
}

/// A receiver of webhooks that does what the test says.
#[derive(Clone)]
struct Receiver {
    mode: Arc<AtomicU8>,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    fn new(mode: u8) -> Self {
        Self {
            mode: Arc::new(AtomicU8::new(mode)),
            seen: Arc::default(),
        }
    }

    async fn listen(&self, address: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receiver.clone().serve(stream));
            }
        });
        address
    }

    async fn serve(self, mut stream: TcpStream) {
        let mode = self.mode.load(Ordering::SeqCst);
        if mode == HANGS_UP {
            return;
        }
        let Some((head, raw)) = read_request(&mut stream).await else {
            return;
        };
        let taken = matches!(mode, GOOD | TWICE);
        self.seen.lock().unwrap().push(Received {
            head,
            body: serde_json::from_str(&raw).unwrap(),
            raw,
            taken,
        });
        let text = match mode {
            GOOD => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            TWICE => {
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"
                    .to_owned()
            }
            MOVED => {
                "HTTP/1.1 307 Moved\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n"
                    .to_owned()
            }
            BROKEN => "HTTP/1.1 500 Oops\r\ncontent-length: 6\r\n\r\nsecret".to_owned(),
            _ => {
                tokio::time::sleep(PATIENCE).await;
                return;
            }
        };
        let _ = stream.write_all(text.as_bytes()).await;
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn seen(&self) -> Vec<Received> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

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
