//! The decision.

use super::body::{Beyond, checks};
use super::built_in::built_ins;
use super::json::{Json, JsonError};
use super::operations::{Operation, find};
use super::path::{self, PathError};
use super::spec::Role;
use super::wanted::Limits;

/// A request, as far as roles look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its place in the table.
    pub operation: &'static Operation,
    /// Its query, as it was sent.
    pub query: &'a str,
    /// Its body claims to be a form (`application/x-www-form-urlencoded`, `multipart/form-data`), out of which the Engine
    /// would read what it else reads from the query.
    pub is_form: bool,
}

/// What is known of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// It was not read yet.
    Unread,
    /// All of it.
    Whole(&'a [u8]),
    /// It is longer than [`super::BODY_BYTES_MAX`].
    TooLong,
}

/// What is to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may pass.
    Allowed,
    /// It depends on the body: read it, bounded, and ask again.
    NeedsBody,
    /// It must not pass.
    Refused(Refusal),
}

/// Why a request must not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path has no one reading.
    #[error(transparent)]
    Path(#[from] PathError),
    /// No route of the Engine that is known here.
    #[error("{}", self.in_words("", ""))]
    Unknown {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// No role at all.
    #[error("{}", self.in_words("this client", "this host"))]
    NoRole,
    /// None of the roles has the operation.
    #[error("{}", self.in_words("", "this host"))]
    Operation {
        /// `role "viewer" does`, `roles "viewer" and "logs" do`.
        roles: String,
        /// The operation.
        operation: &'static str,
        /// The least built-in role that allows it.
        enough: Option<&'static str>,
    },
    /// A role has the operation, but not like this.
    #[error(
        "role {role:?} does not allow {operation} with {beyond}; ask an admin for a role whose rules list it"
    )]
    Rules {
        /// The role.
        role: String,
        /// The operation.
        operation: &'static str,
        /// What is too much.
        beyond: Beyond,
    },
    /// The rules of a role must see the body and cannot.
    #[error("{}", self.in_words("", "this host"))]
    Body {
        /// The role.
        role: String,
        /// The operation.
        operation: &'static str,
        /// Why they cannot.
        error: JsonError,
    },
}

impl Refusal {
    /// In words for the client that is refused.
    pub fn in_words(&self, client: &str, host: &str) -> String {
        match self {
            Self::Path(error) => error.to_string(),
            Self::Unknown { method, path } => {
                format!(
                    "{method} {path} is not part of the Docker API as this version of dockwarden knows it"
                )
            }
            Self::NoRole => {
                format!(
                    "{client} has no role on {host}; ask an admin for one (dockwarden role bind {client} ROLE)"
                )
            }
            Self::Operation {
                roles,
                operation,
                enough,
            } => {
                let ask = enough.map_or(String::new(), |role| format!("; ask an admin for role {role:?}"));
                format!("{roles} not allow {operation} on {host}{ask}")
            }
            Self::Rules {
                role,
                operation,
                beyond,
            } => format!(
                "role {role:?} does not allow {operation} with {beyond} on {host}; ask an admin for a role whose rules list it"
            ),
            Self::Body {
                role,
                operation,
                error,
            } => format!(
                "role {role:?} allows {operation} on {host} only with a body that its rules can judge: {error}"
            ),
        }
    }
}

impl<'a> Request<'a> {
    /// Reads a request line: decodes once, normalises, takes the API version off, looks into the table.
    ///
    /// # Errors
    /// [`Refusal::Path`], [`Refusal::Unknown`].
    pub fn classify(method: &str, target: &'a str) -> Result<Self, Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let normal = path::normalise(path)?;
        Self::of(method, path::without_version(&normal), query)
    }

    /// From a path that is normalised and has no API version.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn of(method: &str, path: &str, query: &'a str) -> Result<Self, Refusal> {
        let operation = find(method, path).ok_or_else(|| Refusal::Unknown {
            method: method.chars().take(40).collect(),
            path: path.chars().take(200).collect(),
        })?;
        Ok(Self {
            operation,
            query,
            is_form: false,
        })
    }
}

/// Whether the Engine would read parameters from a body besides the query, by what it is said to be; said more than once,
/// one that says so is enough.
pub fn is_form<'a>(types: impl IntoIterator<Item = &'a str>) -> bool {
    types.into_iter().any(|said| {
        let said = said.to_ascii_lowercase();
        said.contains("application/x-www-form-urlencoded") || said.contains("multipart/")
    })
}

/// What a client is told while `host` has not heard of any roles.
pub fn not_learned(host: &str) -> String {
    format!(
        "{host} has not learned yet who may do what: its agent has not reached the server; look at dockwarden agent status there"
    )
}

impl Role {
    /// What this role alone says about a request.
    pub fn decide(&self, request: &Request<'_>, body: Body<'_>) -> Decision {
        let operation = request.operation;
        if !self.operations().contains(operation) {
            return Decision::Refused(not_allowed(&[self], operation));
        }
        let Some(rules) = self.rules() else {
            return Decision::Allowed;
        };
        let beyond = |beyond| {
            Decision::Refused(Refusal::Rules {
                role: self.name().to_string(),
                operation: operation.name,
                beyond,
            })
        };
        match hold(request, body, rules) {
            Held::Inside => Decision::Allowed,
            Held::NeedsBody => Decision::NeedsBody,
            Held::Beyond(error) => beyond(error),
            Held::Unreadable(error) => Decision::Refused(Refusal::Body {
                role: self.name().to_string(),
                operation: operation.name,
                error,
            }),
        }
    }
}

/// How a request stands against limits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    Inside,
    NeedsBody,
    Beyond(Beyond),
    Unreadable(JsonError),
}

/// Holds query and body of a request against limits.
pub(super) fn hold(request: &Request<'_>, body: Body<'_>, limits: &dyn Limits) -> Held {
    let checks = checks(request.operation);
    if request.is_form {
        return Held::Beyond(Beyond("a form for a body".to_owned()));
    }
    if let Some(Err(beyond)) = checks.query.map(|check| check(request.query, limits)) {
        return Held::Beyond(beyond);
    }
    let Some(check) = checks.body else {
        return Held::Inside;
    };
    let json = match body {
        Body::Unread => return Held::NeedsBody,
        Body::Whole(bytes) => Json::read(bytes),
        Body::TooLong => Err(JsonError::TooLong),
    };
    match json.map(|json| check(&json, limits)) {
        Ok(Ok(())) => Held::Inside,
        Ok(Err(beyond)) => Held::Beyond(beyond),
        Err(error) => Held::Unreadable(error),
    }
}

/// What all roles of a client together say about a request: one that allows is enough.
pub fn decide<'r>(
    roles: impl IntoIterator<Item = &'r Role>,
    request: &Request<'_>,
    body: Body<'_>,
) -> Decision {
    decide_by(roles, request, body).0
}

/// The same, with the role that allows it.
pub(super) fn decide_by<'r>(
    roles: impl IntoIterator<Item = &'r Role>,
    request: &Request<'_>,
    body: Body<'_>,
) -> (Decision, Option<&'r Role>) {
    let roles: Vec<&Role> = roles.into_iter().collect();
    let mut refused = None;
    let mut needs_body = false;
    for role in roles.iter().copied() {
        match role.decide(request, body) {
            Decision::Allowed => return (Decision::Allowed, Some(role)),
            Decision::NeedsBody => needs_body = true,
            Decision::Refused(Refusal::Operation { .. }) => {}
            Decision::Refused(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    if needs_body {
        return (Decision::NeedsBody, None);
    }
    let refusal = match refused {
        Some(refusal) => refusal,
        None if roles.is_empty() => Refusal::NoRole,
        None => not_allowed(&roles, request.operation),
    };
    (Decision::Refused(refusal), None)
}

fn not_allowed(roles: &[&Role], operation: &'static Operation) -> Refusal {
    let names: Vec<String> = roles
        .iter()
        .map(|role| format!("{:?}", role.name().as_str()))
        .collect();
    let roles = match names.as_slice() {
        [one] => format!("role {one} does"),
        more => format!("roles {} do", more.join(" and ")),
    };
    let enough = built_ins()
        .iter()
        .find(|role| role.operations().contains(operation));
    Refusal::Operation {
        roles,
        operation: operation.name,
        enough: enough.map(|role| role.name().as_str()),
    }
}
