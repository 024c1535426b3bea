//! What is passed on, what is refused, and in which words: raw bytes against the gate.

use std::time::Duration;

use bytes::Bytes;
use dockwarden::gate::Limits;
use http::Request;
use http_body_util::Full;
use tokio::io::AsyncWriteExt;

use crate::support::engine::Engine;
use crate::support::gate::{Harness, eventually, get, open, read_to_end, read_until, send};

/// Status line and Docker message of a raw answer.
fn parts(answer: &str) -> (u16, String) {
    let status = answer.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    (status, json["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn requests_that_two_parsers_could_read_differently_are_refused_and_the_connection_ends() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, request, status) in [
        (
            "CL and TE",
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "TE and CL",
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "two CL",
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        (
            "two different CL",
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 37\r\n\r\n",
            400,
        ),
        (
            "CL list",
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n",
            400,
        ),
        (
            "TE gzip",
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "TE on 1.0",
            "POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "space before colon",
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n",
            400,
        ),
        ("bare LF", "GET /a HTTP/1.1\nHost: x\n\n", 400),
        (
            "folded",
            "GET /a HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
            400,
        ),
        ("h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (
            "CONNECT",
            "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
        ),
        ("TRACE", "TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            "absolute form",
            "GET http://example.com/a HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
        ),
        ("two hosts", "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (
            "unknown upgrade",
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            400,
        ),
        (
            "stdin without upgrade",
            "POST /containers/a/attach?stdin=1 HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
        ),
        ("not HTTP", "\u{16}\u{3}\u{1}\r\n\r\n", 400),
    ] {
        let answer = gate.raw(&alice, format!("{request}{smuggled}")).await;
        let (found, message) = parts(&answer);
        assert_eq!(found, status, "{what}: {answer:?}");
        assert!(message.starts_with("dockwarden: "), "{what}: {answer:?}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{what}: nothing after it is answered: {answer:?}"
        );
    }
    assert_eq!(gate.engine().seen.targets(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_chunk_never_reaches_the_engine_as_another_request() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let head = "POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "3\r\nabcX\r\n0\r\n\r\n",
        "3;a=b\r\nabc\r\n0\r\n\r\n",
        "0\r\n\nGET /smuggled HTTP/1.1\r\n\r\n",
        "zz\r\n",
    ] {
        let answer = gate.raw(&alice, format!("{head}{body}")).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{body:?}: {answer:?}");
    }
    assert!(gate.engine().seen.targets().iter().all(|t| t == "/images/load"));
}

#[tokio::test]
async fn good_requests_before_a_bad_one_are_answered() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let good = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = gate.dial(Some(&alice)).await.unwrap();
    stream.write_all(good.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\nOK").await;
    stream
        .write_all(b"GET /a HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n")
        .await
        .unwrap();
    let (status, message) = parts(&read_to_end(&mut stream).await);
    assert_eq!(status, 400, "{message}");
    assert_eq!(gate.engine().seen.targets(), ["/_ping"]);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let body = "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd";
    let last = "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = gate
        .raw(&alice, format!("GET /a HTTP/1.1\r\nHost: x\r\n\r\n{body}{last}"))
        .await;
    let positions: Vec<_> = ["GET /a", "4 bytes", "GET /b"]
        .iter()
        .map(|t| answer.find(t))
        .collect();
    assert!(
        positions.iter().all(Option::is_some) && positions.is_sorted(),
        "{answer}"
    );
}

#[tokio::test]
async fn one_path_reaches_the_engine_however_it_was_spelled() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    for (sent, expected) in [
        (
            "/v1.41//containers/./x/../json?all=1",
            "/v1.41/containers/json?all=1",
        ),
        (
            "/containers%2fjson?filters=%7B%22a%22%3A1%7D",
            "/containers/json?filters=%7B%22a%22%3A1%7D",
        ),
        (
            "/images/r.example:5000%2Fa%2fb:1/json",
            "/images/r.example:5000/a/b:1/json",
        ),
        ("/images/a%252fb/json", "/images/a%252fb/json"),
        ("/volumes/b%C3%BCcher", "/volumes/b%C3%BCcher"),
        ("/../../etc", "/etc"),
    ] {
        let (status, body) = gate.get(&alice, sent).await;
        assert_eq!((status, body), (200, format!("GET {expected}")), "{sent}");
    }
    for bad in ["/a%00b", "/a%zz", "/a%0d%0aX-A:%20b", "/%ff"] {
        let answer = gate
            .raw(
                &alice,
                format!("GET {bad} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            )
            .await;
        assert_eq!(parts(&answer).0, 400, "{bad}: {answer}");
    }
}

#[tokio::test]
async fn an_engine_that_is_away_is_502_with_a_hint_and_comes_back_by_itself() {
    let mut gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    assert_eq!(send(&mut sender, get("/_ping")).await.unwrap().0, 200);
    gate.engine.take().unwrap().stop();
    for _ in 0..3 {
        let (status, body) = send(&mut sender, get("/_ping")).await.unwrap();
        assert_eq!(status, 502);
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        let message = json["message"].as_str().unwrap();
        assert!(
            message.starts_with("dockwarden: ") && message.contains("systemctl"),
            "{message}"
        );
    }
    let socket = gate.socket();
    let _dead = std::os::unix::net::UnixListener::bind(&socket).map(drop);
    let (status, body) = send(&mut sender, get("/_ping")).await.unwrap();
    assert_eq!(status, 502, "{body}");
    gate.engine = Some(Engine::start(&socket));
    assert_eq!(
        send(&mut sender, get("/_ping")).await.unwrap().0,
        200,
        "on the same connection"
    );
}

#[tokio::test]
async fn an_engine_that_dies_in_the_middle_is_told_apart_from_the_end() {
    let mut gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    let mut events = open(&mut sender, get("/events?ms=5")).await;
    crate::support::gate::next_frame(&mut events).await.unwrap();
    gate.engine.take().unwrap().stop();
    let end = loop {
        match crate::support::gate::next_frame(&mut events).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(end.is_err(), "{end:?}");
}

#[tokio::test]
async fn a_client_that_leaves_is_left_by_the_engine_too() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    for target in ["/wait", "/events?ms=600000", "/events?ms=1"] {
        let mut stream = gate.dial(Some(&alice)).await.unwrap();
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        eventually("the engine has it", || gate.engine().seen.open.len() == 1).await;
        drop(stream);
        eventually("the engine is rid of it", || gate.engine().seen.open.is_empty()).await;
        eventually("and so is the gate", || gate.registry.is_empty()).await;
    }
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop_and_the_rest_crosses() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let answer = gate
        .raw(
            &alice,
            "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert!(answer.contains("Api-Version: 1.41\r\n"), "{answer}");
    assert!(!answer.to_lowercase().contains("keep-alive:"), "{answer}");
    let answer = gate
        .raw(
            &alice,
            "HEAD /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert!(
        answer.contains("Content-Length: 2\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    let answer = gate.raw(&alice, "GET /_ping HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nOK"), "HTTP/1.0 without Host: {answer}");
    assert_eq!(gate.engine().seen.last().headers["host"], "docker");
}

#[tokio::test]
async fn trailers_cross_both_ways() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let request = "GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n";
    let answer = gate.raw(&alice, request).await;
    assert!(
        answer.to_lowercase().contains("0\r\nx-sum: 42\r\n\r\n"),
        "{answer}"
    );
    let request = "POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
    let answer = gate.raw(&alice, request).await;
    assert!(answer.contains("3 bytes"), "{answer}");
    let trailers = gate.engine().seen.trailers.lock().unwrap().clone();
    assert_eq!(trailers[0]["x-sum"], "7");
}

#[tokio::test]
async fn a_body_waits_for_100_continue() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut stream = gate.dial(Some(&alice)).await.unwrap();
    let head = "POST /images/load HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        read_until(&mut stream, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"abcd").await.unwrap();
    assert!(read_to_end(&mut stream).await.contains("4 bytes"));
}

#[tokio::test]
async fn an_early_answer_is_passed_on_while_the_body_is_still_coming() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut stream = gate.dial(Some(&alice)).await.unwrap();
    let head = "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[0; 1000]).await.unwrap();
    let answer = read_until(&mut stream, "{\"message\":\"no\"}").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_slow_head_is_refused_and_an_idle_connection_closed() {
    let limits = Limits {
        head_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(900),
        ..Limits::default()
    };
    let gate = Harness::with(limits, |gate| gate);
    let alice = gate.fleet.client("alice");
    let mut stream = gate.dial(Some(&alice)).await.unwrap();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(parts(&read_to_end(&mut stream).await).0, 408);
    // Between requests there is more time than inside one.
    let mut sender = gate.connect(&alice).await;
    for _ in 0..3 {
        assert_eq!(send(&mut sender, get("/_ping")).await.unwrap().0, 200);
        tokio::time::sleep(Duration::from_millis(450)).await;
    }
    eventually("the idle one is closed", || gate.registry.is_empty()).await;
    // A stream is neither.
    let mut events = open(&mut gate.connect(&alice).await, get("/events?ms=1500&n=2")).await;
    assert!(
        crate::support::gate::next_frame(&mut events)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        crate::support::gate::next_frame(&mut events)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_handshake_that_says_nothing_is_ended() {
    let limits = Limits {
        handshake_timeout: Duration::from_millis(200),
        handshakes_max: 2,
        ..Limits::default()
    };
    let gate = Harness::with(limits, |gate| gate);
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(tokio::net::TcpStream::connect(gate.address).await.unwrap());
    }
    // Two fill the limit, two wait behind them, and then it is alice's turn.
    assert_eq!(gate.get(&gate.fleet.client("alice"), "/_ping").await.0, 200);
    for mut stream in silent {
        assert_eq!(read_to_end(&mut stream).await, "");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    let gate = Harness::with(limits, |gate| gate);
    let alice = gate.fleet.client("alice");
    let mut kept = gate.connect(&alice).await;
    assert_eq!(send(&mut kept, get("/_ping")).await.unwrap().0, 200);
    let tunnel = gate.tunnel(&alice, "/exec/1/start").await;
    let (status, message) = parts(&gate.raw(&alice, "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").await);
    assert_eq!(status, 503);
    assert!(message.contains("2 connections"), "{message}");
    drop(tunnel);
    eventually("the tunnel's place is free", || gate.registry.len() == 1).await;
    assert_eq!(gate.get(&alice, "/_ping").await.0, 200);
}

#[tokio::test]
async fn only_http_1_1_is_negotiated() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let stream = gate.dial(Some(&alice)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let mut config = (**gate.connector(Some(&alice)).config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let socket = tokio::net::TcpStream::connect(gate.address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("web-01").unwrap();
    assert!(connector.connect(name, socket).await.is_err());
}

#[tokio::test]
async fn a_post_without_a_body_and_one_with_are_framed_as_they_came() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    let post = |body: &'static str| {
        Request::post("/images/load")
            .header("Host", "x")
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .unwrap()
    };
    assert_eq!(send(&mut sender, post("")).await.unwrap().1, "0 bytes");
    assert_eq!(send(&mut sender, post("abc")).await.unwrap().1, "3 bytes");
    assert_eq!(gate.engine().seen.last().headers["content-length"], "3");
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_request_is_logged_and_no_secret_with_it() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    let request = Request::post("//images/load?buildargs=s3cret-query")
        .header("Host", "x")
        .header("X-Registry-Auth", "s3cret-header")
        .body(Full::new(Bytes::from_static(b"s3cret-body")))
        .unwrap();
    assert_eq!(send(&mut sender, request).await.unwrap().0, 200);
    assert_eq!(send(&mut sender, get("/a%00?s3cret-query")).await.unwrap().0, 400);
    let mut smuggler = gate.dial(Some(&alice)).await.unwrap();
    let both = b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    smuggler.write_all(both).await.unwrap();
    assert!(read_to_end(&mut smuggler).await.starts_with("HTTP/1.1 400"));
    eventually("both are logged", || {
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.matches("dockwarden::access").count() == 4
    })
    .await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<serde_json::Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|record: &serde_json::Value| {
            record["target"]
                .as_str()
                .is_some_and(|t| t.starts_with("dockwarden::"))
        })
        .collect();
    assert!(!format!("{ours:?}").contains("s3cret"), "{ours:?}");
    let access: Vec<_> = ours
        .iter()
        .filter(|r| r["target"] == "dockwarden::access")
        .map(|r| &r["fields"])
        .collect();
    // A load streams: it is there when it begins, and when it is over.
    assert_eq!(
        (&access[0]["outcome"], &access[0]["path"]),
        (&"open".into(), &"/images/load".into())
    );
    let first = access[1];
    assert_eq!(first["message"], "alice ImageLoad -> 200");
    assert_eq!(
        (&first["identity"], &first["method"], &first["path"]),
        (&"alice".into(), &"POST".into(), &"/images/load".into())
    );
    assert_eq!(
        (
            first["status"].as_u64(),
            first["bytes_in"].as_u64(),
            first["bytes_out"].as_u64()
        ),
        (Some(200), Some(11), Some(8))
    );
    assert_eq!(first["outcome"], "complete");
    for field in ["serial", "remote", "connection", "duration_ms"] {
        assert!(!first[field].is_null(), "{field}: {first}");
    }
    assert_eq!(
        (&first["operation"], &first["decision"]),
        (&"ImageLoad".into(), &"allowed".into())
    );
    let refused = access[2];
    assert_eq!(
        (&refused["decision"], &refused["outcome"], &refused["operation"]),
        (&"denied".into(), &"denied".into(), &serde_json::Value::Null)
    );
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("control character"), "{refused}");
    let smuggled = access[3];
    assert_eq!(
        (&smuggled["decision"], &smuggled["identity"]),
        (&"denied".into(), &"alice".into())
    );
    assert_eq!(
        (&smuggled["method"], &smuggled["status"]),
        (&serde_json::Value::Null, &400.into())
    );
}

#[tokio::test]
async fn a_socket_that_was_handed_over_is_served() {
    use dockwarden::gate::{BindError, Gate, GateConfig, Listen};
    let gate = Harness::start();
    let socket = std::net::TcpListener::bind("[::1]:0").unwrap();
    let address = socket.local_addr().unwrap();
    let config = |listen| GateConfig {
        listen,
        upstream: gate.socket(),
        limits: Limits::default(),
    };
    let clock = || std::sync::Arc::new(gate.clock.clone());
    let second = Gate::bind(
        config(vec![Listen::Prepared(socket)]),
        gate.publish.subscribe(),
        clock(),
    )
    .unwrap();
    assert_eq!(second.addresses(), [address]);
    let task = tokio::spawn(second.run(gate.shutdown.clone()));
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("web-01").unwrap();
    let connector = gate.connector(Some(&gate.fleet.client("alice")));
    let mut stream = connector.connect(name, socket).await.unwrap();
    stream
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "\r\n\r\nOK").await;
    let taken = Gate::bind(
        config(vec![Listen::Address(address)]),
        gate.publish.subscribe(),
        clock(),
    );
    assert!(matches!(taken.map(|_| ()), Err(BindError::Address { .. })));
    assert!(matches!(
        Gate::bind(config(vec![]), gate.publish.subscribe(), clock()).map(|_| ()),
        Err(BindError::NoAddress)
    ));
    gate.shutdown.cancel();
    task.await.unwrap();
}
