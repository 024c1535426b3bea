//! The chain verifier against C2SP's x509-limbo: certificates that verifiers have got wrong before. The file is named
//! by `X509_LIMBO_JSON` and not kept here; without it the test says that it is skipped, and `tests/run` counts it.
//! Every case is run; where we answer otherwise, the reason stands below.

use std::collections::BTreeSet;

use dockwarden::base::Timestamp;
use dockwarden::pki::chain::{Anchors, ChainError, Purpose, verify, verify_server};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Deserialize;

#[derive(Deserialize)]
struct Suite {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    expected_result: String,
    expected_peer_name: Option<Name>,
}

#[derive(Deserialize)]
struct Name {
    value: String,
}

fn read(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn run(case: &Case) -> Result<(), String> {
    let roots: Vec<_> = case.trusted_certs.iter().map(|pem| read(pem)).collect();
    let anchors = Anchors::parse(&roots).map_err(|e| e.to_string())?;
    let issuers = case.untrusted_intermediates.iter();
    let chain: Vec<_> = std::iter::once(&case.peer_certificate)
        .chain(issuers)
        .map(|pem| read(pem))
        .collect();
    let time = case.validation_time.as_deref().unwrap_or("2024-01-01T00:00:00Z");
    let now = Timestamp::parse(time).unwrap();
    if case.validation_kind == "CLIENT" {
        return match verify(&chain, &anchors, Purpose::Client, now) {
            // Their clients are not named as ours are; the chain was good.
            Ok(_) | Err(ChainError::NoName { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
    }
    let Some(name) = &case.expected_peer_name else {
        return Err("no name was dialled".to_owned());
    };
    let name = ServerName::try_from(name.value.clone()).map_err(|e| e.to_string())?;
    verify_server(&chain, &anchors, &name, now).map_err(|e| e.to_string())
}

/// Cases that we answer otherwise, and why that is right for a fleet's own CA.
const OTHERWISE: &[(&str, &[&str])] = &[
    (
        "revocation is our own set of (issuer, serial), asked elsewhere; CRLs are not read here",
        &[
            "crl::revoked-certificate-with-crl",
            "crl::crlnumber-missing",
            "crl::crlnumber-critical",
            "crl::issuer-missing-crlsign",
        ],
    ),
    (
        "stricter: at most six certificates are looked at",
        &["cve::cve-2024-0567"],
    ),
    (
        "stricter: a CA never acts as a leaf, and a leaf must say what it is for",
        &[
            "pathlen::validation-ignores-pathlen-in-leaf",
            "rfc5280::ca-as-leaf",
            "rfc5280::eku::ee-without-eku",
        ],
    ),
    (
        "stricter: webpki counts self-issued issuers against path lengths, and refuses e-mail constraints",
        &[
            "pathlen::self-issued-certs-pathlen",
            "rfc5280::nc::permitted-self-issued",
            "rfc5280::nc::nc-permits-email-exact",
            "rfc5280::nc::nc-permits-email-domain",
            "rfc5280::nc::nc-permits-email-literal-asterisk-exact-match",
            "rfc5280::nc::nc-permits-email-literal-double-asterisk",
            "rfc5280::nc::nc-permits-email-literal-mid-asterisk",
        ],
    ),
    (
        "stricter: a server is never accepted without a name",
        &["rfc5280::nc::permitted-dn-match"],
    ),
    (
        "depth is bounded by CHAIN_CERTS_MAX, not by the caller",
        &[
            "pathlen::max-chain-depth-0-exhausted",
            "pathlen::max-chain-depth-1-exhausted",
        ],
    ),
    (
        "how a CA must write extensions that are not used for the decision; our own are linted before they are signed",
        &[
            "rfc5280::aki::critical-aki",
            "rfc5280::aki::leaf-missing-aki",
            "rfc5280::aki::intermediate-missing-aki",
            "rfc5280::aki::cross-signed-root-missing-aki",
            "rfc5280::nc::permitted-dns-match-noncritical",
            "rfc5280::nc::invalid-dnsname-leading-period",
            "rfc5280::nc::not-allowed-in-ee-noncritical",
            "rfc5280::nc::not-allowed-in-ee-critical",
            "rfc5280::pc::ica-noncritical-pc",
            "rfc5280::san::noncritical-with-empty-subject",
            "rfc5280::san::underscore-dns",
            "rfc5280::ski::critical-ski",
            "rfc5280::ski::root-missing-ski",
            "rfc5280::ski::intermediate-missing-ski",
            "rfc5280::ca-empty-subject",
            "rfc5280::unknown-critical-extension-root",
            "rfc5280::root-non-critical-basic-constraints",
            "rfc5280::leaf-ku-keycertsign",
            "webpki::aki::root-with-aki-missing-keyidentifier",
            "webpki::aki::root-with-aki-authoritycertissuer",
            "webpki::aki::root-with-aki-authoritycertserialnumber",
            "webpki::aki::root-with-aki-all-fields",
            "webpki::aki::root-with-aki-ski-mismatch",
            "webpki::eku::ee-anyeku",
            "webpki::eku::ee-critical-eku",
            "webpki::eku::root-has-eku",
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-null",
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences",
            "webpki::san::public-suffix-multi-label-wildcard-san",
            "webpki::san::public-suffix-private-namespace-wildcard-san",
            "webpki::san::san-critical-with-nonempty-subject",
            "webpki::malformed-aia",
        ],
    ),
    (
        "a server's common name is never read: only alternative names count",
        &[
            "webpki::cn::ipv4-hex-mismatch",
            "webpki::cn::ipv4-leading-zeros-mismatch",
            "webpki::cn::ipv6-uppercase-mismatch",
            "webpki::cn::ipv6-uncompressed-mismatch",
            "webpki::cn::ipv6-non-rfc5952-mismatch",
            "webpki::cn::punycode-not-in-san",
            "webpki::cn::utf8-vs-punycode-mismatch",
            "webpki::cn::not-in-san",
            "webpki::cn::case-mismatch",
        ],
    ),
    (
        "a leaf's key is judged where it is used: no handshake signature is accepted from these",
        &[
            "webpki::forbidden-p192-leaf",
            "webpki::forbidden-dsa-leaf",
            "webpki::forbidden-weak-rsa-in-leaf",
        ],
    ),
    (
        "an odd RSA size is as strong as it is long; our CA signs none",
        &[
            "webpki::forbidden-rsa-not-divisible-by-8-in-root",
            "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf",
        ],
    ),
];

#[test]
fn limbo_is_answered_as_it_should_be_or_for_a_reason() {
    let Some(path) = std::env::var_os("X509_LIMBO_JSON") else {
        eprintln!("SKIPPED: X509_LIMBO_JSON names no file");
        return;
    };
    let suite: Suite = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(suite.testcases.len(), 208);
    let mut otherwise: BTreeSet<&str> = OTHERWISE
        .iter()
        .flat_map(|(_, ids)| ids.iter().copied())
        .collect();
    let mut wrong = Vec::new();
    for case in &suite.testcases {
        let found = run(case);
        let expected = found.is_ok() == (case.expected_result == "SUCCESS");
        if !expected && !otherwise.remove(case.id.as_str()) {
            wrong.push(format!(
                "{} should be {}: {found:?}",
                case.id, case.expected_result
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} unexpected:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        otherwise.is_empty(),
        "reasons that are not needed any more: {otherwise:?}"
    );
}
