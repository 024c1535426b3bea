//! Building the path with rustls-webpki, and turning what it says into one error per cause.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, VerifiedPath};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::name_of;
use super::{Anchors, CHAIN_CERTS_MAX, ChainError, IssuerId, Purpose};
use crate::base::{Timestamp, encoding};
use crate::pki::Serial;

/// A path that was found, and when all of it is valid.
pub(super) struct Path<'a> {
    pub(super) leaf: X509Certificate<'a>,
    pub(super) serial: Serial,
    pub(super) issuer: IssuerId,
    pub(super) valid_from: Timestamp,
    pub(super) valid_until: Timestamp,
}

pub(super) fn not_before(cert: &X509Certificate<'_>) -> Timestamp {
    Timestamp::from_secs(cert.validity().not_before.timestamp())
}

pub(super) fn not_after(cert: &X509Certificate<'_>) -> Timestamp {
    Timestamp::from_secs(cert.validity().not_after.timestamp())
}

pub(super) fn read<'a>(index: usize, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, ChainError> {
    match X509Certificate::from_der(der) {
        Ok(([], cert)) => Ok(cert),
        Ok(_) => Err(ChainError::malformed(index, &"bytes after the certificate")),
        Err(e) => Err(ChainError::malformed(index, &e)),
    }
}

/// Checks the whole path from `chain[0]` to an anchor.
pub(super) fn build<'a>(
    chain: &'a [CertificateDer<'_>],
    anchors: &Anchors,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Path<'a>, ChainError> {
    let (first, issuers) = chain.split_first().ok_or(ChainError::Empty)?;
    if chain.len() > CHAIN_CERTS_MAX {
        return Err(ChainError::TooLong(chain.len()));
    }
    let leaf = read(0, first)?;
    let serial = Serial::from_bytes(leaf.raw_serial()).map_err(|_| ChainError::Serial)?;
    let end_entity = EndEntityCert::try_from(first).map_err(|e| ChainError::malformed(0, &e))?;
    let usable = usable_at(anchors, now);
    let found = end_entity.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        usable.as_deref().unwrap_or(&anchors.trust),
        issuers,
        unix_time(now),
        purpose.key_usage(),
        None,
        None,
    );
    match found {
        // INVARIANT: webpki lets a leaf without the extension pass.
        Ok(_) if !says(&leaf, purpose) => Err(ChainError::WrongPurpose {
            name: name_of(&leaf),
            purpose,
        }),
        Ok(path) => describe(leaf, serial, &path, anchors, now),
        Err(e) => Err(explain(e, chain, &leaf, anchors, purpose, now)),
    }
}

/// Anchors inside their dates, or `None` when all are. webpki does not look at an anchor's dates.
fn usable_at(anchors: &Anchors, now: Timestamp) -> Option<Vec<TrustAnchor<'static>>> {
    if anchors.meta.iter().all(|a| a.is_valid_at(now)) {
        return None;
    }
    let pairs = anchors.meta.iter().zip(&anchors.trust);
    Some(
        pairs
            .filter(|(meta, _)| meta.is_valid_at(now))
            .map(|(_, trust)| trust.clone())
            .collect(),
    )
}

fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or(0)))
}

fn describe<'a>(
    leaf: X509Certificate<'a>,
    serial: Serial,
    path: &VerifiedPath<'_>,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Path<'a>, ChainError> {
    let used = path.anchor();
    let root = anchors
        .meta
        .iter()
        .zip(&anchors.trust)
        .find(|(meta, trust)| *trust == used && meta.is_valid_at(now))
        .map(|(meta, _)| meta)
        .ok_or(ChainError::Internal)?;
    let mut valid_from = not_before(&leaf).max(root.not_before);
    let mut valid_until = not_after(&leaf).min(root.not_after);
    let mut issuer = None;
    for cert in path.intermediate_certificates() {
        issuer.get_or_insert_with(|| encoding::sha256(&cert.subject_public_key_info()));
        let der = cert.der();
        let parsed = read(1, &der)?;
        valid_from = valid_from.max(not_before(&parsed));
        valid_until = valid_until.min(not_after(&parsed));
    }
    Ok(Path {
        leaf,
        serial,
        issuer: IssuerId(issuer.unwrap_or(root.spki_sha256)),
        valid_from,
        valid_until,
    })
}

/// webpki names the kind of failure; which certificate it was about is looked up here.
fn explain(
    error: webpki::Error,
    chain: &[CertificateDer<'_>],
    leaf: &X509Certificate<'_>,
    anchors: &Anchors,
    purpose: Purpose,
    now: Timestamp,
) -> ChainError {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } | E::CertNotValidYet { .. } => outside_its_dates(chain, leaf, now),
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension if says(leaf, purpose) => {
            ChainError::IssuerPurpose {
                name: name_of(leaf),
                purpose,
            }
        }
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => ChainError::WrongPurpose {
            name: name_of(leaf),
            purpose,
        },
        E::UnknownIssuer => unknown_issuer(leaf, anchors, now),
        E::InvalidSignatureForPublicKey => ChainError::BadSignature { name: name_of(leaf) },
        E::CaUsedAsEndEntity => ChainError::CaAsLeaf { name: name_of(leaf) },
        E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumNameConstraintComparisonsExceeded => ChainError::TooComplex,
        other => ChainError::Refused {
            name: name_of(leaf),
            reason: format!("{other:?}"),
        },
    }
}

fn says(leaf: &X509Certificate<'_>, purpose: Purpose) -> bool {
    let usage = leaf.extended_key_usage().ok().flatten();
    usage.is_some_and(|usage| match purpose {
        Purpose::HostServer => usage.value.server_auth,
        Purpose::Client => usage.value.client_auth,
    })
}

fn outside_its_dates(chain: &[CertificateDer<'_>], leaf: &X509Certificate<'_>, now: Timestamp) -> ChainError {
    let parsed = chain.iter().enumerate().filter_map(|(i, der)| read(i, der).ok());
    for cert in parsed {
        if not_after(&cert) < now.trunc_secs() {
            return ChainError::Expired {
                name: name_of(&cert),
                not_after: not_after(&cert),
                now,
            };
        }
        if now < not_before(&cert) {
            return ChainError::NotYetValid {
                name: name_of(&cert),
                not_before: not_before(&cert),
                now,
            };
        }
    }
    ChainError::Refused {
        name: name_of(leaf),
        reason: "its dates are not in order".to_owned(),
    }
}

fn unknown_issuer(leaf: &X509Certificate<'_>, anchors: &Anchors, now: Timestamp) -> ChainError {
    let name = name_of(leaf);
    if leaf.issuer().as_raw() == leaf.subject().as_raw() {
        return ChainError::SelfSigned { name };
    }
    if let Some(root) = anchors.meta.iter().find(|a| !a.is_valid_at(now)) {
        return ChainError::AnchorDates {
            name,
            root: root.name.clone(),
            not_before: root.not_before,
            not_after: root.not_after,
        };
    }
    ChainError::UnknownIssuer {
        name,
        issuer: super::error::excerpt(&leaf.issuer().to_string()),
    }
}
