//! A connection to dockerd. It belongs to one client's connection: kept between that client's requests, never used for
//! another's, and ended with it.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use hyper::body::Incoming;
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
    /// Sends a request on the connection that rests here, or on a new one when there is none, or when dockerd has closed
    /// it before anything was written to it.
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
            match engine.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, engine)),
                Err(mut unsent) => match unsent.take_message() {
                    Some(back) => request = back,
                    None => return Err(broken(unsent.into_error())),
                },
            }
        }
        let mut engine = Engine::open(upstream).await?;
        let response = engine.sender.send_request(request).await.map_err(broken)?;
        Ok((response, engine))
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
