//! What a certificate costs: checking a request, preparing and signing, all of it, and below them the
//! ceiling that the crypto alone sets: one P-256 verification and one P-256 signature.
//!
//! `cargo bench --bench issuing`

use std::sync::Arc;

use divan::Bencher;
use dockwarden::base::{SeededRandom, Timestamp};
use dockwarden::ca::{
    Grant, IssuedCert, Issuer, IssuerUrls, approve, make_issuer, make_root, prepare, sign, verify,
};
use dockwarden::keys::{IssuerKey, MemoryKey};
use dockwarden::model::{IdentityKind, IssuerKind, Profile};
use dockwarden::pki::csr::{self, CsrDer};
use dockwarden::pki::{KeyAlgorithm, LeafKey, Serial, SignatureAlgorithm, VerifiedCsr};

const ALGORITHMS: [KeyAlgorithm; 4] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::Ed25519,
    KeyAlgorithm::Rsa2048,
];
/// ecdsa-with-SHA256.
const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").expect("a date")
}

/// A P-256 issuer, and what it needs to issue.
struct Fixture {
    issuer: Issuer,
    profile: Profile,
    random: SeededRandom,
}

impl Fixture {
    fn new() -> Self {
        let key = || Arc::new(MemoryKey::generate(KeyAlgorithm::EcdsaP256).expect("a key"));
        let random = SeededRandom::new(1);
        let root = make_root("bench", key(), &Serial::draw(&random), now()).expect("a root");
        let (key, kind) = (key(), IssuerKind::Hosts);
        let serial = Serial::draw(&random);
        let certificate =
            make_issuer(&root, kind, "bench", key.public_key(), &serial, now()).expect("an issuer");
        let urls = IssuerUrls::under("http://ca.fleet.internal:8080", kind).expect("a URL");
        Self {
            issuer: Issuer::new(certificate, key, kind, urls).expect("parts that fit"),
            profile: Profile::default_for(IdentityKind::Host),
            random,
        }
    }

    fn issue(&self, csr: VerifiedCsr) -> IssuedCert {
        let sans = csr.sans().to_vec();
        let common_name = csr.common_name().expect("requests here have one").clone();
        let approved = approve(csr, Grant { common_name, sans }, &self.profile).expect("allowed");
        let serial = Serial::draw(&self.random);
        sign(
            prepare(approved, &self.issuer, &serial, now()).expect("no rule broken"),
            &self.issuer,
        )
        .expect("signs")
    }
}

fn request(algorithm: KeyAlgorithm) -> CsrDer {
    let key = LeafKey::generate(algorithm).expect("a key");
    let sans = ["web-01.fleet.internal", "10.20.0.7"].map(|san| san.parse().expect("a name"));
    csr::make(&key, &"web-01.fleet.internal".parse().expect("a name"), &sans)
}

/// One P-256 verification and one P-256 signature over messages of the usual size.
#[divan::bench]
fn ceiling(bencher: Bencher) {
    let key = MemoryKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let algorithm = SignatureAlgorithm::from_der(&ECDSA_SHA256).expect("known");
    let (request, certificate) = ([7; 250], [8; 600]);
    let signature = key.sign(&request).expect("signs");
    bencher.bench_local(|| {
        algorithm
            .verify(key.public_key(), &request, &signature)
            .expect("verifies");
        key.sign(&certificate).expect("signs")
    });
}

#[divan::bench(args = ALGORITHMS)]
fn check_request(bencher: Bencher, algorithm: KeyAlgorithm) {
    let csr = request(algorithm);
    bencher
        .with_inputs(|| csr.clone())
        .bench_local_values(|csr| verify(csr, &KeyAlgorithm::ALL));
}

/// Without the checks of the request; with the self-check of the signature.
#[divan::bench(args = ALGORITHMS)]
fn prepare_and_sign(bencher: Bencher, algorithm: KeyAlgorithm) {
    let fixture = Fixture::new();
    let csr = verify(request(algorithm), &KeyAlgorithm::ALL).expect("a good request");
    bencher
        .with_inputs(|| csr.clone())
        .bench_local_values(|csr| fixture.issue(csr));
}

/// From the bytes of the request to the chain that is sent back.
#[divan::bench(args = ALGORITHMS)]
fn whole_pipeline(bencher: Bencher, algorithm: KeyAlgorithm) {
    let fixture = Fixture::new();
    let csr = request(algorithm);
    bencher.with_inputs(|| csr.clone()).bench_local_values(|csr| {
        let verified = verify(csr, &KeyAlgorithm::ALL).expect("a good request");
        fixture.issue(verified).chain_pem()
    });
}

/// An RSA-16384 key must cost next to nothing to refuse.
#[divan::bench]
fn refuse_a_huge_rsa_key(bencher: Bencher) {
    let csr = CsrDer::from_der(huge_rsa_request()).expect("within the limit");
    bencher
        .with_inputs(|| csr.clone())
        .bench_local_values(|csr| verify(csr, &KeyAlgorithm::ALL));
}

fn huge_rsa_request() -> Vec<u8> {
    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        let mut head = match len {
            0..0x80 => vec![tag, len as u8],
            0x80..0x100 => vec![tag, 0x81, len as u8],
            _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
        };
        head.extend(parts.concat());
        head
    }
    let rsa_encryption = [
        0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
    ];
    let modulus = [0xc5; 2048];
    let key = element(
        0x30,
        &[&element(2, &[&[0], &modulus]), &element(2, &[&[1, 0, 1]])],
    );
    let spki = element(0x30, &[&rsa_encryption, &element(3, &[&[0], &key])]);
    let info = element(0x30, &[&[2, 1, 0], &[0x30, 0], &spki, &[0xa0, 0]]);
    let with_sha256 = [
        0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0,
    ];
    element(0x30, &[&info, &with_sha256, &element(3, &[&[0], &[1; 2048]])])
}
