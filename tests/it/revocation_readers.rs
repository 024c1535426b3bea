//! OpenSSL and GnuTLS read our CRLs and OCSP answers, and agree with the table: good, revoked, unknown, stale, missing.

use std::sync::Arc;
use std::time::Duration;

use dockwarden::base::{Clock, SystemClock, SystemRandom, Timestamp};
use dockwarden::ca::{
    CRL_VALIDITY, CrlOrder, Grant, IssuedCert, Issuer, IssuerUrls, ROOT_CRL_VALIDITY, Responder, Root,
    Signing, approve, make_issuer, make_root, prepare, sign, verify,
};
use dockwarden::keys::{IssuerKey, MemoryKey};
use dockwarden::model::{IdentityKind, IssuerKind, Profile};
use dockwarden::pki::crl::{Crl, EntryBuffer, Revoked, Subjects};
use dockwarden::pki::ocsp::{CertStatus, OcspError, OcspRequest};
use dockwarden::pki::{KeyAlgorithm, LeafKey, RevocationReason, Serial, csr};

use crate::support::programs::{Bench, Said};

const CA_ALGORITHMS: [KeyAlgorithm; 3] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::Rsa2048,
];

fn now() -> Timestamp {
    SystemClock.now()
}

fn serial() -> Serial {
    Serial::draw(&SystemRandom)
}

/// When the CA was made: long enough ago that it could have signed what is stale now.
fn made() -> Timestamp {
    now() - Duration::from_secs(3 * 86_400)
}

/// A CA, a client that is good and one that is revoked, and the files about them.
struct Fleet {
    bench: Bench,
    root: Root,
    issuer: Issuer,
    good: IssuedCert,
    revoked: IssuedCert,
}

impl Fleet {
    fn new(algorithm: KeyAlgorithm) -> Self {
        let key = || Arc::new(MemoryKey::generate(algorithm).unwrap());
        let root = make_root("Fleet", key(), &serial(), made()).unwrap();
        let (key, kind) = (key(), IssuerKind::Clients);
        let certificate = make_issuer(&root, kind, "Fleet", key.public_key(), &serial(), made()).unwrap();
        let issuer = Issuer::new(certificate, key, kind, IssuerUrls::none()).unwrap();
        let [good, revoked] = ["alice", "mallory"].map(|name| client(&issuer, name));
        let bench = Bench::new();
        bench.put("root.pem", root.certificate().pem());
        bench.put("issuer.pem", issuer.pem());
        bench.put("good.pem", good.pem());
        bench.put("revoked.pem", revoked.pem());
        Self {
            bench,
            root,
            issuer,
            good,
            revoked,
        }
    }

    fn entries(&self) -> EntryBuffer {
        let mut entries = EntryBuffer::new(Subjects::Leaves);
        entries.insert(&Revoked {
            serial: self.revoked.serial().clone(),
            revoked_at: now(),
            reason: RevocationReason::KeyCompromise,
            not_after: self.revoked.not_after(),
        });
        entries
    }

    fn crl(&self, at: Timestamp) -> Crl {
        self.issuer
            .sign_crl(&self.entries(), CrlOrder::new(300, Some(299), at, CRL_VALIDITY))
            .unwrap()
    }

    fn root_crl(&self, entries: &EntryBuffer) -> Crl {
        self.root
            .sign_crl(entries, CrlOrder::new(1, None, now(), ROOT_CRL_VALIDITY))
            .unwrap()
    }

    /// Writes the lists a reader needs: of every CA in the chain.
    fn put_lists(&self, crl: &Crl, root_crl: &Crl) {
        self.bench.put("crl.pem", crl.pem());
        self.bench.put("root-crl.pem", root_crl.pem());
        self.bench.put("crls.pem", crl.pem() + &root_crl.pem());
    }

    fn responder(&self, at: Timestamp) -> Responder {
        Responder::new(&self.issuer, &SystemRandom, at).unwrap()
    }

    fn status_of(&self, serial: &Serial) -> CertStatus {
        if serial == self.good.serial() {
            CertStatus::Good
        } else if serial == self.revoked.serial() {
            CertStatus::Revoked {
                at: now(),
                reason: RevocationReason::KeyCompromise,
            }
        } else {
            CertStatus::Unknown
        }
    }

    /// Answers `request.der` into `answer.der`, as a server does it.
    fn answer(&self, responder: &Responder, at: Timestamp) {
        let answer = OcspRequest::parse(&self.bench.get("request.der")).and_then(|request| {
            let serials = responder.serials(&request);
            if !responder.is_authorized(&request) {
                return Err(OcspError::Unauthorized);
            }
            let statuses: Vec<_> = serials
                .into_iter()
                .map(|s| s.map_or(CertStatus::Unknown, |s| self.status_of(s)))
                .collect();
            let by = Signing {
                issuer: &self.issuer,
                random: &SystemRandom,
                now: at,
            };
            Ok(responder.answer(by, &request, &statuses).unwrap().der.to_vec())
        });
        self.bench.put(
            "answer.der",
            answer.unwrap_or_else(|error| error.response().to_vec()),
        );
    }

    /// What openssl makes of the answer to its own question.
    fn ask(&self, question: &str, at: Timestamp) -> Said {
        let ask = format!("openssl ocsp -issuer issuer.pem {question}");
        self.bench.run(&format!("{ask} -reqout request.der"));
        self.answer(&self.responder(at), at);
        self.bench.run(NONCE_CHECK);
        let reading = question.replace("-no_nonce", "");
        self.bench.try_run(&format!(
            "openssl ocsp -no_nonce -issuer issuer.pem {reading} -respin answer.der -CAfile root.pem"
        ))
    }
}

/// Chain, purpose and signature of the answer, and whether its nonce is the request's. Told which certificate is meant,
/// openssl would make a request of its own instead.
const NONCE_CHECK: &str =
    "openssl ocsp -reqin request.der -respin answer.der -verify_other issuer.pem -CAfile root.pem";

fn client(issuer: &Issuer, name: &str) -> IssuedCert {
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let csr = verify(csr::make(&key, &name.parse().unwrap(), &[]), &KeyAlgorithm::ALL).unwrap();
    let grant = Grant {
        common_name: name.parse().unwrap(),
        sans: vec![],
    };
    let approved = approve(csr, grant, &Profile::default_for(IdentityKind::Client)).unwrap();
    sign(prepare(approved, issuer, &serial(), now()).unwrap(), issuer).unwrap()
}

const VERIFY: &str = "openssl verify -x509_strict -crl_check_all -CAfile root.pem -untrusted issuer.pem";

#[test]
fn openssl_and_gnutls_agree_with_lists_of_every_issuer_algorithm() {
    for algorithm in CA_ALGORITHMS {
        let fleet = Fleet::new(algorithm);
        let bench = &fleet.bench;
        fleet.put_lists(
            &fleet.crl(now()),
            &fleet.root_crl(&EntryBuffer::new(Subjects::Issuers)),
        );
        let text = bench
            .run("openssl crl -in crl.pem -CAfile issuer.pem -verify -noout -text")
            .text;
        for expected in [
            "verify OK",
            "Version 2",
            "Key Compromise",
            "X509v3 CRL Number",
            "300",
        ] {
            assert!(text.contains(expected), "{expected} missing:\n{text}");
        }
        bench.run("openssl crl -in root-crl.pem -CAfile root.pem -verify -noout");
        bench.run(&format!("{VERIFY} -CRLfile crls.pem good.pem"));
        let refusal = bench.refuse(&format!("{VERIFY} -CRLfile crls.pem revoked.pem"));
        assert!(refusal.contains("certificate revoked"), "{refusal}");
        let text = bench
            .run("certtool --verify-crl --load-ca-certificate issuer.pem --infile crl.pem")
            .text;
        assert!(text.contains("Verification output: Verified"), "{text}");
        let text = bench.run("certtool --crl-info --infile crl.pem").text;
        assert!(text.contains("Revoked certificates (1)"), "{text}");
    }
}

#[test]
fn without_every_list_and_with_a_stale_one_openssl_refuses() {
    let fleet = Fleet::new(KeyAlgorithm::EcdsaP256);
    let none = EntryBuffer::new(Subjects::Issuers);
    fleet.put_lists(&fleet.crl(now()), &fleet.root_crl(&none));
    for one in ["crl.pem", "root-crl.pem"] {
        let refusal = fleet.bench.refuse(&format!("{VERIFY} -CRLfile {one} good.pem"));
        assert!(refusal.contains("unable to get certificate CRL"), "{refusal}");
    }
    fleet.put_lists(
        &fleet.crl(now() - CRL_VALIDITY - Duration::from_secs(5)),
        &fleet.root_crl(&none),
    );
    let refusal = fleet
        .bench
        .refuse(&format!("{VERIFY} -CRLfile crls.pem good.pem"));
    assert!(refusal.contains("CRL has expired"), "{refusal}");
}

#[test]
fn a_revoked_issuer_takes_its_leaves_with_it() {
    let fleet = Fleet::new(KeyAlgorithm::EcdsaP256);
    let mut entries = EntryBuffer::new(Subjects::Issuers);
    entries.insert(&Revoked {
        serial: fleet.issuer.certificate().serial.clone(),
        revoked_at: now(),
        reason: RevocationReason::KeyCompromise,
        not_after: fleet.issuer.certificate().not_after,
    });
    fleet.put_lists(&fleet.crl(now()), &fleet.root_crl(&entries));
    let text = fleet.bench.run("openssl crl -in root-crl.pem -noout -text").text;
    assert!(text.contains("CA Compromise"), "{text}");
    let refusal = fleet
        .bench
        .refuse(&format!("{VERIFY} -CRLfile crls.pem good.pem"));
    assert!(refusal.contains("certificate revoked"), "{refusal}");
}

#[test]
fn lists_that_openssl_signed_are_read() {
    let bench = Bench::new();
    bench.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj /CN=Corp -days 30 -out ca.pem");
    let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=7\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
    bench.put("config", config);
    bench.put("number", "01F4\n");
    let row = |serial: &str, reason: &str| {
        format!("R\t351122100000Z\t261122100000Z{reason}\t{serial}\tunknown\t/CN=x\n")
    };
    let index = [
        row("0A", ",superseded"),
        row("00FF01", ""),
        row("7F", ",CACompromise"),
    ]
    .concat();
    bench.put("index", index);
    bench.run("openssl ca -config config -gencrl -keyfile key.pem -cert ca.pem -out crl.pem");
    let ca = dockwarden::pki::Certificate::parse(&certificate_der(&bench.get("ca.pem"))).unwrap();
    let crl = Crl::parse_pem_or_der(bench.get("crl.pem")).unwrap();
    assert_eq!(crl.check_successor(&ca, None, now()), Ok(true));
    assert_eq!((crl.number, crl.entry_count), (0x1f4, 3));
    let reason = |serial: &str| crl.find(&serial.parse().unwrap()).unwrap().reason_code;
    assert_eq!(
        [reason("0a"), reason("ff01"), reason("7f")],
        [Some(4), None, Some(2)]
    );
}

fn certificate_der(pem: &[u8]) -> Vec<u8> {
    dockwarden::pki::pem::certificates(pem).unwrap()[0].to_vec()
}

#[test]
fn openssl_and_gnutls_believe_our_ocsp_answers() {
    for algorithm in CA_ALGORITHMS {
        let fleet = Fleet::new(algorithm);
        let strange = client(&fleet.issuer, "nobody");
        fleet.bench.put("unknown.pem", strange.pem());
        for (file, status) in [
            ("good", "good.pem: good"),
            ("revoked", "revoked.pem: revoked"),
            ("unknown", "unknown.pem: unknown"),
        ] {
            for options in ["", "-no_nonce", "-sha256", "-sha256 -no_nonce"] {
                let said = fleet.ask(&format!("{options} -cert {file}.pem"), now());
                let whole = format!("{algorithm} {file} {options}\n{}", said.text);
                assert!(said.ok && said.text.contains("Response verify OK"), "{whole}");
                assert!(said.text.contains(status), "{whole}");
                assert!(!said.text.contains("WARNING"), "{whole}");
                assert_eq!(
                    said.text.contains("Reason: keyCompromise"),
                    file == "revoked",
                    "{whole}"
                );
            }
        }
        let text = fleet
            .bench
            .run("ocsptool --verify-response --load-trust issuer.pem --load-response answer.der")
            .text;
        assert!(text.contains("Success"), "{text}");
    }
}

#[test]
fn several_certificates_are_answered_in_one_go() {
    let fleet = Fleet::new(KeyAlgorithm::EcdsaP256);
    let said = fleet.ask("-cert good.pem -cert revoked.pem -serial 0x1234", now());
    for expected in [
        "Response verify OK",
        "good.pem: good",
        "revoked.pem: revoked",
        "0x1234: unknown",
    ] {
        assert!(said.text.contains(expected), "{expected} missing:\n{}", said.text);
    }
}

#[test]
fn an_answer_to_another_question_and_a_stale_one_are_noticed() {
    let fleet = Fleet::new(KeyAlgorithm::EcdsaP256);
    assert!(fleet.ask("-cert good.pem", now()).ok);
    // The same answer to a new question: another nonce.
    fleet
        .bench
        .run("openssl ocsp -issuer issuer.pem -cert good.pem -reqout request.der");
    let refusal = fleet.bench.refuse(NONCE_CHECK);
    assert!(refusal.contains("Nonce Verify error"), "{refusal}");
    let stale = fleet.ask("-cert good.pem", now() - Duration::from_secs(2 * 3600));
    assert!(
        stale.text.contains("expired") || stale.text.contains("invalid"),
        "{}",
        stale.text
    );
}

#[test]
fn what_cannot_be_answered_is_said_without_a_signature() {
    let fleet = Fleet::new(KeyAlgorithm::EcdsaP256);
    let others = Fleet::new(KeyAlgorithm::EcdsaP256);
    others
        .bench
        .run("openssl ocsp -issuer issuer.pem -cert good.pem -reqout request.der");
    fleet.bench.put("request.der", others.bench.get("request.der"));
    fleet.answer(&fleet.responder(now()), now());
    let said = fleet.bench.try_run("openssl ocsp -respin answer.der").text;
    assert!(said.contains("Responder Error: unauthorized (6)"), "{said}");
    fleet.bench.put("request.der", "GET / HTTP/1.0");
    fleet.answer(&fleet.responder(now()), now());
    let said = fleet.bench.try_run("openssl ocsp -respin answer.der").text;
    assert!(said.contains("Responder Error: malformedrequest (1)"), "{said}");
}
