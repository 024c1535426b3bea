//! A small CA made with rcgen alone, so that chains can also be wrong in every way the real one forbids.

use std::time::Duration;

use dockwarden::base::Timestamp;
use dockwarden::pki::chain::Anchors;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

pub use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};

/// 2026-11-22T00:00:00Z: the present of every test that moves its own clock.
pub const T0: i64 = 1_795_305_600;
pub const DAY: Duration = Duration::from_secs(86_400);

pub fn t0() -> Timestamp {
    Timestamp::from_secs(T0)
}

fn at(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_secs()).unwrap()
}

/// What a certificate says.
#[derive(Clone)]
pub struct Spec {
    pub name: String,
    pub sans: Vec<String>,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub ca: bool,
    pub serial: Option<u64>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Spec {
    /// Valid from a day before `now` for 30 days.
    pub fn at(now: Timestamp, name: &str, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        Self {
            name: name.to_owned(),
            sans: Vec::new(),
            usages: usages.to_vec(),
            ca: false,
            serial: None,
            not_before: now - DAY,
            not_after: now + DAY * 30,
        }
    }

    pub fn client(name: &str) -> Self {
        Self::at(t0(), name, &[ClientAuth])
    }

    pub fn host(name: &str) -> Self {
        Self::at(t0(), name, &[ServerAuth]).sans(&[name, "localhost", "127.0.0.1"])
    }

    pub fn ca(name: &str, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        Self {
            ca: true,
            not_after: t0() + DAY * 3650,
            ..Self::at(t0(), name, usages)
        }
    }

    pub fn sans(mut self, sans: &[&str]) -> Self {
        self.sans = sans.iter().map(|s| (*s).to_owned()).collect();
        self
    }

    pub fn dates(mut self, not_before: Timestamp, not_after: Timestamp) -> Self {
        self.not_before = not_before;
        self.not_after = not_after;
        self
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.sans.clone()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.name.as_str());
        params.not_before = at(self.not_before);
        params.not_after = at(self.not_after);
        params.extended_key_usages = self.usages.clone();
        params.serial_number = Some(match self.serial {
            Some(serial) => SerialNumber::from(serial),
            None => SerialNumber::from(rand_bytes().to_vec()),
        });
        params.is_ca = match self.ca {
            true => IsCa::Ca(BasicConstraints::Unconstrained),
            false => IsCa::ExplicitNoCa,
        };
        params.key_usages = match self.ca {
            true => vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            false => vec![KeyUsagePurpose::DigitalSignature],
        };
        params.use_authority_key_identifier_extension = true;
        params
    }
}

fn rand_bytes() -> [u8; 16] {
    use dockwarden::base::{Random, SystemRandom};
    let mut bytes = (&SystemRandom as &dyn Random).bytes::<16>();
    bytes[0] = bytes[0] & 0x3f | 0x40;
    bytes
}

/// A certificate with its key, and the issuers below the root.
pub struct Signed {
    pub der: CertificateDer<'static>,
    pub key: KeyPair,
    spec: Spec,
    above: Vec<CertificateDer<'static>>,
}

impl Signed {
    pub fn self_signed(spec: Spec) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::self_signed_with(spec, key)
    }

    pub fn self_signed_with(spec: Spec, key: KeyPair) -> Self {
        let der = spec.params().self_signed(&key).unwrap().der().clone();
        Self {
            der,
            key,
            spec,
            above: Vec::new(),
        }
    }

    pub fn issue(&self, spec: Spec) -> Signed {
        self.issue_for(spec, KeyPair::generate().unwrap())
    }

    pub fn issue_for(&self, spec: Spec, key: KeyPair) -> Signed {
        let params = self.spec.params();
        let issuer = Issuer::from_params(&params, &self.key);
        let der = spec.params().signed_by(&key, &issuer).unwrap().der().clone();
        let above = std::iter::once(self.der.clone())
            .chain(self.above.clone())
            .collect();
        Signed {
            der,
            key,
            spec,
            above,
        }
    }

    /// Presents one more certificate, which need not belong to the chain.
    pub fn append(&mut self, other: &Signed) {
        self.above.push(other.der.clone());
    }

    /// A certificate for somebody else's public key, as an issuer makes one from a request.
    pub fn certify(&self, spec: &Spec, spki: &[u8]) -> CertificateDer<'static> {
        let params = self.spec.params();
        let issuer = Issuer::from_params(&params, &self.key);
        let subject = rcgen::SubjectPublicKeyInfo::from_der(spki).unwrap();
        spec.params().signed_by(&subject, &issuer).unwrap().der().clone()
    }

    pub fn name(&self) -> String {
        self.spec.name.clone()
    }

    /// Leaf and issuers, the root last.
    pub fn chain_with_root(&self) -> Vec<CertificateDer<'static>> {
        std::iter::once(self.der.clone())
            .chain(self.above.clone())
            .collect()
    }

    /// Leaf and issuers, as `cert.pem` holds them.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let mut chain = self.chain_with_root();
        chain.truncate(chain.len().max(2) - 1);
        chain
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// The fleet's CA: a root, an issuer for hosts, an issuer for clients.
pub struct Fleet {
    pub root: Signed,
    pub hosts: Signed,
    pub clients: Signed,
}

impl Fleet {
    pub fn new() -> Self {
        let root = Signed::self_signed(Spec::ca("test root", &[]));
        let hosts = root.issue(Spec::ca("hosts", &[ServerAuth]));
        let clients = root.issue(Spec::ca("clients", &[ClientAuth]));
        Self { root, hosts, clients }
    }

    pub fn anchors(&self) -> Anchors {
        Anchors::parse([&self.root.der]).unwrap()
    }

    pub fn client(&self, name: &str) -> Signed {
        self.clients.issue(Spec::client(name))
    }

    pub fn host(&self, name: &str) -> Signed {
        self.hosts.issue(Spec::host(name))
    }
}
