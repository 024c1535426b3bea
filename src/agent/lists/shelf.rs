//! One list: whose it is, the newest that was taken, and taking the next.

use super::check::{Told, check, refuse_less};
use super::disk::Remembered;
use super::error::KeepError;
use super::issuers::{believe, roots};
use super::{List, ListServer};
use crate::agent::Pair;
use crate::base::Timestamp;
use crate::pki::crl::{Crl, CrlError, dropped};
use crate::pki::{Certificate, RevokedSet, Serial};

/// One list, as far as it is known.
pub(super) struct Shelf {
    pub(super) list: List,
    pub(super) issuer: Option<Certificate>,
    /// The newest that was taken.
    pub(super) crl: Option<Crl>,
    /// What the server calls the newest that it has shown.
    etag: Option<String>,
}

/// What a list is held against.
pub(super) struct Measure<'a> {
    pub(super) told: &'a mut Told,
    /// What the feed has told.
    pub(super) revoked: &'a RevokedSet,
    pub(super) remembered: &'a Remembered,
    pub(super) now: Timestamp,
}

impl Measure<'_> {
    fn missing(&mut self, list: List, crl: &Crl) -> Vec<Serial> {
        self.told.missing(list, crl, self.revoked, self.now)
    }
}

impl Shelf {
    pub(super) fn empty(list: List) -> Self {
        Self {
            list,
            issuer: None,
            crl: None,
            etag: None,
        }
    }

    /// Asks whose list it is, once.
    pub(super) async fn find_issuer(
        &mut self,
        server: &dyn ListServer,
        pair: &Pair,
    ) -> Result<(), KeepError> {
        let anchors = pair.anchors();
        if self.issuer.is_none() && self.list != List::Root {
            let der = server.issuer(pair, self.list).await;
            let der = der.map_err(|source| self.not_fetched(source))?;
            self.issuer = Some(believe(self.list, &der, anchors)?);
        }
        if self.issuer.is_none() {
            // With several roots, the one that has signed the list that comes is the one.
            self.issuer = roots(anchors).into_iter().next();
        }
        Ok(())
    }

    /// Goes on with what was in the file, if it is the newest that was ever taken.
    pub(super) fn adopt(&mut self, found: &[Crl], remembered: &Remembered) -> Option<Crl> {
        let issuer = self.issuer.as_ref()?;
        let highest = remembered.number_of(issuer).unwrap_or(0);
        let ours = |crl: &&Crl| crl.is_sorted && crl.number >= highest && crl.verify(issuer).is_ok();
        let found = found.iter().filter(ours).max_by_key(|crl| crl.number)?;
        self.crl = Some(found.clone());
        self.crl.clone()
    }

    /// Asks for the list and takes it, if it is to be taken.
    pub(super) async fn ask(
        &mut self,
        server: &dyn ListServer,
        pair: &Pair,
        against: &mut Measure<'_>,
    ) -> Result<(), KeepError> {
        let fetched = server.list(pair, self.list, self.etag.as_deref()).await;
        if let Some(fetched) = fetched.map_err(|source| self.not_fetched(source))? {
            let crl = Crl::parse(fetched.der).map_err(|source| self.no_list(source))?;
            self.take(crl, pair, against)?;
            self.etag = fetched.etag;
        }
        let Some(crl) = &self.crl else { return Ok(()) };
        let missing = against.missing(self.list, crl);
        match missing.first() {
            None => Ok(()),
            Some(serial) => Err(KeepError::Lacks {
                list: self.list.name(),
                number: crl.number,
                serial: serial.clone(),
                count: missing.len(),
            }),
        }
    }

    fn take(&mut self, crl: Crl, pair: &Pair, against: &mut Measure<'_>) -> Result<(), KeepError> {
        if self.list == List::Root
            && let Some(root) = roots(pair.anchors())
                .into_iter()
                .find(|root| crl.verify(root).is_ok())
            && self.issuer.as_ref().is_none_or(|issuer| issuer.spki != root.spki)
        {
            (self.issuer, self.crl) = (Some(root), None);
        }
        let list = self.list.name();
        let issuer = self.issuer.as_ref().ok_or(KeepError::NoCertificate)?;
        let checked = check(
            &crl,
            issuer,
            self.crl.as_ref(),
            against.remembered.number_of(issuer),
            against.now,
        );
        let is_new = checked.map_err(|refusal| KeepError::NotTaken {
            list,
            source: refusal.into(),
        });
        match is_new {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => {
                // The server may have another issuer than before.
                if self.list != List::Root {
                    self.forget_stranger(&crl);
                }
                return Err(error);
            }
        }
        let missing = against.missing(self.list, &crl);
        let less = refuse_less(&crl, self.crl.as_ref(), &missing);
        less.map_err(|source| KeepError::NotTaken { list, source })?;
        self.crl = Some(crl);
        Ok(())
    }

    fn forget_stranger(&mut self, crl: &Crl) {
        let is_other = |issuer: &Certificate| matches!(crl.verify(issuer), Err(CrlError::OtherIssuer { .. }));
        if self.issuer.as_ref().is_some_and(is_other) {
            self.issuer = None;
        }
    }

    /// How many certificates it names that the file does not.
    pub(super) fn news(&self, in_file: &[(List, Crl)]) -> usize {
        let Some(crl) = &self.crl else { return 0 };
        let before = in_file.iter().find(|(list, _)| *list == self.list);
        match before {
            Some((_, before)) if before.number == crl.number => 0,
            Some((_, before)) => dropped(crl, before).count(),
            None => crl.entry_count,
        }
    }

    fn not_fetched(&self, source: crate::client::Error) -> KeepError {
        KeepError::Fetch {
            list: self.list.name(),
            source,
        }
    }

    fn no_list(&self, source: CrlError) -> KeepError {
        KeepError::NoList {
            list: self.list.name(),
            source,
        }
    }
}
