//! `GET /v1/whoami`.

use axum::Json;

use super::super::extract::Access;
use super::super::problem::{ApiError, Problems};
use crate::service::Anyone;
use crate::wire::WhoAmI;

/// Who the server takes the caller for
#[utoipa::path(get, path = "/v1/whoami", tag = "clients", security(("mutualTLS" = [])), responses(
    (status = 200, description = "The caller", body = WhoAmI),
    Problems,
))]
pub(super) async fn whoami(Access(caller): Access<Anyone>) -> Result<Json<WhoAmI>, ApiError> {
    let identity = caller.identity();
    Ok(Json(WhoAmI {
        name: identity.name.to_string(),
        profile: identity.kind,
        role: identity.role.clone(),
        permission: identity.permission,
    }))
}
