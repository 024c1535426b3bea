//! The decision about an enrolment, as a pure function that every store calls inside the transaction
//! that spends the token. All stores therefore decide alike.

use super::{Certificate, Identity, Token, TokenProblem};
use crate::base::{Id, Timestamp};
use crate::pki::{IdentityName, San};

/// How long after a token's expiry the same key still gets the same certificate back.
pub const IDEMPOTENCY_WINDOW: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A request that waits for an operator, or was decided by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRequest {
    /// Named by operators to approve or deny it.
    pub id: Id,
    /// The token it came with.
    pub token: Id,
    /// The key asking; shown to the operator and printed by the joining side, to compare.
    pub spki_sha256: [u8; 32],
    /// Host or client.
    pub kind: super::IdentityKind,
    /// The name it wants.
    pub name: IdentityName,
    /// The subject alternative names it wants.
    pub sans: Vec<San>,
    /// Where it came from.
    pub source: Option<std::net::IpAddr>,
    /// When it first came.
    pub created_at: Timestamp,
    /// What was decided.
    pub state: RequestState,
    /// Who decided, and when.
    pub decided: Option<(String, Timestamp)>,
}

/// What an operator said of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Nothing yet.
    Pending,
    /// The next poll gets a certificate.
    Approved,
    /// Refused for good; the same key asks in vain.
    Denied,
}

impl RequestState {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Approved, Self::Denied]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// What the store knows at the moment of decision.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The token, if there is one with that id.
    pub token: Option<&'a Token>,
    /// The certificate this token already gave to this key.
    pub repeated: Option<&'a Certificate>,
    /// Whether the identity of this kind and name had a certificate for this key that was revoked.
    pub revoked_key: bool,
    /// The identity of this kind that has the wanted name.
    pub holder: Option<Holder<'a>>,
    /// The first live host, other than `holder`, whose name is among the wanted DNS names.
    pub name_owner: Option<&'a IdentityName>,
}

/// The identity that has the wanted name.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// Which one.
    pub identity: &'a Identity,
    /// Whether it has a certificate that is neither expired nor revoked.
    pub live: bool,
    /// Whether the requesting key is the key of one of its live certificates.
    pub proves_key: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answer with the certificate that exists; spend nothing.
    Repeat,
    /// Spend one use and store the certificate, for a new identity.
    Create,
    /// Spend one use and store the certificate, for this existing identity, with the token's rules.
    Rejoin(Id),
    /// Refuse; the caller learns only that the token is not valid.
    RefuseToken(TokenProblem),
    /// Refuse: a live identity holds this name.
    NameTaken(IdentityName),
}

/// Decides. The order matters: a lost answer is repeated even when the token is spent by now.
pub fn decide(facts: Facts<'_>, now: Timestamp) -> Decision {
    let Some(token) = facts.token else {
        return Decision::RefuseToken(TokenProblem::Unknown);
    };
    // A certificate that was revoked is not handed out again, and its key gets no other one.
    if facts.revoked_key || facts.repeated.is_some_and(|c| c.revoked_at.is_some()) {
        return Decision::RefuseToken(TokenProblem::RevokedKey);
    }
    if facts.repeated.is_some() && token.deleted_at.is_none() && now <= token.expires_at + IDEMPOTENCY_WINDOW
    {
        return Decision::Repeat;
    }
    if let Err(problem) = token.spendable(now) {
        return Decision::RefuseToken(problem);
    }
    if let Some(owner) = facts.name_owner
        && !token.replace
    {
        return Decision::NameTaken(owner.clone());
    }
    match facts.holder {
        None => Decision::Create,
        Some(holder) if !holder.live || holder.proves_key || token.replace => {
            Decision::Rejoin(holder.identity.id)
        }
        Some(holder) => Decision::NameTaken(holder.identity.name.clone()),
    }
}

#[cfg(test)]
mod tests;
