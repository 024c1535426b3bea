//! `renew`: the own leaf and a CSR with a new key become the next certificate.

use std::collections::BTreeMap;

use super::names::{self, NamesError, Wanted};
use super::{Issuance, Renewer, Service, ServiceError};
use crate::base::Timestamp;
use crate::model::IdentityKind;
use crate::model::audit::{Actor, Event};
use crate::pki::csr::{self, CsrDer, CsrError, VerifiedCsr};
use crate::pki::{DnsName, San};
use crate::store::{Renewal, Renewed, StoreError};

/// Why a renewal was refused.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The CSR cannot be used.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The CSR has the key of the certificate that authenticates it.
    #[error("the CSR carries the current key: make a new one for every certificate")]
    SameKey,
    /// The CSR is for somebody else.
    #[error(
        "the CSR asks for {asked}, the certificate that authenticates it is {name}'s: ask for {name}, or enrol anew"
    )]
    OtherName {
        /// The common name in the CSR.
        asked: String,
        /// Whose certificate it is.
        name: String,
    },
    /// The names lie outside of what the identity may have.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// Revoked or unknown by the time it was to be stored.
    #[error("the certificate that authenticates this renewal was revoked: enrol again with a new join token")]
    Refused,
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for RenewError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl RenewError {
    /// The word in the audit log; `None` for what the store recorded or what is not the caller's doing.
    fn outcome(&self) -> Option<String> {
        Some(match self {
            Self::Csr(_) => "bad-csr".to_owned(),
            Self::SameKey => "same-key".to_owned(),
            Self::OtherName { .. } => "other-name".to_owned(),
            Self::Names(NamesError::NotAllowed { refused, .. }) => {
                format!("name-not-allowed: {}", refused.join(" "))
            }
            Self::Names(_) => "bad-name".to_owned(),
            Self::Refused | Self::Service(_) => return None,
        })
    }
}

impl Service {
    /// Issues the next certificate of the renewer's identity, and answers once it is durable.
    ///
    /// # Errors
    /// [`RenewError`]; refusals are audited.
    pub async fn renew(&self, renewer: Renewer, csr_pem: &str) -> Result<Issuance, RenewError> {
        let now = self.clock.now();
        let result = self.try_renew(&renewer, csr_pem, now).await;
        self.metrics.renewed(&result, self.clock.now().since(now));
        if let Some(outcome) = result.as_ref().err().and_then(RenewError::outcome) {
            self.store
                .append_audit(refused_event(&renewer, outcome, now))
                .await?;
        }
        result
    }

    async fn try_renew(
        &self,
        renewer: &Renewer,
        csr_pem: &str,
        now: Timestamp,
    ) -> Result<Issuance, RenewError> {
        let (identity, current) = (renewer.identity(), renewer.certificate());
        let csr = csr::verify(
            CsrDer::from_pem(csr_pem)?,
            &self.profile(identity.kind).key_algorithms,
        )?;
        if csr.public_key().spki_sha256() == current.spki_sha256 {
            return Err(RenewError::SameKey);
        }
        let wanted = wanted(renewer, &csr)?;
        const FIX: &str = "An identity keeps the limits of the token it joined with: ask for names inside them, or join again with a token that allows more";
        names::check(identity.kind, &wanted, &identity.rules, self.reserved(), FIX)?;
        let mut certificate = self.issue(identity, wanted.sans, &csr, now)?;
        certificate.renewed_from = Some(current.serial.clone());
        let renewal = Renewal {
            current: current.serial.clone(),
            certificate: certificate.clone(),
            source: renewer.source(),
            now,
        };
        match self.store.renew(renewal).await? {
            Renewed::Issued => Ok(Issuance {
                certificate,
                token_uses: None,
            }),
            Renewed::Repeated(certificate) => Ok(Issuance {
                certificate: *certificate,
                token_uses: None,
            }),
            Renewed::Refused => Err(RenewError::Refused),
        }
    }
}

/// The names of the next certificate: those of the CSR, or the current ones when it has none.
fn wanted(renewer: &Renewer, csr: &VerifiedCsr) -> Result<Wanted, RenewError> {
    let (identity, current) = (renewer.identity(), renewer.certificate());
    if let Some(asked) = csr.common_name().filter(|asked| **asked != identity.name) {
        return Err(RenewError::OtherName {
            asked: asked.to_string(),
            name: identity.name.to_string(),
        });
    }
    let mut sans = match csr.sans() {
        [] => current.sans.clone(),
        asked => asked.to_vec(),
    };
    if let (IdentityKind::Host, Ok(own)) = (identity.kind, identity.name.as_str().parse::<DnsName>()) {
        // A name of more than 64 characters is cut in the CN: then its full form is in the SANs already.
        let full = |san: &San| matches!(san, San::Dns(name) if name.as_str().starts_with(own.as_str()));
        if !sans.iter().any(full) {
            sans.insert(0, San::Dns(own));
        }
    }
    Ok(Wanted {
        name: identity.name.clone(),
        sans,
    })
}

fn refused_event(renewer: &Renewer, outcome: String, now: Timestamp) -> Event {
    let identity = renewer.identity();
    let name = identity.name.to_string();
    Event {
        at: now,
        actor: match identity.kind {
            IdentityKind::Host => Actor::Host(name.clone()),
            IdentityKind::Client => Actor::Client(name.clone()),
        },
        action: "renew.refused",
        subject: name,
        outcome,
        source: renewer.source(),
        detail: BTreeMap::from([("current", renewer.certificate().serial.to_string())]),
    }
}
