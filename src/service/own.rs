//! Certificates that are issued without a join token: the server's own, and those made at its console.

use std::collections::BTreeMap;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::issue::renew_after;
use super::{RESERVED_LABELS, Service, ServiceError};
use crate::base::{Id, Timestamp};
use crate::model::audit::Actor;
use crate::model::{Identity, IdentityKind, IssuerKind, Labels, NameRules, Permission};
use crate::pki::csr::{self, VerifiedCsr};
use crate::pki::{Certificate, CertificateError, IdentityName, LeafKey, PrivateKeyError, San, pem};

/// The identity name of the server itself. Nobody else gets it.
pub const OWN_NAME: &str = "dockwarden-server";

/// The server's certificate with its key, as it is kept in a file: key, leaf, issuer, root in one PEM, so
/// that they are replaced together.
#[derive(Debug)]
pub struct OwnCertificate {
    key: LeafKey,
    chain: Vec<Certificate>,
    renew_after: Timestamp,
}

/// Why a kept certificate cannot be used; a new one is issued then.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The key in the file.
    #[error("the server's certificate file {0}")]
    Key(#[from] PrivateKeyError),
    /// The certificates in the file.
    #[error("the server's certificate file {0}")]
    Pem(#[from] crate::pki::PemError),
    /// One of the certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Key and leaf are no pair.
    #[error("the server's certificate file holds a key that is not the certificate's")]
    Mismatch,
}

impl OwnCertificate {
    /// Key and chain.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = self.key.to_pkcs8_pem();
        for certificate in &self.chain {
            text.push_str(&certificate.pem());
        }
        text
    }

    /// Leaf, issuer and root: joining sides check the root against the pin in their token.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain
            .iter()
            .map(|c| CertificateDer::from(c.der().to_vec()))
            .collect()
    }

    /// The leaf's key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.to_pkcs8_der().into()
    }

    /// The leaf.
    pub fn leaf(&self) -> &Certificate {
        &self.chain[0]
    }
}

impl Service {
    /// Reads what [`OwnCertificate::to_pem`] wrote.
    ///
    /// # Errors
    /// [`OwnError`]: then issue a new one.
    pub fn read_own(&self, text: &str) -> Result<OwnCertificate, OwnError> {
        let key = LeafKey::from_pem(text)?;
        let chain = pem::certificates(text)?;
        let chain: Vec<_> = chain
            .iter()
            .map(|der| Certificate::parse(der))
            .collect::<Result<_, _>>()?;
        let leaf = &chain[0];
        if leaf.spki != key.public_key().spki() {
            return Err(OwnError::Mismatch);
        }
        let issued_at = leaf.not_before + self.settings.host.backdate;
        Ok(OwnCertificate {
            key,
            renew_after: renew_after(issued_at, leaf.not_after),
            chain,
        })
    }

    /// Whether `own` should be replaced at `now`: it is due, or no longer what the configuration or the CA
    /// says it should be.
    pub fn own_is_due(&self, own: &OwnCertificate, now: Timestamp) -> bool {
        let [leaf, issuer, root] = own.chain.as_slice() else {
            return true;
        };
        let mut wanted = self.own_names();
        let mut held = leaf.sans.clone();
        wanted.sort_unstable();
        held.sort_unstable();
        wanted != held
            || now >= own.renew_after
            || now < leaf.not_before
            || issuer.der() != self.authority.issuer(IssuerKind::Hosts).certificate().der()
            || root.der() != self.authority.root().der()
    }

    /// Issues the server's own certificate, with a new key.
    ///
    /// # Errors
    /// The CA's and the store's.
    pub async fn issue_own(&self) -> Result<OwnCertificate, ServiceError> {
        let now = self.clock.now();
        let name: IdentityName = OWN_NAME.parse().expect("a name");
        let sans = self.own_names();
        let algorithms = &self.settings.host.key_algorithms;
        let algorithm = algorithms
            .first()
            .copied()
            .expect("a checked profile allows an algorithm");
        let key = LeafKey::generate(algorithm).map_err(|e| ServiceError::Key(e.to_string()))?;
        let csr = csr::verify(csr::make(&key, &name, &sans), algorithms)
            .map_err(|e| ServiceError::Key(e.to_string()))?;
        let label = BTreeMap::from([(format!("{RESERVED_LABELS}server"), "self".to_owned())]);
        let identity = Identity {
            id: Id::draw(&*self.random),
            kind: IdentityKind::Host,
            name,
            rules: NameRules::default(),
            labels: Labels::new(label).expect("one short label"),
            role: None,
            permission: None,
            created_at: now,
        };
        let certificate = self.issue(&identity, sans, &csr, now)?;
        let leaf = Certificate::parse(&certificate.der).map_err(|e| ServiceError::Key(e.to_string()))?;
        let renew_after = certificate.renew_after;
        self.store.adopt(identity, certificate, Actor::System).await?;
        let issuer = self.authority.issuer(IssuerKind::Hosts).certificate().clone();
        Ok(OwnCertificate {
            key,
            renew_after,
            chain: vec![leaf, issuer, self.authority.root().clone()],
        })
    }

    /// Makes a client at the server's console: whoever can open the CA's keys needs no token.
    ///
    /// # Errors
    /// The CA's and the store's.
    pub async fn adopt_client(
        &self,
        name: IdentityName,
        permission: Permission,
        csr: &VerifiedCsr,
    ) -> Result<crate::model::Certificate, ServiceError> {
        let now = self.clock.now();
        let identity = Identity {
            id: Id::draw(&*self.random),
            kind: IdentityKind::Client,
            rules: NameRules {
                names: vec![literal(&name)],
                addresses: Vec::new(),
            },
            name,
            labels: Labels::default(),
            role: Some("admin".to_owned()),
            permission: Some(permission),
            created_at: now,
        };
        let certificate = self.issue(&identity, Vec::new(), csr, now)?;
        self.store
            .adopt(identity, certificate.clone(), Actor::System)
            .await?;
        Ok(certificate)
    }

    /// The configured names, and those by which this machine reaches itself.
    fn own_names(&self) -> Vec<San> {
        let mut names = self.settings.names.clone();
        for local in ["localhost", "127.0.0.1", "::1"] {
            let local: San = local.parse().expect("a name");
            if !names.contains(&local) {
                names.push(local);
            }
        }
        names
    }
}

fn literal(name: &IdentityName) -> crate::pki::NamePattern {
    name.as_str()
        .parse()
        .expect("an identity name is a pattern without a star")
}
