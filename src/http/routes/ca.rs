//! `GET /ca.pem`.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::Api;
use crate::base::encoding::{hex, sha256};

/// The root certificate
///
/// Public, over plain HTTP too. Trust it only if it has the pin of a join token, or another fingerprint that came
/// another way.
#[utoipa::path(get, path = "/ca.pem", tag = "public", responses(
    (status = 200, description = "PEM", body = String, content_type = "application/x-pem-file"),
    (status = 304, description = "Not changed"),
))]
pub(super) async fn ca_pem(State(api): State<Api>, headers: HeaderMap) -> Response {
    let pem = api.service().authority().root_pem();
    let etag = format!("\"{}\"", &hex(&sha256(pem.as_bytes()))[..32]);
    let known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let caching = [(ETAG, etag), (CACHE_CONTROL, "public, max-age=3600".to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (
        caching,
        [(CONTENT_TYPE, "application/x-pem-file")],
        pem.to_owned(),
    )
        .into_response()
}
