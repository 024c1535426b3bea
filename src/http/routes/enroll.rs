//! `POST /enroll`, which is also `POST /v1/enroll`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

use super::super::extract::{Body, Source};
use super::super::problem::{ApiError, Problems, seconds};
use super::super::{Api, views};
use crate::base::encoding::hex;
use crate::base::limits::{ENROLL_BODY_BYTES_MAX, PENDING_RETRY};
use crate::model::enrollment::PendingRequest;
use crate::service::{Application, Enrollment};
use crate::wire::{EnrollRequest, Issued, Pending};

type EnrollBody = Body<EnrollRequest, ENROLL_BODY_BYTES_MAX>;

/// Join with a token
///
/// The CSR gives its public key and the wanted names; the rest of the certificate comes from the profile. The
/// same token and key get the same certificate again, and spend nothing.
#[utoipa::path(post, path = "/enroll", tag = "enrolment", request_body = EnrollRequest, responses(
    (status = 201, description = "Issued; one use of the token is spent", body = Issued),
    (status = 200, description = "This token and key had this certificate before", body = Issued),
    (status = 202, description = "An operator has to approve it; ask again after Retry-After seconds", body = Pending),
    Problems,
))]
pub(super) async fn enroll(
    state: State<Api>,
    source: Source,
    body: EnrollBody,
) -> Result<Response, ApiError> {
    handle(state, source, body).await
}

/// Join with a token
///
/// The same as `/enroll`.
#[utoipa::path(post, path = "/v1/enroll", tag = "enrolment", request_body = EnrollRequest, responses(
    (status = 201, description = "Issued; one use of the token is spent", body = Issued),
    (status = 200, description = "This token and key had this certificate before", body = Issued),
    (status = 202, description = "An operator has to approve it; ask again after Retry-After seconds", body = Pending),
    Problems,
))]
pub(super) async fn enroll_v1(
    state: State<Api>,
    source: Source,
    body: EnrollBody,
) -> Result<Response, ApiError> {
    handle(state, source, body).await
}

async fn handle(
    State(api): State<Api>,
    Source(source): Source,
    Body(request): EnrollBody,
) -> Result<Response, ApiError> {
    let application = Application {
        token: &request.token,
        csr: &request.csr,
        names: &request.names,
        addresses: &request.addresses,
        labels: &request.labels,
        profile: request.profile,
        source,
    };
    let service = api.service();
    let (status, issuance) = match service.enroll(application).await? {
        Enrollment::Issued(issuance) => (StatusCode::CREATED, issuance),
        Enrollment::Repeated(issuance) => (StatusCode::OK, issuance),
        Enrollment::Pending(request) => return Ok(pending(&request)),
    };
    Ok((status, Json(views::issued(&issuance, service.authority()))).into_response())
}

fn pending(request: &PendingRequest) -> Response {
    let answer = Pending {
        request: request.id,
        spki_sha256: hex(&request.spki_sha256),
        retry_after: u32::try_from(PENDING_RETRY.as_secs()).unwrap_or(u32::MAX),
    };
    (
        StatusCode::ACCEPTED,
        [(RETRY_AFTER, seconds(PENDING_RETRY))],
        Json(answer),
    )
        .into_response()
}
