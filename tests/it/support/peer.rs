//! A TLS server that answers from a script and keeps every byte it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use dockwarden::base::{Clock, ManualClock};
use dockwarden::pki::chain::Purpose;
use dockwarden::pki::tls::{ALPN_HTTP1, PeerVerifier, TlsIdentity, server_config};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::pki::{Fleet, Signed, t0};

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(t0()))
}

/// What it was sent, over all connections.
#[derive(Default)]
pub struct Seen {
    /// Decrypted requests, one string each.
    pub requests: Vec<String>,
    /// Bytes below TLS.
    pub raw_bytes: usize,
    /// Connections accepted.
    pub connections: usize,
}

/// What it does with the n-th request: an answer, or hanging up.
pub type Script = Arc<dyn Fn(usize, &str) -> Option<String> + Send + Sync>;

/// Stops when dropped.
pub struct Peer {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    pub async fn start(tls: Option<ServerConfig>, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(tcp, tls.clone(), Arc::clone(&script), Arc::clone(&shared)));
            }
        });
        Self { address, seen, task }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }
}

async fn serve(mut tcp: TcpStream, tls: Option<TlsAcceptor>, script: Script, seen: Arc<Mutex<Seen>>) {
    let Some(tls) = tls else {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = tcp.read(&mut buffer).await {
            seen.lock().unwrap().raw_bytes += n;
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
        return;
    };
    let Ok(mut stream) = tls.accept(tcp).await else {
        return;
    };
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(request.clone());
            seen.requests.len()
        };
        let Some(answer) = script(number, &request) else {
            return;
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let _ = stream.flush().await;
        if answer.contains("connection: close") {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn read_request<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| {
                l.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            });
            if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n @ 1..) => text.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
            _ => return None,
        }
    }
}

/// TLS as the server of `fleet` has it: leaf, issuer and root presented, client certificates optional.
pub fn server_tls(fleet: &Fleet, leaf: &Signed) -> ServerConfig {
    let purposes = [Purpose::Client, Purpose::HostServer];
    let verifier = PeerVerifier::optional(fleet.anchors().shared(), &purposes, clock());
    let identity = TlsIdentity::new(leaf.chain_with_root(), leaf.private_key()).unwrap();
    server_config(Arc::new(identity), Arc::new(verifier), ALPN_HTTP1)
}

/// An HTTP answer with a JSON body.
pub fn json(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}
