//! The mark in every form: a page of this server gave it to this person, and no other site can know it. It is checked, with the
//! person's permission, before a handler sees what was sent: a handler that acts takes [`Sent`], which only this file makes.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use axum::body::Body;
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use http_body_util::Limited;

use super::super::Api;
use super::super::problem::ApiError;
use super::page::Refusal;
use super::person::Person;
use crate::base::Random;
use crate::base::encoding::{constant_time_eq, hex, hex_decode};
use crate::base::limits::{BODY_TIMEOUT, FORM_BYTES_MAX};
use crate::service::Level;
use crate::wire::Code;

/// The name of the field that holds the mark.
pub(super) const MARK: &str = "mark";

/// What marks are made with, for as long as the process lives.
#[derive(Clone)]
pub struct FormKey(hmac::Key);

impl FormKey {
    /// A new one.
    pub(in crate::http) fn draw(random: &dyn Random) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &random.bytes::<32>()))
    }

    /// The mark of whoever signed in this way.
    pub(super) fn mark(&self, signed_in: &str) -> String {
        hex(hmac::sign(&self.0, signed_in.as_bytes()).as_ref())
    }

    fn is_mark(&self, signed_in: &str, mark: &str) -> bool {
        let expected = hmac::sign(&self.0, signed_in.as_bytes());
        hex_decode(mark).is_some_and(|mark| constant_time_eq(&mark, expected.as_ref()))
    }
}

/// A form that a person of level `L` sent from a page of ours.
pub(super) struct Sent<L> {
    /// Who.
    pub(super) person: Person<L>,
    fields: BTreeMap<String, String>,
}

impl<L> Sent<L> {
    /// A field; empty when it is not there.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(|text| text.trim()).unwrap_or_default()
    }
}

impl<L: Level> FromRequest<Api> for Sent<L> {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, api).await?;
        let body = Body::new(Limited::new(body, FORM_BYTES_MAX));
        let form = Form::<BTreeMap<String, String>>::from_request(Request::from_parts(parts, body), api);
        let unreadable = || {
            let text =
                "the form was too large, broke off, or is not one of this server's: load the page again";
            person.refusal(ApiError::new(Code::BadRequest, text).into())
        };
        let form = tokio::time::timeout(BODY_TIMEOUT, form).await;
        let Ok(Ok(Form(fields))) = form else {
            return Err(unreadable());
        };
        let mark = fields.get(MARK).map(String::as_str).unwrap_or_default();
        if !api.forms().is_mark(person.signed_in(), mark) {
            let text = "this form did not come from a page that this server gave to you, or the server was restarted since: nothing was done. Load the page again";
            return Err(person.refusal(ApiError::new(Code::Forbidden, text).into()));
        }
        Ok(Self { person, fields })
    }
}
