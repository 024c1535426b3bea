//! A connection to dockerd. It belongs to one client's connection: kept between that client's requests, never used for
//! another's, and ended with it. One that may become a raw stream is used for nothing before that, nor after.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::access::Counted;
use super::roles::Passing;
use super::upstream::{Upstream, UpstreamError};

/// What is sent to dockerd.
pub type Outgoing = Request<Counted<Passing>>;

/// An open connection to dockerd; closed when dropped.
pub struct Engine {
    sender: SendRequest<Counted<Passing>>,
    _driver: AbortOnDropHandle<()>,
}

impl Engine {
    async fn open(upstream: &Upstream) -> Result<Self, UpstreamError> {
        let io = TokioIo::new(upstream.connect().await?);
        let (sender, connection) = http1::handshake(io).await.map_err(broken)?;
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(%error, "connection to dockerd broken off");
            }
        }));
        Ok(Self {
            sender,
            _driver: driver,
        })
    }
}

fn broken(error: hyper::Error) -> UpstreamError {
    debug!(%error, "dockerd did not answer");
    UpstreamError::Broken
}

/// Where one client's connection keeps its connection to dockerd between two requests.
#[derive(Clone, Default)]
pub struct Rest(Arc<Mutex<Option<Engine>>>);

impl Rest {
    /// Sends a request on the connection that rests here, or on a new one when there is none, when dockerd has closed it
    /// before anything was written to it, or when it ends without an answer to what may be asked twice: a dockerd that
    /// stops closes connections just as requests are written to them. A new connection is tried once.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn send(
        &self,
        upstream: &Upstream,
        request: Outgoing,
    ) -> Result<(Response<Incoming>, Engine), UpstreamError> {
        let mut request = request;
        if let Some(mut engine) = self.take() {
            let spare = copy(&request);
            match engine.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, engine)),
                Err(mut unsent) => match unsent.take_message().or(spare) {
                    Some(again) => request = again,
                    None => return Err(broken(unsent.into_error())),
                },
            }
        }
        let mut engine = Engine::open(upstream).await?;
        let response = engine.sender.send_request(request).await.map_err(broken)?;
        Ok((response, engine))
    }

    /// A place of its own for a request that may turn its connection into a raw stream, and for no other. What rests here
    /// is closed: no request comes after that one.
    pub fn apart(&self) -> Self {
        drop(self.take());
        Self::default()
    }

    /// Keeps a connection whose answer is through.
    pub fn put(&self, engine: Engine) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
    }

    /// The connection, if it is still good. One that dockerd closed, or whose last request is still being sent, is not.
    fn take(&self) -> Option<Engine> {
        let engine = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        engine.sender.is_ready().then_some(engine)
    }
}

/// The request once more, where it is safe to ask twice: nothing is changed by it, and it has no body (RFC 9110 §9.2.2).
fn copy(request: &Outgoing) -> Option<Outgoing> {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    (is_safe && request.body().is_end_stream()).then(|| {
        let nothing = Counted::new(Either::Right(Full::default()), Arc::default());
        let mut copy = Request::new(nothing);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        copy
    })
}
