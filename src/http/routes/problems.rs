//! `GET /v1/problems`, `GET /v1/notifications`, `POST /v1/channels/{name}/test`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::extract::{Access, Part, Query, page};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::service::{Operator, Viewer};
use crate::wire::{NotificationList, NotificationQuery, ProblemList, ProblemQuery, QueuedTest};

/// List problems
///
/// Needs `viewer`. What somebody should look at, newest first: hosts that did not renew, are silent, or serve an old
/// certificate; clients and CA certificates that end soon; jobs and channels that fail.
#[utoipa::path(get, path = "/v1/problems", tag = "problems", params(ProblemQuery), security(("mutualTLS" = [])),
    responses(
    (status = 200, description = "One page", body = ProblemList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
    Query(query): Query<ProblemQuery>,
) -> Result<Json<ProblemList>, ApiError> {
    let page = page(query.limit, query.cursor)?;
    let found = api
        .service()
        .problems(&viewer, query.all.unwrap_or(false), page)
        .await?;
    Ok(Json(ProblemList {
        items: found.items.into_iter().map(views::problem).collect(),
        next: found.next,
    }))
}

/// List notifications
///
/// Needs `viewer`. What was said of problems to whom, and what waits to be; newest first.
#[utoipa::path(get, path = "/v1/notifications", tag = "problems", params(NotificationQuery),
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "One page", body = NotificationList),
    Problems,
))]
pub(super) async fn notifications(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
    Query(query): Query<NotificationQuery>,
) -> Result<Json<NotificationList>, ApiError> {
    let page = page(query.limit, query.cursor)?;
    let waiting = query.waiting.unwrap_or(false);
    let found = api.service().notifications(&viewer, waiting, page).await?;
    Ok(Json(NotificationList {
        items: found.items.into_iter().map(views::notification).collect(),
        next: found.next,
    }))
}

/// Try out a channel
///
/// Needs `operator`. Queues a message that says that it is a test; `GET /v1/notifications` says what came of it.
#[utoipa::path(post, path = "/v1/channels/{name}/test", tag = "problems", params(("name" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 202, description = "It is on its way", body = QueuedTest),
    Problems,
))]
pub(super) async fn test(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Part(name): Part<String>,
) -> Result<(StatusCode, Json<QueuedTest>), ApiError> {
    let number = api.service().test_channel(&operator, &name).await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedTest { number })))
}
