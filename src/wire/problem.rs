//! Errors on the wire: RFC 9457 problem documents with a stable `code`.

use serde::{Deserialize, Serialize};

/// The media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, for programs. Codes are never renamed or reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Code {
    /// 400: the body or a parameter cannot be read.
    BadRequest,
    /// 400: the CSR cannot be read, or its signature does not verify.
    BadCsr,
    /// 403: the join token is unknown, expired, spent, or not for this. Never says which.
    TokenRefused,
    /// 403: a name or address lies outside what the token or identity allows.
    NameNotAllowed,
    /// 403: an operator denied the request.
    RequestDenied,
    /// 401: a client certificate is needed.
    CertificateRequired,
    /// 403: the certificate is not accepted (expired, revoked, unknown).
    CertificateRefused,
    /// 403: the identity lacks the permission.
    Forbidden,
    /// 404: no such thing.
    NotFound,
    /// 405: not with this method.
    MethodNotAllowed,
    /// 409: a live identity holds the name.
    NameTaken,
    /// 409: it is not in a state that allows this.
    Conflict,
    /// 413: the body is over its limit.
    TooLarge,
    /// 415: not `application/json`.
    UnsupportedMediaType,
    /// 422: the key algorithm or size is not allowed by the profile.
    KeyNotAllowed,
    /// 429: too many failures from this address.
    RateLimited,
    /// 500: a fault of the server; see its log.
    Internal,
    /// 503: busy or shutting down; try again.
    Unavailable,
}

impl Code {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadCsr => 400,
            Self::CertificateRequired => 401,
            Self::TokenRefused
            | Self::NameNotAllowed
            | Self::RequestDenied
            | Self::CertificateRefused
            | Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NameTaken | Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::KeyNotAllowed => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// An RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Always `about:blank`: the meaning is in `code`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for programs.
    pub code: Code,
    /// What happened, to what, why, and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem of this code with this explanation.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let title = serde_json::to_value(code)
            .ok()
            .and_then(|v| v.as_str().map(|s| s.replace('_', " ")));
        Self {
            kind: "about:blank".to_owned(),
            title: title.unwrap_or_default(),
            status: code.status(),
            code,
            detail: detail.into(),
        }
    }
}
