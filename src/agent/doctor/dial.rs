//! Dials a port as a stranger would: in plaintext, then over TLS without a certificate. Sends `GET /_ping` and nothing
//! else; trusts nobody and needs to trust nobody.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::pki::Certificate;
use crate::pki::tls::{ALPN_HTTP1, provider};

/// How long one dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read, bytes.
const ANSWER_BYTES_MAX: usize = 4096;

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// dockerd itself.
    Dockerd,
    /// A socket unit that hands the port to dockerd.
    Socket(String),
    /// A dockerd beside the one that is meant: its process.
    AnotherDockerd(u32),
    /// Our gate.
    Gate,
    /// Nobody that is known: the agent was told to dial it.
    Other,
}

/// A port, and what strangers get from it.
#[derive(Clone, Debug)]
pub struct Port {
    /// Where it listens: may be a wildcard.
    pub address: SocketAddr,
    /// Who listens.
    pub owner: Owner,
    /// What a plaintext request gets.
    pub plain: Answer,
    /// What a TLS client without a certificate gets.
    pub tls: Answer,
    /// The certificate that is served.
    pub leaf: Option<Certificate>,
}

impl Port {
    /// Whether others than this machine can reach it.
    pub fn is_exposed(&self) -> bool {
        !self.address.ip().to_canonical().is_loopback()
    }

    /// Whether anybody who reaches it commands Docker.
    pub fn is_open(&self) -> bool {
        self.plain == Answer::Docker || self.tls == Answer::Docker
    }
}

/// What a stranger gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Docker's API.
    Docker,
    /// An answer that is not Docker's, or a refusal: says which.
    Refused(String),
    /// No connection, or silence: says why.
    Silent(String),
}

/// Dials it both ways.
pub async fn dial(address: SocketAddr, owner: Owner) -> Port {
    let target = crate::agent::desired::reachable(address);
    let (plain, (tls, leaf)) = tokio::join!(plain(target), tls(target));
    Port {
        address,
        owner,
        plain,
        tls,
        leaf,
    }
}

async fn plain(address: SocketAddr) -> Answer {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        Ok(ping(&mut stream).await)
    };
    bounded(ask).await
}

async fn bounded(ask: impl Future<Output = Result<Answer, String>>) -> Answer {
    match tokio::time::timeout(DIAL_TIMEOUT, ask).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(why)) => Answer::Silent(why),
        Err(_) => Answer::Silent(format!("no answer within {} s", DIAL_TIMEOUT.as_secs())),
    }
}

async fn tls(address: SocketAddr) -> (Answer, Option<Certificate>) {
    let seen = Arc::new(Seen::default());
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config(Arc::clone(&seen))));
    let ask = async {
        let tcp = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        match connector.connect(ServerName::from(address.ip()), tcp).await {
            // With TLS 1.3 a server that wants a certificate refuses only after this.
            Ok(mut stream) => Ok(ping(&mut stream).await),
            Err(error) => Ok(Answer::Refused(error.to_string())),
        }
    };
    let answer = bounded(ask).await;
    let leaf = seen.0.lock().expect("no panic while the lock is held").take();
    (answer, leaf.and_then(|der| Certificate::parse(&der).ok()))
}

/// Asks, and tells Docker from anything else by what only its API says.
async fn ping(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Answer {
    let request = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n";
    if let Err(error) = stream.write_all(request).await {
        return Answer::Refused(error.to_string());
    }
    let mut answer = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX as u64);
    let ended = limited.read_to_end(&mut answer).await;
    match (classify(&answer), ended) {
        (Some(known), _) => known,
        (None, Err(error)) => Answer::Refused(error.to_string()),
        (None, Ok(_)) => Answer::Refused("the connection was closed without an answer".to_owned()),
    }
}

/// `None` when there is nothing to tell by.
fn classify(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5))?;
    let head = text
        .split("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_docker = head.contains("\r\napi-version:") || head.contains("\r\ndocker-experimental:");
    // Whatever the status: a plugin may deny this one request, and the API answers strangers all the same.
    if is_docker {
        return Some(Answer::Docker);
    }
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    let line: String = body
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(120)
        .collect();
    Some(Answer::Refused(
        format!("HTTP {status} {}", line.trim()).trim_end().to_owned(),
    ))
}

fn config(seen: Arc<Seen>) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(seen)
        .with_no_client_auth();
    config.alpn_protocols = ALPN_HTTP1.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// Takes any certificate and notes it: what is looked for is whether the server takes anybody.
#[derive(Debug, Default)]
struct Seen(Mutex<Option<Vec<u8>>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().expect("no panic while the lock is held") = Some(end_entity.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_is_told_by_what_only_docker_says() {
        let docker = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
        assert_eq!(classify(docker), Some(Answer::Docker));
        let denied = b"HTTP/1.1 403 Forbidden\r\nApi-Version: 1.41\r\n\r\n{}";
        assert_eq!(classify(denied), Some(Answer::Docker));
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\nOK"[..], "HTTP 200 OK"),
            (
                b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
                "HTTP 400 Client sent an HTTP request to an HTTPS server.",
            ),
        ] {
            assert_eq!(classify(answer), Some(Answer::Refused(expected.to_owned())));
        }
        for nothing in [&b""[..], b"\x15\x03\x01", b"SSH-2.0-OpenSSH", b"HTTP/1."] {
            assert_eq!(classify(nothing), None);
        }
    }
}
