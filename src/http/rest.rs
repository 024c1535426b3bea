//! What is left of a request's body when the answer is there before it. Closing then resets the connection, and the
//! peer, who is still sending, never reads why it was refused. So the rest is read and thrown away, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;

use crate::base::limits::{BODY_REST_BYTES_MAX, BODY_REST_TIMEOUT};

/// A body that a handler reads as far as it likes.
pub(super) struct Lent {
    body: Option<Incoming>,
    back: Option<oneshot::Sender<Incoming>>,
}

/// Where it comes back to.
pub(super) struct Rest(oneshot::Receiver<Incoming>);

/// Lends a body to a handler.
pub(super) fn lend(body: Incoming) -> (Lent, Rest) {
    let (back, rest) = oneshot::channel();
    let lent = Lent {
        body: Some(body),
        back: Some(back),
    };
    (lent, Rest(rest))
}

impl Rest {
    /// Takes what is still to come: at most [`BODY_REST_BYTES_MAX`], at most [`BODY_REST_TIMEOUT`].
    pub(super) async fn discard(mut self) {
        let Ok(mut body) = self.0.try_recv() else { return };
        let mut left = BODY_REST_BYTES_MAX;
        let discard = async {
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(bytes) else {
                    return;
                };
                left = less;
            }
        };
        // Out of time: the connection is closed as it would have been without this.
        let _ = tokio::time::timeout(BODY_REST_TIMEOUT, discard).await;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it when the request was given up.
            let _ = back.send(body);
        }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.body.as_mut() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
