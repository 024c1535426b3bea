//! Who looks at a page: somebody whose browser has a session, or a client certificate on the connection.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::COOKIE as COOKIES;
use axum::http::request::Parts;

use super::super::Api;
use super::super::connection::ConnectionInfo;
use super::super::problem::ApiError;
use super::page::{Refusal, Section, Shell};
use crate::base::Id;
use crate::service::{AccessError, Authorized, Caller, Level, Operator, Peer, Viewer};

/// The cookie of a session. Browsers take one of this name only with `Secure`, `Path=/` and no domain (RFC 6265bis).
pub(super) const COOKIE: &str = "__Host-dockwarden";

/// A person who reached level `L`. A page that takes none is public.
pub(super) struct Person<L> {
    /// Who, and the proof of the level.
    pub(super) caller: Authorized<L>,
    session: Option<Id>,
    signed_in: String,
    shell: Shell,
    proof: Proof,
}

impl<L: Level> Person<L> {
    /// What the marks of this person's forms are made from: the session or the certificate.
    pub(super) fn signed_in(&self) -> &str {
        &self.signed_in
    }

    /// The session, if it is not a certificate that speaks.
    pub(super) fn session(&self) -> Option<Id> {
        self.session
    }

    /// What stands around a page.
    pub(super) fn shell(&self, section: Section, title: impl Into<String>) -> Shell {
        Shell {
            section,
            title: title.into(),
            ..self.shell.clone()
        }
    }

    /// What was shown to get here.
    pub(super) fn into_proof(self) -> Proof {
        self.proof
    }

    /// Whether buttons that act are of any use.
    pub(super) fn may_act(&self) -> bool {
        self.caller.reaches::<Operator>()
    }

    /// A refusal as a page of this person.
    pub(super) fn refusal(&self, refusal: Refusal) -> Refusal {
        refusal.with(self.shell.clone())
    }
}

/// What a person showed, to ask again later whether it is still good.
pub(super) enum Proof {
    Session(String),
    Certificate(Box<Peer>),
}

impl Proof {
    fn of(parts: &Parts, has_session: bool) -> Option<Self> {
        if has_session {
            return cookie(parts).map(|cookie| Self::Session(cookie.to_owned()));
        }
        let connection = parts.extensions.get::<Arc<ConnectionInfo>>()?;
        connection
            .peer
            .clone()
            .map(|peer| Self::Certificate(Box::new(peer)))
    }

    /// Whether it still opens the dashboard.
    pub(super) async fn holds(&self, api: &Api) -> bool {
        let service = api.service();
        let caller = match self {
            Self::Session(cookie) => match service.identify_session(cookie, None).await {
                Ok(found) => found.map(|(caller, _)| caller),
                Err(_) => None,
            },
            Self::Certificate(peer) => service.identify(peer, None).await.ok(),
        };
        caller.is_some_and(|caller| caller.authorize::<Viewer>().is_ok())
    }
}

impl<L: Level> FromRequestParts<Api> for Person<L> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let (caller, session) = caller(parts, api).await?;
        let signed_in = match session {
            Some(session) => format!("session {session}"),
            None => format!("certificate {}", caller.serial()),
        };
        let shell = Shell::of(&caller, session.is_some(), api, api.forms().mark(&signed_in));
        let caller = caller.authorize::<L>();
        Ok(Self {
            caller: caller.map_err(|error| refused(error).with(shell.clone()))?,
            session,
            signed_in,
            shell,
            proof: Proof::of(parts, session.is_some()).ok_or_else(|| Refusal::sign_in(false))?,
        })
    }
}

/// Whoever signed in last: with a link, or else with a certificate.
async fn caller(parts: &Parts, api: &Api) -> Result<(Caller, Option<Id>), Refusal> {
    let connection = parts.extensions.get::<Arc<ConnectionInfo>>();
    let source: Option<IpAddr> = connection.and_then(|connection| connection.source);
    let peer = connection.and_then(|connection| connection.peer.clone());
    let cookie = cookie(parts);
    if let Some(cookie) = cookie {
        match api.service().identify_session(cookie, source).await {
            Ok(Some((caller, session))) => return Ok((caller, Some(session.id))),
            Ok(None) => {}
            // The certificate on the connection may still be good.
            Err(AccessError::Refused { .. }) if peer.is_some() => {}
            Err(error) => return Err(refused(error)),
        }
    }
    let Some(peer) = peer else {
        return Err(Refusal::sign_in(cookie.is_some()));
    };
    let caller = api.service().identify(&peer, source).await.map_err(refused)?;
    Ok((caller, None))
}

fn cookie(parts: &Parts) -> Option<&str> {
    let all = parts.headers.get_all(COOKIES).into_iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn refused(error: AccessError) -> Refusal {
    ApiError::from(error).into()
}
