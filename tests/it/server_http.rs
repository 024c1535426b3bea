//! The HTTP surface: forms, limits, errors, slow and broken peers, draining, and what the server does by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dockwarden::base::limits::{API_BODY_BYTES_MAX, ENROLL_BODY_BYTES_MAX, PAGE_MAX};
use dockwarden::base::{Random, SystemRandom};
use dockwarden::http::Limits;
use dockwarden::pki::tls::{ALPN_HTTP1, ALPN_HTTP2};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::pki::DAY;
use crate::support::server::{PATIENCE, Setup, TestServer, call_on, csr_pem, key, send};

fn post(path: &str, content_type: &str, body: impl Into<bytes::Bytes>) -> Request<Full<bytes::Bytes>> {
    let request = Request::builder()
        .method("POST")
        .uri(path)
        .header("host", "localhost");
    request
        .header("content-type", content_type)
        .body(Full::new(body.into()))
        .unwrap()
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let server = TestServer::memory().await;
    let mut open = server.connect(Some(&server.admin)).await.unwrap();
    let json = "application/json";
    let good = "application/json; charset=utf-8";
    let enroll = |body: &'static str| post("/enroll", json, body);
    let token = |body: &'static str| post("/v1/tokens", good, body);
    let get = |path: &str| {
        Request::builder()
            .uri(path)
            .header("host", "x")
            .body(Full::default())
            .unwrap()
    };
    for (request, status, code, mention) in [
        (get("/nothing"), 404, "not_found", "/openapi.json"),
        (get("/v1/"), 404, "not_found", ""),
        (get("/enroll"), 405, "method_not_allowed", ""),
        (
            post("/v1/certificates", json, "{}"),
            405,
            "method_not_allowed",
            "",
        ),
        (
            post("/enroll", "text/plain", "{}"),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        (
            post("/enroll", "application/x-www-form-urlencoded", "a=b"),
            415,
            "unsupported_media_type",
            "",
        ),
        (enroll(""), 400, "bad_request", "line 1"),
        (enroll("{"), 400, "bad_request", "ends too early"),
        (enroll("nonsense"), 400, "bad_request", "not JSON"),
        (enroll("[]"), 400, "bad_request", ""),
        (
            enroll("{\"token\":\"a\",\"csr\":\"b\",\"colour\":\"red\"}"),
            400,
            "bad_request",
            "unknown field `colour`",
        ),
        (
            enroll("{\"token\":\"a\"}"),
            400,
            "bad_request",
            "missing field `csr`",
        ),
        (
            enroll("{\"token\":\"a\",\"token\":\"b\",\"csr\":\"c\"}"),
            400,
            "bad_request",
            "duplicate field",
        ),
        (
            enroll("{\"token\":5,\"csr\":\"c\"}"),
            400,
            "bad_request",
            "a string",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[]}"),
            400,
            "bad_request",
            "at least one name",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[\"a b\"]}"),
            400,
            "bad_request",
            "name pattern",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[\"a\"],\"cidrs\":[\"10.0.0.1/8\"]}"),
            400,
            "bad_request",
            "address range",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[\"a\"],\"uses\":0}"),
            400,
            "bad_request",
            "uses",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[\"a\"],\"uses\":100001}"),
            400,
            "bad_request",
            "uses",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[\"a\"],\"expires_in\":59}"),
            400,
            "bad_request",
            "seconds",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[\"a\"],\"role\":\"admin\"}"),
            400,
            "bad_request",
            "clients",
        ),
        (
            token("{\"profile\":\"client\",\"names\":[\"a\"],\"role\":\"../x\"}"),
            400,
            "bad_request",
            "role",
        ),
        (
            token("{\"profile\":\"host\",\"names\":[\"a\"],\"labels\":{\"dockwarden/server\":\"x\"}}"),
            400,
            "bad_request",
            "reserved",
        ),
        (get("/v1/certificates?limit=0"), 400, "bad_request", "limit"),
        (get("/v1/certificates?limit=1001"), 400, "bad_request", "1000"),
        (get("/v1/certificates?colour=red"), 400, "bad_request", "colour"),
        (get("/v1/certificates?status=green"), 400, "bad_request", "green"),
        (
            get("/v1/certificates?expires_within=soon"),
            400,
            "bad_request",
            "duration",
        ),
        (
            get("/v1/certificates?host=nobody.fleet"),
            404,
            "not_found",
            "nobody.fleet",
        ),
        (get("/v1/certificates?cursor=x"), 400, "bad_request", "cursor"),
        (get("/v1/hosts/a%2Fb"), 400, "bad_request", "not a name"),
        (get("/v1/hosts/%ff"), 400, "bad_request", ""),
        (get("/v1/hosts/nobody.fleet"), 404, "not_found", "nobody.fleet"),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = send(&mut open, request).await.unwrap();
        assert_eq!(
            answer.outcome(),
            (status, code.to_owned()),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{what}"
        );
        assert_eq!(answer.json()["status"], json!(status));
        assert!(answer.text().contains(mention), "{what}: {}", answer.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn an_error_about_a_body_does_not_repeat_its_values() {
    let server = TestServer::memory().await;
    let mut open = server.connect(None).await.unwrap();
    for body in [
        r#"{"token":["dw1_hunter2"],"csr":"x"}"#,
        r#"{"token":"dw1_hunter2","csr":"x","profile":"dw1_hunter2"}"#,
        r#"{"token":"dw1_hunter2","csr":"x","names":"dw1_hunter2"}"#,
        r#""dw1_hunter2""#,
        r#"{"token":"dw1_hunter2","csr":"dw1_hunter2"}"#,
    ] {
        let answer = send(&mut open, post("/enroll", "application/json", body))
            .await
            .unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_read_up_to_their_limit_and_not_past_it() {
    let server = TestServer::memory().await;
    for (path, limit) in [
        ("/enroll", ENROLL_BODY_BYTES_MAX),
        ("/v1/tokens", API_BODY_BYTES_MAX),
    ] {
        for (bytes, expected) in [(limit, 400), (limit + 1, 413)] {
            let mut open = server.connect(Some(&server.admin)).await.unwrap();
            let answer = send(&mut open, post(path, "application/json", vec![b' '; bytes]))
                .await
                .unwrap();
            assert_eq!(answer.status, expected, "{path} with {bytes} bytes");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending_its_body() {
    let server = TestServer::memory().await;
    let mut stream = server.tls(Some(&server.admin), ALPN_HTTP1).await.unwrap();
    // Only hosts may: that is known before the body has come.
    let head = "POST /v1/feed/known HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    for _ in 0..2 {
        let body = vec![b' '; API_BODY_BYTES_MAX];
        let head = format!("{head}content-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        for part in body.chunks(4096) {
            stream
                .write_all(part)
                .await
                .expect("the server takes what it refuses");
            stream.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut answer = vec![0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 403");
        let mut rest = Vec::new();
        while !rest.ends_with(b"}") {
            rest.push(
                tokio::time::timeout(PATIENCE, stream.read_u8())
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = TestServer::sqlite().await;
    for n in 0..7 {
        server.join("host", &format!("web-{n}.fleet")).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/hosts?limit=3".to_owned();
    loop {
        let page = server.get(Some(&server.admin), &path).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|i| i["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/hosts?limit=3&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (0..7).map(|n| format!("web-{n}.fleet")).collect();
    assert_eq!(seen, expected);
    assert_eq!(
        server
            .get(Some(&server.admin), &format!("/v1/hosts?limit={PAGE_MAX}"))
            .await
            .status,
        200
    );
    let soon = "/v1/certificates?expires_within=30d&profile=host&status=valid&host=web-3.fleet";
    let found = server.get(Some(&server.admin), soon).await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["name"], json!("web-3.fleet"));
    server.stop().await;
}

#[tokio::test]
async fn answers_carry_the_date_a_request_id_and_security_headers() {
    let server = TestServer::memory().await;
    let first = server.get(None, "/healthz").await;
    assert_eq!(first.header("date"), "Sun, 22 Nov 2026 00:00:00 GMT");
    assert_eq!(first.header("x-content-type-options"), "nosniff");
    assert_eq!(first.header("cache-control"), "no-store");
    assert!(
        first
            .header("content-security-policy")
            .contains("default-src 'none'")
    );
    let second = server.get(None, "/nothing").await;
    assert_eq!(second.header("x-request-id").len(), 16);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    let ca = server.get(None, "/ca.pem").await;
    assert_eq!(ca.text(), server.ca_pem());
    let mut open = server.connect(None).await.unwrap();
    let request = Request::builder()
        .uri("/ca.pem")
        .header("host", "x")
        .header("if-none-match", ca.header("etag"));
    let unchanged = send(&mut open, request.body(Full::default()).unwrap())
        .await
        .unwrap();
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_browser_on_another_site_cannot_use_an_admins_certificate() {
    let server = TestServer::memory().await;
    let mut open = server.connect(Some(&server.admin)).await.unwrap();
    let path = "/v1/requests/aaaaaaaaaaaaaaaaaaaaaaaaaa/approve";
    let here = format!("https://{}", server.address);
    for (name, value, expected) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", here.as_str(), 404),
        ("sec-fetch-site", "same-origin", 404),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", server.address.to_string());
        let answer = send(
            &mut open,
            request.header(name, value).body(Full::default()).unwrap(),
        )
        .await
        .unwrap();
        assert_eq!(answer.status, expected, "{name}: {value}");
    }
    server.stop().await;
}

#[tokio::test]
async fn plain_http_serves_the_root_and_nothing_that_needs_tls() {
    let server = TestServer::memory().await;
    let stream = TcpStream::connect(server.plain).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for (path, expected) in [
        ("/ca.pem", 200),
        ("/issuers/hosts.crt", 200),
        ("/issuers/clients.crt", 200),
        ("/issuers/root.crt", 404),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/v1/whoami", 404),
        ("/v1/tokens", 404),
        ("/openapi.json", 404),
    ] {
        assert_eq!(
            call_on(&mut sender, "GET", path, None).await.unwrap().status,
            expected,
            "{path}"
        );
    }
    let body = Some(json!({"token": "a", "csr": "b"}));
    assert_eq!(
        call_on(&mut sender, "POST", "/enroll", body)
            .await
            .unwrap()
            .status,
        404
    );
    server.stop().await;
}

#[tokio::test]
async fn http2_serves_many_requests_on_one_connection() {
    let server = TestServer::memory().await;
    let stream = server.tls(Some(&server.admin), ALPN_HTTP2).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let executor = TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let calls = (0..50).map(|_| {
        let mut sender = sender.clone();
        async move {
            let request = Request::builder()
                .uri("https://localhost/v1/whoami")
                .body(Full::<bytes::Bytes>::default());
            let response = sender.send_request(request.unwrap()).await.unwrap();
            (
                response.status().as_u16(),
                response.into_body().collect().await.unwrap().to_bytes(),
            )
        }
    });
    for (status, body) in futures_util::future::join_all(calls).await {
        assert_eq!(status, 200, "{body:?}");
    }
    server.stop().await;
}

/// Short, so that a test does not take long; long enough for a slow machine to get through a handshake.
fn impatient() -> Limits {
    Limits {
        handshake: Duration::from_millis(700),
        header: Duration::from_millis(700),
        idle: Duration::from_millis(900),
        drain: Duration::from_millis(700),
        ..Limits::default()
    }
}

/// Fails unless the other side ends the connection in good time.
async fn expect_closed(mut stream: impl AsyncRead + Unpin, what: &str) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(6), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "still open: {what}");
}

#[tokio::test]
async fn a_handshake_beyond_the_limit_waits_for_its_turn() {
    let mut setup = Setup::memory();
    setup.limits = Limits {
        handshakes_max: 1,
        ..impatient()
    };
    let server = setup.start().await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut second = Box::pin(server.tls(None, ALPN_HTTP1));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "it is not its turn before the first is over");
    expect_closed(silent, "the first").await;
    second.await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_out_for_longer_than_a_turn() {
    let mut setup = Setup::memory();
    setup.limits = Limits {
        handshakes_max: 1,
        turn: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = setup.start().await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let second = tokio::time::timeout(Duration::from_secs(3), server.tls(None, ALPN_HTTP1));
    second
        .await
        .expect("the silent one has 5 s, and its turn is over")
        .unwrap();
    drop(silent);
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_dawdles_is_cut_off_wherever_it_stops() {
    let mut setup = Setup::memory();
    setup.limits = impatient();
    let server = setup.start().await;

    let silent = TcpStream::connect(server.address).await.unwrap();
    expect_closed(silent, "before the handshake").await;

    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    expect_closed(half, "inside the handshake").await;

    let idle = server.tls(None, ALPN_HTTP1).await.unwrap();
    expect_closed(idle, "after the handshake").await;

    let mut head = server.tls(None, ALPN_HTTP1).await.unwrap();
    head.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    expect_closed(head, "inside a request's head").await;

    let mut kept = server.tls(None, ALPN_HTTP1).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    expect_closed(kept, "after a request").await;

    let silent = server.tls(None, ALPN_HTTP2).await.unwrap();
    expect_closed(silent, "before the HTTP/2 preface").await;

    let mut preface = server.tls(None, ALPN_HTTP2).await.unwrap();
    preface.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    expect_closed(preface, "inside the HTTP/2 preface").await;

    let mut settled = server.tls(None, ALPN_HTTP2).await.unwrap();
    settled
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    expect_closed(settled, "after the HTTP/2 settings").await;

    assert_eq!(server.get(None, "/healthz").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_head_larger_than_its_limit_is_refused() {
    let server = TestServer::memory().await;
    let mut stream = server.tls(None, ALPN_HTTP1).await.unwrap();
    let head = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-filler: {}\r\n\r\n",
        "a".repeat(64 * 1024)
    );
    let _may_be_cut = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _may_be_reset = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    assert_eq!(server.get(None, "/healthz").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn connections_past_the_limit_wait_until_one_is_free() {
    let mut setup = Setup::memory();
    setup.limits.connections_max = 2;
    let server = setup.start().await;
    let mut first = server.connect(None).await.unwrap();
    let second = server.connect(None).await.unwrap();
    assert_eq!(
        call_on(&mut first, "GET", "/healthz", None).await.unwrap().status,
        200
    );
    let third = tokio::time::timeout(Duration::from_millis(300), server.connect(None)).await;
    assert!(third.is_err(), "a third connection must wait");
    drop(second);
    assert_eq!(server.get(None, "/healthz").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_while_the_server_drains() {
    let server = TestServer::memory().await;
    let token = server.token(json!({})).await;
    let body = json!({"token": token, "csr": csr_pem(&key(), "web-1.fleet", &[])}).to_string();
    let mut stream = server.tls(None, ALPN_HTTP1).await.unwrap();
    let head = format!(
        "POST /enroll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..10]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop.cancel();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nothing new is taken"
    );
    stream.write_all(&body.as_bytes()[10..]).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 201"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    server.stop().await;
}

/// Panics when a handler draws a token's secret, once it is armed.
struct Trap {
    armed: Arc<AtomicBool>,
}

impl Random for Trap {
    fn fill(&self, buffer: &mut [u8]) {
        assert!(
            buffer.len() != 32 || !self.armed.load(Ordering::SeqCst),
            "the trap"
        );
        SystemRandom.fill(buffer);
    }
}

#[tokio::test]
async fn a_handler_that_panics_answers_500_and_the_server_goes_on() {
    let armed = Arc::new(AtomicBool::new(false));
    let mut setup = Setup::memory();
    setup.random = Arc::new(Trap {
        armed: Arc::clone(&armed),
    });
    let server = setup.start().await;
    let mut open = server.connect(Some(&server.admin)).await.unwrap();
    let body = || Some(json!({"profile": "host", "names": ["a.fleet"]}));
    armed.store(true, Ordering::SeqCst);
    let answer = call_on(&mut open, "POST", "/v1/tokens", body()).await.unwrap();
    assert_eq!(answer.outcome(), (500, "internal".to_owned()));
    assert!(!answer.text().contains("trap"));
    armed.store(false, Ordering::SeqCst);
    assert_eq!(
        call_on(&mut open, "POST", "/v1/tokens", body())
            .await
            .unwrap()
            .status,
        201
    );
    server.stop().await;
}

#[tokio::test]
async fn the_servers_own_certificate_is_renewed_without_a_restart() {
    let server = TestServer::memory().await;
    let served = async || {
        let stream = server.tls(None, ALPN_HTTP1).await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap().to_vec();
        assert_eq!(
            chain.len(),
            3,
            "leaf, issuer and root: joining sides look for the pin"
        );
        dockwarden::pki::Certificate::parse(&chain[0]).unwrap()
    };
    let mut open = server.connect(None).await.unwrap();
    let mut before = served().await;
    for _ in 0..3 {
        server.clock.advance(DAY * 20);
        let mut after = served().await;
        for _ in 0..200 {
            if after.serial != before.serial {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            after = served().await;
        }
        assert_ne!(after.serial, before.serial);
        assert!(after.not_after > before.not_after);
        assert_eq!(
            call_on(&mut open, "GET", "/healthz", None).await.unwrap().status,
            200,
            "the old connection stands"
        );
        before = after;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_slept_past_its_own_certificate_starts_with_a_new_one() {
    let first = Setup::memory();
    let second = Setup {
        authority: Arc::clone(&first.authority),
        store: Arc::clone(&first.store),
        clock: first.clock.clone(),
        own_certificate: first.own_certificate.clone(),
        directory: Arc::clone(&first.directory),
        ..Setup::memory()
    };
    let third = Setup {
        authority: Arc::clone(&first.authority),
        store: Arc::clone(&first.store),
        clock: first.clock.clone(),
        own_certificate: first.own_certificate.clone(),
        directory: Arc::clone(&first.directory),
        ..Setup::memory()
    };
    let (clock, path) = (first.clock.clone(), first.own_certificate.clone());
    let read = || std::fs::read_to_string(&path).unwrap();
    first.start().await.stop().await;
    let issued = read();
    let server = second.start().await;
    assert_eq!(read(), issued, "a good certificate is kept");
    server.stop().await;
    clock.advance(DAY * 365);
    let server = third.start().await;
    assert_ne!(read(), issued);
    assert_eq!(server.get(None, "/healthz").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_damaged_certificate_file_is_replaced() {
    for damage in ["", "garbage", "-----BEGIN PRIVATE KEY-----\n"] {
        let setup = Setup::memory();
        setup
            .files
            .write_private(&setup.own_certificate, damage.as_bytes())
            .unwrap();
        let server = setup.start().await;
        assert_eq!(server.get(None, "/healthz").await.status, 200, "{damage:?}");
        server.stop().await;
    }
}

#[test]
fn the_description_of_the_api_is_the_committed_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let generated = dockwarden::http::openapi_json();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        dockwarden::sys::Files::system()
            .write_public(path.as_ref(), generated.as_bytes())
            .unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/openapi.json is not what the handlers say: look at the difference after UPDATE_SNAPSHOTS=1 cargo test --test it description"
    );
}

#[tokio::test]
async fn the_description_of_the_api_is_served() {
    let server = TestServer::memory().await;
    let answer = server.get(None, "/openapi.json").await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, dockwarden::http::openapi_json().as_str())
    );
    server.stop().await;
}
