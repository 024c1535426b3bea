//! Rules every certificate of ours keeps, one per file. They look at the finished DER, just before it is
//! signed, so that a mistake in the encoder or in a profile never gets a signature.

mod basic_constraints;
pub mod crl;
mod extended_key_usage;
mod extensions;
mod issuer_name;
mod issuer_validity;
mod key_identifiers;
mod key_usage;
mod names;
mod ocsp_no_check;
mod public_key;
mod serial;
mod signature_algorithm;
mod subject;
mod time_encoding;
mod validity;
mod version;

use std::fmt;

use serde::Serialize;

use super::cert::{Certificate, ExtendedKeyUsage};

/// What a certificate is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The trust anchor.
    Root,
    /// Signs host leaves.
    HostsIssuer,
    /// Signs client leaves.
    ClientsIssuer,
    /// A host's leaf.
    Host,
    /// A client's leaf.
    Client,
    /// Signs an issuer's OCSP answers.
    OcspSigner,
}

impl Purpose {
    /// What `certificate` says it is meant to be; `None` when it is not one of ours.
    pub fn of(certificate: &Certificate) -> Option<Self> {
        let usages = certificate.extended_key_usages.as_deref();
        match (certificate.is_ca(), usages) {
            (true, None) if certificate.is_self_issued() => Some(Self::Root),
            (true, Some([ExtendedKeyUsage::ServerAuth])) => Some(Self::HostsIssuer),
            (true, Some([ExtendedKeyUsage::ClientAuth])) => Some(Self::ClientsIssuer),
            (false, Some([ExtendedKeyUsage::ServerAuth])) => Some(Self::Host),
            (false, Some([ExtendedKeyUsage::ClientAuth])) => Some(Self::Client),
            (false, Some([ExtendedKeyUsage::OcspSigning])) => Some(Self::OcspSigner),
            _ => None,
        }
    }
}

/// A certificate about to be signed, with what it must agree with.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its facts.
    pub certificate: &'a Certificate,
    /// What it is meant to be.
    pub purpose: Purpose,
    /// What will sign it; `None` for a root, or when it is not at hand.
    pub issuer: Option<&'a Certificate>,
    /// The SubjectPublicKeyInfo that was asked for; `None` when it is not at hand.
    pub requested_spki: Option<&'a [u8]>,
}

impl Candidate<'_> {
    fn is_critical(&self, oid: &str) -> bool {
        self.certificate
            .extensions
            .iter()
            .any(|e| e.oid == oid && e.critical)
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name, which is its file's.
    pub rule: &'static str,
    /// What is wrong; continues "the certificate ...".
    pub message: String,
}

impl Finding {
    fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.rule)
    }
}

type Rule = fn(&Candidate<'_>) -> Option<Finding>;

const RULES: &[Rule] = &[
    version::check,
    serial::check,
    validity::check,
    time_encoding::check,
    issuer_validity::check,
    issuer_name::check,
    subject::check,
    key_identifiers::check,
    basic_constraints::check,
    key_usage::check,
    extended_key_usage::check,
    names::check,
    public_key::check,
    signature_algorithm::check,
    extensions::check,
    ocsp_no_check::check,
];

/// Every broken rule, in a fixed order; empty when the certificate may be signed.
pub fn check(candidate: &Candidate<'_>) -> Vec<Finding> {
    RULES.iter().filter_map(|rule| rule(candidate)).collect()
}

#[cfg(test)]
mod tests;
