//! Answers that may be given again. Two generations: when the young one is full, the old one is dropped, so that what
//! is asked for again stays and memory is bounded, without a clock.

use std::collections::HashMap;
use std::sync::Arc;

use super::OcspAnswer;
use crate::base::encoding::sha256;
use crate::pki::ocsp::{CertStatus, OcspRequest};

/// Answers of one generation; each takes about a kilobyte.
const GENERATION_MAX: usize = 4096;

/// By certificates and statuses.
#[derive(Debug, Default)]
pub(super) struct Cache {
    young: HashMap<[u8; 32], Arc<OcspAnswer>>,
    old: HashMap<[u8; 32], Arc<OcspAnswer>>,
}

/// What an answer without a nonce depends on.
pub(super) fn key(request: &OcspRequest, statuses: &[CertStatus]) -> [u8; 32] {
    let mut all = Vec::with_capacity(128);
    for (id, status) in request.cert_ids.iter().zip(statuses) {
        all.extend_from_slice(id.der());
        match status {
            CertStatus::Good => all.push(0),
            CertStatus::Unknown => all.push(1),
            CertStatus::Revoked { at, reason } => {
                all.extend_from_slice(&[2, reason.code()]);
                all.extend_from_slice(&at.as_millis().to_be_bytes());
            }
        }
    }
    sha256(&all)
}

impl Cache {
    pub(super) fn get(&mut self, key: &[u8; 32]) -> Option<Arc<OcspAnswer>> {
        if let Some(found) = self.young.get(key) {
            return Some(Arc::clone(found));
        }
        let found = self.old.remove(key)?;
        self.put(*key, Arc::clone(&found));
        Some(found)
    }

    pub(super) fn put(&mut self, key: [u8; 32], answer: Arc<OcspAnswer>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, answer);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
