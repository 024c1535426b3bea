//! Enrolling, renewing and adopting.

use super::super::op::{Answer, Outcome};
use super::super::{Enrolled, Enrollment, Renewal, Renewed, StoreError, events};
use super::{Key, State};
use crate::base::{Id, Timestamp};
use crate::model::audit::Actor;
use crate::model::enrollment::{Decision, Facts, Holder, decide};
use crate::model::{Certificate, Identity, IdentityKind};
use crate::pki::{IdentityName, San};

impl State {
    pub(super) fn enroll(&mut self, enrollment: &Enrollment) -> Outcome {
        let decision = decide(self.facts(enrollment), enrollment.now);
        let enrolled = match decision {
            Decision::Repeat => {
                let key = enrollment.certificate.spki_sha256;
                let certificate = self.certificate_by_key(enrollment.token, key);
                Enrolled::Repeated(Box::new(certificate.expect("decided on it").clone()))
            }
            Decision::Create => self.enroll_new(enrollment)?,
            Decision::Rejoin(identity) => self.rejoin(enrollment, identity)?,
            Decision::RefuseToken(problem) => {
                self.record(&events::token_refused(enrollment, problem));
                Enrolled::TokenRefused(problem)
            }
            Decision::NameTaken(name) => {
                self.record(&events::name_taken(enrollment, &name));
                Enrolled::NameTaken(name)
            }
        };
        Ok(Answer::Enrolled(enrolled))
    }

    fn facts<'a>(&'a self, enrollment: &Enrollment) -> Facts<'a> {
        let Enrollment {
            identity,
            certificate,
            now,
            ..
        } = enrollment;
        let holder = self
            .identity_named(identity.kind, &identity.name)
            .map(|held| Holder {
                identity: held,
                live: self.live(held.id, *now).next().is_some(),
                proves_key: self
                    .live(held.id, *now)
                    .any(|live| live.spki_sha256 == certificate.spki_sha256),
            });
        let holder_id = holder.map(|holder| holder.identity.id);
        let key = certificate.spki_sha256;
        Facts {
            token: self.token(enrollment.token),
            repeated: self.certificate_by_key(enrollment.token, key),
            revoked_key: holder_id.is_some_and(|id| self.is_revoked_key(id, key)),
            holder,
            name_owner: self.name_owner(&certificate.sans, holder_id, *now),
        }
    }

    /// Whether the identity had a certificate for this key that was revoked.
    fn is_revoked_key(&self, identity: Id, key: Key) -> bool {
        self.certificates_of(identity)
            .any(|held| held.spki_sha256 == key && held.revoked_at.is_some())
    }

    fn name_owner(&self, sans: &[San], holder: Option<Id>, now: Timestamp) -> Option<&IdentityName> {
        host_names(sans)
            .filter_map(|name| self.identity_named(IdentityKind::Host, &name))
            .find(|host| Some(host.id) != holder && self.live(host.id, now).next().is_some())
            .map(|host| &host.name)
    }

    fn enroll_new(&mut self, enrollment: &Enrollment) -> Result<Enrolled, StoreError> {
        self.unused_identity(&enrollment.identity)?;
        self.unused_serial(&enrollment.certificate)?;
        self.insert_identity(enrollment.identity.clone());
        Ok(self.issue(enrollment, enrollment.identity.id, false))
    }

    fn rejoin(&mut self, enrollment: &Enrollment, id: Id) -> Result<Enrolled, StoreError> {
        self.unused_serial(&enrollment.certificate)?;
        let new = &enrollment.identity;
        let identity = self.identities.get_mut(&id).expect("decided on it");
        identity.rules = new.rules.clone();
        identity.labels = new.labels.clone();
        identity.role = new.role.clone();
        identity.permission = new.permission;
        self.changes.identities.touch(id);
        Ok(self.issue(enrollment, id, true))
    }

    fn issue(&mut self, enrollment: &Enrollment, identity: Id, rejoined: bool) -> Enrolled {
        let certificate = Certificate {
            identity,
            token: Some(enrollment.token),
            ..enrollment.certificate.clone()
        };
        let uses_left = self.spend(enrollment.token);
        self.record(&events::issued(enrollment, &certificate, rejoined));
        self.replace_current(certificate);
        Enrolled::Issued { uses_left }
    }

    /// Stores a certificate as the identity's current one.
    fn replace_current(&mut self, certificate: Certificate) {
        self.supersede(certificate.identity, &certificate.serial);
        self.insert_certificate(certificate);
    }

    pub(super) fn renew(&mut self, renewal: &Renewal) -> Outcome {
        let certificate = &renewal.certificate;
        if let Some(outcome) = self.renewal_problem(renewal) {
            self.record(&events::renew_refused(renewal, outcome));
            return Ok(Answer::Renewed(Renewed::Refused));
        }
        let repeated = self
            .live(certificate.identity, renewal.now)
            .find(|held| held.spki_sha256 == certificate.spki_sha256);
        if let Some(repeated) = repeated {
            return Ok(Answer::Renewed(Renewed::Repeated(Box::new(repeated.clone()))));
        }
        self.unused_serial(certificate)?;
        let certificate = Certificate {
            token: None,
            renewed_from: Some(renewal.current.clone()),
            ..certificate.clone()
        };
        self.record(&events::renewed(renewal, &certificate));
        self.replace_current(certificate);
        Ok(Answer::Renewed(Renewed::Issued))
    }

    /// Why a renewal is refused. A certificate renews only its own identity.
    fn renewal_problem(&self, renewal: &Renewal) -> Option<&'static str> {
        let new = &renewal.certificate;
        match self.certificate_by_serial(&renewal.current) {
            None => Some("unknown-certificate"),
            Some(current) if current.revoked_at.is_some() => Some("revoked"),
            Some(current) if (current.identity, current.kind) != (new.identity, new.kind) => {
                Some("wrong-identity")
            }
            Some(_) if self.is_revoked_key(new.identity, new.spki_sha256) => Some("revoked-key"),
            Some(_) => None,
        }
    }

    pub(super) fn adopt(&mut self, new: &Identity, certificate: &Certificate, actor: &Actor) -> Outcome {
        self.unused_serial(certificate)?;
        let existing = self
            .identity_named(new.kind, &new.name)
            .map(|identity| identity.id);
        if existing.is_none() {
            self.unused_identity(new)?;
        }
        let id = existing.unwrap_or(new.id);
        match self.identities.get_mut(&id) {
            Some(identity) => {
                identity.rules = new.rules.clone();
                identity.permission = new.permission;
                self.changes.identities.touch(id);
            }
            None => self.insert_identity(new.clone()),
        }
        let certificate = Certificate {
            identity: id,
            token: None,
            ..certificate.clone()
        };
        self.record(&events::adopted(&certificate, actor.clone()));
        self.replace_current(certificate);
        Ok(Answer::Done)
    }
}

/// The names of hosts that a certificate with these alternative names would answer for. `localhost` is
/// every host's own.
pub fn host_names(sans: &[San]) -> impl Iterator<Item = IdentityName> {
    sans.iter().filter_map(|san| match san {
        San::Dns(name) if name.as_str() != "localhost" => Some(IdentityName::from(name)),
        San::Dns(_) | San::Ip(_) => None,
    })
}
