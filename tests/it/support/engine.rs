//! A stand-in for dockerd on a unix socket: ping, streams, big bodies, hijacked connections. It remembers what
//! reached it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub target: String,
    pub headers: HeaderMap,
}

/// What the engine saw.
#[derive(Default)]
pub struct Seen {
    pub arrived: Mutex<Vec<Arrived>>,
    pub trailers: Mutex<Vec<HeaderMap>>,
    pub open: TaskTracker,
}

impl Seen {
    pub fn targets(&self) -> Vec<String> {
        self.arrived
            .lock()
            .unwrap()
            .iter()
            .map(|a| a.target.clone())
            .collect()
    }

    pub fn last(&self) -> Arrived {
        self.arrived.lock().unwrap().last().cloned().unwrap()
    }
}

/// A running stand-in; stops when dropped.
pub struct Engine {
    pub seen: Arc<Seen>,
    pub socket: PathBuf,
    stop: CancellationToken,
}

impl Engine {
    pub fn start(socket: &Path) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let engine = Self {
            seen: Arc::default(),
            socket: socket.to_owned(),
            stop: CancellationToken::new(),
        };
        let (seen, stop) = (Arc::clone(&engine.seen), engine.stop.clone());
        tokio::spawn(async move {
            let serve_all = async {
                while let Ok((stream, _)) = listener.accept().await {
                    let served = serve(stream, Arc::clone(&seen));
                    let (open, stop) = (seen.open.clone(), stop.clone());
                    open.spawn(async move { stop.run_until_cancelled(served).await });
                }
            };
            stop.run_until_cancelled(serve_all).await;
        });
        engine
    }

    /// Ends every connection, and the socket with them.
    pub fn stop(self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(stream: tokio::net::UnixStream, seen: Arc<Seen>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn answer(mut request: Request<Incoming>, seen: Arc<Seen>) -> Result<Answer, Infallible> {
    let target = request.uri().to_string();
    seen.arrived.lock().unwrap().push(Arrived {
        target: target.clone(),
        headers: request.headers().clone(),
    });
    let path = request.uri().path().to_owned();
    let number = |name: &str| {
        let query = target.split_once('?').map_or("", |(_, q)| q);
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(n, _)| *n == name)
            .map_or(0u64, |(_, v)| v.parse().unwrap())
    };
    Ok(match path.as_str() {
        "/_ping" => text("OK"),
        "/events" => lines(number("n"), Duration::from_millis(number("ms"))),
        "/images/get" => zeros(number("bytes")),
        "/images/load" => count(request, &seen).await,
        path if path.ends_with("/containers/create") => {
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            Response::new(Full::new(body.unwrap_or_default()).boxed_unsync())
        }
        "/early" => Response::builder()
            .status(404)
            .body(full(r#"{"message":"no"}"#))
            .unwrap(),
        "/wait" => std::future::pending().await,
        "/trailers" => with_trailers(),
        "/wrong-upgrade" | "/exec/declined/start" => Response::builder()
            .status(409)
            .body(full(r#"{"message":"not running"}"#))
            .unwrap(),
        path if path.ends_with("/attach")
            || path.ends_with("/start")
            || path.ends_with("/attach/ws")
            || path.ends_with("/session") =>
        {
            hijack(&mut request, &seen).await
        }
        _ => text(&format!("{} {target}", request.method())),
    })
}

fn full(body: &str) -> UnsyncBoxBody<Bytes, Infallible> {
    Full::new(Bytes::copy_from_slice(body.as_bytes())).boxed_unsync()
}

fn text(body: &str) -> Answer {
    Response::builder()
        .header(CONTENT_TYPE, "text/plain")
        .header("Api-Version", "1.41")
        .header("Keep-Alive", "timeout=9")
        .body(full(body))
        .unwrap()
}

fn lines(n: u64, pause: Duration) -> Answer {
    let lines = stream::unfold(0, move |i| async move {
        if n > 0 && i == n {
            return None;
        }
        if i > 0 {
            tokio::time::sleep(pause).await;
        }
        Some((Ok(Frame::data(Bytes::from(format!("line {i}\n")))), i + 1))
    });
    Response::new(BodyExt::boxed_unsync(StreamBody::new(Box::pin(lines))))
}

fn zeros(bytes: u64) -> Answer {
    static BLOCK: [u8; 65536] = [0; 65536];
    let chunks = stream::iter((0..bytes.div_ceil(65536)).map(move |i| {
        let size = usize::try_from((bytes - i * 65536).min(65536)).unwrap();
        Ok(Frame::data(Bytes::from_static(&BLOCK[..size])))
    }));
    Response::new(BodyExt::boxed_unsync(StreamBody::new(chunks)))
}

fn with_trailers() -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"body"))),
        Ok(Frame::trailers(trailers)),
    ];
    Response::builder()
        .header("Trailer", "x-sum")
        .body(BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames))))
        .unwrap()
}

async fn count(request: Request<Incoming>, seen: &Seen) -> Answer {
    let (mut body, mut bytes) = (request.into_body(), 0);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes += data.len(),
            Ok(Err(frame)) => seen.trailers.lock().unwrap().extend(frame.into_trailers()),
            Err(_) => return text("broken"),
        }
    }
    text(&format!("{bytes} bytes"))
}

/// Echoes until the client has closed its sending side, says so, and closes.
async fn hijack(request: &mut Request<Incoming>, seen: &Seen) -> Answer {
    let Some(protocol) = request.headers().get(UPGRADE).cloned() else {
        return lines(3, Duration::from_millis(1));
    };
    let body = request.body_mut().collect().await.unwrap().to_bytes();
    let upgrade = hyper::upgrade::on(request);
    seen.open.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut io = TokioIo::new(upgraded);
        let mut total = 0;
        let mut buffer = [0; 4096];
        io.write_all(format!("body {} bytes\n", body.len()).as_bytes())
            .await
            .unwrap();
        loop {
            match io.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    total += n;
                    if io.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            }
        }
        let _ = io.write_all(format!("end after {total}\n").as_bytes()).await;
        let _ = io.shutdown().await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, protocol)
        .header(CONTENT_TYPE, "application/vnd.docker.raw-stream")
        .body(full(""))
        .unwrap()
}
