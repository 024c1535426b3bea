//! Revoking, and the feed.

use super::super::events;
use super::super::feed::{
    Acknowledgement, CRL_JUMP, CrlSlot, FEED_JUMP, Given, Regain, Regained, RevokeOrder, RevokeTarget, Shown,
    Withdrawn,
};
use super::super::op::Answer;
use super::State;
use crate::base::{Id, Timestamp};
use crate::model::audit::Actor;
use crate::model::{Certificate, Change, ChangeKind, FeedOrigin, IssuerKind, Revocation};
use crate::pki::{RevocationReason, Serial};

/// Who, when and why: what all certificates of one order share.
struct Verdict {
    at: Timestamp,
    reason: RevocationReason,
    by: String,
}

impl State {
    pub(super) fn revoke(&mut self, order: &RevokeOrder) -> Answer {
        let verdict = Verdict {
            at: order.now,
            reason: order.reason,
            by: order.actor.text(),
        };
        let mut withdrawn = Withdrawn::default();
        for (certificate, identity) in self.meant(&order.target) {
            let known = self.revoked.get(&certificate.serial).cloned();
            let revocation = match known {
                Some(revocation) => revocation,
                None => {
                    withdrawn.fresh += 1;
                    let revocation = self.withdraw(&certificate, identity, &verdict);
                    self.record(&events::revoked(order, &revocation));
                    revocation
                }
            };
            withdrawn.revocations.push(revocation);
        }
        Answer::Withdrawn(withdrawn)
    }

    /// The certificates that are meant, with their holders, in order of issue.
    fn meant(&self, target: &RevokeTarget) -> Vec<(Shown, Option<Id>)> {
        let recorded = |certificate: &Certificate| (shown(certificate), Some(certificate.identity));
        match target {
            RevokeTarget::Serial(serial) => match self.certificate_by_serial(serial) {
                Some(certificate) => vec![recorded(certificate)],
                None => self.revoked.get(serial).map(foreign).into_iter().collect(),
            },
            RevokeTarget::Identity { id, since } => {
                let held = self.certificates_of(*id).filter(|c| c.not_after >= *since);
                let mut meant: Vec<_> = held.map(recorded).collect();
                meant.reverse();
                meant
            }
            RevokeTarget::Shown(certificate) => match self.certificate_by_serial(&certificate.serial) {
                Some(certificate) => vec![recorded(certificate)],
                None => vec![((**certificate).clone(), None)],
            },
        }
    }

    /// Gives the next number to the revocation of a certificate that is not revoked.
    fn withdraw(&mut self, certificate: &Shown, identity: Option<Id>, verdict: &Verdict) -> Revocation {
        let revocation = Revocation {
            feed: self.head.feed + 1,
            issuer: certificate.issuer,
            serial: certificate.serial.clone(),
            not_after: certificate.not_after,
            revoked_at: verdict.at,
            reason: verdict.reason,
            name: certificate.name.clone(),
            identity,
            by: verdict.by.clone(),
        };
        if let Some(row) = self.serials.get(&certificate.serial) {
            let certificate = self.certificates.get_mut(row).expect("numbered rows exist");
            certificate.revoked_at = Some(verdict.at);
            self.changes.certificates.touch(*row);
        }
        self.put_revocation(revocation.clone());
        let kind = ChangeKind::Revoked(Box::new(revocation.clone()));
        self.announce(revocation.feed, verdict.at, kind);
        revocation
    }

    /// Knows this revocation.
    pub fn put_revocation(&mut self, revocation: Revocation) {
        self.revoked.insert(revocation.serial.clone(), revocation);
    }

    /// The revocation of a certificate.
    pub fn revocation(&self, serial: &Serial) -> Option<&Revocation> {
        self.revoked.get(serial)
    }

    fn announce(&mut self, number: u64, at: Timestamp, kind: ChangeKind) {
        let previous = std::mem::replace(&mut self.head.feed, number);
        self.changes.feed.push(Change {
            number,
            previous,
            at,
            kind,
        });
    }

    pub(super) fn regain(&mut self, regain: &Regain) -> Answer {
        let new = |given: &&Given| !self.revoked.contains_key(&given.certificate.serial);
        let lost: Vec<Given> = regain.given.iter().filter(new).cloned().collect();
        let highest = lost.iter().map(|given| given.number).max().unwrap_or(0);
        if highest > self.head.feed {
            self.jump(highest, &regain.actor, regain.now);
        }
        let mut regained = Regained::default();
        for given in lost {
            // One page may hold a serial twice.
            if self.revoked.contains_key(&given.certificate.serial) {
                continue;
            }
            let holder = self.certificate_by_serial(&given.certificate.serial);
            let holder = holder.map(|certificate| certificate.identity);
            let verdict = Verdict {
                at: given.at,
                reason: given.reason,
                by: regain.actor.text(),
            };
            let revocation = self.withdraw(&given.certificate, holder, &verdict);
            self.record(&events::regained(regain, &given, &revocation));
            regained.fresh += 1;
        }
        regained.head = self.head.feed;
        Answer::Regained(regained)
    }

    pub(super) fn restored(&mut self, actor: &Actor, now: Timestamp) -> Answer {
        self.jump(0, actor, now);
        Answer::Number(self.head.feed)
    }

    /// Goes on beyond every number that may have been given out before, of the feed and of CRLs.
    fn jump(&mut self, highest: u64, actor: &Actor, now: Timestamp) {
        let from = self.head.feed;
        // Further than a file can count is not reached by any number of restorations.
        let number = from.max(highest).saturating_add(FEED_JUMP).min(i64::MAX as u64);
        // Two restorations of one backup, with what hosts gave back in between, must not number alike: who followed
        // the first would miss what only the second knows.
        let number = number.max(u64::try_from(now.as_millis()).unwrap_or(0));
        self.announce(number, now, ChangeKind::Restored);
        for (issuer, slot) in &mut self.crls {
            slot.number = slot.number.saturating_add(CRL_JUMP);
            self.changes.crls.insert(*issuer);
        }
        self.unsettled = Some((number, now));
        self.record(&events::restored(actor.clone(), from, number, now));
    }

    pub(super) fn settle(&mut self, number: u64, actor: &Actor, now: Timestamp) -> Answer {
        let open = self.unsettled.filter(|(open, _)| *open == number);
        if open.is_none() {
            return Answer::Settled(false);
        }
        self.unsettled = None;
        self.changes.settled.push((number, now, actor.text()));
        self.record(&events::settled(actor.clone(), number, now));
        Answer::Settled(true)
    }

    /// Knows that this restoration is not settled.
    pub fn put_unsettled(&mut self, number: u64, at: Timestamp) {
        self.unsettled = Some((number, at));
    }

    /// The newest restoration, while it is not settled.
    pub fn unsettled(&self) -> Option<(u64, Timestamp)> {
        self.unsettled
    }

    /// What an identity that does not exist says is dropped.
    pub(super) fn acknowledge(&mut self, acknowledgement: &Acknowledgement) -> Answer {
        if self.identities.contains_key(&acknowledgement.identity) {
            self.changes.applied.insert(acknowledgement.identity);
            self.applied
                .insert(acknowledgement.identity, acknowledgement.clone());
        }
        Answer::Done
    }

    /// What a host last said.
    pub fn acknowledgement(&self, identity: Id) -> Option<&Acknowledgement> {
        self.applied.get(&identity)
    }

    /// The number follows the clock, so that it goes on rising even on a database that somebody put back by hand.
    pub(super) fn reserve_crl(&mut self, issuer: IssuerKind, now: Timestamp) -> Answer {
        let clock = u64::try_from(now.as_millis()).unwrap_or(0);
        let last = self.crls.get(&issuer).map_or(0, |slot| slot.number);
        let slot = CrlSlot {
            number: clock.max(last + 1),
            feed: self.head.feed,
        };
        self.crls.insert(issuer, slot);
        self.changes.crls.insert(issuer);
        Answer::Crl(slot)
    }

    /// Knows the last CRL of an issuer.
    pub fn put_crl(&mut self, issuer: IssuerKind, slot: CrlSlot) {
        self.crls.insert(issuer, slot);
    }

    /// The last CRL of an issuer.
    pub fn crl(&self, issuer: IssuerKind) -> Option<CrlSlot> {
        self.crls.get(&issuer).copied()
    }

    pub(super) fn adopt_origin(&mut self, candidate: &FeedOrigin) -> Answer {
        if self.origin.is_none() {
            self.origin = Some(candidate.clone());
            self.changes.origin = true;
        }
        Answer::Origin(Box::new(self.origin.clone().unwrap_or_else(|| candidate.clone())))
    }

    /// Knows which feed this is.
    pub fn put_origin(&mut self, origin: FeedOrigin) {
        self.origin = Some(origin);
    }

    /// Which feed this is.
    pub fn origin(&self) -> Option<&FeedOrigin> {
        self.origin.as_ref()
    }
}

fn shown(certificate: &Certificate) -> Shown {
    Shown {
        issuer: certificate.issuer,
        serial: certificate.serial.clone(),
        name: certificate.name.clone(),
        not_after: certificate.not_after,
    }
}

fn foreign(revocation: &Revocation) -> (Shown, Option<Id>) {
    let shown = Shown {
        issuer: revocation.issuer,
        serial: revocation.serial.clone(),
        name: revocation.name.clone(),
        not_after: revocation.not_after,
    };
    (shown, revocation.identity)
}
