//! `GET /v1/requests`, `POST /v1/requests/{id}/approve` and `/deny`.

use axum::Json;
use axum::extract::State;

use super::super::extract::{Access, Part, Query, page};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::Id;
use crate::model::enrollment::RequestState;
use crate::service::Operator;
use crate::wire::{Decided, RequestList, RequestQuery};

/// List enrolments that wait for approval, oldest first
///
/// Needs `operator`.
#[utoipa::path(get, path = "/v1/requests", tag = "requests", params(RequestQuery),
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "One page", body = RequestList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Query(query): Query<RequestQuery>,
) -> Result<Json<RequestList>, ApiError> {
    let page = page(query.limit, query.cursor)?;
    let found = api
        .service()
        .requests(&operator, query.all.unwrap_or(false), page)
        .await?;
    Ok(Json(RequestList {
        items: found.items.iter().map(views::request).collect(),
        next: found.next,
    }))
}

/// Approve an enrolment
///
/// Needs `operator`. The joining side gets its certificate when it asks again. Repeating it changes nothing.
#[utoipa::path(post, path = "/v1/requests/{id}/approve", tag = "requests", params(("id" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "Approved", body = Decided),
    Problems,
))]
pub(super) async fn approve(
    api: State<Api>,
    operator: Access<Operator>,
    id: Part<Id>,
) -> Result<Json<Decided>, ApiError> {
    decide(api, operator, id, RequestState::Approved).await
}

/// Deny an enrolment
///
/// Needs `operator`. Repeating it changes nothing.
#[utoipa::path(post, path = "/v1/requests/{id}/deny", tag = "requests", params(("id" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "Denied", body = Decided),
    Problems,
))]
pub(super) async fn deny(
    api: State<Api>,
    operator: Access<Operator>,
    id: Part<Id>,
) -> Result<Json<Decided>, ApiError> {
    decide(api, operator, id, RequestState::Denied).await
}

async fn decide(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Part(id): Part<Id>,
    state: RequestState,
) -> Result<Json<Decided>, ApiError> {
    let decided = api.service().decide_request(&operator, id, state).await?;
    Ok(Json(Decided {
        state: decided.state.as_str().to_owned(),
    }))
}
