//! `GET /v1/feed`, `POST /v1/feed/known`, `PUT` and `GET /v1/feed/applied`, `POST /v1/feed/settle`.

use std::time::Duration;

use axum::Json;
use axum::body::Body as Stream;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;

use super::super::connection::Draining;
use super::super::extract::{Access, Body, Query};
use super::super::frame::Routine;
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::limits::{API_BODY_BYTES_MAX, FEED_HEARTBEAT};
use crate::service::{Admin, Anyone, Follower, HostItself, Told, Viewer};
use crate::wire::feed::{
    EVENT_CHANGE, EVENT_HEARTBEAT, EVENT_HELLO, EVENT_LOST, EVENT_ROLES, EVENT_SNAPSHOT, EVENT_STREAM,
};
use crate::wire::{
    Applied, AppliedQuery, FeedApplied, FeedChange, FeedHeartbeat, FeedHello, FeedKnown, FeedLost, FeedQuery,
    FeedSnapshot, FeedTaken, HostRoles, Settled,
};

/// Follow what hosts must know
///
/// Server-sent events without end: `hello` first, then `change` for every number after `after` (or `snapshot` parts for
/// who is new or far behind), and `heartbeat`; hosts are told `roles`, who may do what there. `lost`, and the end, when the follower knows numbers that this server
/// never gave out: give them back. Ends when the follower's certificate is revoked or runs out.
#[utoipa::path(get, path = "/v1/feed", tag = "feed", params(FeedQuery), security(("mutualTLS" = [])), responses(
    (status = 200, description = "Events; their data is one of these, by the event's name", content_type = "text/event-stream",
     content((FeedHello = "text/event-stream"), (FeedChange = "text/event-stream"), (FeedSnapshot = "text/event-stream"),
        (FeedLost = "text/event-stream"), (FeedHeartbeat = "text/event-stream"),
        (HostRoles = "text/event-stream"))),
    Problems,
))]
pub(super) async fn follow(
    State(api): State<Api>,
    Access(caller): Access<Anyone>,
    draining: Option<Extension<Draining>>,
    Query(query): Query<FeedQuery>,
) -> Result<Response, ApiError> {
    let follower = api
        .shared()
        .follow(&caller, query.after, query.seal, query.roles)
        .await?;
    let Extension(draining) = draining.unwrap_or_default();
    let events = stream::unfold((follower, draining), next);
    Ok(([(CONTENT_TYPE, EVENT_STREAM)], Stream::from_stream(events)).into_response())
}

async fn next(
    (mut follower, draining): (Follower, Draining),
) -> Option<(Result<Bytes, std::convert::Infallible>, (Follower, Draining))> {
    let told = tokio::select! {
        () = draining.0.cancelled() => return None,
        told = follower.next() => told,
    };
    match told {
        Ok(told) => Some((Ok(event(told?)), (follower, draining))),
        Err(error) => {
            // Who follows comes again; the status was sent long ago.
            tracing::warn!(%error, "a follower of the feed was sent away");
            None
        }
    }
}

fn event(told: Told) -> Bytes {
    match told {
        Told::Hello { feed, head } => {
            let heartbeat = FEED_HEARTBEAT.as_secs();
            framed(
                EVENT_HELLO,
                None,
                &FeedHello {
                    feed,
                    head,
                    heartbeat,
                },
            )
        }
        Told::Change(news) => news.words(|sealed| {
            let number = sealed.change.number;
            framed(EVENT_CHANGE, Some(number), &views::change(sealed))
        }),
        Told::Snapshot {
            at,
            seal,
            changes,
            last,
        } => {
            let changes = changes.iter().map(views::change).collect();
            let part = FeedSnapshot {
                at,
                seal,
                changes,
                last,
            };
            framed(EVENT_SNAPSHOT, None, &part)
        }
        Told::Roles(roles) => framed(EVENT_ROLES, None, &*roles),
        Told::Lost { have } => framed(EVENT_LOST, None, &FeedLost { have }),
        Told::Heartbeat { head, now, spread } => {
            let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
            framed(EVENT_HEARTBEAT, None, &FeedHeartbeat { head, now, spread_ms })
        }
    }
}

/// An event: its name, its number if it has one, its data on one line.
fn framed(name: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(format!("event: {name}\n").as_bytes());
    if let Some(id) = id {
        text.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    text.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut text, data).expect("wire types are always JSON");
    text.extend_from_slice(b"\n\n");
    text.into()
}

/// Give back what the server lost
///
/// After the feed said `lost`: the revocations a host knows, as they came. Those with this server's own seal are revoked
/// again, as they were, under new numbers.
#[utoipa::path(post, path = "/v1/feed/known", tag = "feed", request_body = FeedKnown, security(("mutualTLS" = [])),
    responses(
    (status = 200, description = "Taken", body = FeedTaken),
    Problems,
))]
pub(super) async fn known(
    State(api): State<Api>,
    Access(host): Access<HostItself>,
    Body(known): Body<FeedKnown, API_BODY_BYTES_MAX>,
) -> Result<Json<FeedTaken>, ApiError> {
    let count = known.changes.len() as u64;
    let changes: Vec<_> = known.changes.into_iter().filter_map(views::sealed).collect();
    let unreadable = count - changes.len() as u64;
    let (regained, refused) = api.service().take_back(&host, known.feed, changes).await?;
    Ok(Json(FeedTaken {
        regained: regained.fresh,
        refused: refused + unreadable,
        head: regained.head,
    }))
}

/// Say how far a host is
///
/// Only a host, about itself: everything up to this number is refused there, open connections are cut, and it is on
/// disk.
#[utoipa::path(put, path = "/v1/feed/applied", tag = "feed", request_body = FeedApplied, security(("mutualTLS" = [])),
    responses(
    (status = 204, description = "Noted"),
    Problems,
))]
pub(super) async fn acknowledge(
    State(api): State<Api>,
    Access(host): Access<HostItself>,
    Body(applied): Body<FeedApplied, API_BODY_BYTES_MAX>,
) -> Result<(Extension<Routine>, StatusCode), ApiError> {
    api.service().acknowledge(&host, applied).await?;
    Ok((Extension(Routine), StatusCode::NO_CONTENT))
}

/// Who has applied a number of the feed
///
/// Needs `viewer`. Hosts with a valid certificate count.
#[utoipa::path(get, path = "/v1/feed/applied", tag = "feed", params(AppliedQuery), security(("mutualTLS" = [])),
    responses(
    (status = 200, description = "Who has, and who has not", body = Applied),
    Problems,
))]
pub(super) async fn applied(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
    Query(query): Query<AppliedQuery>,
) -> Result<Json<Applied>, ApiError> {
    let wait = Duration::from_secs(query.wait.unwrap_or(0));
    let (number, progress) = api.service().applied(&viewer, query.number, wait).await?;
    Ok(Json(views::applied(number, &progress)))
}

/// Wait no longer for what was lost
///
/// Needs `admin`. After a restoration the server asks every host what it knows, and publishes nothing that would
/// un-revoke until all have answered. This ends the waiting.
#[utoipa::path(post, path = "/v1/feed/settle", tag = "feed", security(("mutualTLS" = [])), responses(
    (status = 200, description = "Whether there was something to wait for", body = Settled),
    Problems,
))]
pub(super) async fn settle(
    State(api): State<Api>,
    Access(admin): Access<Admin>,
) -> Result<Json<Settled>, ApiError> {
    let settled = api.service().settle(&admin).await?;
    Ok(Json(Settled { settled }))
}
