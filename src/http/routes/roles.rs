//! `GET` and `POST /v1/roles`, `DELETE /v1/roles/{name}`, `GET /v1/roles/applied`; `GET`, `POST` and `DELETE /v1/bindings`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::extract::{Access, Body, Part, Query};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::limits::API_BODY_BYTES_MAX;
use crate::model::Labels;
use crate::model::role::{RoleName, parse_selector};
use crate::service::{Admin, Operator, Viewer};
use crate::wire::{
    BindingList, BindingQuery, BindingRequest, RoleList, RoleOutcome, RoleRequest, RolesApplied,
    RolesAppliedQuery, RolesRestored,
};

/// List roles
///
/// Needs `viewer`. The built-in ones first, then the others by name.
#[utoipa::path(get, path = "/v1/roles", tag = "roles", security(("mutualTLS" = [])), responses(
    (status = 200, description = "All of them", body = RoleList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
) -> Result<Json<RoleList>, ApiError> {
    let roles = api.service().roles(&viewer).await?;
    let (at, differed) = api.service().roles_restored(&viewer).await?;
    let restored = at.is_some() || !differed.is_empty();
    Ok(Json(RoleList {
        items: roles.iter().map(views::role).collect(),
        restored: restored.then_some(RolesRestored { at, differed }),
    }))
}

/// Which hosts enforce the roles that count now
///
/// Needs `viewer`. Hosts with a valid certificate count. One that nothing of a change concerns enforces it.
#[utoipa::path(get, path = "/v1/roles/applied", tag = "roles", params(RolesAppliedQuery), security(("mutualTLS" = [])),
    responses(
    (status = 200, description = "Who does, and who does not", body = RolesApplied),
    Problems,
))]
pub(super) async fn applied(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
    Query(query): Query<RolesAppliedQuery>,
) -> Result<Json<RolesApplied>, ApiError> {
    let wait = Duration::from_secs(query.wait.unwrap_or(0));
    let progress = api.service().roles_applied(&viewer, wait).await?;
    Ok(Json(views::roles_applied(&progress)))
}

/// Write a role
///
/// Needs `admin`. Hosts that somebody has it on enforce it from the next request on; open connections of clients whose role
/// it was before are closed.
#[utoipa::path(post, path = "/v1/roles", tag = "roles", request_body = RoleRequest, security(("mutualTLS" = [])),
    responses(
    (status = 200, description = "It is so now", body = RoleOutcome),
    Problems,
))]
pub(super) async fn put(
    State(api): State<Api>,
    Access(admin): Access<Admin>,
    Body(request): Body<RoleRequest, API_BODY_BYTES_MAX>,
) -> Result<Json<RoleOutcome>, ApiError> {
    let name = request.name.parse().map_err(ApiError::bad_request)?;
    let changed = api
        .service()
        .put_role(&admin, name, request.role, request.replace)
        .await?;
    Ok(Json(RoleOutcome { changed }))
}

/// Remove a role
///
/// Needs `admin`. Refused while somebody has it.
#[utoipa::path(delete, path = "/v1/roles/{name}", tag = "roles", params(("name" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 204, description = "Removed"),
    Problems,
))]
pub(super) async fn remove(
    State(api): State<Api>,
    Access(admin): Access<Admin>,
    Part(name): Part<RoleName>,
) -> Result<StatusCode, ApiError> {
    api.service().remove_role(&admin, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List who has which role where
///
/// Needs `viewer`. By client and role; what came with a join token included.
#[utoipa::path(get, path = "/v1/bindings", tag = "roles", security(("mutualTLS" = [])), responses(
    (status = 200, description = "All of them", body = BindingList),
    Problems,
))]
pub(super) async fn bindings(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
) -> Result<Json<BindingList>, ApiError> {
    let bound = api.service().bindings(&viewer).await?;
    Ok(Json(BindingList {
        items: bound.iter().map(views::binding).collect(),
    }))
}

/// Give a client a role
///
/// Needs `operator`. It counts on the hosts that have all of the labels, from the next request on.
#[utoipa::path(post, path = "/v1/bindings", tag = "roles", request_body = BindingRequest,
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "It is so now", body = RoleOutcome),
    Problems,
))]
pub(super) async fn bind(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Body(request): Body<BindingRequest, API_BODY_BYTES_MAX>,
) -> Result<Json<RoleOutcome>, ApiError> {
    let client = request.client.parse().map_err(ApiError::bad_request)?;
    let role = request.role.parse().map_err(ApiError::bad_request)?;
    let hosts = Labels::new(request.hosts).map_err(ApiError::bad_request)?;
    let changed = api.service().bind_role(&operator, client, role, hosts).await?;
    Ok(Json(RoleOutcome { changed }))
}

/// Take a role from a client
///
/// Needs `operator`. With the labels it was given with; without any, that includes the role that came with its join token.
/// The client's open connections to those hosts are closed.
#[utoipa::path(delete, path = "/v1/bindings", tag = "roles", params(BindingQuery), security(("mutualTLS" = [])),
    responses(
    (status = 204, description = "Taken"),
    Problems,
))]
pub(super) async fn unbind(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Query(query): Query<BindingQuery>,
) -> Result<StatusCode, ApiError> {
    let client = query.client.parse().map_err(ApiError::bad_request)?;
    let role = query.role.parse().map_err(ApiError::bad_request)?;
    let hosts = parse_selector(query.hosts.as_deref().unwrap_or_default()).map_err(ApiError::bad_request)?;
    api.service().unbind_role(&operator, client, role, hosts).await?;
    Ok(StatusCode::NO_CONTENT)
}
