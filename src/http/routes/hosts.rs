//! `GET /v1/hosts`, `GET /v1/hosts/{name}`, `PUT /v1/hosts/{name}/status`.

use axum::Json;
use axum::extract::State;

use super::super::extract::{Access, Body, Part, Query, page};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::limits::API_BODY_BYTES_MAX;
use crate::model::HostReport;
use crate::pki::IdentityName;
use crate::service::{Anyone, HostItself};
use crate::wire::{HostDetail, HostList, PageQuery, StatusAnswer};

/// List hosts, by name
///
/// Everything for `viewer`; names and endpoints for other clients.
#[utoipa::path(get, path = "/v1/hosts", tag = "hosts", params(PageQuery), security(("mutualTLS" = [])), responses(
    (status = 200, description = "One page", body = HostList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(caller): Access<Anyone>,
    Query(query): Query<PageQuery>,
) -> Result<Json<HostList>, ApiError> {
    let page = page(query.limit, query.cursor)?;
    let found = api.service().hosts(&caller, page).await?;
    Ok(Json(HostList {
        items: found.items.iter().map(views::host).collect(),
        next: found.next,
    }))
}

/// Show a host
///
/// Everything for `viewer` and the host itself; name and endpoints for other clients.
#[utoipa::path(get, path = "/v1/hosts/{name}", tag = "hosts", params(("name" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "The host", body = HostDetail),
    Problems,
))]
pub(super) async fn detail(
    State(api): State<Api>,
    Access(caller): Access<Anyone>,
    Part(name): Part<IdentityName>,
) -> Result<Json<HostDetail>, ApiError> {
    let found = api.service().host(&caller, &name).await?;
    Ok(Json(views::host_detail(&found)))
}

/// Report a host's state
///
/// Only the host itself. Its endpoints must be names or addresses in its certificate.
#[utoipa::path(put, path = "/v1/hosts/{name}/status", tag = "hosts", params(("name" = String, Path)),
    request_body = HostReport, security(("mutualTLS" = [])), responses(
    (status = 200, description = "Taken", body = StatusAnswer),
    Problems,
))]
pub(super) async fn report(
    State(api): State<Api>,
    Access(host): Access<HostItself>,
    Part(name): Part<IdentityName>,
    Body(report): Body<HostReport, API_BODY_BYTES_MAX>,
) -> Result<Json<StatusAnswer>, ApiError> {
    let now = api.service().report(&host, &name, report).await?;
    Ok(Json(StatusAnswer {
        generation: views::GENERATION,
        renew_at: None,
        now,
    }))
}
