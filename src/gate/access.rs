//! The access log: one record per request, written when its last byte is through, and one more at the beginning of what
//! streams. Refused and cut ones are warnings, so that a filter can keep those alone. Queries, header values and bodies
//! never get into it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tracing::{Level, event};

use super::denial::Denial;
use super::metrics::{GateMetrics, OpenStream};
use super::registry::Entered;
use super::rules::Facts;
use super::shared::Shared;
use crate::base::{Clock, Timestamp};
use crate::model::role::{Operation, RoleName, find};

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
    method: Option<Method>,
    path: String,
    operation: Option<&'static Operation>,
    role: Option<RoleName>,
    status: StatusCode,
    bytes_in: Arc<AtomicU64>,
    bytes_out: Arc<AtomicU64>,
    outcome: Outcome,
    metrics: Arc<GateMetrics>,
    stream: Option<OpenStream>,
}

impl Record {
    /// Starts a record. `path` must hold no query.
    pub fn start(connection: Arc<Entered>, shared: &Shared, method: Method, path: String) -> Self {
        let mut record = Self::without_head(connection, shared);
        record.method = Some(method);
        record.path = path;
        record
    }

    /// Of what does not even frame a request.
    pub fn without_head(connection: Arc<Entered>, shared: &Shared) -> Self {
        Self {
            started: shared.clock.now(),
            connection,
            clock: Arc::clone(&shared.clock),
            method: None,
            path: String::new(),
            operation: None,
            role: None,
            status: StatusCode::BAD_GATEWAY,
            bytes_in: Arc::default(),
            bytes_out: Arc::default(),
            outcome: Outcome::Broken,
            metrics: Arc::clone(&shared.metrics),
            stream: None,
        }
    }

    /// The path once it is known in its normal form, and the operation that it is part of.
    pub fn set_target(&mut self, facts: &Facts) {
        self.path.clone_from(&facts.path);
        self.operation = find(facts.method.as_str(), facts.operation_path());
    }

    /// The role that allows it.
    pub fn set_role(&mut self, role: Option<RoleName>) {
        self.role = role;
    }

    /// It is passed on.
    pub fn note_allowed(&self) {
        self.metrics.allowed(self.role.as_ref().map(RoleName::as_str));
    }

    /// The answer's status.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// The gate answered itself, and why.
    pub fn set_denied(&mut self, denial: &Denial) {
        self.status = denial.status();
        self.outcome = Outcome::Denied(denial.to_string());
        self.metrics.denied(denial);
    }

    /// Everything went through.
    pub fn set_complete(&mut self) {
        self.outcome = Outcome::Complete;
    }

    /// The counters of bytes from the client and to it, bodies and tunnels only.
    pub fn counters(&self) -> (Arc<AtomicU64>, Arc<AtomicU64>) {
        (Arc::clone(&self.bytes_in), Arc::clone(&self.bytes_out))
    }

    /// Writes that it has begun, of what may go on for days: an upgrade, and operations that stream.
    pub fn note_open(&mut self) {
        if self.operation.is_some_and(|operation| operation.streams) {
            self.stream = Some(self.metrics.streams());
            self.write("open", None);
        }
    }

    fn write(&self, outcome: &str, reason: Option<String>) {
        let peer = self.connection.peer.verified();
        let operation = self.operation.map(|operation| operation.name);
        let what = operation.unwrap_or_else(|| self.method.as_ref().map_or("?", Method::as_str));
        let decision = match &self.outcome {
            Outcome::Denied(_) => "denied",
            Outcome::Broken | Outcome::Complete => "allowed",
        };
        let duration = self.clock.now().since(self.started).as_millis();
        // Texts of the client's stand in quotes, so that none of them looks like a field.
        macro_rules! record {
            ($level:expr) => {
                event!(
                    target: "dockwarden::access",
                    $level,
                    identity = %peer.name(),
                    serial = %peer.serial(),
                    role = self.role.as_ref().map(RoleName::as_str),
                    operation,
                    decision,
                    outcome,
                    reason,
                    method = self.method.as_ref().map(Method::as_str),
                    path = self.path.as_str(),
                    status = self.status.as_u16(),
                    bytes_in = self.bytes_in.load(Ordering::Relaxed),
                    bytes_out = self.bytes_out.load(Ordering::Relaxed),
                    duration_ms = u64::try_from(duration).unwrap_or(u64::MAX),
                    remote = %self.connection.remote,
                    connection = self.connection.number,
                    "{} {} -> {}",
                    peer.name(),
                    what,
                    self.status.as_u16(),
                )
            };
        }
        match outcome {
            "denied" | "cut" => record!(Level::WARN),
            _ => record!(Level::INFO),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let cut = self.connection.reason().map(|reason| reason.to_string());
        match (&self.outcome, cut) {
            (Outcome::Complete, _) => self.write("complete", None),
            (Outcome::Denied(why), _) => self.write("denied", Some(why.clone())),
            (Outcome::Broken, Some(reason)) => self.write("cut", Some(reason)),
            (Outcome::Broken, None) => self.write("broken off", None),
        }
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
