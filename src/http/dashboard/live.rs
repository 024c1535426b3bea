//! `GET /live`: tells an open page when to look again, as server-sent events: at once when something was revoked, and
//! every few seconds otherwise. It ends when the person may not look any more, and there are only so many.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::super::Api;
use super::super::connection::Draining;
use super::super::problem::ApiError;
use super::page::{Refusal, dress};
use super::person::{Person, Proof};
use crate::base::limits::{LIVE_EVERY, LIVE_MAX};
use crate::service::Viewer;
use crate::wire::Code;

struct Following {
    api: Api,
    proof: Proof,
    feed: watch::Receiver<u64>,
    draining: Draining,
    _place: OwnedSemaphorePermit,
}

/// The events.
pub(super) async fn follow(
    State(api): State<Api>,
    person: Person<Viewer>,
    draining: Option<Extension<Draining>>,
) -> Result<Response, Refusal> {
    let place = api.places().try_acquire_owned().map_err(|_| {
        let text = format!("{LIVE_MAX} pages follow already; this one shows what was when it was loaded");
        person.refusal(ApiError::new(Code::Unavailable, text).into())
    })?;
    let Extension(draining) = draining.unwrap_or_default();
    let following = Following {
        feed: api.service().feed_watch(),
        proof: person.into_proof(),
        api,
        draining,
        _place: place,
    };
    let mut response = Body::from_stream(stream::unfold(following, next)).into_response();
    dress(&mut response, "text/event-stream");
    Ok(response)
}

async fn next(mut at: Following) -> Option<(Result<Bytes, std::convert::Infallible>, Following)> {
    tokio::select! {
        () = at.draining.0.cancelled() => return None,
        _ = at.feed.changed() => {}
        () = tokio::time::sleep(LIVE_EVERY) => {}
    }
    if !at.proof.holds(&at.api).await {
        return None;
    }
    Some((Ok(Bytes::from_static(b"event: changed\ndata:\n\n")), at))
}
