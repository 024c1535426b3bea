//! A receiver of webhooks on loopback, which does what the test says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::server::PATIENCE;

/// How a receiver answers.
pub const GOOD: u8 = 0;
pub const BROKEN: u8 = 1;
pub const SILENT: u8 = 2;
pub const TWICE: u8 = 3;
pub const HANGS_UP: u8 = 4;
pub const MOVED: u8 = 5;

/// A request as it came, and whether it was answered well.
#[derive(Clone, Debug)]
pub struct Received {
    head: String,
    pub body: Value,
    pub raw: String,
    pub taken: bool,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let line = self
            .head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.map_or("", |line| line.split_once(':').unwrap().1.trim())
    }
}

/// A receiver of webhooks that does what the test says.
#[derive(Clone)]
pub struct Receiver {
    mode: Arc<AtomicU8>,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub fn new(mode: u8) -> Self {
        Self {
            mode: Arc::new(AtomicU8::new(mode)),
            seen: Arc::default(),
        }
    }

    pub async fn listen(&self, address: SocketAddr) -> SocketAddr {
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

    pub fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    pub fn seen(&self) -> Vec<Received> {
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
