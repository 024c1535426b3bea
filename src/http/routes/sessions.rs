//! `GET` and `POST /v1/sessions`, `DELETE /v1/sessions/{id}`: browsers on the dashboard.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::extract::{Access, Part};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::Id;
use crate::service::Viewer;
use crate::wire::{SessionList, SessionOffer};

/// Make a link that signs a browser in
///
/// Needs `viewer`. Whoever opens it within a minute, first and once, is the caller on the dashboard, until the session ends, is ended, or
/// the caller's certificate is revoked or runs out.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", security(("mutualTLS" = [])), responses(
    (status = 201, description = "The link", body = SessionOffer),
    Problems,
))]
pub(super) async fn offer(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
) -> Result<(StatusCode, Json<SessionOffer>), ApiError> {
    let offer = api.service().offer_session(&viewer).await?;
    let offer = SessionOffer {
        path: format!("/sign-in/{}", offer.secret),
        expires_at: offer.until,
    };
    Ok((StatusCode::CREATED, Json(offer)))
}

/// List sessions and links that wait
///
/// Needs `viewer`: the own ones; everybody's for `admin`.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", security(("mutualTLS" = [])), responses(
    (status = 200, description = "Newest first", body = SessionList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
) -> Result<Json<SessionList>, ApiError> {
    let found = api.service().sessions(&viewer).await?;
    Ok(Json(SessionList {
        items: found.iter().map(views::session).collect(),
    }))
}

/// End a session, or withdraw a link
///
/// Needs `viewer`: an own one; anybody's for `admin`.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 204, description = "Ended"),
    Problems,
))]
pub(super) async fn end(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
    Part(id): Part<Id>,
) -> Result<StatusCode, ApiError> {
    api.service().end_session(&viewer, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
