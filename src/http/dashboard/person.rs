//! Who looks at a page: somebody with a client certificate on the connection.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::super::Api;
use super::super::connection::ConnectionInfo;
use super::super::problem::ApiError;
use super::page::{Refusal, Section, Shell};
use crate::service::{AccessError, Authorized, Level, Operator};

/// A person who reached level `L`. A page that takes none is public.
pub(super) struct Person<L> {
    /// Who, and the proof of the level.
    pub(super) caller: Authorized<L>,
    signed_in: String,
    shell: Shell,
}

impl<L: Level> Person<L> {
    /// What the marks of this person's forms are made from: the certificate.
    pub(super) fn signed_in(&self) -> &str {
        &self.signed_in
    }

    /// What stands around a page.
    pub(super) fn shell(&self, section: Section, title: impl Into<String>) -> Shell {
        Shell {
            section,
            title: title.into(),
            ..self.shell.clone()
        }
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

impl<L: Level> FromRequestParts<Api> for Person<L> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let connection = parts.extensions.get::<Arc<ConnectionInfo>>();
        let source = connection.and_then(|connection| connection.source);
        let Some(peer) = connection.and_then(|connection| connection.peer.clone()) else {
            return Err(Refusal::sign_in());
        };
        let caller = api.service().identify(&peer, source).await.map_err(refused)?;
        let caller = caller.authorize::<L>().map_err(refused)?;
        let signed_in = format!("certificate {}", caller.certificate().serial);
        let shell = Shell::of(&caller, api, api.forms().mark(&signed_in));
        Ok(Self {
            caller,
            signed_in,
            shell,
        })
    }
}

fn refused(error: AccessError) -> Refusal {
    ApiError::from(error).into()
}
