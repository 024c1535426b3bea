//! What a million revoked certificates cost: signing the list, one more revocation, reading it, asking; and on a host the
//! set of all of them: memory, look-up, loading, one more. Then OCSP answers.
//!
//! `cargo bench --bench revocation`

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use dockwarden::base::{SeededRandom, Timestamp};
use dockwarden::ca::{
    CRL_VALIDITY, CrlOrder, Issuer, IssuerUrls, Responder, Signing, make_issuer, make_root,
};
use dockwarden::keys::{IssuerKey, MemoryKey};
use dockwarden::model::IssuerKind;
use dockwarden::pki::crl::{Crl, EntryBuffer, Revoked, Subjects, diff, drop_before};
use dockwarden::pki::ocsp::{CertStatus, OcspRequest};
use dockwarden::pki::{
    Journal, KeyAlgorithm, KnownRevocations, Record, RevocationReason, RevokedSet, Serial,
};

const MILLION: usize = 1_000_000;

fn main() {
    // Before anything else is allocated, so that the difference is the set's.
    let before = resident_kib();
    let set = &*SET;
    println!(
        "{MILLION} revoked certificates on a host: {:.1} bytes each by count, {:.1} resident; snapshot {} bytes",
        set.memory_bytes() as f64 / MILLION as f64,
        (resident_kib() - before) as f64 * 1024.0 / MILLION as f64,
        SNAPSHOT.len()
    );
    println!("their CRL: {} bytes\n", LIST.der().len());
    divan::main();
}

/// VmRSS of this process.
fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a process has one");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").expect("a date")
}

/// The serials of the revoked, as they were drawn.
fn serials() -> impl Iterator<Item = Serial> {
    let random = SeededRandom::new(7);
    (0..MILLION).map(move |_| Serial::draw(&random))
}

fn revoked(serial: Serial) -> Revoked {
    Revoked {
        serial,
        revoked_at: now(),
        reason: RevocationReason::KeyCompromise,
        not_after: now() + Duration::from_secs(30 * 86_400),
    }
}

fn issuer(algorithm: KeyAlgorithm) -> Issuer {
    let key = || Arc::new(MemoryKey::generate(algorithm).expect("a key"));
    let random = SeededRandom::new(1);
    let root = make_root("bench", key(), &Serial::draw(&random), now()).expect("a root");
    let (key, kind) = (key(), IssuerKind::Clients);
    let certificate = make_issuer(
        &root,
        kind,
        "bench",
        key.public_key(),
        &Serial::draw(&random),
        now(),
    );
    Issuer::new(certificate.expect("an issuer"), key, kind, IssuerUrls::none()).expect("parts that fit")
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| issuer(KeyAlgorithm::EcdsaP256));

/// The set as a host has it after a restart.
static SET: LazyLock<RevokedSet> = LazyLock::new(|| {
    KnownRevocations::from_snapshot(&SNAPSHOT)
        .expect("whole")
        .set()
        .clone()
});

static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut set = RevokedSet::new();
    serials().for_each(|serial| assert!(set.insert(b"clients", &serial)));
    KnownRevocations::at(1, vec![], set).to_snapshot()
});

static ENTRIES: LazyLock<EntryBuffer> = LazyLock::new(|| {
    let mut entries = EntryBuffer::new(Subjects::Leaves);
    entries.extend(serials().map(revoked));
    entries
});

static LIST: LazyLock<Crl> = LazyLock::new(|| sign(&ISSUER, &ENTRIES));

fn sign(issuer: &Issuer, entries: &EntryBuffer) -> Crl {
    let order = CrlOrder::new(2, Some(1), now(), CRL_VALIDITY);
    issuer.sign_crl(entries, order).expect("signs")
}

/// Encode, lint, sign, check the signature, read back.
#[divan::bench(args = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048], sample_count = 10, sample_size = 1)]
fn crl_sign_a_million(bencher: Bencher, algorithm: KeyAlgorithm) {
    let issuer = issuer(algorithm);
    LazyLock::force(&ENTRIES);
    bencher.bench_local(|| sign(&issuer, &ENTRIES));
}

/// What the millionth revocation adds before the list is signed; the buffer is the only owner of its chunks.
#[divan::bench]
fn crl_one_more(bencher: Bencher) {
    let mut entries = EntryBuffer::new(Subjects::Leaves);
    entries.extend(serials().map(revoked));
    let random = SeededRandom::new(8);
    bencher
        .with_inputs(|| revoked(Serial::draw(&random)))
        .bench_local_refs(|revoked| entries.insert(revoked));
}

/// The same while another thread signs a clone: the chunk is copied first.
#[divan::bench]
fn crl_one_more_while_signing(bencher: Bencher) {
    let random = SeededRandom::new(9);
    bencher
        .with_inputs(|| (ENTRIES.clone(), revoked(Serial::draw(&random))))
        .bench_local_refs(|(entries, revoked)| entries.insert(revoked));
}

/// From nothing, in the order the database gives them.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn crl_entries_of_a_million_sorted(bencher: Bencher) {
    let mut sorted: Vec<Serial> = serials().collect();
    sorted.sort();
    bencher.bench_local(|| {
        let mut entries = EntryBuffer::new(Subjects::Leaves);
        entries.extend(sorted.iter().cloned().map(revoked));
        entries
    });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn crl_parse_a_million(bencher: Bencher) {
    let der = LIST.der();
    bencher.bench_local(|| Crl::parse(der.clone()).expect("parses"));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn crl_verify_a_million(bencher: Bencher) {
    let list = &*LIST;
    bencher.bench_local(|| list.verify(ISSUER.certificate()).expect("verifies"));
}

/// Against rows in memory: what is done before every publication.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn crl_diff_a_million(bencher: Bencher) {
    let mut sorted: Vec<Serial> = serials().collect();
    sorted.sort();
    let list = &*LIST;
    bencher.bench_local(|| {
        let rows = sorted.iter().cloned().map(revoked);
        assert!(diff(rows, list, drop_before(None, now())).is_none());
    });
}

/// One linear search, to the end.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn crl_find_what_is_not_there(bencher: Bencher) {
    let (list, strange) = (&*LIST, Serial::draw(&SeededRandom::new(10)));
    bencher.bench_local(|| list.find(black_box(&strange)).is_none());
}

/// Every other one is revoked.
fn asked() -> Vec<Serial> {
    let random = SeededRandom::new(11);
    let mut known = serials();
    let mut asked: Vec<Serial> = Vec::new();
    for _ in 0..50_000 {
        asked.extend(known.by_ref().nth(7));
        asked.push(Serial::draw(&random));
    }
    asked
}

/// So many at a time: one alone takes hardly longer than looking at the clock does.
const A_THOUSAND: usize = 1000;

/// The standard library's set of the same, at twice the memory.
#[divan::bench]
fn set_look_up_ceiling_hash_set(bencher: Bencher) {
    let bytes = |serial: &Serial| -> [u8; 16] { serial.as_bytes().try_into().expect("drawn") };
    let set: HashSet<[u8; 16]> = serials().map(|serial| bytes(&serial)).collect();
    let asked: Vec<_> = asked().iter().map(bytes).collect();
    let mut next = asked.iter().cycle();
    bencher.counter(ItemsCount::new(A_THOUSAND)).bench_local(|| {
        next.by_ref()
            .take(A_THOUSAND)
            .filter(|one| set.contains(black_box(*one)))
            .count()
    });
}

#[divan::bench]
fn set_look_up(bencher: Bencher) {
    let (set, asked) = (&*SET, asked());
    let mut next = asked.iter().cycle();
    let known = |one: &&Serial| set.contains(b"clients", black_box(one));
    bencher
        .counter(ItemsCount::new(A_THOUSAND))
        .bench_local(|| next.by_ref().take(A_THOUSAND).filter(known).count());
}

#[divan::bench]
fn set_one_more(bencher: Bencher) {
    let mut set = KnownRevocations::from_snapshot(&SNAPSHOT)
        .expect("whole")
        .set()
        .clone();
    let random = SeededRandom::new(12);
    bencher
        .with_inputs(|| Serial::draw(&random))
        .bench_local_refs(|serial| set.insert(b"clients", serial));
}

/// As the gate does it: clone, insert, publish, while readers hold the old set.
#[divan::bench]
fn set_one_more_while_others_read(bencher: Bencher) {
    let random = SeededRandom::new(13);
    let set = &*SET;
    bencher
        .with_inputs(|| Serial::draw(&random))
        .bench_local_refs(|serial| {
            let mut next = set.clone();
            next.insert(b"clients", serial);
            next
        });
}

/// Without reading the file: checksum, order, and the set.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn set_load_a_million(bencher: Bencher) {
    let snapshot = &*SNAPSHOT;
    bencher.bench_local(|| KnownRevocations::from_snapshot(snapshot).expect("whole"));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn set_save_a_million(bencher: Bencher) {
    let known = KnownRevocations::at(1, vec![], SET.clone());
    bencher.bench_local(|| known.to_snapshot());
}

#[divan::bench]
fn journal_append(bencher: Bencher) {
    let random = SeededRandom::new(14);
    let (mut journal, _) = Journal::begin(0);
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            Record {
                number,
                stamp: vec![0; 32],
                revoked: vec![(b"clients".to_vec(), Serial::draw(&random))],
            }
        })
        .bench_local_refs(|record| journal.append(record).expect("rising"));
}

/// A request for one certificate of the issuer, by SHA-256, without a nonce.
fn request(serial: &Serial) -> Vec<u8> {
    let element = |tag: u8, parts: &[&[u8]]| {
        let contents = parts.concat();
        [
            &[tag, u8::try_from(contents.len()).expect("short")][..],
            &contents,
        ]
        .concat()
    };
    let ca = ISSUER.certificate();
    let key = ca.public_key().expect("of ours");
    let hash = |bytes: &[u8]| element(4, &[&dockwarden::base::encoding::sha256(bytes)]);
    let sha256 = element(0x30, &[&[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]]);
    let (name, key) = (hash(&ca.subject), hash(key.key_bytes()));
    let id = element(0x30, &[&sha256, &name, &key, &element(2, &[serial.as_bytes()])]);
    element(
        0x30,
        &[&element(0x30, &[&element(0x30, &[&element(0x30, &[&id])])])],
    )
}

#[divan::bench]
fn ocsp_parse(bencher: Bencher) {
    let request = request(&Serial::draw(&SeededRandom::new(15)));
    bencher.bench_local(|| OcspRequest::parse(black_box(&request)).expect("well-formed"));
}

fn answer(bencher: Bencher, nonce: Option<Vec<u8>>) {
    let random = SeededRandom::new(16);
    let responder = Responder::new(&ISSUER, &random, now()).expect("a signer");
    let mut request = OcspRequest::parse(&request(&Serial::draw(&random))).expect("well-formed");
    request.nonce = nonce;
    let by = Signing {
        issuer: &ISSUER,
        random: &random,
        now: now(),
    };
    bencher.bench_local(|| {
        responder
            .answer(by, &request, &[CertStatus::Good])
            .expect("signs")
    });
}

/// One signature, checked.
#[divan::bench]
fn ocsp_answer_with_nonce(bencher: Bencher) {
    answer(bencher, Some(vec![7; 16]));
}

#[divan::bench]
fn ocsp_answer_kept(bencher: Bencher) {
    answer(bencher, None);
}
