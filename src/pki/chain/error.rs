//! Why a chain was refused, in words for the person who has to repair it.

use std::fmt::Display;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use super::{CHAIN_CERTS_MAX, Purpose};
use crate::base::Timestamp;
use crate::pki::Serial;

/// Why a chain was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No certificate at all.
    #[error("no certificate was presented: enrol first (dockwarden client enroll, dockwarden agent run)")]
    Empty,
    /// More than [`CHAIN_CERTS_MAX`] certificates.
    #[error(
        "{0} certificates were presented, more than {CHAIN_CERTS_MAX}: send the leaf and its issuer, nothing else"
    )]
    TooLong(usize),
    /// Not a certificate.
    #[error("certificate {index} of the chain cannot be read ({reason}): replace the file it came from")]
    Malformed {
        /// Position, from 0.
        index: usize,
        /// What the parser said.
        reason: String,
    },
    /// Past notAfter.
    #[error("the certificate of {name} expired at {not_after} (it is {now} here): renew it, or enrol again")]
    Expired {
        /// Whose, possibly an issuer's.
        name: String,
        /// Its last second.
        not_after: Timestamp,
        /// The time it was checked at.
        now: Timestamp,
    },
    /// Before notBefore.
    #[error(
        "the certificate of {name} is valid from {not_before} only (it is {now} here): check the clock of both machines"
    )]
    NotYetValid {
        /// Whose, possibly an issuer's.
        name: String,
        /// Its first second.
        not_before: Timestamp,
        /// The time it was checked at.
        now: Timestamp,
    },
    /// Revoked, as far as is known here.
    #[error(
        "certificate {serial} of {name} was revoked: ask whoever runs the server why; enrol again with a new join token (dockwarden client enroll)"
    )]
    Revoked {
        /// Whose.
        name: String,
        /// Which.
        serial: Serial,
    },
    /// The only root that could have signed it is outside its dates.
    #[error(
        "the certificate of {name} does not lead to a root that is valid now; root {root} is valid from {not_before} to {not_after}: rotate the root, or check the clock"
    )]
    AnchorDates {
        /// The leaf.
        name: String,
        /// The root.
        root: String,
        /// The root's first second.
        not_before: Timestamp,
        /// The root's last second.
        not_after: Timestamp,
    },
    /// Signed by itself.
    #[error(
        "the certificate of {name} is self-signed: use one issued by this fleet's CA (dockwarden client enroll)"
    )]
    SelfSigned {
        /// The leaf.
        name: String,
    },
    /// No path to an anchor.
    #[error(
        "the certificate of {name} was issued by {issuer:?}, which does not lead to this fleet's root: use one issued by this fleet's CA, and send its issuer with it (cert.pem holds both)"
    )]
    UnknownIssuer {
        /// The leaf.
        name: String,
        /// The issuer it names.
        issuer: String,
    },
    /// A signature does not verify.
    #[error(
        "a signature on the chain of {name} is wrong: the certificate was altered, or made by a CA that only has the same name as ours"
    )]
    BadSignature {
        /// The leaf.
        name: String,
    },
    /// The leaf's extended key usage.
    #[error(
        "the certificate of {name} is not made for {purpose}: a host's certificate cannot act as a client, nor a client's as a host; enrol with a token of the right profile"
    )]
    WrongPurpose {
        /// The leaf.
        name: String,
        /// What it was used for.
        purpose: Purpose,
    },
    /// The issuer's extended key usage.
    #[error(
        "the issuer of {name} must not issue for {purpose}: the certificate comes from the wrong issuer; enrol again, and tell whoever runs the CA"
    )]
    IssuerPurpose {
        /// The leaf.
        name: String,
        /// What it was used for.
        purpose: Purpose,
    },
    /// A CA certificate in place of a leaf.
    #[error(
        "the certificate of {name} is a CA's: a CA never acts as a host or client; configure the leaf (cert.pem), not ca.pem"
    )]
    CaAsLeaf {
        /// The leaf.
        name: String,
    },
    /// No common name that could be an identity.
    #[error(
        "the certificate with subject {subject:?} names no identity: its common name must be one (a-z, 0-9, '.', '_', '@', '-'; at most 64); enrol again"
    )]
    NoName {
        /// The subject.
        subject: String,
    },
    /// A serial number outside RFC 5280.
    #[error(
        "the certificate's serial number is zero or longer than 20 bytes: it is not one of this fleet's; enrol again"
    )]
    Serial,
    /// The server's names do not fit.
    #[error(
        "the server's certificate is for {presented}, not for {wanted}: use one of those names, or have the host re-issued with {wanted} among its names"
    )]
    WrongServerName {
        /// What was dialled.
        wanted: String,
        /// What the certificate says.
        presented: String,
    },
    /// Path building was given up.
    #[error(
        "the presented certificates make too many paths to check: send the leaf and its issuer, nothing else"
    )]
    TooComplex,
    /// Anything else RFC 5280 forbids.
    #[error(
        "the certificate chain of {name} was refused ({reason}): enrol again; if that does not help, lint it (dockwarden cert lint)"
    )]
    Refused {
        /// The leaf.
        name: String,
        /// webpki's word for it.
        reason: String,
    },
    /// A verified path without its anchor: a defect of ours, refused all the same.
    #[error("the verified path ends in no known root: please report this")]
    Internal,
}

impl ChainError {
    pub(super) fn malformed(index: usize, reason: &dyn Display) -> Self {
        Self::Malformed {
            index,
            reason: excerpt(&reason.to_string()),
        }
    }
}

/// At most 200 printable characters of what somebody sent.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The one common name; `None` when there is none, or more than one to choose from.
pub(super) fn common_name<'a>(cert: &'a X509Certificate<'_>) -> Option<&'a str> {
    let mut names = cert.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok(),
        _ => None,
    }
}

/// The common name for messages, or the serial number where there is none.
pub(super) fn name_of(cert: &X509Certificate<'_>) -> String {
    match common_name(cert) {
        Some(name) => excerpt(name),
        None => format!("serial {}", excerpt(&cert.raw_serial_as_string())),
    }
}

/// The names a server's leaf is good for, for messages; the first ten.
pub(super) fn server_names(cert: &X509Certificate<'_>) -> String {
    let san = cert.subject_alternative_name().ok().flatten();
    let names = san.iter().flat_map(|san| &san.value.general_names);
    let shown: Vec<String> = names.filter_map(shown_name).take(10).collect();
    match shown.is_empty() {
        true => "no name at all".to_owned(),
        false => shown.join(", "),
    }
}

fn shown_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(excerpt(name)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|b| std::net::IpAddr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|b| std::net::IpAddr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}
