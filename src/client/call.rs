//! One call: a request out, an answer back, inside its limits.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::{self, Connection, Sharing};
use super::{CALL_TIMEOUT, Error, RESPONSE_BYTES_MAX, ServerUrl};
use crate::base::limits::CRL_BYTES_MAX;
use crate::base::{Clock, Timestamp};
use crate::pki::tls::{ALPN_HTTP1, ALPN_HTTP2, ServerTrust, TlsIdentity, client_config};
use crate::wire::Problem;

/// A connection that was idle for longer is not used again: the server may be closing it right now.
pub const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(10);

/// No offset was seen yet.
const NO_OFFSET: i64 = i64::MIN;

/// A client of one server with one identity. Cheap to make: make a new one for a new certificate, so that
/// no connection goes on presenting the old one.
pub struct Client {
    pub(super) server: ServerUrl,
    pub(super) tls: Arc<ClientConfig>,
    /// The same for a connection that several requests may share.
    pub(super) lasting_tls: Arc<ClientConfig>,
    clock: Arc<dyn Clock>,
    idle: Mutex<Option<(Timestamp, Connection)>>,
    /// The connection of a feed that is followed.
    shared: Mutex<Option<Sharing>>,
    offset_ms: AtomicI64,
    call_timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// An answer whose body was read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Its ETag, as it stands.
    pub(super) fn etag(&self) -> Option<String> {
        let etag = self.headers.get(header::ETAG)?.to_str().ok()?;
        Some(etag.to_owned())
    }
}

impl Client {
    /// A client of `server`, trusted by `trust` alone (never by the system's roots), showing `identity`
    /// when it has one. Connects with the first call.
    pub fn new(
        server: ServerUrl,
        trust: ServerTrust,
        identity: Option<Arc<TlsIdentity>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let tls = client_config(trust, identity, Arc::clone(&clock), ALPN_HTTP1);
        let mut lasting = tls.clone();
        lasting.alpn_protocols = ALPN_HTTP2.iter().map(|protocol| protocol.to_vec()).collect();
        Self {
            server,
            tls: Arc::new(tls),
            lasting_tls: Arc::new(lasting),
            clock,
            idle: Mutex::new(None),
            shared: Mutex::new(None),
            offset_ms: AtomicI64::new(NO_OFFSET),
            call_timeout: CALL_TIMEOUT,
        }
    }

    /// The same with another limit for a whole call than [`CALL_TIMEOUT`].
    #[must_use]
    pub fn with_call_timeout(self, call_timeout: Duration) -> Self {
        Self { call_timeout, ..self }
    }

    /// Who it talks to.
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// This machine's clock minus the server's in milliseconds, as the last answer's `Date` showed it;
    /// good to about half a second. `None` before the first answer.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        Some(self.offset_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NO_OFFSET)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.json(&self.call(Method::GET, path, Bytes::new()).await?)
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.json(&self.call(method, path, encode(body)).await?)
    }

    /// Makes the call; any status but 2xx is an error.
    pub(super) async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Error> {
        let answer = self.send_request(self.request(method, path, body)).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(self.refusal(&answer))
        }
    }

    /// `GET`, unless what is there is what `etag` names: then `None` (RFC 9110 §13.1.2).
    pub(super) async fn get_unless(&self, path: &str, etag: Option<&str>) -> Result<Option<Answer>, Error> {
        let mut request = self.request(Method::GET, path, Bytes::new());
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request.headers_mut().insert(header::IF_NONE_MATCH, etag);
        }
        let answer = self.send_request(request).await?;
        match answer.status {
            StatusCode::NOT_MODIFIED => Ok(None),
            status if status.is_success() => Ok(Some(answer)),
            _ => Err(self.refusal(&answer)),
        }
    }

    async fn send_request(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let sent_at = self.clock.now();
        let call = tokio::time::timeout(self.call_timeout, self.exchange(request));
        let answer = call.await.map_err(|_| {
            // It may be dead. The next call does not trust it.
            self.share(None);
            Error::Timeout {
                server: self.server.clone(),
                doing: "waiting for its answer",
                after: self.call_timeout,
            }
        })??;
        self.note_offset(&answer.headers, sent_at);
        Ok(answer)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let bytes_max = if request.uri().path().starts_with("/crl/") {
            CRL_BYTES_MAX
        } else {
            RESPONSE_BYTES_MAX
        };
        let (connection, response) = self.answered(request).await?;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: self.read(body, bytes_max).await?,
        };
        if let Some(mut connection) = connection
            && connection.sender.ready().await.is_ok()
        {
            *self.idle.lock().expect("no panic while the lock is held") =
                Some((self.clock.now(), connection));
        }
        Ok(answer)
    }

    /// Sends on the connection of the feed, else on the idle one, or on a new one when these turn out to be gone
    /// before any of the request was written to them. Gives the connection back unless it is the feed's.
    async fn answered(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Option<Connection>, Response<Incoming>), Error> {
        if let Some(mut shared) = self.shared() {
            let copy = connection::for_http2(&self.server, request.clone());
            match shared.try_send_request(copy).await {
                Ok(response) => return Ok((None, response)),
                Err(mut unsent) => match unsent.take_message() {
                    Some(_) => self.share(None),
                    None => return Err(connection::failed(&self.server, unsent.error())),
                },
            }
        }
        let mut request = request;
        if let Some(mut idle) = self.take_idle() {
            match idle.sender.try_send_request(request).await {
                Ok(response) => return Ok((Some(idle), response)),
                Err(mut unsent) => match unsent.take_message() {
                    Some(back) => request = back,
                    None => return Err(connection::failed(&self.server, unsent.error())),
                },
            }
        }
        let mut fresh = connection::open(&self.server, &self.tls).await?;
        match fresh.sender.send_request(request).await {
            Ok(response) => Ok((Some(fresh), response)),
            Err(e) => Err(connection::failed(&self.server, &e)),
        }
    }

    /// Has further calls go over this connection, or over ones of their own.
    pub(super) fn share(&self, sharing: Option<Sharing>) {
        *self.shared.lock().expect("no panic while the lock is held") = sharing;
    }

    fn shared(&self) -> Option<Sharing> {
        let shared = self.shared.lock().expect("no panic while the lock is held");
        shared.clone().filter(|sharing| !sharing.is_closed())
    }

    fn take_idle(&self) -> Option<Connection> {
        let (since, connection) = self
            .idle
            .lock()
            .expect("no panic while the lock is held")
            .take()?;
        let fresh = self.clock.now().since(since) <= IDLE_CONNECTION_MAX;
        (fresh && connection.sender.is_ready()).then_some(connection)
    }

    pub(super) fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.server.authority())
            .header(
                header::USER_AGENT,
                concat!("dockwarden/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(body))
            .expect("paths are percent-encoded and the authority was parsed")
    }

    pub(super) async fn read(&self, body: Incoming, bytes_max: usize) -> Result<Bytes, Error> {
        match Limited::new(body, bytes_max).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(e) if e.is::<LengthLimitError>() => Err(Error::too_large(&self.server, bytes_max)),
            Err(e) => Err(match e.downcast_ref::<hyper::Error>() {
                Some(e) => connection::failed(&self.server, e),
                None => Error::Closed {
                    server: self.server.clone(),
                    reason: e.to_string(),
                },
            }),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Error> {
        serde_json::from_slice(&answer.body).map_err(|e| Error::Protocol {
            server: self.server.clone(),
            // The body itself may be a whole web page, or hold what was never meant for a terminal.
            what: format!(
                "status {} with a body that is not what was asked for ({e})",
                answer.status
            ),
        })
    }

    pub(super) fn text(&self, answer: &Answer) -> Result<String, Error> {
        String::from_utf8(answer.body.to_vec()).map_err(|_| Error::Protocol {
            server: self.server.clone(),
            what: "text that is not UTF-8".into(),
        })
    }

    pub(super) fn refusal(&self, answer: &Answer) -> Error {
        let server = self.server.clone();
        if answer.status.is_redirection() {
            let what = format!("status {}, a redirect, which is never followed", answer.status);
            return Error::Protocol { server, what };
        }
        match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(mut problem) => {
                problem.detail = printable(&problem.detail);
                Error::Problem {
                    server,
                    problem: Box::new(problem),
                    retry_after: retry_after(&answer.headers),
                }
            }
            Err(_) => Error::Protocol {
                server,
                what: format!("status {} without a problem document", answer.status),
            },
        }
    }

    /// HTTP dates have whole seconds: the server's time is taken as the middle of that second, ours as
    /// the middle of the call.
    fn note_offset(&self, headers: &HeaderMap, sent_at: Timestamp) {
        let date = headers.get(header::DATE).and_then(|value| value.to_str().ok());
        if let Some(date) = date.and_then(parse_http_date) {
            let ours = (sent_at.as_millis() + self.clock.now().as_millis()) / 2;
            self.offset_ms
                .store(ours - date.as_millis() - 500, Ordering::Relaxed);
        }
    }
}

pub(super) fn encode(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body)
        .expect("wire types are always JSON")
        .into()
}

/// What a server says goes to a terminal: control characters could rewrite what is on it.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(4000)
        .collect()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

/// IMF-fixdate (RFC 9110 §5.6.7); the two obsolete forms are not sent by servers of this century.
fn parse_http_date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
}
