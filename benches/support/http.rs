//! The least HTTP/1.1 client over TLS that can put load on a server: requests are bytes made before, answers are read
//! by their Content-Length.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use dockwarden::pki::{pem, tls};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where the server is and whom to believe.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Target {
    /// A client that trusts `ca`, and shows the certificate in `identity` (a directory) if there is one.
    pub fn new(address: SocketAddr, ca: &str, identity: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates(ca)? {
            roots.add(certificate)?;
        }
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(directory) => builder.with_client_auth_cert(
                pem::certificates(std::fs::read(directory.join("cert.pem"))?)?,
                pem::private_key(std::fs::read(directory.join("key.pem"))?)?,
            )?,
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            address,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// A new connection, handshake done.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = self.connector.connect(name, stream).await?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(ANSWER_BYTES_MAX),
        })
    }

    /// One request on a connection of its own.
    pub async fn call(&self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.connect()
            .await?
            .call(request)
            .await
            .map(|(status, body)| (status, body.to_vec()))
    }
}

/// A connection that can be used again.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its answer: status and body.
    pub async fn call(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            ensure!(
                self.stream.read_buf(&mut self.buffer).await? > 0,
                "the server closed the connection"
            );
            ensure!(self.buffer.len() < ANSWER_BYTES_MAX, "the answer is too large");
            let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                continue;
            };
            let (status, length) = head(&self.buffer[..end])?;
            if self.buffer.len() >= end + 4 + length {
                return Ok((status, &self.buffer[end + 4..end + 4 + length]));
            }
        }
    }

    /// Sends a request and reads its answer, however large, without keeping it: the length of its body.
    pub async fn download(&mut self, request: &[u8]) -> anyhow::Result<usize> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut buffer = vec![0; 256 * 1024];
        let (mut head_bytes, mut received) = (Vec::new(), 0);
        let (end, length) = loop {
            let read = self.stream.read(&mut buffer).await?;
            ensure!(read > 0, "the server closed the connection");
            head_bytes.extend_from_slice(&buffer[..read]);
            if let Some(end) = head_bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let (status, length) = head(&head_bytes[..end])?;
                ensure!(status == 200, "status {status}");
                break (end + 4, length);
            }
        };
        received += head_bytes.len() - end;
        while received < length {
            let read = self.stream.read(&mut buffer).await?;
            ensure!(
                read > 0,
                "the server closed the connection after {received} bytes"
            );
            received += read;
        }
        Ok(received)
    }

    /// Ends it in order.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }
}

fn head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let text = std::str::from_utf8(head)?;
    let status = text.split(' ').nth(1).context("no status")?.parse()?;
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok((status, value.trim().parse()?));
        }
    }
    bail!("an answer without Content-Length")
}

/// The bytes of a POST.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}
