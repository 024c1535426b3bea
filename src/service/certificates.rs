//! `GET` of certificates.

use super::{Anyone, Authorized, Service, ServiceError, Viewer};
use crate::model::{Certificate, CertificateFilter, IdentityKind, Page, PageRequest, Revocation};
use crate::pki::{IdentityName, Serial};
use crate::store::StoreError;

/// Why a certificate could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// There is none with this serial.
    #[error("no certificate has serial {0}")]
    Unknown(Serial),
    /// There is no such host.
    #[error("no host is named {0}")]
    UnknownHost(IdentityName),
    /// Neither a viewer nor the owner. Says nothing about whether it exists.
    #[error("{0} may see its own certificates only: permission viewer shows others")]
    NotYours(IdentityName),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for CertificateError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl Service {
    /// Certificates, soonest expiry first. `host` narrows to the certificates of that host.
    ///
    /// # Errors
    /// An unknown host, a foreign cursor, the store's.
    pub async fn certificates(
        &self,
        _viewer: &Authorized<Viewer>,
        mut filter: CertificateFilter,
        host: Option<IdentityName>,
        page: PageRequest,
    ) -> Result<Page<Certificate>, CertificateError> {
        if let Some(host) = host {
            let identity = self.store.identity(IdentityKind::Host, &host).await?;
            filter.identity = Some(identity.ok_or(CertificateError::UnknownHost(host))?.id);
        }
        Ok(self.store.certificates(filter, self.clock.now(), page).await?)
    }

    /// One certificate: any for a viewer, the own ones for everybody else.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn certificate(
        &self,
        caller: &Authorized<Anyone>,
        serial: &Serial,
    ) -> Result<Certificate, CertificateError> {
        let found = self.store.certificate(serial).await?;
        let own = found.as_ref().is_some_and(|c| c.identity == caller.identity().id);
        if !own && !caller.reaches::<Viewer>() {
            return Err(CertificateError::NotYours(caller.identity().name.clone()));
        }
        found.ok_or_else(|| CertificateError::Unknown(serial.clone()))
    }

    /// How a certificate that the caller may see was revoked, if it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn revocation(&self, certificate: &Certificate) -> Result<Option<Revocation>, ServiceError> {
        match certificate.revoked_at {
            None => Ok(None),
            Some(_) => Ok(self.store.revocation(&certificate.serial).await?),
        }
    }
}
