//! One request: classify, permit, pass on, answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::upgrade::OnUpgrade;

use super::access::{Counted, Record};
use super::denial::Denial;
use super::engine::{Engine, Outgoing, Rest};
use super::guarded::{Busy, Signals};
use super::headers;
use super::permit::Permit;
use super::registry::Entered;
use super::roles::Passing;
use super::rules::{self, Facts};
use super::shared::Shared;
use super::tunnel;
use super::upstream::UpstreamError;

/// What goes back to the client.
pub type Answer = Either<Full<Bytes>, Relayed>;

/// What the requests of one connection share.
pub struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Arc<Entered>,
    pub(super) signals: Arc<Signals>,
    pub(super) rest: Rest,
}

impl Exchange {
    /// Answers one request.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let busy = self.signals.begin();
        let mut record = Record::start(
            Arc::clone(&self.connection),
            &self.shared,
            request.method().clone(),
            request.uri().path().to_owned(),
        );
        let classified = rules::classify(&request).inspect(|facts| record.set_target(facts));
        let permit = match classified.and_then(|facts| self.permit(facts)) {
            Ok(permit) => permit,
            Err(denial) => return Ok(deny(&denial, &mut record)),
        };
        let client = self.connection.peer.verified().name().as_str();
        let identity = self.shared.identity();
        let host = identity.host().name().as_str();
        let judged = self
            .shared
            .judge
            .admit(client, host, permit.facts(), request)
            .await;
        record.set_role(judged.role);
        match judged.passed {
            Ok(request) => {
                record.note_allowed();
                Ok(self.forward(permit, request, record, busy).await)
            }
            Err(denial) => Ok(deny(&denial, &mut record)),
        }
    }

    fn permit(&self, facts: Facts) -> Result<Permit, Denial> {
        let (identity, now) = (self.shared.identity(), self.shared.clock.now());
        let shared = &self.shared;
        self.connection
            .peer
            .permit(&identity, &shared.enforced, shared.policy.as_ref(), facts, now)
    }

    async fn forward(
        &self,
        permit: Permit,
        mut request: Request<Passing>,
        mut record: Record,
        busy: Busy,
    ) -> Response<Answer> {
        let facts = permit.facts();
        let client = facts.upgrade.map(|_| hyper::upgrade::on(&mut request));
        let outgoing = outgoing(&permit, request, &record);
        let rest = match facts.is_last {
            true => self.rest.apart(),
            false => self.rest.clone(),
        };
        let sent = rest.send(&self.shared.upstream, outgoing).await;
        let (mut response, engine) = match sent {
            Ok(answered) => answered,
            Err(error) => return deny(&Denial::Upstream(error), &mut record),
        };
        record.set_status(response.status());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return match client.filter(|_| is_what_was_asked(&permit, &response)) {
                Some(client) => self.tunnel(client, response, engine, record),
                None => deny(&Denial::Upstream(UpstreamError::WrongProtocol), &mut record),
            };
        }
        headers::toward_client(response.headers_mut(), facts.is_last);
        response.map(|body| Either::Right(Relayed::new(body, (engine, rest), record, busy)))
    }

    fn tunnel(
        &self,
        client: OnUpgrade,
        mut response: Response<Incoming>,
        engine: Engine,
        mut record: Record,
    ) -> Response<Answer> {
        let upgraded = hyper::upgrade::on(&mut response);
        record.note_open();
        let (connection, signals) = (Arc::clone(&self.connection), Arc::clone(&self.signals));
        self.shared.tasks.spawn(async move {
            tunnel::run(client, upgraded, connection, signals, record).await;
            drop(engine);
        });
        let protocol = response.headers().get(UPGRADE).cloned();
        headers::toward_client(response.headers_mut(), false);
        if let Some(protocol) = protocol {
            headers::set_upgrade(response.headers_mut(), protocol);
        }
        response.map(|_| Either::Left(Full::default()))
    }
}

fn outgoing(permit: &Permit, request: Request<Passing>, record: &Record) -> Outgoing {
    let facts = permit.facts();
    let (mut parts, body) = request.into_parts();
    headers::toward_engine(&mut parts.headers, facts.upgrade);
    let mut outgoing = Request::new(Counted::new(body, record.counters().0));
    *outgoing.method_mut() = facts.method.clone();
    *outgoing.uri_mut() = facts.target();
    *outgoing.headers_mut() = parts.headers;
    outgoing
}

fn is_what_was_asked(permit: &Permit, response: &Response<Incoming>) -> bool {
    let asked = permit.facts().upgrade.map(rules::Protocol::as_str);
    let answered = response.headers().get(UPGRADE).and_then(|v| v.to_str().ok());
    matches!((asked, answered), (Some(asked), Some(answered)) if asked.eq_ignore_ascii_case(answered))
}

fn deny(denial: &Denial, record: &mut Record) -> Response<Answer> {
    record.set_denied(denial);
    denial.response().map(Either::Left)
}

/// dockerd's answer on its way to the client, with everything that has to last as long as it does.
pub struct Relayed {
    body: Counted,
    record: Record,
    engine: Option<Engine>,
    /// Where the engine's connection rests once the answer is through.
    rest: Rest,
    _busy: Busy,
}

impl Relayed {
    fn new(body: Incoming, (engine, rest): (Engine, Rest), record: Record, busy: Busy) -> Self {
        let mut relayed = Self {
            body: Counted::new(body, record.counters().1),
            record,
            engine: Some(engine),
            rest,
            _busy: busy,
        };
        if relayed.body.is_end_stream() {
            relayed.complete();
        } else {
            relayed.record.note_open();
        }
        relayed
    }

    /// The answer is through.
    fn complete(&mut self) {
        self.record.set_complete();
        if let Some(engine) = self.engine.take() {
            self.rest.put(engine);
        }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let over = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            _ => false,
        };
        if over {
            self.complete();
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
