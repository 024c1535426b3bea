//! Looking at the host from the outside: Docker's version over its socket, the served certificate over TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;

use super::Probe;
use super::daemon::engine;
use super::observed::Engine;
use super::step::{Served, ServedCertificate};
use crate::base::encoding;
use crate::pki::Certificate;
use crate::pki::tls::{ALPN_HTTP1, provider};

/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Real sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealProbe;

#[async_trait]
impl Probe for RealProbe {
    async fn engine(&self, socket: &Path) -> Engine {
        match engine_version(socket).await {
            Ok(version) => Engine {
                version: Some(version),
                error: None,
            },
            Err(why) => Engine {
                version: None,
                error: Some(format!("Docker does not answer on {}: {why}", socket.display())),
            },
        }
    }

    async fn served(&self, address: SocketAddr) -> Served {
        match tokio::time::timeout(PROBE_TIMEOUT, served_leaf(address)).await {
            Ok(Ok(seen)) => Served::Certificate(seen),
            Ok(Err(why)) => Served::Failed(format!("{address}: {why}")),
            Err(_) => Served::Failed(format!(
                "{address} did not answer within {} s",
                PROBE_TIMEOUT.as_secs()
            )),
        }
    }
}

async fn engine_version(socket: &Path) -> Result<String, String> {
    let body = engine::get(socket, "/version", PROBE_TIMEOUT).await?;
    let answer: serde_json::Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
    let version = answer.get("Version").and_then(|version| version.as_str());
    let shown = version.map(|text| text.chars().filter(|c| !c.is_control()).take(64).collect());
    shown.ok_or_else(|| "its answer to GET /version has no version".to_owned())
}

async fn served_leaf(address: SocketAddr) -> Result<ServedCertificate, String> {
    let tcp = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let seen = Arc::new(Seen::default());
    let connector = tokio_rustls::TlsConnector::from(Arc::new(looking_config(&seen)));
    let result = connector.connect(ServerName::from(address.ip()), tcp).await;
    let noted = std::mem::take(&mut *seen.notes());
    match (noted.chain.first(), result) {
        (Some(der), _) => {
            let leaf = Certificate::parse(der).map_err(|e| e.to_string())?;
            Ok(ServedCertificate {
                serial: leaf.serial,
                not_after: leaf.not_after,
                issuer: leaf.issuer,
                chain: noted.chain.iter().map(|der| encoding::sha256(der)).collect(),
                asks_for_client: noted.asked,
                client_issuers: noted.client_issuers,
            })
        }
        (None, Err(error)) => Err(error.to_string()),
        (None, Ok(_)) => Err("it showed no certificate".to_owned()),
    }
}

fn looking_config(seen: &Arc<Seen>) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(seen) as _)
        .with_client_cert_resolver(Arc::clone(seen) as _);
    config.resumption = Resumption::disabled();
    config.alpn_protocols = ALPN_HTTP1.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// What a handshake showed.
#[derive(Debug, Default)]
struct Notes {
    /// The certificates that were sent, DER, leaf first.
    chain: Vec<Vec<u8>>,
    asked: bool,
    client_issuers: Vec<Vec<u8>>,
}

/// Takes note of what the server sends and then ends the handshake: nothing is ever sent over a connection that was
/// not verified. A request for a client certificate comes before the moment at which it ends, in TLS 1.2 and in 1.3.
#[derive(Debug, Default)]
struct Seen(Mutex<Notes>);

impl Seen {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().expect("no panic while the lock is held")
    }
}

impl ResolvesClientCert for Seen {
    fn resolve(&self, issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut notes = self.notes();
        notes.asked = true;
        notes.client_issuers = issuers.iter().map(|issuer| issuer.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        self.notes().chain = all.map(|der| der.to_vec()).collect();
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UnixListener};

    async fn engine_that_says(answer: &'static str) -> Engine {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let docker = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::join!(RealProbe.engine(&socket), docker).0
    }

    #[tokio::test]
    async fn docker_is_asked_for_its_version() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"Version\":\"28.5.2\"}";
        let engine = engine_that_says(answer).await;
        assert_eq!(engine.version.as_deref(), Some("28.5.2"), "{engine:?}");
    }

    #[tokio::test]
    async fn what_is_wrong_with_docker_is_said_with_the_socket() {
        let absent = RealProbe.engine(Path::new("/nonexistent/docker.sock")).await;
        assert!(absent.error.unwrap().contains("/nonexistent/docker.sock"));
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "garbage\r\n\r\n",
        ] {
            let engine = engine_that_says(answer).await;
            assert!(
                engine.version.is_none() && engine.error.is_some(),
                "{answer:?}: {engine:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_port_without_tls_serves_no_certificate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plain = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        };
        let (served, ()) = tokio::join!(RealProbe.served(address), plain);
        assert!(matches!(served, Served::Failed(_)), "{served:?}");
        drop(listener);
        let Served::Failed(why) = RealProbe.served(address).await else {
            panic!("nobody listens there");
        };
        assert!(why.contains(&address.to_string()), "{why}");
    }
}
