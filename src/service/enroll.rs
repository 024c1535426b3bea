//! `enroll`: a join token and a CSR become an identity and its first certificate.

mod error;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use self::error::outcome;
use super::names::{self, Wanted, Wishes};
use super::{Issuance, Service, reserved_label};

pub use self::error::EnrollError;
use crate::base::{Id, Timestamp};
use crate::model::audit::{Actor, Event};
use crate::model::enrollment::{self, Decision, Facts, PendingRequest, RequestState};
use crate::model::{
    Approval, Identity, IdentityKind, JoinToken, JoinTokenError, Labels, Token, TokenProblem,
};
use crate::pki::csr::{self, CsrDer, VerifiedCsr};
use crate::store::{self, Enrolled};

/// What a joining side sends.
#[derive(Clone, Copy)]
pub struct Application<'a> {
    /// The join token's text.
    pub token: &'a str,
    /// PKCS#10, PEM.
    pub csr: &'a str,
    /// Names besides those in the CSR.
    pub names: &'a [String],
    /// Addresses besides those in the CSR.
    pub addresses: &'a [String],
    /// Labels; the token's win.
    pub labels: &'a BTreeMap<String, String>,
    /// What it means to become.
    pub profile: Option<IdentityKind>,
    /// Where it comes from.
    pub source: Option<IpAddr>,
}

/// How an application ended that was not refused.
#[derive(Clone, Debug)]
pub enum Enrollment {
    /// A use was spent.
    Issued(Issuance),
    /// This token and key had this certificate already; nothing was spent.
    Repeated(Issuance),
    /// An operator has to approve it first.
    Pending(PendingRequest),
}

/// A refusal, and whether the store has written it down.
struct Refusal {
    error: EnrollError,
    token: Option<Id>,
    recorded: bool,
}

impl Refusal {
    fn of(token: Id, error: impl Into<EnrollError>) -> Self {
        Self {
            error: error.into(),
            token: Some(token),
            recorded: false,
        }
    }

    fn recorded(token: Id, error: EnrollError) -> Self {
        Self {
            error,
            token: Some(token),
            recorded: true,
        }
    }
}

/// What an application asks for, once it was read and found to be inside the token's limits.
struct Accepted {
    csr: VerifiedCsr,
    wanted: Wanted,
    labels: Labels,
}

impl Service {
    /// Decides about an application, and answers once the decision is durable.
    ///
    /// # Errors
    /// [`EnrollError`]. Failures are counted per source address; past the limit they are answered with
    /// [`EnrollError::RateLimited`] and no longer recorded.
    pub async fn enroll(&self, application: Application<'_>) -> Result<Enrollment, EnrollError> {
        let began = self.clock.now();
        let result = self.try_enroll(application).await;
        self.metrics.enrolled(&result, self.clock.now().since(began));
        result
    }

    async fn try_enroll(&self, application: Application<'_>) -> Result<Enrollment, EnrollError> {
        let now = self.clock.now();
        let refusal = match self.decide(application, now).await {
            Ok(enrollment) => return Ok(enrollment),
            Err(refusal) => refusal,
        };
        if matches!(refusal.error, EnrollError::Service(_)) {
            return Err(refusal.error);
        }
        if let Err(wait) = self.failures.count(application.source, now) {
            return Err(EnrollError::RateLimited(wait));
        }
        if let Some(outcome) = outcome(&refusal.error).filter(|_| !refusal.recorded) {
            self.store
                .append_audit(refused_event(&refusal, outcome, application.source, now))
                .await?;
        }
        Err(refusal.error)
    }

    async fn decide(&self, application: Application<'_>, now: Timestamp) -> Result<Enrollment, Refusal> {
        let joining: JoinToken = application.token.parse().map_err(|e: JoinTokenError| Refusal {
            error: e.into(),
            token: None,
            recorded: false,
        })?;
        let token = self
            .admit(&joining, application)
            .await
            .map_err(|e| Refusal::of(joining.id, e))?;
        let accepted = self
            .read(&token, application)
            .map_err(|e| Refusal::of(token.id, e))?;
        if let Err(problem) = token.spendable(now) {
            return self.repeat(&token, &accepted.csr, problem, now).await;
        }
        if token.approval == Approval::Manual {
            let request = self.pending(&token, &accepted, application.source, now);
            let state = self
                .approval(request)
                .await
                .map_err(|e| Refusal::of(token.id, e))?;
            if let Some(pending) = state {
                return Ok(Enrollment::Pending(pending));
            }
        }
        self.commit(&token, accepted, application.source, now).await
    }

    /// The token, if it exists, the secret is its own, and it is for this place and kind. The secret is
    /// compared before anything else is said about the token.
    async fn admit(
        &self,
        joining: &JoinToken,
        application: Application<'_>,
    ) -> Result<Arc<Token>, EnrollError> {
        let refuse = |problem| Err(EnrollError::TokenRefused(problem));
        // Approval is slow and rare: such tokens are always read afresh.
        let cached = self
            .tokens
            .get(&joining.id)
            .filter(|t| t.approval == Approval::Auto);
        let token = match cached {
            Some(token) => token,
            None => match self.store.token(joining.id).await? {
                Some(token) => self.tokens.put(token),
                None => return refuse(TokenProblem::Unknown),
            },
        };
        if !token.secret_matches(&joining.secret_sha256()) {
            return refuse(TokenProblem::WrongSecret);
        }
        if !token.source_allowed(application.source) {
            return refuse(TokenProblem::Source);
        }
        if application.profile.is_some_and(|kind| kind != token.kind) {
            return refuse(TokenProblem::WrongProfile);
        }
        Ok(token)
    }

    /// CSR, names and labels, each checked against what the token allows.
    fn read(&self, token: &Token, application: Application<'_>) -> Result<Accepted, EnrollError> {
        let request = CsrDer::from_pem(application.csr)?;
        let csr = csr::verify(request, &self.profile(token.kind).key_algorithms)?;
        let wishes = Wishes {
            common_name: csr.common_name(),
            csr_sans: csr.sans(),
            names: application.names,
            addresses: application.addresses,
        };
        let wanted = names::wanted(token.kind, wishes, &token.rules)?;
        const FIX: &str = "Ask for names the token allows, or for a token that allows these (dockwarden token create --name ... --cidr ...)";
        names::check(token.kind, &wanted, &token.rules, self.reserved(), FIX)?;
        let own = Labels::new(application.labels.clone())?;
        if let Some(key) = reserved_label(&own) {
            return Err(EnrollError::ReservedLabel(key.to_owned()));
        }
        let mut labels = application.labels.clone();
        labels.extend(token.labels.pairs().clone());
        Ok(Accepted {
            csr,
            wanted,
            labels: Labels::new(labels)?,
        })
    }

    /// A token that cannot be spent any more still repeats an answer that got lost.
    async fn repeat(
        &self,
        token: &Token,
        csr: &VerifiedCsr,
        problem: TokenProblem,
        now: Timestamp,
    ) -> Result<Enrollment, Refusal> {
        // The cached copy may be old: it was put there before the token was spent or deleted.
        self.tokens.forget(&token.id);
        let spki = csr.public_key().spki_sha256();
        let repeated = self.store.certificate_by_key(token.id, spki).await;
        let repeated = repeated.map_err(|e| Refusal::of(token.id, e))?;
        let facts = Facts {
            token: Some(token),
            repeated: repeated.as_ref(),
            revoked_key: false,
            holder: None,
            name_owner: None,
        };
        match (enrollment::decide(facts, now), repeated) {
            (Decision::Repeat, Some(certificate)) => Ok(Enrollment::Repeated(Issuance {
                certificate,
                token_uses: Some((token.uses_left, token.uses_max)),
            })),
            (Decision::RefuseToken(problem), _) => {
                Err(Refusal::of(token.id, EnrollError::TokenRefused(problem)))
            }
            _ => Err(Refusal::of(token.id, EnrollError::TokenRefused(problem))),
        }
    }

    fn pending(
        &self,
        token: &Token,
        accepted: &Accepted,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> PendingRequest {
        PendingRequest {
            id: Id::draw(&*self.random),
            token: token.id,
            spki_sha256: accepted.csr.public_key().spki_sha256(),
            kind: token.kind,
            name: accepted.wanted.name.clone(),
            sans: accepted.wanted.sans.clone(),
            source,
            created_at: now,
            state: RequestState::Pending,
            decided: None,
        }
    }

    /// `None` when an operator approved exactly this request; the stored one while it waits.
    async fn approval(&self, request: PendingRequest) -> Result<Option<PendingRequest>, EnrollError> {
        let asked = (request.name.clone(), request.sans.clone());
        let stored = self
            .store
            .submit_request(request)
            .await?
            .ok_or(EnrollError::TooManyPending)?;
        match stored.state {
            RequestState::Denied => Err(EnrollError::Denied),
            // INVARIANT: what an operator saw is what is issued.
            _ if (&stored.name, &stored.sans) != (&asked.0, &asked.1) => {
                Err(EnrollError::NotAsApproved(stored.id))
            }
            RequestState::Pending => Ok(Some(stored)),
            RequestState::Approved => Ok(None),
        }
    }

    async fn commit(
        &self,
        token: &Token,
        accepted: Accepted,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Enrollment, Refusal> {
        let Accepted { csr, wanted, labels } = accepted;
        let is_client = token.kind == IdentityKind::Client;
        let identity = Identity {
            id: Id::draw(&*self.random),
            kind: token.kind,
            name: wanted.name,
            rules: token.rules.clone(),
            labels,
            role: token.role.clone().filter(|_| is_client),
            permission: token.permission.filter(|_| is_client),
            created_at: now,
        };
        let mut certificate = self
            .issue(&identity, wanted.sans, &csr, now)
            .map_err(|e| Refusal::of(token.id, e))?;
        certificate.token = Some(token.id);
        let enrollment = store::Enrollment {
            token: token.id,
            identity,
            certificate: certificate.clone(),
            source,
            now,
        };
        let uses = |left| Some((left, token.uses_max));
        match self
            .store
            .enroll(enrollment)
            .await
            .map_err(|e| Refusal::of(token.id, e))?
        {
            Enrolled::Issued { uses_left } => Ok(Enrollment::Issued(Issuance {
                certificate,
                token_uses: uses(uses_left),
            })),
            Enrolled::Repeated(certificate) => Ok(Enrollment::Repeated(Issuance {
                certificate: *certificate,
                token_uses: None,
            })),
            Enrolled::TokenRefused(problem) => {
                self.tokens.forget(&token.id);
                Err(Refusal::recorded(token.id, EnrollError::TokenRefused(problem)))
            }
            Enrolled::NameTaken(name) => Err(Refusal::recorded(token.id, EnrollError::NameTaken(name))),
        }
    }
}

fn refused_event(refusal: &Refusal, outcome: String, source: Option<IpAddr>, now: Timestamp) -> Event {
    let token = refusal.token.map(|id| id.to_string());
    Event {
        at: now,
        actor: token.clone().map_or(Actor::Anonymous, Actor::Token),
        action: "enroll.refused",
        subject: token.unwrap_or_default(),
        outcome,
        source,
        detail: BTreeMap::new(),
    }
}
