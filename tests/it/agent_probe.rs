//! What a dial tells of a port: which certificate with which chain, and whether it asks for a client's.

use std::net::SocketAddr;
use std::sync::Arc;

use dockwarden::agent::step::Served;
use dockwarden::agent::{Probe, RealProbe};
use dockwarden::base::encoding::sha256;
use dockwarden::pki::Certificate;
use dockwarden::pki::tls::provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::pki::{Fleet, Signed};

/// Answers one handshake.
async fn serve_one(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    address
}

fn config(
    leaf: &Signed,
    clients: Option<RootCertStore>,
    version: &'static SupportedProtocolVersion,
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap();
    let builder = match clients {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(leaf.chain(), leaf.private_key())
        .unwrap()
}

#[tokio::test]
async fn a_dial_sees_the_chain_and_whether_a_client_certificate_is_asked_for() {
    let fleet = Fleet::new();
    let leaf = fleet.host("web-01");
    let own = Certificate::parse(&leaf.chain()[0]).unwrap();
    let authority = Certificate::parse(&leaf.chain()[1]).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for asks in [false, true] {
            let roots = asks.then(|| {
                let mut roots = RootCertStore::empty();
                roots.add(leaf.chain()[1].clone()).unwrap();
                roots
            });
            let address = serve_one(config(&leaf, roots, version)).await;
            let Served::Certificate(served) = RealProbe.served(address).await else {
                panic!("{version:?}: nothing is served");
            };
            assert_eq!(served.asks_for_client, asks, "{version:?}");
            assert_eq!(served.client_issuers.is_empty(), !asks, "{version:?}");
            assert_eq!((&served.serial, &served.issuer), (&own.serial, &own.issuer));
            if asks {
                assert_eq!(served.client_issuers[0], authority.subject);
            }
            let sent: Vec<[u8; 32]> = leaf.chain().iter().map(|der| sha256(der)).collect();
            assert_eq!(served.chain, sent);
        }
    }
}
