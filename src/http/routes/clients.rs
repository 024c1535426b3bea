//! `GET /v1/clients`.

use axum::Json;
use axum::extract::State;

use super::super::extract::{Access, Query, page};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::service::Operator;
use crate::wire::{ClientList, PageQuery};

/// List clients, by name
///
/// Needs `operator`.
#[utoipa::path(get, path = "/v1/clients", tag = "clients", params(PageQuery), security(("mutualTLS" = [])), responses(
    (status = 200, description = "One page", body = ClientList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ClientList>, ApiError> {
    let page = page(query.limit, query.cursor)?;
    let found = api.service().clients(&operator, page).await?;
    let items = found
        .items
        .iter()
        .map(|(identity, newest)| views::client(identity, newest.as_ref()));
    Ok(Json(ClientList {
        items: items.collect(),
        next: found.next,
    }))
}
