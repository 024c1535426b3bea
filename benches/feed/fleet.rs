//! Hosts that enrol as real ones do, and clients to be revoked.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use dockwarden::base::SystemClock;
use dockwarden::client::{Client, ServerUrl};
use dockwarden::model::IdentityKind;
use dockwarden::pki::chain::{Anchors, SharedAnchors};
use dockwarden::pki::tls::{ServerTrust, TlsIdentity};
use dockwarden::pki::{KeyAlgorithm, LeafKey, Serial, csr, pem};
use dockwarden::wire::{EnrollRequest, Issued};

use super::support::http::{Target, post};
use super::support::server::Place;

/// Enrolments at a time.
const CONNECTIONS: usize = 32;

/// Who enrolled.
pub struct Enrolled {
    /// The certificate's serial.
    pub serial: Serial,
    issued: Issued,
    key: LeafKey,
}

/// Has so many enrol; their names are `name-N` with what stands in `pattern` after the star.
pub async fn enroll(
    place: &Place,
    kind: IdentityKind,
    pattern: &'static str,
    count: usize,
) -> anyhow::Result<Vec<Enrolled>> {
    let uses = u32::try_from(count)?;
    let token: Arc<str> = place.token_for(kind, pattern, uses).await?.into();
    let target = Target::new(place.address, &place.ca()?, None)?;
    let share = |n: usize| (n..count).step_by(CONNECTIONS);
    let working: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            tokio::spawn(enroll_some(
                target.clone(),
                Arc::clone(&token),
                (kind, pattern),
                share(n).collect(),
            ))
        })
        .collect();
    let mut enrolled = Vec::with_capacity(count);
    for some in working {
        enrolled.extend(some.await??);
    }
    Ok(enrolled)
}

async fn enroll_some(
    target: Target,
    token: Arc<str>,
    (kind, pattern): (IdentityKind, &'static str),
    numbers: Vec<usize>,
) -> anyhow::Result<Vec<Enrolled>> {
    let mut enrolled = Vec::with_capacity(numbers.len());
    if numbers.is_empty() {
        return Ok(enrolled);
    }
    let mut connection = target.connect().await?;
    for number in numbers {
        let name = pattern.replace('*', &format!("name-{number}"));
        let key = LeafKey::generate(KeyAlgorithm::EcdsaP256)?;
        let names = match kind {
            IdentityKind::Host => vec![name.parse()?],
            IdentityKind::Client => Vec::new(),
        };
        let request = EnrollRequest {
            profile: Some(kind),
            token: token.to_string(),
            csr: csr::make(&key, &name.parse()?, &names).to_pem(),
            names: Vec::new(),
            addresses: Vec::new(),
            labels: Default::default(),
        };
        let request = post("/enroll", &serde_json::to_string(&request)?);
        let (status, body) = connection.call(&request).await?;
        ensure!(
            status == 201,
            "refused ({status}): {}",
            String::from_utf8_lossy(body)
        );
        let issued: Issued = serde_json::from_slice(body)?;
        enrolled.push(Enrolled {
            serial: issued.serial.clone(),
            issued,
            key,
        });
    }
    Ok(enrolled)
}

/// Whom to believe: the server's root.
pub fn anchors(place: &Place) -> anyhow::Result<SharedAnchors> {
    Ok(Anchors::parse(&pem::certificates(place.ca()?)?)?.shared())
}

impl Enrolled {
    /// The agent's own client, with this certificate.
    pub fn client(&self, address: SocketAddr, anchors: &SharedAnchors) -> anyhow::Result<Client> {
        let chain = pem::certificates(&self.issued.chain)?;
        client(
            address,
            anchors,
            TlsIdentity::new(chain, self.key.to_pkcs8_der().into())?,
        )
    }
}

/// The administrator's client.
pub fn administrator(place: &Place, anchors: &SharedAnchors) -> anyhow::Result<Client> {
    let read = |name: &str| std::fs::read(place.admin().join(name)).context("the administrator's files");
    let chain = pem::certificates(read("cert.pem")?)?;
    let key = pem::private_key(read("key.pem")?)?;
    client(place.address, anchors, TlsIdentity::new(chain, key)?)
}

fn client(address: SocketAddr, anchors: &SharedAnchors, identity: TlsIdentity) -> anyhow::Result<Client> {
    // An address, so that ten thousand look-ups of a name do not count.
    let url: ServerUrl = format!("https://{address}").parse()?;
    let trust = ServerTrust::Anchors(Arc::clone(anchors));
    Ok(Client::new(
        url,
        trust,
        Some(Arc::new(identity)),
        Arc::new(SystemClock),
    ))
}
