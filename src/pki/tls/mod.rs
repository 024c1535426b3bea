//! TLS settings: the one crypto provider, and configurations that only differ in whom they show and whom
//! they trust. TLS 1.2 and 1.3, no early data.
//!
//! **Invariant:** session resumption is off on both sides. A resumed session skips the verifier, so a
//! revoked or re-rooted peer would come back in, and a client would go on presenting a replaced identity.

mod failure;
mod identity;
mod peer;
mod trust;

use std::error::Error;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, ServerConfig};

use crate::base::Clock;

pub use failure::{HANDSHAKE_FAILURES, handshake_failure};
pub use identity::{KeyPairError, TlsIdentity};
pub use peer::{PeerVerifier, Recording, RevocationCheck};
pub use trust::{PinMismatch, Pins, PresentedCa, ServerTrust};

/// Only HTTP/1.1: the gate.
pub const ALPN_HTTP1: &[&[u8]] = &[b"http/1.1"];
/// HTTP/2 first, HTTP/1.1 else: the API server.
pub const ALPN_HTTP2: &[&[u8]] = &[b"h2", b"http/1.1"];

/// The crypto provider: aws-lc-rs, passed to every configuration and never installed process-wide.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// A server that shows `identity` and lets `verifier` judge clients.
pub fn server_config(
    identity: Arc<dyn ResolvesServerCert>,
    verifier: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    alpn: &[&[u8]],
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity);
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

/// A client that accepts servers by `trust` and shows `identity` when asked.
pub fn client_config(
    trust: ServerTrust,
    identity: Option<Arc<TlsIdentity>>,
    clock: Arc<dyn Clock>,
    alpn: &[&[u8]],
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(trust::verifier(trust, clock));
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config
}

/// Always the same key, for a configuration that lives as long as one connection.
#[derive(Debug)]
pub struct Fixed(pub Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Looks through an error of rustls, or of whatever carried it (I/O, hyper), for the cause our verifiers
/// put in: a [`ChainError`](super::chain::ChainError) or a [`PinMismatch`].
pub fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>().or_else(|| inside_rustls(error)) {
            return Some(found);
        }
        // An io::Error answers source() with the source of what it wraps, and so hides the latter.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref());
        next = wrapped
            .map(|e| e as &(dyn Error + 'static))
            .or_else(|| error.source());
    }
    None
}

fn inside_rustls<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    match error.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => other.0.downcast_ref(),
        _ => None,
    }
}
