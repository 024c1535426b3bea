//! The plugin's socket: HTTP/1.1 as dockerd speaks it to plugins (`Host` may be empty, connections are kept), with
//! bounds on everything. What it cannot answer it answers with 500 and `Err`, which dockerd takes for a refusal.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::decide::{Answer, Standing, decide, decide_answer};
use super::message::{Client, MESSAGE_BYTES_MAX, Message};
use crate::base::Clock;
use crate::model::role::RolesInForce;
use crate::model::{CANARY, Enforced};
use crate::pki::chain::Anchors;

/// Connections of dockerd at a time. One more waits in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 256;
/// Bytes of all messages that are being read at a time.
const READ_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// The longest head of a message, and how much of its body is read at once.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a message may take to come. dockerd itself waits for ever.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Canaries that are remembered, and how long one may be.
const CANARIES_MAX: usize = 16;
const CANARY_CHARS_MAX: usize = 64;
/// The longest message of dockerd's that may be about one: it has few headers, no certificate and no body.
const CANARY_MESSAGE_BYTES_MAX: usize = 2048;
/// After an error of the socket: it may be that there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How dockerd calls its messages.
const PLUGIN_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");

/// Whom this host trusts, and its name.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The roots that clients must lead to.
    pub anchors: Anchors,
    /// The host's own name.
    pub host: String,
}

/// The plugin. It refuses everybody with a certificate until it is told whom to trust.
pub struct Plugin {
    trust: ArcSwapOption<Trust>,
    enforced: Arc<Enforced>,
    roles: Arc<RolesInForce>,
    local: bool,
    clock: Arc<dyn Clock>,
    bytes: Semaphore,
    asked: AtomicU64,
    refused: AtomicU64,
    canaries: Mutex<VecDeque<String>>,
}

impl Plugin {
    /// One that refuses whom `enforced` and `roles` say. `local`: whether users of the unix socket are let in.
    pub fn new(
        enforced: Arc<Enforced>,
        roles: Arc<RolesInForce>,
        local: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            trust: ArcSwapOption::empty(),
            enforced,
            roles,
            local,
            clock,
            bytes: Semaphore::new(READ_BYTES_MAX),
            asked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            canaries: Mutex::default(),
        }
    }

    /// Tells it whom to trust, from the next request on.
    pub fn trust(&self, trust: Trust) {
        self.trust.store(Some(Arc::new(trust)));
    }

    /// How many requests dockerd has asked about since the start: it grows with each one, or dockerd does not ask.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many of them were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether dockerd has asked about a canary with this word lately: a `GET /_ping?dockwarden=WORD` of a local user.
    pub fn saw(&self, word: &str) -> bool {
        let seen = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().any(|canary| canary == word)
    }

    fn note_canary(&self, bytes: &[u8]) {
        let Some(word) = canary(bytes) else { return };
        let mut seen = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= CANARIES_MAX {
            seen.pop_front();
        }
        seen.push_back(word);
    }

    /// Answers on `listener` until `shutdown`, then ends what is open.
    pub async fn serve(self: Arc<Self>, listener: UnixListener, shutdown: CancellationToken) {
        let (slots, tasks) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
        loop {
            let accept = async {
                let slot = Arc::clone(&slots)
                    .acquire_owned()
                    .await
                    .expect("it is never closed");
                (listener.accept().await, slot)
            };
            let (accepted, slot) = tokio::select! {
                accepted = accept => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (plugin, shutdown) = (Arc::clone(&self), shutdown.clone());
                    tasks.spawn(async move {
                        plugin.converse(stream, shutdown).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!("the authorization plugin cannot accept: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn converse(self: Arc<Self>, stream: UnixStream, shutdown: CancellationToken) {
        let service = service_fn(move |request| {
            let plugin = Arc::clone(&self);
            async move { Ok::<_, Infallible>(plugin.answer(request).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(None);
        http.max_buf_size(BUFFER_BYTES_MAX);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection of dockerd broke off");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let route = (request.method().clone(), request.uri().path().to_owned());
        match (&route.0, route.1.as_str()) {
            (&Method::POST, "/Plugin.Activate") => {
                said(StatusCode::OK, r#"{"Implements":["authz"]}"#.to_owned())
            }
            (&Method::POST, "/AuthZPlugin.AuthZReq") => self.judge(request, decide).await,
            (&Method::POST, "/AuthZPlugin.AuthZRes") => self.judge(request, decide_answer).await,
            _ => failed("dockwarden's authorization plugin knows no such call"),
        }
    }

    async fn judge(
        &self,
        request: Request<Incoming>,
        decide: fn(&[u8], &Standing<'_>) -> Answer,
    ) -> Response<Full<Bytes>> {
        let body = request.into_body();
        let length = body
            .size_hint()
            .upper()
            .and_then(|length| u32::try_from(length).ok());
        let Some(length) = length.filter(|length| *length as usize <= MESSAGE_BYTES_MAX) else {
            return failed("the request is too long to be judged");
        };
        let reading = async {
            let room = self.bytes.acquire_many(length).await.ok()?;
            let whole = Limited::new(body, MESSAGE_BYTES_MAX).collect().await.ok()?;
            Some((whole.to_bytes(), room))
        };
        let Ok(Some((bytes, _room))) = tokio::time::timeout(READ_TIMEOUT, reading).await else {
            return failed("dockerd's question broke off");
        };
        let trust = self.trust.load();
        let standing = Standing {
            anchors: trust.as_ref().map(|trust| &trust.anchors),
            enforced: &self.enforced,
            roles: &self.roles,
            local: self.local,
            host: trust.as_ref().map_or("this host", |trust| &trust.host),
            now: self.clock.now(),
        };
        let answer = decide(&bytes, &standing);
        if answer.allow {
            self.note_canary(&bytes);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        if !answer.allow {
            self.refused.fetch_add(1, Ordering::Relaxed);
            tracing::info!(target: "dockwarden::access", "dockerd was told to refuse: {}", answer.message);
        }
        let text = serde_json::to_string(&answer).expect("a switch and a text are JSON");
        said(StatusCode::OK, text)
    }
}

/// The word of a canary, if that is what dockerd asks about. Who has a certificate has no canaries.
fn canary(bytes: &[u8]) -> Option<String> {
    let start = format!("/_ping?{CANARY}=");
    let short = bytes.len() <= CANARY_MESSAGE_BYTES_MAX;
    let holds = short
        && bytes
            .windows(start.len())
            .any(|window| window == start.as_bytes());
    let message = holds.then(|| Message::parse(bytes).ok()).flatten()?;
    let word = message.target.strip_prefix(&start)?;
    let fine = matches!(message.client, Client::Local) && word.len() <= CANARY_CHARS_MAX;
    fine.then(|| word.to_owned())
}

fn said(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PLUGIN_TYPE);
    response
}

fn failed(why: &str) -> Response<Full<Bytes>> {
    let text = serde_json::json!({ "Err": why }).to_string();
    said(StatusCode::INTERNAL_SERVER_ERROR, text)
}
