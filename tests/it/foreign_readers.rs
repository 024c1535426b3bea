//! OpenSSL and GnuTLS read what we write, and we read what they write: certificates for every profile, key
//! algorithm and issuer algorithm; requests; keys; a CA somebody brings along.

use std::sync::Arc;
use std::time::Duration;

use dockwarden::base::{Clock, SecretString, SystemClock, SystemRandom, Timestamp};
use dockwarden::ca::{
    Grant, IssuedCert, Issuer, IssuerUrls, Root, approve, import_root, make_issuer, make_root, prepare, sign,
    verify,
};
use dockwarden::keys::{IssuerKey, KeyError, MemoryKey, file};
use dockwarden::model::{IdentityKind, IssuerKind, Profile};
use dockwarden::pki::csr::{self, CsrDer};
use dockwarden::pki::{Certificate, CsrError, KeyAlgorithm, LeafKey, Serial};

use crate::support::programs::Bench;

const CA_ALGORITHMS: [KeyAlgorithm; 5] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::Rsa2048,
    KeyAlgorithm::Rsa3072,
    KeyAlgorithm::Rsa4096,
];

fn now() -> Timestamp {
    SystemClock.now()
}

fn serial() -> Serial {
    Serial::draw(&SystemRandom)
}

fn ca_key(algorithm: KeyAlgorithm) -> Arc<dyn IssuerKey> {
    Arc::new(MemoryKey::generate(algorithm).unwrap())
}

fn issuer(root: &Root, kind: IssuerKind, algorithm: KeyAlgorithm) -> Issuer {
    let key = ca_key(algorithm);
    let certificate = make_issuer(root, kind, "Fleet", key.public_key(), &serial(), now()).unwrap();
    let urls = IssuerUrls::under("http://ca.fleet.internal:8080", kind).unwrap();
    Issuer::new(certificate, key, kind, urls).unwrap()
}

fn grant(kind: IdentityKind) -> Grant {
    let (name, sans): (_, &[&str]) = match kind {
        IdentityKind::Host => (
            "web-01.fleet.internal",
            &["web-01.fleet.internal", "10.20.0.7", "::1"],
        ),
        IdentityKind::Client => ("alice", &[]),
    };
    Grant {
        common_name: name.parse().unwrap(),
        sans: sans.iter().map(|san| san.parse().unwrap()).collect(),
    }
}

fn issue(issuer: &Issuer, kind: IdentityKind, csr: CsrDer) -> IssuedCert {
    let csr = verify(csr, &KeyAlgorithm::ALL).unwrap();
    let approved = approve(csr, grant(kind), &Profile::default_for(kind)).unwrap();
    sign(prepare(approved, issuer, &serial(), now()).unwrap(), issuer).unwrap()
}

/// How OpenSSL and GnuTLS name a purpose, and OpenSSL the other one.
fn purpose(kind: IdentityKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        IdentityKind::Host => ("sslserver", "1.3.6.1.5.5.7.3.1", "sslclient"),
        IdentityKind::Client => ("sslclient", "1.3.6.1.5.5.7.3.2", "sslserver"),
    }
}

/// Both programs accept `issued` for its purpose, and OpenSSL refuses it for the other.
fn judge(bench: &Bench, root: &Certificate, issuer: &Issuer, kind: IdentityKind, issued: &IssuedCert) {
    bench.put("root.pem", root.pem());
    bench.put("issuer.pem", issuer.pem());
    bench.put("leaf.pem", issued.pem());
    bench.put("chain.pem", issued.chain_pem());
    bench.put("whole.pem", issued.chain_pem() + &root.pem());
    let (ours, oid, other) = purpose(kind);
    let names: &[&str] = match kind {
        IdentityKind::Host => &[
            "-verify_hostname web-01.fleet.internal",
            "-verify_ip 10.20.0.7",
            "-verify_ip ::1",
        ],
        IdentityKind::Client => &[""],
    };
    let openssl = "openssl verify -x509_strict -check_ss_sig -CAfile root.pem -untrusted issuer.pem";
    for name in names {
        bench.run(&format!("{openssl} -purpose {ours} {name} leaf.pem"));
    }
    let refusal = bench.refuse(&format!("{openssl} -purpose {other} leaf.pem"));
    assert!(refusal.contains("purpose"), "{refusal}");
    bench.run("certtool --verify-chain --infile whole.pem");
    bench.run(&format!(
        "certtool --verify --load-ca-certificate root.pem --verify-purpose {oid} --infile chain.pem"
    ));
    if kind == IdentityKind::Host {
        let hostname = "--verify-hostname web-01.fleet.internal";
        bench.run(&format!(
            "certtool --verify --load-ca-certificate root.pem {hostname} --infile chain.pem"
        ));
    }
}

#[test]
fn openssl_and_gnutls_accept_every_profile_under_every_issuer() {
    let bench = Bench::new();
    let leaf_keys: Vec<LeafKey> = KeyAlgorithm::ALL.map(|a| LeafKey::generate(a).unwrap()).into();
    for algorithm in CA_ALGORITHMS {
        let root = make_root("Fleet", ca_key(algorithm), &serial(), now()).unwrap();
        for kind in [IdentityKind::Host, IdentityKind::Client] {
            let issuer = issuer(&root, kind.into(), algorithm);
            for key in &leaf_keys {
                let csr = csr::make(key, &"any".parse().unwrap(), &[]);
                let issued = issue(&issuer, kind, csr);
                judge(&bench, root.certificate(), &issuer, kind, &issued);
                bench.put("key.pem", key.to_pkcs8_pem().as_bytes());
                let public = bench.run("openssl pkey -in key.pem -pubout").stdout;
                let certified = bench.run("openssl x509 -in leaf.pem -noout -pubkey").stdout;
                assert_eq!(public, certified, "{} under {algorithm}", key.algorithm());
            }
        }
    }
}

#[test]
fn issuers_of_another_algorithm_than_their_root_work() {
    let bench = Bench::new();
    for (top, below) in [
        (KeyAlgorithm::Rsa4096, KeyAlgorithm::EcdsaP256),
        (KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048),
    ] {
        let root = make_root("Fleet", ca_key(top), &serial(), now()).unwrap();
        let issuer = issuer(&root, IssuerKind::Hosts, below);
        let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let issued = issue(
            &issuer,
            IdentityKind::Host,
            csr::make(&key, &"any".parse().unwrap(), &[]),
        );
        judge(&bench, root.certificate(), &issuer, IdentityKind::Host, &issued);
    }
}

#[test]
fn openssl_and_gnutls_read_our_requests() {
    let bench = Bench::new();
    for algorithm in KeyAlgorithm::ALL {
        let key = LeafKey::generate(algorithm).unwrap();
        let sans = ["web-01.fleet.internal", "10.20.0.7"].map(|s| s.parse().unwrap());
        bench.put(
            "csr.pem",
            csr::make(&key, &"web-01.fleet.internal".parse().unwrap(), &sans).to_pem(),
        );
        let text = bench.run("openssl req -in csr.pem -noout -verify -text").text;
        assert!(
            text.contains("DNS:web-01.fleet.internal, IP Address:10.20.0.7"),
            "{text}"
        );
        let text = bench.run("certtool --crq-info --infile csr.pem").text;
        assert!(
            text.contains("signed using") || text.contains("Self signature: verified"),
            "{text}"
        );
    }
}

/// `openssl genpkey` arguments for each algorithm.
fn genpkey(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        KeyAlgorithm::EcdsaP384 => "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        KeyAlgorithm::Rsa2048 => "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        KeyAlgorithm::Rsa3072 => "-algorithm RSA -pkeyopt rsa_keygen_bits:3072",
        KeyAlgorithm::Rsa4096 => "-algorithm RSA -pkeyopt rsa_keygen_bits:4096",
        KeyAlgorithm::Ed25519 => "-algorithm ED25519",
    }
}

#[test]
fn requests_of_openssl_are_certified_with_their_own_key_whatever_digest_they_are_signed_with() {
    let bench = Bench::new();
    let root = make_root("Fleet", ca_key(KeyAlgorithm::EcdsaP256), &serial(), now()).unwrap();
    let issuer = issuer(&root, IssuerKind::Hosts, KeyAlgorithm::EcdsaP256);
    for algorithm in KeyAlgorithm::ALL {
        bench.run(&format!("openssl genpkey {} -out key.pem", genpkey(algorithm)));
        let digests: &[&str] = match algorithm {
            KeyAlgorithm::Ed25519 => &[""],
            _ => &["-sha256", "-sha384", "-sha512"],
        };
        for digest in digests {
            bench.run(&format!(
                "openssl req -new {digest} -key key.pem -subj /O=Corp/CN=web-01 -out csr.pem \
                 -addext subjectAltName=DNS:web-01.fleet.internal,IP:10.20.0.7,IP:::1 \
                 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign \
                 -addext subjectKeyIdentifier=hash -addext tlsfeature=status_request"
            ));
            let csr = CsrDer::from_pem(bench.get("csr.pem")).unwrap();
            let verified = verify(csr.clone(), &[algorithm]).unwrap();
            assert_eq!(
                verified.sans(),
                grant(IdentityKind::Host).sans,
                "{algorithm} {digest}"
            );
            assert_eq!(verified.common_name().unwrap().as_str(), "web-01");
            let issued = issue(&issuer, IdentityKind::Host, csr);
            judge(&bench, root.certificate(), &issuer, IdentityKind::Host, &issued);
            let public = bench.run("openssl pkey -in key.pem -pubout").stdout;
            let certified = bench.run("openssl x509 -in leaf.pem -noout -pubkey").stdout;
            assert_eq!(public, certified, "{algorithm} {digest}");
        }
    }
}

#[test]
fn requests_of_openssl_that_must_not_be_certified_are_refused_with_the_reason() {
    let bench = Bench::new();
    let refusal = |genpkey: &str, req: &str| -> String {
        bench.run(&format!("openssl genpkey {genpkey} -out key.pem"));
        bench.run(&format!(
            "openssl req -new -key key.pem -subj /CN=a {req} -out csr.pem"
        ));
        let csr = CsrDer::from_pem(bench.get("csr.pem")).unwrap();
        verify(csr, &KeyAlgorithm::ALL).unwrap_err().to_string()
    };
    let p256 = genpkey(KeyAlgorithm::EcdsaP256);
    for (key, req, reason) in [
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
            "",
            "1024 bits; make one with 2048",
        ),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2560", "", "2560 bits"),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3",
            "",
            "exponent",
        ),
        (
            "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
            "",
            "not supported",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-521",
            "",
            "not supported",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
            "",
            "not supported",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            "",
            "not supported",
        ),
        ("-algorithm ED448", "", "not supported"),
        (p256, "-sha1", "SHA-1"),
        (p256, "-sha3-256", "not supported"),
        (
            p256,
            "-addext subjectAltName=DNS:*.fleet.internal",
            "impossible name",
        ),
        (
            p256,
            "-addext subjectAltName=DNS:web.fleet.internal.",
            "no trailing dot",
        ),
        (
            p256,
            "-addext subjectAltName=email:a@b.example",
            "of a kind that is not issued",
        ),
        (
            p256,
            "-addext subjectAltName=URI:spiffe://a/b",
            "of a kind that is not issued",
        ),
        (
            p256,
            "-addext subjectAltName=DNS:a.example,DNS:A.example",
            "twice",
        ),
    ] {
        let said = refusal(key, req);
        assert!(said.contains(reason), "{key} {req}: {said}");
    }
}

#[test]
fn openssl_opens_our_ca_keys_with_the_passphrase_and_only_with_it() {
    let bench = Bench::new();
    let passphrase: SecretString = "x".into();
    for algorithm in CA_ALGORITHMS {
        let key = MemoryKey::generate(algorithm).unwrap();
        bench.put(
            "ca.key",
            file::seal(&key, &passphrase, &SystemRandom).unwrap().as_bytes(),
        );
        let public = bench
            .run("openssl pkey -in ca.key -passin pass:x -pubout -outform DER")
            .stdout;
        assert_eq!(public, key.public_key().spki(), "{algorithm}");
        bench.refuse("openssl pkey -in ca.key -passin pass:y -noout");
    }
    let text = bench.run("openssl asn1parse -in ca.key").text;
    for expected in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", "0927C0"] {
        assert!(text.contains(expected), "{expected} missing:\n{text}");
    }
}

#[test]
fn ca_keys_that_openssl_wrote_are_opened_in_every_form() {
    let bench = Bench::new();
    let passphrase: SecretString = "pass".into();
    let public = |bench: &Bench, key: &str| {
        bench
            .run(&format!(
                "openssl pkey -in {key} -passin pass:pass -pubout -outform DER"
            ))
            .stdout
    };
    for algorithm in CA_ALGORITHMS {
        bench.run(&format!(
            "openssl genpkey {} -aes256 -pass pass:pass -out sealed.pem",
            genpkey(algorithm)
        ));
        bench.run("openssl pkey -in sealed.pem -passin pass:pass -out plain.pem");
        bench.run("openssl pkey -in sealed.pem -passin pass:pass -traditional -out old.pem");
        let topk8 = "openssl pkcs8 -topk8 -in plain.pem -passout pass:pass -v2 aes-128-cbc";
        bench.run(&format!("{topk8} -v2prf hmacWithSHA512 -out sha512.pem"));
        bench.run("openssl pkcs8 -topk8 -in plain.pem -passout pass:pass -scrypt -out scrypt.pem");
        let expected = public(&bench, "sealed.pem");
        for name in ["sealed.pem", "plain.pem", "old.pem", "sha512.pem", "scrypt.pem"] {
            let key =
                file::import(bench.get(name), Some(&passphrase)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(key.public_key().spki(), expected, "{name} {algorithm}");
        }
        let wrong = file::import(bench.get("sealed.pem"), Some(&"other".into()));
        assert_eq!(wrong.unwrap_err(), KeyError::WrongPassphrase);
    }
    bench.run("openssl ecparam -name prime256v1 -genkey -out with-parameters.pem");
    let key = file::import(bench.get("with-parameters.pem"), None).unwrap();
    assert_eq!(key.public_key().spki(), public(&bench, "with-parameters.pem"));
}

#[test]
fn ca_keys_in_forms_that_are_not_read_say_how_to_convert_them() {
    let bench = Bench::new();
    bench.run(&format!(
        "openssl genpkey {} -out plain.pem",
        genpkey(KeyAlgorithm::EcdsaP256)
    ));
    bench.run("openssl ec -in plain.pem -aes256 -passout pass:pass -out legacy.pem");
    bench.run("openssl pkcs8 -topk8 -in plain.pem -v2 aes-256-cbc -v2prf hmacWithSHA1 -passout pass:pass -out sha1.pem");
    bench.run("openssl pkcs8 -topk8 -in plain.pem -v2 des3 -passout pass:pass -out des.pem");
    for name in ["legacy.pem", "sha1.pem", "des.pem"] {
        let error = file::import(bench.get(name), Some(&"pass".into()))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("openssl pkcs8 -topk8 -v2 aes-256-cbc"),
            "{name}: {error}"
        );
    }
    bench.run("openssl genpkey -algorithm ED25519 -out ed25519.pem");
    let refused = file::import(bench.get("ed25519.pem"), None).unwrap_err();
    assert_eq!(refused, KeyError::NotForCa(KeyAlgorithm::Ed25519));
}

#[test]
fn leaf_keys_go_both_ways_in_every_form() {
    let bench = Bench::new();
    for algorithm in KeyAlgorithm::ALL {
        let ours = LeafKey::generate(algorithm).unwrap();
        bench.put("ours.pem", ours.to_pkcs8_pem().as_bytes());
        let public = bench
            .run("openssl pkey -in ours.pem -check -pubout -outform DER")
            .stdout;
        assert!(public.ends_with(ours.public_key().spki()), "{algorithm}");
        bench.run("certtool --key-info --infile ours.pem");
        bench.run(&format!("openssl genpkey {} -out theirs.pem", genpkey(algorithm)));
        let theirs = LeafKey::from_pem(bench.get("theirs.pem")).unwrap();
        let public = bench
            .run("openssl pkey -in theirs.pem -pubout -outform DER")
            .stdout;
        assert_eq!(theirs.public_key().spki(), public, "{algorithm}");
    }
}

#[test]
fn a_ca_that_openssl_made_is_taken_over_and_its_leaves_verify() {
    let bench = Bench::new();
    // The first is what Docker's own documentation tells people to do.
    for (key, subject, extensions) in [
        (
            "genrsa -aes256 -passout pass:pass -out ca-key.pem 4096",
            "/C=NL/ST=NH/L=Amsterdam/O=Corp/OU=IT/CN=ca.corp",
            "",
        ),
        (
            "ecparam -name secp384r1 -genkey -out ca-key.pem",
            "/CN=Corp-Root",
            "-addext keyUsage=critical,keyCertSign",
        ),
    ] {
        bench.run(&format!("openssl {key}"));
        bench.run(&format!(
            "openssl req -new -x509 -days 365 -key ca-key.pem -passin pass:pass -sha256 -subj {subject} {extensions} -out ca.pem"
        ));
        let key = file::import(bench.get("ca-key.pem"), Some(&"pass".into())).unwrap();
        let root = import_root(bench.get("ca.pem"), Arc::new(key), now()).unwrap();
        let issuer = issuer(&root, IssuerKind::Hosts, KeyAlgorithm::EcdsaP256);
        assert!(issuer.certificate().not_after <= root.certificate().not_after);
        let leaf = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let issued = issue(
            &issuer,
            IdentityKind::Host,
            csr::make(&leaf, &"any".parse().unwrap(), &[]),
        );
        bench.put("issuer.pem", issuer.pem());
        bench.put("leaf.pem", issued.pem());
        bench.run("openssl verify -purpose sslserver -CAfile ca.pem -untrusted issuer.pem leaf.pem");
        bench.put("chain.pem", issued.chain_pem());
        bench.run("certtool --verify --load-ca-certificate ca.pem --infile chain.pem");
    }
}

#[test]
fn a_ca_that_openssl_made_badly_is_refused_with_the_reason() {
    let bench = Bench::new();
    bench.run(&format!(
        "openssl genpkey {} -out ca-key.pem",
        genpkey(KeyAlgorithm::EcdsaP256)
    ));
    let key: Arc<dyn IssuerKey> = Arc::new(file::import(bench.get("ca-key.pem"), None).unwrap());
    for (arguments, reason) in [
        ("-subj /CN=a -sha1", "SHA-1"),
        ("-subj /DC=com/DC=example/CN=a", "cannot be repeated exactly"),
        ("-subj /CN=a+OU=b -multivalue-rdn", "cannot be repeated exactly"),
        ("-subj /", "empty subject"),
        (
            "-subj /CN=a -addext basicConstraints=critical,CA:TRUE,pathlen:0",
            "pathlen:0",
        ),
        (
            "-subj /CN=a -addext keyUsage=critical,digitalSignature",
            "keyCertSign",
        ),
        (
            "-subj /CN=a -addext nameConstraints=critical,permitted;DNS:corp.example",
            "2.5.29.30",
        ),
        (
            "-subj /CN=a -addext extendedKeyUsage=serverAuth",
            "extended key usage",
        ),
        (
            "-subj /CN=a -addext subjectKeyIdentifier=none",
            "subject key identifier",
        ),
    ] {
        bench.run(&format!(
            "openssl req -new -x509 -days 365 -key ca-key.pem {arguments} -out ca.pem"
        ));
        let error = import_root(bench.get("ca.pem"), key.clone(), now())
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{arguments}: {error}");
    }
}

#[test]
fn a_truncated_request_is_never_believed() {
    let key = LeafKey::generate(KeyAlgorithm::Rsa2048).unwrap();
    let whole = csr::make(
        &key,
        &"web-01".parse().unwrap(),
        &["web-01.example".parse().unwrap()],
    );
    for cut in 0..whole.as_der().len() {
        let csr = CsrDer::from_der(&whole.as_der()[..cut]).unwrap();
        assert_eq!(
            verify(csr, &KeyAlgorithm::ALL).unwrap_err(),
            CsrError::Malformed,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_leaf_of_a_minute_is_accepted_while_it_lives() {
    let bench = Bench::new();
    let root = make_root("Fleet", ca_key(KeyAlgorithm::EcdsaP256), &serial(), now()).unwrap();
    let issuer = issuer(&root, IssuerKind::Clients, KeyAlgorithm::EcdsaP256);
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let csr = verify(
        csr::make(&key, &"alice".parse().unwrap(), &[]),
        &KeyAlgorithm::ALL,
    )
    .unwrap();
    let profile = Profile {
        lifetime: Duration::from_secs(60),
        ..Profile::default_for(IdentityKind::Client)
    };
    let approved = approve(csr, grant(IdentityKind::Client), &profile).unwrap();
    let issued = sign(prepare(approved, &issuer, &serial(), now()).unwrap(), &issuer).unwrap();
    judge(&bench, root.certificate(), &issuer, IdentityKind::Client, &issued);
    let later = issued.not_after().as_secs() + 1;
    let refusal = bench.refuse(&format!(
        "openssl verify -attime {later} -CAfile root.pem -untrusted issuer.pem leaf.pem"
    ));
    assert!(refusal.contains("expired"), "{refusal}");
}
