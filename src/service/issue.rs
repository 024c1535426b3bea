//! The CA's certificates, and the one place where the service has something signed.

use rustls_pki_types::CertificateDer;

use super::names::Reserved;
use super::{OWN_NAME, Service, ServiceError};
use crate::base::Timestamp;
use crate::ca::{self, Grant, Issuer};
use crate::model::{Certificate, Identity, IssuerKind};
use crate::pki::chain::{AnchorError, Anchors};
use crate::pki::{self, San, Serial, SignatureError, VerifiedCsr};

/// Why root and issuers are no CA together.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The root cannot be an anchor.
    #[error("the root certificate cannot be used: {0}")]
    Root(#[from] AnchorError),
    /// An issuer under another root.
    #[error(
        "the certificate of the {kind} issuer was not signed by this root ({why}): restore root and issuers that were made together"
    )]
    OtherRoot {
        /// Which issuer.
        kind: IssuerKind,
        /// What the check said.
        why: String,
    },
    /// Two issuers of one kind.
    #[error("the two issuers are not hosts and clients: were their files mixed up?")]
    Mixed,
}

/// Root certificate and issuers. The root's key is not here: nothing that runs needs it.
#[derive(Debug)]
pub struct Authority {
    root: pki::Certificate,
    root_pem: String,
    hosts: Issuer,
    clients: Issuer,
}

impl Authority {
    /// Puts them together, and checks that they belong together.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn new(root: pki::Certificate, hosts: Issuer, clients: Issuer) -> Result<Self, AuthorityError> {
        if (hosts.kind(), clients.kind()) != (IssuerKind::Hosts, IssuerKind::Clients) {
            return Err(AuthorityError::Mixed);
        }
        Anchors::parse([&CertificateDer::from(root.der())])?;
        for issuer in [&hosts, &clients] {
            signed_by(&root, issuer.certificate()).map_err(|e| AuthorityError::OtherRoot {
                kind: issuer.kind(),
                why: e.to_string(),
            })?;
        }
        Ok(Self {
            root_pem: root.pem(),
            root,
            hosts,
            clients,
        })
    }

    /// The root certificate.
    pub fn root(&self) -> &pki::Certificate {
        &self.root
    }

    /// The root certificate, PEM: `ca.pem`.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The issuer of a kind.
    pub fn issuer(&self, kind: IssuerKind) -> &Issuer {
        match kind {
            IssuerKind::Hosts => &self.hosts,
            IssuerKind::Clients => &self.clients,
        }
    }

    /// What join tokens pin.
    pub fn pins(&self) -> Vec<[u8; 32]> {
        vec![self.root.spki_sha256]
    }

    /// What peers are verified against.
    pub fn anchors(&self) -> Anchors {
        Anchors::parse([&CertificateDer::from(self.root.der())]).expect("checked when this was put together")
    }
}

fn signed_by(root: &pki::Certificate, issuer: &pki::Certificate) -> Result<(), SignatureError> {
    let key = root.public_key().map_err(|_| SignatureError::Invalid)?;
    if issuer.issuer != root.subject {
        return Err(SignatureError::Invalid);
    }
    issuer.verify_signature(&key)
}

/// A certificate to hand out.
#[derive(Clone, Debug)]
pub struct Issuance {
    /// The certificate.
    pub certificate: Certificate,
    /// Uses left on the token, and how many it was made for; for enrolments.
    pub token_uses: Option<(u32, u32)>,
}

impl Service {
    /// Has a certificate signed for `identity` with exactly these names. It is worth nothing until the store
    /// has taken it.
    pub(super) fn issue(
        &self,
        identity: &Identity,
        sans: Vec<San>,
        csr: &VerifiedCsr,
        now: Timestamp,
    ) -> Result<Certificate, ServiceError> {
        let kind = IssuerKind::from(identity.kind);
        let issuer = self.authority.issuer(kind);
        let grant = Grant {
            common_name: identity.name.clone(),
            sans: sans.clone(),
        };
        let approved = ca::approve(csr.clone(), grant, self.profile(identity.kind))?;
        let prepared = ca::prepare(approved, issuer, &Serial::draw(&*self.random), now)?;
        let issued = ca::sign(prepared, issuer)?;
        Ok(Certificate {
            serial: issued.serial().clone(),
            issuer: kind,
            identity: identity.id,
            name: identity.name.clone(),
            kind: identity.kind,
            sans,
            not_before: issued.not_before(),
            not_after: issued.not_after(),
            issued_at: now,
            renew_after: renew_after(now, issued.not_after()),
            spki_sha256: issued.spki_sha256(),
            der: issued.der().to_vec(),
            token: None,
            renewed_from: None,
            superseded_by: None,
            revoked_at: None,
        })
    }

    /// The server's own names.
    pub(super) fn reserved(&self) -> Reserved<'_> {
        Reserved {
            identity: OWN_NAME,
            names: &self.settings.names,
        }
    }
}

/// Two thirds of what is left at issue.
pub(super) fn renew_after(now: Timestamp, not_after: Timestamp) -> Timestamp {
    (now + not_after.since(now) * 2 / 3).trunc_secs()
}
