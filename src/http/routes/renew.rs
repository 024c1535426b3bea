//! `POST /v1/renew`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::extract::{Body, Renewing};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::limits::ENROLL_BODY_BYTES_MAX;
use crate::wire::{Issued, RenewRequest};

/// Renew with the own certificate
///
/// The CSR carries a new key. Its names replace the old ones, inside the identity's limits; without any the old
/// ones stay. A host may also come a bounded time after its certificate expired.
#[utoipa::path(post, path = "/v1/renew", tag = "enrolment", request_body = RenewRequest,
    security(("mutualTLS" = [])), responses(
    (status = 201, description = "Issued; the certificate that authenticated this is superseded", body = Issued),
    Problems,
))]
pub(super) async fn renew(
    State(api): State<Api>,
    Renewing(renewer): Renewing,
    Body(request): Body<RenewRequest, ENROLL_BODY_BYTES_MAX>,
) -> Result<(StatusCode, Json<Issued>), ApiError> {
    let service = api.service();
    let issuance = service.renew(renewer, &request.csr).await?;
    Ok((
        StatusCode::CREATED,
        Json(views::issued(&issuance, service.authority())),
    ))
}
