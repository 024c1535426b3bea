//! A gate on loopback in front of a stand-in engine, with a fleet's CA and a clock that the test moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dockwarden::base::{Clock, ManualClock};
use dockwarden::gate::{Gate, GateConfig, GateIdentity, Limits, Listen, Registry};
use dockwarden::pki::tls::{ALPN_HTTP1, ServerTrust, TlsIdentity, client_config};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::pki::{Fleet, Signed, t0};

/// No step of a test takes longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Everything one test needs; stops when dropped.
pub struct Harness {
    pub fleet: Fleet,
    pub clock: ManualClock,
    pub engine: Option<Engine>,
    pub address: SocketAddr,
    pub publish: watch::Sender<Arc<GateIdentity>>,
    pub registry: Arc<Registry>,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<()>,
    directory: tempfile::TempDir,
}

impl Harness {
    pub fn start() -> Self {
        Self::with(Limits::default(), |gate| gate)
    }

    pub fn with(limits: Limits, adjust: impl FnOnce(Gate) -> Gate) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let fleet = Fleet::new();
        let clock = ManualClock::new(t0());
        let (publish, published) = watch::channel(identity(&fleet, &fleet.host("web-01"), &clock));
        let config = GateConfig {
            listen: vec![Listen::Address("127.0.0.1:0".parse().unwrap())],
            upstream: socket.clone(),
            limits,
        };
        let gate = adjust(Gate::bind(config, published, Arc::new(clock.clone())).unwrap());
        let (address, registry) = (gate.addresses()[0], gate.registry());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(gate.run(shutdown.clone()));
        Self {
            fleet,
            clock,
            engine: Some(Engine::start(&socket)),
            address,
            publish,
            registry,
            shutdown,
            running,
            directory,
        }
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("docker.sock")
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub fn connector(&self, leaf: Option<&Signed>) -> TlsConnector {
        let trust = ServerTrust::Anchors(self.publish.borrow().anchors().clone().shared());
        let identity = leaf.map(|l| Arc::new(TlsIdentity::new(l.chain(), l.private_key()).unwrap()));
        // The client's own clock stands still, so that only the gate's decides.
        let clock = Arc::new(ManualClock::new(t0()));
        TlsConnector::from(Arc::new(client_config(trust, identity, clock, ALPN_HTTP1)))
    }

    /// A TLS connection that was accepted, as far as the client can tell.
    pub async fn dial(&self, leaf: Option<&Signed>) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        self.connector(leaf)
            .connect(ServerName::try_from("web-01").unwrap(), socket)
            .await
    }

    /// Sends bytes and reads until the gate closes.
    pub async fn raw(&self, leaf: &Signed, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.dial(Some(leaf)).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }

    /// A keep-alive connection.
    pub async fn connect(&self, leaf: &Signed) -> SendRequest<Full<Bytes>> {
        let stream = self.dial(Some(leaf)).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    /// An exec or attach that the engine has taken over: what follows is a raw stream.
    pub async fn tunnel(&self, leaf: &Signed, path: &str) -> TlsStream<TcpStream> {
        let mut stream = self.dial(Some(leaf)).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        read_until(&mut stream, "body 2 bytes\n").await;
        stream
    }

    /// One request on a connection of its own.
    pub async fn get(&self, leaf: &Signed, target: &str) -> (u16, String) {
        let mut sender = self.connect(leaf).await;
        send(&mut sender, get(target)).await.unwrap()
    }

    pub fn publish(&self, host: &Signed, fleets: &[&Fleet]) {
        let roots: Vec<_> = fleets.iter().map(|f| f.root.der.clone()).collect();
        let anchors = dockwarden::pki::chain::Anchors::parse(&roots).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let identity = GateIdentity::verify(host.chain(), host.private_key(), anchors, clock).unwrap();
        self.publish.send_replace(identity);
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.running.abort();
    }
}

pub fn identity(fleet: &Fleet, host: &Signed, clock: &ManualClock) -> Arc<GateIdentity> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    GateIdentity::verify(host.chain(), host.private_key(), fleet.anchors(), clock).unwrap()
}

pub fn get(target: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .uri(target)
        .header("Host", "web-01")
        .body(Full::default())
        .unwrap()
}

/// Status and body; an error when the connection ended first.
pub async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(u16, String), hyper::Error> {
    let exchange = async {
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    timeout(PATIENCE, exchange).await.expect("an answer in time")
}

/// Only the head of the answer is awaited.
pub async fn open(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    let exchange = async {
        sender.ready().await.unwrap();
        sender.send_request(request).await.unwrap()
    };
    timeout(PATIENCE, exchange).await.expect("a head in time")
}

/// The next frame of a stream as text; `None` at its end, the error when it was cut.
pub async fn next_frame(response: &mut Response<Incoming>) -> Result<Option<String>, hyper::Error> {
    match timeout(PATIENCE, response.body_mut().frame())
        .await
        .expect("a frame in time")
    {
        Some(frame) => Ok(frame?
            .into_data()
            .ok()
            .map(|d| String::from_utf8_lossy(&d).into_owned())),
        None => Ok(None),
    }
}

/// Everything until the other side closes, however it does.
pub async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..n]);
        }
    };
    timeout(PATIENCE, reading)
        .await
        .expect("the connection is closed in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `pattern` has come.
pub async fn read_until(stream: &mut (impl tokio::io::AsyncRead + Unpin), pattern: &str) -> String {
    let mut text = String::new();
    let reading = async {
        let mut byte = [0];
        while !text.ends_with(pattern) {
            if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                panic!("closed before {pattern:?} came: {text:?}");
            }
            text.push(char::from(byte[0]));
        }
    };
    timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| panic!("{pattern:?} did not come in time"));
    text
}

/// Waits for a condition that a background task brings about.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..400 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}
