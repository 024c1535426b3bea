//! The access log: one record per request, written when its last byte is through. Queries, header values and
//! bodies never get into it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tracing::info;

use super::registry::Entered;
use crate::base::{Clock, Timestamp};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Somebody went away in the middle.
    Broken,
    /// Its answer went out whole.
    Complete,
    /// The gate said no.
    Denied(String),
}

/// The record of one request; dropping it writes it.
pub struct Record {
    connection: Arc<Entered>,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    method: Method,
    path: String,
    status: StatusCode,
    bytes_in: Arc<AtomicU64>,
    bytes_out: Arc<AtomicU64>,
    outcome: Outcome,
}

impl Record {
    /// Starts a record. `path` must hold no query.
    pub fn start(connection: Arc<Entered>, clock: Arc<dyn Clock>, method: Method, path: String) -> Self {
        Self {
            started: clock.now(),
            connection,
            clock,
            method,
            path,
            status: StatusCode::BAD_GATEWAY,
            bytes_in: Arc::default(),
            bytes_out: Arc::default(),
            outcome: Outcome::Broken,
        }
    }

    /// The path once it is known in its normal form.
    pub fn set_path(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// The answer's status.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// The gate answered itself, and why.
    pub fn set_denied(&mut self, status: StatusCode, why: &str) {
        self.status = status;
        self.outcome = Outcome::Denied(why.to_owned());
    }

    /// Everything went through.
    pub fn set_complete(&mut self) {
        self.outcome = Outcome::Complete;
    }

    /// The counters of bytes from the client and to it, bodies and tunnels only.
    pub fn counters(&self) -> (Arc<AtomicU64>, Arc<AtomicU64>) {
        (Arc::clone(&self.bytes_in), Arc::clone(&self.bytes_out))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let peer = self.connection.peer.verified();
        let cut = self.connection.reason().map(|reason| reason.to_string());
        let outcome = match (&self.outcome, cut) {
            (Outcome::Complete, _) => "complete".to_owned(),
            (Outcome::Denied(why), _) => format!("denied: {why}"),
            (Outcome::Broken, Some(reason)) => format!("cut: {reason}"),
            (Outcome::Broken, None) => "broken off".to_owned(),
        };
        info!(
            target: "dockwarden::access",
            identity = %peer.name(),
            serial = %peer.serial(),
            remote = %self.connection.remote,
            connection = self.connection.number,
            method = %self.method,
            path = %self.path,
            status = self.status.as_u16(),
            bytes_in = self.bytes_in.load(Ordering::Relaxed),
            bytes_out = self.bytes_out.load(Ordering::Relaxed),
            duration_ms = u64::try_from(self.clock.now().since(self.started).as_millis()).unwrap_or(u64::MAX),
            outcome,
            "{} {} {} -> {}",
            peer.name(),
            self.method,
            self.path,
            self.status.as_u16(),
        );
    }
}

/// A body that counts what passes. Frames are handed on as they come, never collected.
pub struct Counted<B = Incoming> {
    body: B,
    count: Arc<AtomicU64>,
}

impl<B> Counted<B> {
    /// Around `body`.
    pub fn new(body: B, count: Arc<AtomicU64>) -> Self {
        Self { body, count }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.count.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
