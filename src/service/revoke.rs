//! Revoking: one certificate, all of an identity, or one that is only known by its fingerprint or its bytes.
//! An operator may revoke anything, everybody else only what is its own.

use rustls_pki_types::CertificateDer;

use super::{Anyone, Authorized, Operator, Service, ServiceError};
use crate::base::encoding::sha256;
use crate::model::{CertificateFilter, CertificateStatus, Identity, IdentityKind, IssuerKind, PageRequest};
use crate::pki::chain::{self, Purpose};
use crate::pki::{self, IdentityName, RevocationReason, Serial, pem};
use crate::store::{RevokeOrder, RevokeTarget, Shown, StoreError, Withdrawn};

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// No certificate has this serial.
    #[error(
        "no certificate has serial {0}: to revoke one that this server has no record of, give the certificate itself (--file)"
    )]
    UnknownSerial(Serial),
    /// No certificate that is still good has this fingerprint.
    #[error(
        "no certificate that has not expired has this SHA-256 fingerprint: check it, or give the certificate itself (--file)"
    )]
    UnknownFingerprint,
    /// There is no such identity.
    #[error("no host or client is named {0}")]
    UnknownIdentity(IdentityName),
    /// There are two of this name.
    #[error("there is a host and a client named {0}: say which (profile)")]
    Ambiguous(IdentityName),
    /// The identity has nothing to revoke.
    #[error("{0} has no certificate that could still be used: there is nothing to revoke")]
    Nothing(IdentityName),
    /// What was shown cannot be revoked here.
    #[error("the certificate cannot be revoked here: {0}")]
    Shown(String),
    /// Neither an operator nor the owner. Says nothing about whether it exists.
    #[error("{0} may revoke its own certificates only: permission operator revokes others")]
    NotYours(IdentityName),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for RevokeError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl Service {
    /// Revokes the certificate with this serial. Answers once it is durable; repeating it changes nothing.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke_serial(
        &self,
        caller: &Authorized<Anyone>,
        serial: Serial,
        reason: RevocationReason,
    ) -> Result<Withdrawn, RevokeError> {
        if !caller.reaches::<Operator>() {
            let found = self.store.certificate(&serial).await?;
            if found.is_none_or(|certificate| certificate.identity != caller.identity().id) {
                return Err(not_yours(caller));
            }
        }
        let withdrawn = self
            .order(caller, RevokeTarget::Serial(serial.clone()), reason)
            .await?;
        if withdrawn.revocations.is_empty() {
            return Err(RevokeError::UnknownSerial(serial));
        }
        Ok(withdrawn)
    }

    /// Revokes every certificate of an identity that is valid, or could still be renewed.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke_identity(
        &self,
        caller: &Authorized<Anyone>,
        name: &IdentityName,
        kind: Option<IdentityKind>,
        reason: RevocationReason,
    ) -> Result<Withdrawn, RevokeError> {
        let identity = self.meant(caller, name, kind).await?;
        let since = self.clock.now() - self.profile(identity.kind).renew_grace;
        let target = RevokeTarget::Identity {
            id: identity.id,
            since,
        };
        let withdrawn = self.order(caller, target, reason).await?;
        if withdrawn.revocations.is_empty() {
            return Err(RevokeError::Nothing(identity.name));
        }
        Ok(withdrawn)
    }

    async fn meant(
        &self,
        caller: &Authorized<Anyone>,
        name: &IdentityName,
        kind: Option<IdentityKind>,
    ) -> Result<Identity, RevokeError> {
        let own = caller.identity();
        if !caller.reaches::<Operator>() {
            let is_own = own.name == *name && kind.is_none_or(|kind| kind == own.kind);
            return if is_own {
                Ok(own.clone())
            } else {
                Err(not_yours(caller))
            };
        }
        let wanted = |of: IdentityKind| kind.is_none_or(|kind| kind == of);
        let mut found = Vec::new();
        for kind in [IdentityKind::Host, IdentityKind::Client] {
            if wanted(kind) {
                found.extend(self.store.identity(kind, name).await?);
            }
        }
        match found.len() {
            0 => Err(RevokeError::UnknownIdentity(name.clone())),
            1 => Ok(found.remove(0)),
            _ => Err(RevokeError::Ambiguous(name.clone())),
        }
    }

    /// Revokes the certificate with this SHA-256 fingerprint. Fingerprints are not indexed: this reads every
    /// certificate that has not expired.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke_fingerprint(
        &self,
        caller: &Authorized<Anyone>,
        fingerprint: [u8; 32],
        reason: RevocationReason,
    ) -> Result<Withdrawn, RevokeError> {
        if sha256(&caller.certificate().der) == fingerprint {
            let own = caller.certificate().serial.clone();
            return self.revoke_serial(caller, own, reason).await;
        }
        if !caller.reaches::<Operator>() {
            return Err(not_yours(caller));
        }
        use CertificateStatus::{Revoked, Superseded, Valid};
        for statuses in [vec![Valid, Superseded], vec![Revoked]] {
            if let Some(serial) = self.find_fingerprint(fingerprint, statuses).await? {
                return self.revoke_serial(caller, serial, reason).await;
            }
        }
        Err(RevokeError::UnknownFingerprint)
    }

    pub(super) async fn find_fingerprint(
        &self,
        fingerprint: [u8; 32],
        statuses: Vec<CertificateStatus>,
    ) -> Result<Option<Serial>, ServiceError> {
        let filter = CertificateFilter {
            statuses,
            ..CertificateFilter::default()
        };
        let (now, mut page) = (self.clock.now(), PageRequest::default());
        page.limit = crate::base::limits::PAGE_MAX;
        loop {
            let found = self.store.certificates(filter.clone(), now, page.clone()).await?;
            let hit = found.items.iter().find(|c| sha256(&c.der) == fingerprint);
            if let Some(certificate) = hit {
                return Ok(Some(certificate.serial.clone()));
            }
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Revokes a certificate that is shown. One of this server's issuers must have signed it.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke_shown(
        &self,
        caller: &Authorized<Anyone>,
        certificate_pem: &str,
        reason: RevocationReason,
    ) -> Result<Withdrawn, RevokeError> {
        let refuse = |e: &dyn std::fmt::Display| RevokeError::Shown(e.to_string());
        let certificates = pem::certificates(certificate_pem).map_err(|e| refuse(&e))?;
        let der = certificates
            .first()
            .ok_or_else(|| refuse(&"the file holds none"))?;
        let leaf = pki::Certificate::parse(der).map_err(|e| refuse(&e))?;
        let shown = self.ours(&leaf)?;
        let record = self.store.certificate(&shown.serial).await?;
        let is_own = record
            .as_ref()
            .is_some_and(|record| record.identity == caller.identity().id);
        if !is_own && !caller.reaches::<Operator>() {
            return Err(not_yours(caller));
        }
        if record.is_some_and(|record| record.der != leaf.der()) {
            let why = format!(
                "another certificate with serial {} is on record; one of the two was made behind this server's back. Revoke the recorded one by its serial, and replace the issuer",
                shown.serial
            );
            return Err(RevokeError::Shown(why));
        }
        self.order(caller, RevokeTarget::Shown(Box::new(shown)), reason)
            .await
    }

    /// What a leaf says of itself, once one of our issuers is known to have signed it, at whatever time.
    fn ours(&self, leaf: &pki::Certificate) -> Result<Shown, RevokeError> {
        let anchors = self.authority.anchors();
        let mut refusal = String::new();
        for (issuer, purpose) in [
            (IssuerKind::Hosts, Purpose::HostServer),
            (IssuerKind::Clients, Purpose::Client),
        ] {
            let signer = self.authority.issuer(issuer).certificate();
            let chain = [leaf.der(), signer.der()].map(|der| CertificateDer::from(der.to_vec()));
            match chain::verify(&chain, &anchors, purpose, leaf.not_after) {
                Ok(verified) => {
                    return Ok(Shown {
                        issuer,
                        serial: verified.serial().clone(),
                        name: verified.name().clone(),
                        not_after: leaf.not_after,
                    });
                }
                Err(error) if leaf.issuer == signer.subject => refusal = error.to_string(),
                Err(_) => {}
            }
        }
        if refusal.is_empty() {
            refusal = "none of this server's issuers signed it".to_owned();
        }
        Err(RevokeError::Shown(refusal))
    }

    async fn order(
        &self,
        caller: &Authorized<Anyone>,
        target: RevokeTarget,
        reason: RevocationReason,
    ) -> Result<Withdrawn, RevokeError> {
        let order = RevokeOrder {
            target,
            reason,
            actor: caller.actor(),
            source: caller.source(),
            now: self.clock.now(),
        };
        let withdrawn = self.store.revoke(order).await?;
        self.metrics.revoked(&withdrawn, reason);
        for revocation in &withdrawn.revocations {
            tracing::info!(serial = %revocation.serial, name = %revocation.name, feed = revocation.feed,
                reason = %revocation.reason, by = revocation.by, fresh = withdrawn.fresh > 0, "revoked a certificate");
        }
        Ok(withdrawn)
    }
}

fn not_yours(caller: &Authorized<Anyone>) -> RevokeError {
    RevokeError::NotYours(caller.identity().name.clone())
}
