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
    })
}

/// Whether requests can be served: the database answers and can be written
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "They can", body = Health),
    Problems,
))]
pub(super) async fn readyz(State(api): State<Api>) -> Result<Json<Health>, ApiError> {
    api.service().ready().await?;
    Ok(Json(Health {
        status: "ready".to_owned(),
    }))
}
