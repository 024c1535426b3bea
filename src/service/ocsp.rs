//! Answers to OCSP requests: good only for what is in the table, unknown otherwise, and nothing at all while
//! revocations may be missing from it.

use std::sync::{Arc, Mutex, PoisonError};

use super::Service;
use crate::ca::{OcspAnswer, OcspSignError, Responder, Signing};
use crate::model::IssuerKind;
use crate::pki::Serial;
use crate::pki::ocsp::{CertStatus, OcspError, OcspRequest};

/// The responders of the issuers, made when they are first asked.
#[derive(Default)]
pub(super) struct Responders(Mutex<Vec<(IssuerKind, Arc<Responder>)>>);

impl Service {
    /// Answers a request, DER.
    ///
    /// # Errors
    /// [`OcspError`], which is an answer, too.
    pub async fn ocsp(&self, request: &[u8]) -> Result<Arc<OcspAnswer>, OcspError> {
        let request = OcspRequest::parse(request)?;
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "an OCSP request was not answered");
            OcspError::TryLater
        };
        let is_settled = self.unsettled().await.map_err(|e| unavailable(&e))?.is_none();
        for issuer in IssuerKind::ALL {
            let responder = self.responder(issuer).map_err(|e| unavailable(&e))?;
            if !responder.is_authorized(&request) {
                continue;
            }
            let mut statuses = Vec::with_capacity(request.cert_ids.len());
            for serial in responder.serials(&request) {
                let status = self.status(issuer, serial).await.map_err(|e| unavailable(&e))?;
                // A revocation that was lost in a restoration must not be denied.
                if status == CertStatus::Good && !is_settled {
                    return Err(OcspError::TryLater);
                }
                statuses.push(status);
            }
            let signing = Signing {
                issuer: self.authority.issuer(issuer),
                random: &*self.random,
                now: self.clock.now(),
            };
            let answer = responder.answer(signing, &request, &statuses);
            return answer.map_err(|error| {
                tracing::error!(%error, "an OCSP answer could not be signed");
                OcspError::InternalError
            });
        }
        Err(OcspError::Unauthorized)
    }

    async fn status(
        &self,
        issuer: IssuerKind,
        serial: Option<&Serial>,
    ) -> Result<CertStatus, crate::store::StoreError> {
        let Some(serial) = serial else {
            return Ok(CertStatus::Unknown);
        };
        if let Some(revoked) = self
            .store
            .revocation(serial)
            .await?
            .filter(|r| r.issuer == issuer)
        {
            return Ok(CertStatus::Revoked {
                at: revoked.revoked_at,
                reason: revoked.reason,
            });
        }
        let known = self.store.certificate(serial).await?;
        Ok(match known.filter(|certificate| certificate.issuer == issuer) {
            Some(_) => CertStatus::Good,
            None => CertStatus::Unknown,
        })
    }

    fn responder(&self, issuer: IssuerKind) -> Result<Arc<Responder>, OcspSignError> {
        let mut responders = self.responders.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, made)) = responders.iter().find(|(kind, _)| *kind == issuer) {
            return Ok(Arc::clone(made));
        }
        let by = self.authority.issuer(issuer);
        let made = Arc::new(Responder::new(by, &*self.random, self.clock.now())?);
        responders.push((issuer, Arc::clone(&made)));
        Ok(made)
    }
}
