//! The decision, pure: what dockerd sent, against what is trusted, revoked and permitted now.

use serde::Serialize;

use super::message::{Client, Message, MessageError};
use crate::base::Timestamp;
use crate::gate::denial::Denial;
use crate::gate::permit::is_welcome;
use crate::model::Enforced;
use crate::model::role::{self, Body, Decision, Refusal, RolesInForce, Verdict};
use crate::pki::chain::{self, Anchors, ChainError, Purpose, VerifiedPeer};

/// The longest answer, characters.
const ANSWER_CHARS_MAX: usize = 1000;

/// What a request is held against.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// The roots that clients must lead to; `None`: not known yet, and nobody with a certificate is let in.
    pub anchors: Option<&'a Anchors>,
    /// Who is refused whatever else holds.
    pub enforced: &'a Enforced,
    /// Who may do what.
    pub roles: &'a RolesInForce,
    /// Whether users of the unix socket are let in: they are root on this host in any case.
    pub local: bool,
    /// This host, for the words of refusals.
    pub host: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// What dockerd is answered. A refusal's text goes to the client: dockerd reads `Err` only beside another status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Whether the request goes on.
    #[serde(rename = "Allow")]
    pub allow: bool,
    /// Why not.
    #[serde(rename = "Msg")]
    pub message: String,
}

impl Answer {
    fn allow() -> Self {
        Self {
            allow: true,
            message: String::new(),
        }
    }

    fn deny(why: &str) -> Self {
        Self {
            allow: false,
            message: why.chars().take(ANSWER_CHARS_MAX).collect(),
        }
    }
}

/// Why a request does not go on.
#[derive(Debug, thiserror::Error)]
enum Denied {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(
        "users of the local socket are not let in on {0}; to get back in, as root: take dockwarden out of authorization-plugins in daemon.json and send dockerd SIGHUP"
    )]
    Local(String),
    #[error(
        "{0} has no certificate yet, and so does not know whom to let in: look at dockwarden agent status there"
    )]
    NoTrust(String),
    #[error(transparent)]
    Certificate(#[from] ChainError),
    #[error(transparent)]
    Unwelcome(#[from] Denial),
    #[error("{0}")]
    Role(String),
}

/// Decides about a request (`AuthZPlugin.AuthZReq`), from the bytes of dockerd's message. Total: whatever cannot be read
/// is refused.
pub fn decide(bytes: &[u8], standing: &Standing<'_>) -> Answer {
    answer(judge(bytes, standing, Stage::Request))
}

/// Decides whether the answer to a request goes out (`AuthZPlugin.AuthZRes`): not to a client that was revoked meanwhile.
/// What it may do was decided before.
pub fn decide_answer(bytes: &[u8], standing: &Standing<'_>) -> Answer {
    answer(judge(bytes, standing, Stage::Answer))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Request,
    Answer,
}

fn answer(judged: Result<(), Denied>) -> Answer {
    match judged {
        Ok(()) => Answer::allow(),
        Err(denied) => Answer::deny(&denied.to_string()),
    }
}

fn judge(bytes: &[u8], standing: &Standing<'_>, stage: Stage) -> Result<(), Denied> {
    let message = Message::parse(bytes)?;
    let chain = match &message.client {
        Client::Local if standing.local => return Ok(()),
        Client::Local => return Err(Denied::Local(standing.host.to_owned())),
        Client::Certificates(chain) => chain,
    };
    let anchors = standing
        .anchors
        .ok_or_else(|| Denied::NoTrust(standing.host.to_owned()))?;
    let peer = chain::verify(chain, anchors, Purpose::Client, standing.now)?;
    is_welcome(&peer, standing.enforced, standing.now)?;
    match stage {
        Stage::Request => judge_by_roles(&peer, &message, standing),
        Stage::Answer => Ok(()),
    }
}

/// A body that the Engine did not pass on counts as one that cannot be judged: older ones leave out the long ones.
fn judge_by_roles(peer: &VerifiedPeer, message: &Message, standing: &Standing<'_>) -> Result<(), Denied> {
    if !standing.roles.is_enforced() {
        return Ok(());
    }
    let client = peer.name().as_str();
    let refused = |refusal: Refusal| Denied::Role(refusal.in_words(client, standing.host));
    let mut request = role::Request::classify(&message.method, &message.target).map_err(refused)?;
    request.is_form = role::is_form([message.content_type.as_str()]);
    let body = message.body.as_deref().map_or(Body::TooLong, Body::Whole);
    match standing.roles.decide(client, &request, body) {
        Verdict::NotEnforced | Verdict::Decided(Decision::Allowed) => Ok(()),
        Verdict::Decided(Decision::Refused(refusal)) => Err(refused(refusal)),
        Verdict::Decided(Decision::NeedsBody) => Err(Denied::Role("its body cannot be judged".to_owned())),
        Verdict::Unknown => Err(Denied::Role(role::not_learned(standing.host))),
    }
}
