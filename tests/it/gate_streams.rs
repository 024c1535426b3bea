//! Tunnels, streams, big bodies, and the end of the gate.

use std::time::Duration;

use dockwarden::gate::Limits;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::support::gate::{
    Harness, PATIENCE, eventually, get, next_frame, open, read_to_end, read_until, send,
};

#[tokio::test]
async fn the_end_of_input_is_relayed_and_the_output_still_comes() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    for path in ["/exec/1/start", "/v1.41/containers/a/attach?stdin=1&stream=1"] {
        let mut stream = gate.tunnel(&alice, path).await;
        stream.write_all(b"ok\n").await.unwrap();
        assert_eq!(read_until(&mut stream, "\n").await, "ok\n");
        stream.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "end after 3\n");
        eventually("the tunnel is gone", || gate.registry.is_empty()).await;
    }
    let arrived = gate.engine().seen.last();
    assert_eq!(
        (&arrived.headers["upgrade"], &arrived.headers["connection"]),
        (&"tcp".parse().unwrap(), &"Upgrade".parse().unwrap())
    );
}

#[tokio::test]
async fn a_client_may_half_close_tcp_without_close_notify() {
    let gate = Harness::start();
    let mut stream = gate.tunnel(&gate.fleet.client("alice"), "/exec/1/start").await;
    stream.write_all(b"ok\n").await.unwrap();
    assert_eq!(read_until(&mut stream, "\n").await, "ok\n");
    stream.get_mut().0.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "end after 3\n");
}

#[tokio::test]
async fn an_impatient_client_that_sends_everything_at_once_gets_it_all() {
    let gate = Harness::start();
    let mut stream = gate.dial(Some(&gate.fleet.client("alice"))).await.unwrap();
    let request = "POST /exec/1/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";
    stream
        .write_all(format!("{request}early\n").as_bytes())
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.ends_with("body 2 bytes\nearly\nend after 6\n"), "{answer}");
}

#[tokio::test]
async fn websockets_and_h2c_are_tunnelled_byte_for_byte() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    for (method, path, protocol) in [
        ("GET", "/containers/a/attach/ws?stdin=1", "websocket"),
        ("POST", "/v1.41/session", "h2c"),
    ] {
        let mut stream = gate.dial(Some(&alice)).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 101 ") && head.contains(&format!("Upgrade: {protocol}\r\n")),
            "{head}"
        );
        read_until(&mut stream, "body 0 bytes\n").await;
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0";
        stream.write_all(preface.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut stream, "\0\0\0").await, preface);
    }
}

#[tokio::test]
async fn nothing_is_sent_on_before_the_engine_agreed_and_nothing_read_as_a_request_when_it_did_not() {
    let gate = Harness::start();
    let request =
        "POST /exec/declined/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = gate
        .raw(&gate.fleet.client("alice"), format!("{request}{smuggled}"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert!(
        answer.contains("Connection: close\r\n") && answer.matches("HTTP/1.1").count() == 1,
        "{answer}"
    );
    assert_eq!(gate.engine().seen.targets(), ["/exec/declined/start"]);
}

#[tokio::test]
async fn output_can_be_attached_without_an_upgrade_and_ends_the_connection() {
    let gate = Harness::start();
    let request = "POST /containers/a/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = gate
        .raw(
            &gate.fleet.client("alice"),
            format!("{request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"),
        )
        .await;
    assert!(
        answer.contains("line 2\n") && answer.matches("HTTP/1.1").count() == 1,
        "{answer}"
    );
    assert_eq!(gate.engine().seen.targets().len(), 1);
}

#[tokio::test]
async fn lines_of_a_stream_arrive_as_they_are_written() {
    let gate = Harness::start();
    let mut sender = gate.connect(&gate.fleet.client("alice")).await;
    let mut events = open(&mut sender, get("/events?n=3&ms=300")).await;
    for i in 0..3 {
        let frame = timeout(Duration::from_millis(1500), next_frame(&mut events))
            .await
            .expect("not held back");
        assert_eq!(frame.unwrap().unwrap(), format!("line {i}\n"));
    }
    assert_eq!(next_frame(&mut events).await.unwrap(), None);
    assert_eq!(
        send(&mut sender, get("/_ping")).await.unwrap().0,
        200,
        "the connection goes on"
    );
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn big_bodies_pass_in_constant_memory() {
    const BYTES: usize = 128 << 20;
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    let mut saved = open(&mut sender, get(&format!("/images/get?bytes={BYTES}"))).await;
    let (before, mut most, mut bytes) = (resident_bytes(), 0, 0);
    while let Some(frame) = timeout(PATIENCE, saved.body_mut().frame()).await.unwrap() {
        bytes += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
        most = most.max(resident_bytes());
    }
    assert_eq!(bytes, BYTES);
    let mut stream = gate.dial(Some(&alice)).await.unwrap();
    let head = format!(
        "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {BYTES}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..BYTES >> 20 {
        timeout(PATIENCE, stream.write_all(&block))
            .await
            .unwrap()
            .unwrap();
        most = most.max(resident_bytes());
    }
    assert!(read_to_end(&mut stream).await.contains(&format!("{BYTES} bytes")));
    // Other tests run in this process: the bound only has to tell streaming from collecting.
    assert!(most < before + (BYTES >> 2), "{} MiB more", (most - before) >> 20);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_engine_back() {
    let gate = Harness::start();
    let mut sender = gate.connect(&gate.fleet.client("alice")).await;
    let saved = open(&mut sender, get("/images/get?bytes=1073741824")).await;
    sleep(Duration::from_millis(500)).await;
    let buffered = resident_bytes();
    sleep(Duration::from_millis(500)).await;
    assert!(
        resident_bytes() < buffered + (64 << 20),
        "it goes on filling memory"
    );
    drop((saved, sender));
    eventually("the engine is let go", || gate.engine().seen.open.is_empty()).await;
}

#[tokio::test]
async fn stopping_closes_what_is_idle_and_finishes_what_is_not() {
    let mut gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut idle = gate.connect(&alice).await;
    assert_eq!(send(&mut idle, get("/_ping")).await.unwrap().0, 200);
    let mut busy = gate.connect(&alice).await;
    let mut events = open(&mut busy, get("/events?n=5&ms=100")).await;
    gate.shutdown.cancel();
    eventually("the idle one is closed", || idle.is_closed()).await;
    let mut lines = 0;
    while next_frame(&mut events).await.unwrap().is_some() {
        lines += 1;
    }
    assert_eq!(lines, 5, "the stream was finished");
    timeout(PATIENCE, &mut gate.running).await.unwrap().unwrap();
    assert!(gate.registry.is_empty());
    assert!(gate.dial(Some(&alice)).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stream_without_end_is_cut_when_the_drain_is_over() {
    let limits = Limits {
        drain_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut gate = Harness::with(limits, |gate| gate);
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    let mut events = open(&mut sender, get("/events?ms=10")).await;
    let mut tunnel = gate.tunnel(&alice, "/exec/1/start").await;
    gate.shutdown.cancel();
    timeout(Duration::from_secs(5), &mut gate.running)
        .await
        .expect("a bounded drain")
        .unwrap();
    while next_frame(&mut events).await.is_ok_and(|frame| frame.is_some()) {}
    assert!(!matches!(tunnel.read(&mut [0; 8]).await, Ok(1..)));
}

#[tokio::test]
async fn idle_connections_cost_little() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let connector = gate.connector(Some(&alice));
    let before = resident_bytes();
    let mut open = Vec::new();
    for _ in 0..200 {
        let socket = tokio::net::TcpStream::connect(gate.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let name = rustls_pki_types::ServerName::try_from("web-01").unwrap();
        let mut stream = connector.connect(name, socket).await.unwrap();
        stream
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut stream, "\r\n\r\nOK").await;
        open.push(stream);
    }
    assert_eq!(gate.registry.len(), 200);
    let each = (resident_bytes().saturating_sub(before)) / 200;
    // Both ends of TLS live in this process, and other tests may run: a gross bound, against leaks.
    assert!(each < 400 * 1024, "{} KiB for each", each / 1024);
}
