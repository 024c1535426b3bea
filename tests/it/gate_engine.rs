//! The gate's connections to dockerd: whose they are, how long they last, and what becomes of a request that was written
//! to one just as dockerd closed it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dockwarden::gate::CutReason;
use http::{Method, Request};
use http_body_util::Full;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::support::gate::{Harness, eventually, get, read_to_end, read_until, send};

/// What the engine does with a request that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Answer,
    /// Answers, and closes without having said that it would.
    AnswerAndClose,
    /// Says that there will be more than comes.
    BreakOff,
    /// Closes without a word, as a dockerd does that is stopped right then.
    Close,
}

/// The connection it came on, and how many came on it before, to what becomes of it.
type Order = fn(usize, usize) -> Act;

/// A stand-in that remembers what came on which of its connections.
#[derive(Clone, Default)]
struct Seen {
    requests: Arc<Mutex<Vec<(usize, String)>>>,
    open: Arc<AtomicUsize>,
}

impl Seen {
    fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().unwrap().clone()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// A gate in front of an engine that does as `order` says.
fn start(order: Order) -> (Harness, Seen) {
    let mut gate = Harness::start();
    gate.engine.take().unwrap().stop();
    let (listener, seen) = (UnixListener::bind(gate.socket()).unwrap(), Seen::default());
    let all = seen.clone();
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            let one = all.clone();
            tokio::spawn(async move {
                one.open.fetch_add(1, Ordering::SeqCst);
                let _ = serve(stream, number, order, &one).await;
                one.open.fetch_sub(1, Ordering::SeqCst);
            });
            number += 1;
        }
    });
    (gate, seen)
}

async fn serve(stream: UnixStream, number: usize, order: Order, seen: &Seen) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    for before in 0.. {
        let Some((line, upgrades)) = read_request(&mut stream).await? else {
            return Ok(());
        };
        let is_head = line.starts_with("HEAD ");
        seen.requests.lock().unwrap().push((number, line));
        let act = order(number, before);
        let answer = match act {
            Act::Close => return Ok(()),
            Act::BreakOff => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nOK",
            _ if upgrades => "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw\n",
            _ if is_head => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        };
        stream.write_all(answer.as_bytes()).await?;
        if upgrades {
            stream.read_to_end(&mut Vec::new()).await?;
        }
        if upgrades || act != Act::Answer {
            return Ok(());
        }
    }
    Ok(())
}

/// Method and target, and whether it asks for an upgrade. Its body is read.
async fn read_request(stream: &mut BufReader<UnixStream>) -> std::io::Result<Option<(String, bool)>> {
    let (mut first, mut upgrades, mut length) = (String::new(), false, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.trim_end_matches(" HTTP/1.1").clone_into(&mut first);
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "upgrade" => upgrades = true,
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(Some((first, upgrades)))
}

fn always(_: usize, _: usize) -> Act {
    Act::Answer
}

/// The second request on its first connection is the one that it closes on.
fn closes_on_the_second(connection: usize, before: usize) -> Act {
    match (connection, before) {
        (0, 1) => Act::Close,
        _ => Act::Answer,
    }
}

fn request(method: &Method, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri("/x").header("Host", "x");
    request
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

fn came(requests: &[(usize, &str)]) -> Vec<(usize, String)> {
    let owned = requests.iter();
    owned
        .map(|(number, line)| (*number, (*line).to_owned()))
        .collect()
}

#[tokio::test]
async fn each_connection_of_a_client_has_one_to_the_engine_that_nobody_else_is_on() {
    let (gate, seen) = start(always);
    let (alice, bob) = (gate.fleet.client("alice"), gate.fleet.client("bob"));
    let mut connections = Vec::new();
    for client in [&alice, &bob, &alice] {
        connections.push(gate.connect(client).await);
    }
    for round in 0..3 {
        for (index, connection) in connections.iter_mut().enumerate() {
            let target = format!("/{index}/{round}");
            assert_eq!(send(connection, get(&target)).await.unwrap().0, 200);
        }
    }
    let expected: Vec<_> = (0..3)
        .flat_map(|round| (0..3).map(move |index| (index, format!("GET /{index}/{round}"))))
        .collect();
    assert_eq!(
        seen.requests(),
        expected,
        "three clients' connections, three of the engine"
    );
    assert_eq!(seen.open(), 3);
}

#[tokio::test]
async fn the_connection_to_the_engine_ends_with_the_clients_however_that_ends() {
    let (gate, seen) = start(always);
    let alice = gate.fleet.client("alice");
    for is_cut in [false, true] {
        let mut connection = gate.connect(&alice).await;
        assert_eq!(send(&mut connection, get("/_ping")).await.unwrap().0, 200);
        assert_eq!(seen.open(), 1, "it is kept");
        match is_cut {
            true => assert_eq!(gate.registry.cut_all(CutReason::Revoked), 1),
            false => drop(connection),
        }
        eventually("the engine is rid of it", || seen.open() == 0).await;
    }
}

#[tokio::test]
async fn what_changes_nothing_is_asked_again_when_the_engine_closed_on_it() {
    for method in [Method::GET, Method::HEAD] {
        let (gate, seen) = start(closes_on_the_second);
        let mut connection = gate.connect(&gate.fleet.client("alice")).await;
        for _ in 0..3 {
            let answered = send(&mut connection, request(&method, "")).await.unwrap();
            assert_eq!(answered.0, 200, "{method} {answered:?}");
        }
        let line = format!("{method} /x");
        let line = line.as_str();
        assert_eq!(
            seen.requests(),
            came(&[(0, line), (0, line), (1, line), (1, line)])
        );
    }
}

#[tokio::test]
async fn what_may_change_something_is_asked_once_and_the_client_told_so() {
    for (method, body) in [
        (Method::POST, ""),
        (Method::POST, "body"),
        (Method::PUT, "body"),
        (Method::DELETE, ""),
        (Method::GET, "body"),
    ] {
        let (gate, seen) = start(closes_on_the_second);
        let mut connection = gate.connect(&gate.fleet.client("alice")).await;
        assert_eq!(send(&mut connection, get("/first")).await.unwrap().0, 200);
        let (status, said) = send(&mut connection, request(&method, body)).await.unwrap();
        assert_eq!(status, 502, "{method} {said}");
        assert!(
            said.contains("dockerd closed the connection before it answered"),
            "{said}"
        );
        let line = format!("{method} /x");
        assert_eq!(seen.requests(), came(&[(0, "GET /first"), (0, &line)]), "once");
        assert_eq!(
            send(&mut connection, request(&method, body)).await.unwrap().0,
            200
        );
        assert_eq!(seen.requests()[2], (1, line), "on another connection");
    }
}

#[tokio::test]
async fn a_connection_that_the_engine_closed_while_it_rested_is_not_used_for_anything() {
    let (gate, seen) = start(|_, _| Act::AnswerAndClose);
    let mut connection = gate.connect(&gate.fleet.client("alice")).await;
    for _ in 0..5 {
        let (status, said) = send(&mut connection, request(&Method::POST, "body"))
            .await
            .unwrap();
        assert_eq!(status, 200, "{said}");
        eventually("the engine has closed it", || seen.open() == 0).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let connections: Vec<usize> = seen.requests().into_iter().map(|(number, _)| number).collect();
    assert_eq!(connections, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_new_connection_is_tried_once_and_one_that_was_new_not_again() {
    let (gate, seen) = start(|connection, before| match (connection, before) {
        (0, 0) => Act::Answer,
        _ => Act::Close,
    });
    let mut connection = gate.connect(&gate.fleet.client("alice")).await;
    assert_eq!(send(&mut connection, get("/a")).await.unwrap().0, 200);
    assert_eq!(send(&mut connection, get("/b")).await.unwrap().0, 502);
    assert_eq!(
        seen.requests(),
        came(&[(0, "GET /a"), (0, "GET /b"), (1, "GET /b")])
    );
    assert_eq!(send(&mut connection, get("/c")).await.unwrap().0, 502);
    assert_eq!(seen.requests()[3..], came(&[(2, "GET /c")]));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_asked_for_again() {
    let (gate, seen) = start(|_, before| match before {
        0 => Act::Answer,
        _ => Act::BreakOff,
    });
    let mut connection = gate.connect(&gate.fleet.client("alice")).await;
    assert_eq!(send(&mut connection, get("/a")).await.unwrap().0, 200);
    assert!(send(&mut connection, get("/b")).await.is_err());
    assert_eq!(seen.requests(), came(&[(0, "GET /a"), (0, "GET /b")]));
}

#[tokio::test]
async fn what_may_become_a_raw_stream_has_a_connection_of_its_own() {
    let (gate, seen) = start(always);
    let alice = gate.fleet.client("alice");
    let ping = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let exec = "POST /exec/1/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";
    let mut stream = gate.dial(Some(&alice)).await.unwrap();
    stream.write_all(ping.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\nOK").await;
    stream.write_all(exec.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "raw\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(
        seen.requests(),
        came(&[(0, "GET /_ping"), (1, "POST /exec/1/start")])
    );
    eventually("the one before is closed: nothing can follow", || {
        seen.open() == 1
    })
    .await;
    assert_eq!(gate.get(&alice, "/_ping").await.0, 200);
    assert_eq!(seen.requests()[2].0, 2, "nobody gets on that of a stream");
    drop(stream);
    eventually("it ends with its client", || seen.open() == 0).await;

    // Without an upgrade dockerd may take the connection over all the same.
    let mut stream = gate.dial(Some(&alice)).await.unwrap();
    let plain = "POST /exec/1/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    stream
        .write_all(format!("{ping}{plain}").as_bytes())
        .await
        .unwrap();
    let answers = read_to_end(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    let connections: Vec<usize> = seen.requests()[3..].iter().map(|(number, _)| *number).collect();
    assert_eq!(connections, [3, 4]);
    eventually("and both are closed", || seen.open() == 0).await;
}
