//! Roles at the gate: every request is held against the roles of whoever sends it before anything of it goes on, and
//! so is its body where a role's rules look at bodies.
//!
//! **Invariant:** no body is collected but one that rules must see; at most [`BODY_BYTES_MAX`] of it, and no more than
//! [`JUDGED_BYTES_MAX`] of all together. What is passed on is what was judged, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

use super::denial::Denial;
use super::rules::Facts;
use crate::model::role::{self, BODY_BYTES_MAX, Body, Decision, RolesInForce, Verdict};

/// Bytes of all bodies that are being judged at a time.
pub const JUDGED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a body that must be judged may take to come, waiting for its turn included.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked again whether somebody without a role has one by now, and how long apart.
const NEWCOMER_LOOKS: u32 = 20;
const NEWCOMER_PAUSE: Duration = Duration::from_millis(50);

/// A body on its way to dockerd: as it comes, or whole because it was judged.
pub type Passing = Either<Incoming, Full<Bytes>>;

/// Holds requests against roles.
pub struct Judge {
    roles: Arc<RolesInForce>,
    bytes: Semaphore,
}

impl Judge {
    /// With these roles.
    pub fn new(roles: Arc<RolesInForce>) -> Self {
        Self {
            roles,
            bytes: Semaphore::new(JUDGED_BYTES_MAX),
        }
    }

    /// Lets a request of `client` through if its roles do.
    ///
    /// # Errors
    /// [`Denial::Policy`], in words for the client.
    pub async fn admit(
        &self,
        client: &str,
        host: &str,
        facts: &Facts,
        request: Request<Incoming>,
    ) -> Result<Request<Passing>, Denial> {
        if !self.roles.is_enforced() {
            return Ok(request.map(Either::Left));
        }
        let refused = |refusal: role::Refusal| Denial::Policy(refusal.in_words(client, host));
        let query = facts.query.as_deref().unwrap_or_default();
        let mut asked =
            role::Request::of(facts.method.as_str(), facts.operation_path(), query).map_err(refused)?;
        asked.is_form = is_form(request.headers());
        match self.decide_soon(client, &asked).await {
            Verdict::NotEnforced | Verdict::Decided(Decision::Allowed) => {
                return Ok(request.map(Either::Left));
            }
            Verdict::Unknown => return Err(unknown(host)),
            Verdict::Decided(Decision::Refused(refusal)) => return Err(refused(refusal)),
            Verdict::Decided(Decision::NeedsBody) => {}
        }
        let (parts, body) = request.into_parts();
        let (body, _bytes) = self.read(body).await?;
        let whole = body.as_deref().map_or(Body::TooLong, Body::Whole);
        match (self.roles.decide(client, &asked, whole), &body) {
            (Verdict::NotEnforced | Verdict::Decided(Decision::Allowed), Some(body)) => {
                Ok(Request::from_parts(parts, Either::Right(Full::new(body.clone()))))
            }
            (Verdict::Decided(Decision::Refused(refusal)), _) => Err(refused(refusal)),
            (Verdict::Unknown, _) => Err(unknown(host)),
            // The roles were changed in between, and the body was too long for those that counted before.
            _ => Err(Denial::Policy(
                "the roles were changed in between: try again".to_owned(),
            )),
        }
    }

    /// Decides without the body. Who has no role at all is given a moment: somebody who has just enrolled may be faster
    /// than the word of it.
    async fn decide_soon(&self, client: &str, asked: &role::Request<'_>) -> Verdict {
        for _ in 0..NEWCOMER_LOOKS {
            match self.roles.decide(client, asked, Body::Unread) {
                Verdict::Unknown | Verdict::Decided(Decision::Refused(role::Refusal::NoRole)) => {}
                decided => return decided,
            }
            sleep(NEWCOMER_PAUSE).await;
        }
        self.roles.decide(client, asked, Body::Unread)
    }

    /// Reads a body; `None` when it is longer than rules look at.
    async fn read(&self, body: Incoming) -> Result<(Option<Bytes>, SemaphorePermit<'_>), Denial> {
        let length = body.size_hint().upper().unwrap_or(u64::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(BODY_BYTES_MAX);
        let reading = async {
            let bytes = self
                .bytes
                .acquire_many(u32::try_from(length).unwrap_or(u32::MAX))
                .await;
            let bytes = bytes.map_err(|_| Denial::Form("the gate is stopping"))?;
            match Limited::new(body, BODY_BYTES_MAX).collect().await {
                Ok(body) => Ok((Some(body.to_bytes()), bytes)),
                Err(error) if error.is::<LengthLimitError>() => Ok((None, bytes)),
                Err(_) => Err(Denial::Form("its body broke off")),
            }
        };
        let late = Denial::Form("its body, which a role's rules must see, took too long");
        timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(late))
    }
}

fn unknown(host: &str) -> Denial {
    Denial::Policy(format!(
        "{host} has not learned yet who may do what: its agent has not reached the server; look at dockwarden agent status there"
    ))
}

/// Whether the Engine would read parameters from the body besides the query.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    types.any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes())
            .trim()
            .to_ascii_lowercase();
        value.starts_with("application/x-www-form-urlencoded") || value.starts_with("multipart/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_form_is_found_whatever_else_is_said() {
        for (types, form) in [
            (&["application/json"][..], false),
            (&[][..], false),
            (&["application/x-tar"][..], false),
            (&["application/x-www-form-urlencoded; charset=utf-8"][..], true),
            (&["Application/X-WWW-Form-Urlencoded"][..], true),
            (&["multipart/form-data; boundary=x"][..], true),
            (&["application/json", "multipart/form-data"][..], true),
        ] {
            let mut headers = HeaderMap::new();
            types.iter().for_each(|text| {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(text));
            });
            assert_eq!(is_form(&headers), form, "{types:?}");
        }
    }
}
