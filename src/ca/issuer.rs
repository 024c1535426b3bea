//! An issuer ready to work: certificate, key, and everything constant about what it issues.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
};

use super::encoder::{EncodeError, Encoder};
use crate::keys::IssuerKey;
use crate::model::IssuerKind;
use crate::pki::cert::{ExtendedKeyUsage, KeyUsage};
use crate::pki::{Certificate, der};

/// Why an issuer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Another key.
    #[error(
        "the key of the {0} issuer does not belong to its certificate: restore the pair that was written together"
    )]
    KeyMismatch(IssuerKind),
    /// Not a CA certificate, or one for the other kind of leaf.
    #[error(
        "the certificate of the {0} issuer is not an issuer for {0}: was it mixed up with the other issuer's?"
    )]
    NotThisIssuer(IssuerKind),
    /// See [`EncodeError`].
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Not a URL that goes into a certificate.
    #[error("{0:?} cannot go into certificates: write http://HOST[:PORT], ASCII, at most 200 characters")]
    Url(String),
}

/// Where relying parties fetch what they need to check a certificate. All absent without a `public_url`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerUrls {
    crl: Option<String>,
    ocsp: Option<String>,
    ca_issuers: Option<String>,
}

impl IssuerUrls {
    /// The longest base URL, bytes.
    const BASE_BYTES_MAX: usize = 200;

    /// None: certificates carry neither CRL distribution points nor AIA.
    pub fn none() -> Self {
        Self::default()
    }

    /// Under `public_url`: `/crl/{kind}.crl`, `/ocsp` and `/issuers/{kind}.crt`. Plain HTTP is right here:
    /// what is fetched is signed, and fetching it over TLS would need checking first (RFC 5280 §8).
    pub fn under(public_url: &str, kind: IssuerKind) -> Result<Self, IssuerError> {
        let base = public_url.trim_end_matches('/');
        let host = base
            .strip_prefix("http://")
            .or_else(|| base.strip_prefix("https://"));
        let usable = host.is_some_and(|host| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()));
        if !usable || base.len() > Self::BASE_BYTES_MAX {
            return Err(IssuerError::Url(public_url.chars().take(80).collect()));
        }
        Ok(Self {
            crl: Some(format!("{base}/crl/{kind}.crl")),
            ocsp: Some(format!("{base}/ocsp")),
            ca_issuers: Some(format!("{base}/issuers/{kind}.crt")),
        })
    }

    /// The CRL distribution point.
    pub fn crl(&self) -> Option<&str> {
        self.crl.as_deref()
    }

    /// The OCSP responder.
    pub fn ocsp(&self) -> Option<&str> {
        self.ocsp.as_deref()
    }

    /// The issuer's certificate, DER.
    pub fn ca_issuers(&self) -> Option<&str> {
        self.ca_issuers.as_deref()
    }

    /// AuthorityInfoAccess (RFC 5280 §4.2.2.1).
    fn authority_info_access(&self) -> Option<CustomExtension> {
        const OID: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];
        const OCSP: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 0x30, 1];
        const CA_ISSUERS: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 0x30, 2];
        let access = |method: &[u8], url: &str| {
            let (method, location) = (
                der::write(der::OID, &[method]),
                der::write(0x86, &[url.as_bytes()]),
            );
            der::write(der::SEQUENCE, &[&method, &location])
        };
        let ocsp = self.ocsp().map(|url| access(&OCSP, url));
        let ca_issuers = self.ca_issuers().map(|url| access(&CA_ISSUERS, url));
        let all: Vec<Vec<u8>> = ocsp.into_iter().chain(ca_issuers).collect();
        let parts: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        (!all.is_empty()).then(|| CustomExtension::from_oid_content(&OID, der::write(der::SEQUENCE, &parts)))
    }
}

/// One of the two issuing CAs. Cheap to use from many threads.
pub struct Issuer {
    pub(super) certificate: Certificate,
    pub(super) key: Arc<dyn IssuerKey>,
    pub(super) encoder: Encoder,
    pub(super) template: CertificateParams,
    pub(super) pem: Arc<str>,
    kind: IssuerKind,
    urls: IssuerUrls,
}

impl Issuer {
    /// Puts an issuer together, and checks that its parts belong together.
    pub fn new(
        certificate: Certificate,
        key: Arc<dyn IssuerKey>,
        kind: IssuerKind,
        urls: IssuerUrls,
    ) -> Result<Self, IssuerError> {
        if certificate.spki != key.public_key().spki() {
            return Err(IssuerError::KeyMismatch(kind));
        }
        let purposes = certificate.extended_key_usages.as_deref();
        let signs = certificate
            .key_usage
            .is_some_and(|usage| usage.contains(KeyUsage::KEY_CERT_SIGN));
        if !certificate.is_ca() || !signs || purposes != Some(&[purpose(kind)]) {
            return Err(IssuerError::NotThisIssuer(kind));
        }
        Ok(Self {
            encoder: Encoder::new(&certificate, key.public_key())?,
            template: leaf_template(kind, &urls),
            pem: certificate.pem().into(),
            certificate,
            key,
            kind,
            urls,
        })
    }

    /// The CA certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What it issues.
    pub fn kind(&self) -> IssuerKind {
        self.kind
    }

    /// What its leaves point to.
    pub fn urls(&self) -> &IssuerUrls {
        &self.urls
    }

    /// The CA certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("kind", &self.kind)
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// The one purpose of an issuer and its leaves.
fn purpose(kind: IssuerKind) -> ExtendedKeyUsage {
    match kind {
        IssuerKind::Hosts => ExtendedKeyUsage::ServerAuth,
        IssuerKind::Clients => ExtendedKeyUsage::ClientAuth,
    }
}

/// The same purpose for the encoder.
pub(super) fn encoder_purpose(kind: IssuerKind) -> ExtendedKeyUsagePurpose {
    match kind {
        IssuerKind::Hosts => ExtendedKeyUsagePurpose::ServerAuth,
        IssuerKind::Clients => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

/// Everything that is the same in all leaves of this issuer.
fn leaf_template(kind: IssuerKind, urls: &IssuerUrls) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![encoder_purpose(kind)];
    params.use_authority_key_identifier_extension = true;
    let point = |url: &str| CrlDistributionPoint {
        uris: vec![url.to_owned()],
    };
    params.crl_distribution_points = urls.crl().map(point).into_iter().collect();
    params.custom_extensions = urls.authority_info_access().into_iter().collect();
    params
}
