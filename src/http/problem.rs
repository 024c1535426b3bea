//! Errors as answers: every refusal of the service becomes a problem document here, and nowhere else.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};

use crate::pki::CsrError;
use crate::service::{
    AccessError, AppliedError, CertificateError, ChannelError, EnrollError, FollowError, HostError, JobError,
    KnownError, NamesError, RenewError, RequestError, RevokeError, RoleChangeError, ServiceError,
    SessionError, TokenError,
};
use crate::wire::{Code, PROBLEM_JSON, Problem};

/// A refused request.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) problem: Box<Problem>,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            problem: Box::new(Problem::new(code, detail)),
            retry_after: None,
        }
    }

    pub(super) fn bad_request(detail: impl std::fmt::Display) -> Self {
        Self::new(Code::BadRequest, detail.to_string())
    }

    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// Whole seconds, rounded up: asking a moment early would be refused again.
pub(super) fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_millis().div_ceil(1000) as u64)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).expect("strings and numbers are always JSON");
        let mut response = (status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds(wait));
        }
        response
    }
}

/// Every answer that is not a success, for the OpenAPI description.
pub(super) struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> std::collections::BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = utoipa::openapi::Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description("What went wrong, and what to do")
            .content(PROBLEM_JSON, content)
            .build();
        [("default".to_owned(), response.into())].into()
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        if matches!(error, ServiceError::Cursor) {
            return Self::bad_request(error);
        }
        tracing::error!(%error, "a request failed for a fault of the server");
        match error {
            ServiceError::Unavailable(_) => Self::new(
                Code::Unavailable,
                "the server cannot use its database right now; nothing was changed. Try again; the server's log says why",
            )
            .retry_after(Duration::from_secs(5)),
            _ => Self::new(Code::Internal, "the server failed; nothing was changed. Its log says why"),
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Refused { .. } => Self::new(Code::CertificateRefused, error.to_string()),
            AccessError::Forbidden { .. } => Self::new(Code::Forbidden, error.to_string()),
            AccessError::Service(error) => error.into(),
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::TooMany => Self::new(Code::Conflict, error.to_string()),
            SessionError::Link => Self::new(Code::TokenRefused, error.to_string()),
            SessionError::Unknown(_) => Self::new(Code::NotFound, error.to_string()),
            SessionError::Access(error) => error.into(),
            SessionError::Service(error) => error.into(),
        }
    }
}

fn csr_code(error: &CsrError) -> Code {
    match error {
        CsrError::Key(_) | CsrError::KeyNotAllowed { .. } => Code::KeyNotAllowed,
        _ => Code::BadCsr,
    }
}

fn names_code(error: &NamesError) -> Code {
    match error {
        NamesError::NotAllowed { .. } => Code::NameNotAllowed,
        _ => Code::BadRequest,
    }
}

impl From<EnrollError> for ApiError {
    fn from(error: EnrollError) -> Self {
        use EnrollError as E;
        let code = match &error {
            E::NotAToken(_) | E::Labels(_) | E::ReservedLabel(_) => Code::BadRequest,
            E::TokenRefused(_) => Code::TokenRefused,
            E::Csr(csr) => csr_code(csr),
            E::Names(names) => names_code(names),
            E::NameTaken(_) => Code::NameTaken,
            E::Denied => Code::RequestDenied,
            E::NotAsApproved(_) => Code::Conflict,
            E::TooManyPending => Code::Unavailable,
            E::RateLimited(_) => Code::RateLimited,
            E::Service(_) => Code::Internal,
        };
        let answer = Self::new(code, error.to_string());
        match error {
            E::RateLimited(wait) => answer.retry_after(wait),
            E::TooManyPending => answer.retry_after(Duration::from_secs(60)),
            E::Service(error) => error.into(),
            _ => answer,
        }
    }
}

impl From<RoleChangeError> for ApiError {
    fn from(error: RoleChangeError) -> Self {
        use RoleChangeError as E;
        let code = match &error {
            E::Role(_) | E::BuiltIn(_) => Code::BadRequest,
            E::Exists(_) | E::InUse(_) | E::TooMany { .. } => Code::Conflict,
            E::NoRole(_) | E::NoClient(_) | E::NoBinding { .. } => Code::NotFound,
            E::Service(_) => Code::Internal,
        };
        match error {
            E::Service(error) => error.into(),
            error => Self::new(code, error.to_string()),
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Service(error) => error.into(),
            JobError::NotHere(_) => Self::new(Code::Conflict, error.to_string()),
        }
    }
}

impl From<ChannelError> for ApiError {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Service(error) => error.into(),
            ChannelError::Unknown(..) => Self::new(Code::NotFound, error.to_string()),
        }
    }
}

impl From<RenewError> for ApiError {
    fn from(error: RenewError) -> Self {
        let code = match &error {
            RenewError::Csr(csr) => csr_code(csr),
            RenewError::SameKey => Code::KeyNotAllowed,
            RenewError::OtherName { .. } => Code::NameNotAllowed,
            RenewError::Names(names) => names_code(names),
            RenewError::Refused => Code::CertificateRefused,
            RenewError::Service(_) => Code::Internal,
        };
        match error {
            RenewError::Service(error) => error.into(),
            error => Self::new(code, error.to_string()),
        }
    }
}

impl From<CertificateError> for ApiError {
    fn from(error: CertificateError) -> Self {
        let code = match error {
            CertificateError::Service(error) => return error.into(),
            CertificateError::Unknown(_) | CertificateError::UnknownHost(_) => Code::NotFound,
            CertificateError::NotYours(_) => Code::Forbidden,
        };
        Self::new(code, error.to_string())
    }
}

impl From<HostError> for ApiError {
    fn from(error: HostError) -> Self {
        let code = match error {
            HostError::Service(error) => return error.into(),
            HostError::Unknown(_) => Code::NotFound,
            HostError::NotYours(_) => Code::Forbidden,
            HostError::Report(_) => Code::BadRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Service(error) => return error.into(),
            TokenError::Unknown(_) => Code::NotFound,
            TokenError::Permission => Code::Forbidden,
            _ => Code::BadRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let code = match error {
            RequestError::Service(error) => return error.into(),
            RequestError::Unknown(_) => Code::NotFound,
            RequestError::Decided { .. } => Code::Conflict,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        use RevokeError as E;
        let code = match error {
            E::Service(error) => return error.into(),
            E::UnknownSerial(_) | E::UnknownFingerprint | E::UnknownIdentity(_) => Code::NotFound,
            E::Nothing(_) => Code::NotFound,
            E::Ambiguous(_) | E::Shown(_) => Code::BadRequest,
            E::NotYours(_) => Code::Forbidden,
        };
        Self::new(code, error.to_string())
    }
}

impl From<FollowError> for ApiError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Service(error) => error.into(),
            FollowError::Full => {
                Self::new(Code::Unavailable, error.to_string()).retry_after(Duration::from_secs(10))
            }
        }
    }
}

impl From<AppliedError> for ApiError {
    fn from(error: AppliedError) -> Self {
        match error {
            AppliedError::Service(error) => error.into(),
            AppliedError::NotOurs { .. } => Self::new(Code::Conflict, error.to_string()),
        }
    }
}

impl From<KnownError> for ApiError {
    fn from(error: KnownError) -> Self {
        let code = match error {
            KnownError::Service(error) => return error.into(),
            KnownError::OtherFeed => Code::Conflict,
            KnownError::TooMany => Code::TooLarge,
        };
        Self::new(code, error.to_string())
    }
}
