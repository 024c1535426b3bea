//! The server's own certificate: kept in a file, issued when it is missing, damaged or due, swapped without a
//! restart. A server whose certificate ran out while it was down issues itself a new one, because the keys that
//! sign are not behind the certificate that serves.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{AlwaysJob, Job, JobError};
use crate::base::limits::PEM_BYTES_MAX;
use crate::model::job::JobName;
use crate::pki::tls::TlsIdentity;
use crate::service::{OwnCertificate, Service};
use crate::sys::Files;

/// Where the certificate is kept.
#[derive(Clone, Debug)]
pub struct OwnCertificateFile {
    /// The disk.
    pub files: Files,
    /// The file: key and chain, for the owner alone.
    pub path: PathBuf,
}

impl OwnCertificateFile {
    /// The kept certificate, or a new one.
    ///
    /// # Errors
    /// When a new one can neither be issued nor be kept.
    pub async fn load_or_issue(&self, service: &Service) -> Result<OwnCertificate, JobError> {
        match self.load(service) {
            Some(own) if !service.own_is_due(&own, service.clock().now()) => Ok(own),
            _ => self.issue(service).await,
        }
    }

    fn load(&self, service: &Service) -> Option<OwnCertificate> {
        let text = match self.files.read_text(&self.path, PEM_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return None,
            Err(error) => {
                tracing::warn!(%error, "the server's certificate cannot be read; a new one is issued");
                return None;
            }
        };
        let read = service.read_own(&text);
        read.inspect_err(
            |error| tracing::warn!(%error, "the server's certificate is damaged; a new one is issued"),
        )
        .ok()
    }

    async fn issue(&self, service: &Service) -> Result<OwnCertificate, JobError> {
        let own = service.issue_own().await?;
        self.files.write_private(&self.path, own.to_pem().as_bytes())?;
        tracing::info!(serial = %own.leaf().serial, until = %own.leaf().not_after, "issued the server's own certificate");
        Ok(own)
    }
}

/// Replaces the certificate before it runs out.
pub struct RenewOwnCertificate {
    service: Arc<Service>,
    file: OwnCertificateFile,
    shown: Arc<TlsIdentity>,
    held: Mutex<Arc<OwnCertificate>>,
    every: Duration,
}

/// The longest time between looks at the clock.
const EVERY_MAX: Duration = Duration::from_secs(30);

impl RenewOwnCertificate {
    /// Watches over `own`, which `shown` shows.
    ///
    /// # Errors
    /// When key and chain do not go together.
    pub fn new(
        service: Arc<Service>,
        file: OwnCertificateFile,
        own: OwnCertificate,
    ) -> Result<(Self, Arc<TlsIdentity>), JobError> {
        let shown = Arc::new(TlsIdentity::new(own.chain(), own.key())?);
        let lifetime = own.leaf().not_after.since(own.leaf().not_before);
        let every = (lifetime / 50).clamp(Duration::from_secs(1), EVERY_MAX);
        let held = Mutex::new(Arc::new(own));
        Ok((
            Self {
                service,
                file,
                shown: Arc::clone(&shown),
                held,
                every,
            },
            shown,
        ))
    }

    /// With another interval than the usual one.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    fn held(&self) -> Arc<OwnCertificate> {
        Arc::clone(&self.held.lock().expect("no panic while the lock is held"))
    }
}

#[async_trait]
impl Job for RenewOwnCertificate {
    fn name(&self) -> JobName {
        JobName::OwnCertificate
    }

    async fn run(&self) -> Result<String, JobError> {
        let held = self.held();
        if !self.service.own_is_due(&held, self.service.clock().now()) {
            return Ok(format!("good until {}", held.leaf().not_after));
        }
        let own = self.service.issue_own().await?;
        self.shown.replace(own.chain(), own.key())?;
        tracing::info!(serial = %own.leaf().serial, until = %own.leaf().not_after, "renewed the server's own certificate");
        let (pem, until) = (own.to_pem(), own.leaf().not_after);
        *self.held.lock().expect("no panic while the lock is held") = Arc::new(own);
        // Last: a full disk must not keep the server from showing a good certificate.
        self.file.files.write_private(&self.file.path, pem.as_bytes())?;
        Ok(format!("renewed: good until {until}"))
    }
}

#[async_trait]
impl AlwaysJob for RenewOwnCertificate {
    fn every(&self) -> Duration {
        self.every
    }
}
