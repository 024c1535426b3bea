//! What goes around every request: an id, one log line, security headers, the date, a stop to requests that
//! other sites make a browser send, and a net under panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, DATE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::connection::ConnectionInfo;
use super::problem::ApiError;
use super::{Api, dashboard, date};
use crate::base::encoding::hex;
use crate::wire::Code;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Goes with an answer that every host gets after every change: its line is written at `debug`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routine;

/// Answers for paths and methods that do not exist, and the frame around everything.
pub(super) fn wrap(router: Router<Api>, api: Api) -> Router {
    router
        .fallback(async |headers: HeaderMap| {
            let error = ApiError::new(
                Code::NotFound,
                "nothing is served at this path: see /openapi.json",
            );
            match dashboard::is_for_people(&headers) {
                true => dashboard::nothing_here(),
                false => error.into_response(),
            }
        })
        .method_not_allowed_fallback(|| async {
            ApiError::new(Code::MethodNotAllowed, "not with this method: see /openapi.json")
        })
        .layer(middleware::from_fn_with_state(api.clone(), frame))
        .with_state(api)
}

async fn frame(State(api): State<Api>, request: Request, next: Next) -> Response {
    let clock = api.service().clock();
    let started = clock.now();
    let id = hex(&api.service().random().bytes::<8>());
    let line = Line::of(&request);
    let response = if is_from_another_site(&request) {
        ApiError::new(
            Code::Forbidden,
            "a page of another site may not send this request",
        )
        .into_response()
    } else {
        let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            // The panic hook has written where and why.
            tracing::error!(request = %id, "a handler panicked");
            ApiError::new(Code::Internal, "the server failed; its log says why").into_response()
        })
    };
    let now = clock.now();
    line.log(&id, &response, now.since(started).as_millis());
    dress(response, &id, date::header(now))
}

/// What the log says of a request. Never its query, headers or body: those may hold secrets.
struct Line {
    method: Method,
    path: String,
    source: Option<std::net::IpAddr>,
    peer: Option<String>,
}

impl Line {
    fn of(request: &Request) -> Self {
        let info = request.extensions().get::<Arc<ConnectionInfo>>();
        // The route, not the path: what stands in a path that matches nothing is nobody's business.
        let path = request.extensions().get::<MatchedPath>();
        Self {
            method: request.method().clone(),
            path: path.map_or_else(|| "(no route)".to_owned(), |p| p.as_str().to_owned()),
            source: info.and_then(|i| i.source),
            peer: info
                .and_then(|i| i.peer.as_ref())
                .map(|p| p.verified.name().to_string()),
        }
    }

    fn log(self, id: &str, response: &Response, ms: u128) {
        let status = response.status().as_u16();
        let source = self.source.map(|s| s.to_string()).unwrap_or_default();
        let peer = self.peer.unwrap_or_default();
        if response.extensions().get::<Routine>().is_some() {
            tracing::debug!(request = id, method = %self.method, route = self.path, status, ms, source, peer, "request");
        } else {
            tracing::info!(request = id, method = %self.method, route = self.path, status, ms, source, peer, "request");
        }
    }
}

/// A browser that holds a client certificate shows it for any site's form (CSRF). Browsers say where a
/// request comes from; programs say nothing.
fn is_from_another_site(request: &Request) -> bool {
    if request.method().is_safe() {
        return false;
    }
    let header = |name: HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
    let site = header(FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none");
    let authority = header(HOST).or_else(|| request.uri().authority().map(|a| a.as_str()));
    let origin = header(ORIGIN).is_some_and(|origin| {
        let from = origin.split_once("://").map(|(_, authority)| authority);
        from.is_none() || from != authority
    });
    site || origin
}

fn dress(mut response: Response, id: &str, date: HeaderValue) -> Response {
    let is_refused_method = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages have their own.
    let usual = [
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in usual {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_refused_method {
        headers
            .entry(ALLOW)
            .or_insert(HeaderValue::from_static("GET, HEAD"));
    }
    headers.insert(DATE, date);
    headers.insert(REQUEST_ID, HeaderValue::from_str(id).expect("hex"));
    response
}
