//! `GET /healthz` and `GET /readyz`.

use axum::Json;
use axum::extract::State;

use super::super::Api;
use super::super::problem::{ApiError, Problems};
use crate::wire::Health;

/// Whether the process answers
#[utoipa::path(get, path = "/healthz", tag = "operations", responses(
    (status = 200, description = "It does", body = Health),
))]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        reasons: Vec::new(),
    })
}

/// Whether requests can be served: the database answers and can be written
///
/// `degraded` serves too: it was restored from a backup, and waits for hosts to give back the revocations it lost.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "They can", body = Health),
    Problems,
))]
pub(super) async fn readyz(State(api): State<Api>) -> Result<Json<Health>, ApiError> {
    let reasons = api.service().ready().await?;
    let status = if reasons.is_empty() { "ready" } else { "degraded" };
    Ok(Json(Health {
        status: status.to_owned(),
        reasons,
    }))
}
