//! Roles at the gate: every request is held against the roles of whoever sends it before anything of it goes on, and
//! so is its body where a role's rules look at bodies.
//!
//! **Invariant:** no body is collected but one that rules must see, or a learner where there is one; at most [`BODY_BYTES_MAX`] of it, and no more than
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
use crate::model::role::learn::{Learner, looks_at_body};
use crate::model::role::{self, BODY_BYTES_MAX, Body, Decision, RoleName, RolesInForce, Verdict};

/// Bytes of all bodies that are being judged at a time.
pub const JUDGED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a body that must be judged may take to come, waiting for its turn included.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked again whether somebody without a role has one by now, and how long apart.
const NEWCOMER_LOOKS: u32 = 20;
const NEWCOMER_PAUSE: Duration = Duration::from_millis(50);

/// A body on its way to dockerd: as it comes, or whole because it was judged.
pub type Passing = Either<Incoming, Full<Bytes>>;

/// What became of a request.
pub struct Judged {
    /// The role that allows it; `None` where roles are not looked at.
    pub role: Option<RoleName>,
    /// The request, to be passed on, or [`Denial::Policy`] in words for the client.
    pub passed: Result<Request<Passing>, Denial>,
}

/// Holds requests against roles.
pub struct Judge {
    roles: Arc<RolesInForce>,
    learner: Option<Arc<Learner>>,
    bytes: Semaphore,
}

/// A body, as far as it has come.
enum Came {
    /// Nobody has looked at it.
    Streaming(Incoming),
    Whole(Bytes),
    /// More than rules look at, and partly read.
    TooLong,
}

impl Judge {
    /// With these roles.
    pub fn new(roles: Arc<RolesInForce>) -> Self {
        Self {
            roles,
            learner: None,
            bytes: Semaphore::new(JUDGED_BYTES_MAX),
        }
    }

    /// Says what is asked for to a learner, too.
    pub fn learning(&mut self, learner: Arc<Learner>) {
        self.learner = Some(learner);
    }

    /// Lets a request of `client` through if its roles do.
    pub async fn admit(&self, client: &str, host: &str, facts: &Facts, request: Request<Incoming>) -> Judged {
        let (method, path) = (facts.method.as_str(), facts.operation_path());
        let query = facts.query.as_deref().unwrap_or_default();
        let asked = match role::Request::of(method, path, query) {
            Ok(asked) => role::Request {
                is_form: role::is_form(types(request.headers()).iter().map(String::as_str)),
                ..asked
            },
            Err(refusal) => {
                let enforced = self.roles.is_enforced();
                if let Some(learner) = &self.learner {
                    learner.note_unknown(client, !enforced, method, path);
                }
                return Judged {
                    role: None,
                    passed: match enforced {
                        true => Err(Denial::Policy(refusal.in_words(client, host))),
                        false => Ok(request.map(Either::Left)),
                    },
                };
            }
        };
        let (role, passed) = self.judge(client, host, &asked, request).await;
        Judged { role, passed }
    }

    async fn judge(
        &self,
        client: &str,
        host: &str,
        asked: &role::Request<'_>,
        request: Request<Incoming>,
    ) -> (Option<RoleName>, Result<Request<Passing>, Denial>) {
        let first = self.decide_soon(client, asked).await;
        let (parts, body) = request.into_parts();
        let needed = matches!(first.0, Verdict::Decided(Decision::NeedsBody));
        let (came, _bytes) = match needed || self.is_learned_from(asked, &body) {
            true => match self.read(body).await {
                Ok(read) => read,
                Err(denial) => return (None, Err(denial)),
            },
            false => (Came::Streaming(body), None),
        };
        let seen = match &came {
            Came::Streaming(_) => Body::Unread,
            Came::Whole(bytes) => Body::Whole(bytes),
            Came::TooLong => Body::TooLong,
        };
        // Reading takes time, in which roles may change.
        let (verdict, role) = match &came {
            Came::Streaming(_) => first,
            _ => self.roles.judge(client, asked, seen),
        };
        self.learn(client, asked, seen, &verdict);
        let passed = match (verdict, came) {
            (Verdict::NotEnforced | Verdict::Decided(Decision::Allowed), Came::Streaming(body)) => {
                Ok(Request::from_parts(parts, Either::Left(body)))
            }
            (Verdict::NotEnforced | Verdict::Decided(Decision::Allowed), Came::Whole(body)) => {
                Ok(Request::from_parts(parts, Either::Right(Full::new(body))))
            }
            (Verdict::Decided(Decision::Refused(refusal)), _) => {
                Err(Denial::Policy(refusal.in_words(client, host)))
            }
            (Verdict::Unknown, _) => Err(unknown(host)),
            // The roles were changed while the body came; or nobody but a learner wanted to see it, it did not say how
            // long it is, and it was too long.
            _ => Err(Denial::Policy(
                "its body is too long to be looked at, or the roles were changed in between: try again"
                    .to_owned(),
            )),
        };
        (role, passed)
    }

    /// Whether a learner looks at a body that no rule must see. One that is too long for that is left alone.
    fn is_learned_from(&self, asked: &role::Request<'_>, body: &Incoming) -> bool {
        let fits = body.size_hint().lower() <= BODY_BYTES_MAX as u64;
        self.learner.is_some() && fits && looks_at_body(asked.operation)
    }

    fn learn(&self, client: &str, asked: &role::Request<'_>, seen: Body<'_>, verdict: &Verdict) {
        let allowed = match verdict {
            Verdict::NotEnforced | Verdict::Decided(Decision::Allowed) => true,
            Verdict::Decided(Decision::Refused(_)) => false,
            Verdict::Decided(Decision::NeedsBody) | Verdict::Unknown => return,
        };
        // What was passed on unread although a learner would have looked at it was too long for it.
        let seen = match seen {
            Body::Unread if looks_at_body(asked.operation) => Body::TooLong,
            seen => seen,
        };
        if let Some(learner) = &self.learner {
            learner.note(client, allowed, asked, seen);
        }
    }

    /// Decides without the body. Who has no role at all is given a moment: somebody who has just enrolled may be faster
    /// than the word of it.
    async fn decide_soon(&self, client: &str, asked: &role::Request<'_>) -> (Verdict, Option<RoleName>) {
        for _ in 0..NEWCOMER_LOOKS {
            match self.roles.judge(client, asked, Body::Unread) {
                (Verdict::Unknown | Verdict::Decided(Decision::Refused(role::Refusal::NoRole)), _) => {}
                decided => return decided,
            }
            sleep(NEWCOMER_PAUSE).await;
        }
        self.roles.judge(client, asked, Body::Unread)
    }

    /// Reads a body, up to what rules look at.
    async fn read(&self, body: Incoming) -> Result<(Came, Option<SemaphorePermit<'_>>), Denial> {
        let length = body.size_hint().upper().unwrap_or(u64::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(BODY_BYTES_MAX);
        let reading = async {
            let bytes = self
                .bytes
                .acquire_many(u32::try_from(length).unwrap_or(u32::MAX))
                .await;
            let bytes = bytes.map_err(|_| Denial::Form("the gate is stopping"))?;
            match Limited::new(body, BODY_BYTES_MAX).collect().await {
                Ok(body) => Ok((Came::Whole(body.to_bytes()), Some(bytes))),
                Err(error) if error.is::<LengthLimitError>() => Ok((Came::TooLong, Some(bytes))),
                Err(_) => Err(Denial::Form("its body broke off")),
            }
        };
        let late = Denial::Form("its body, which a role's rules must see, took too long");
        timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(late))
    }
}

fn unknown(host: &str) -> Denial {
    Denial::Policy(role::not_learned(host))
}

/// What the body is said to be, as often as it is said.
fn types(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONTENT_TYPE).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
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
            let found = super::types(&headers);
            assert_eq!(role::is_form(found.iter().map(String::as_str)), form, "{types:?}");
        }
    }
}
