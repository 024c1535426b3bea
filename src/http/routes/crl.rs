//! `GET /crl/{file}`, `GET` and `POST /ocsp`. Public, also over plain HTTP: what is fetched is signed, and fetching it
//! over TLS would need checking first.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};

use super::super::problem::{ApiError, Problems};
use super::super::{Api, date};
use crate::base::encoding::{hex, sha256};
use crate::base::limits::{BODY_TIMEOUT, OCSP_REQUEST_BYTES_MAX};
use crate::model::IssuerKind;
use crate::pki::ocsp::{OcspError, decode_get};
use crate::service::{OcspAnswer, Published};
use crate::wire::Code;

/// The media type of CRLs (RFC 5280 §4.2.1.13).
const PKIX_CRL: &str = "application/pkix-crl";
/// The media type of CRLs in PEM.
const PEM_FILE: &str = "application/x-pem-file";
/// The media type of OCSP answers (RFC 6960 appendix A.2).
const OCSP_RESPONSE: &str = "application/ocsp-response";
/// How long a list may be kept without asking again, seconds: a revocation must not wait long.
const CRL_CACHE: &str = "public, max-age=60, must-revalidate";

/// The revoked certificates of an issuer
///
/// A full CRL (RFC 5280), DER or PEM. Its number only ever rises.
#[utoipa::path(get, path = "/crl/{file}", tag = "public",
    params(("file" = String, Path, description = "`hosts.crl`, `clients.crl`, `root.crl`, or the same with `.pem`")), responses(
    (status = 200, description = "The list", body = Vec<u8>, content_type = "application/pkix-crl"),
    (status = 304, description = "The list is the one named by If-None-Match or If-Modified-Since"),
    Problems,
))]
pub(super) async fn crl(
    State(api): State<Api>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let known = "there are /crl/hosts.crl, /crl/clients.crl and /crl/root.crl, and the same with .pem";
    let unknown = || ApiError::new(Code::NotFound, known);
    let Some((name, form @ ("crl" | "pem"))) = file.rsplit_once('.') else {
        return Err(unknown());
    };
    let published = match name {
        "root" => api.service().root_crl().ok_or_else(|| {
            let why =
                "the root has signed no CRL: `dockwarden server root-crl sign` does, where the root's key is";
            ApiError::new(Code::NotFound, why)
        })?,
        issuer => of_issuer(&api, issuer.parse().map_err(|_| unknown())?)?,
    };
    let (content_type, body) = match form {
        "pem" => (PEM_FILE, published.pem.clone()),
        _ => (PKIX_CRL, published.crl.der().clone()),
    };
    let tag = format!("\"{}-{form}\"", published.etag);
    let modified = date::header(published.signed_at);
    let is_known = is_known(&headers, &tag, &published);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, content_type)], Body::from(body)).into_response()
    };
    let out = response.headers_mut();
    out.insert(ETAG, HeaderValue::from_str(&tag).expect("hex and letters"));
    out.insert(LAST_MODIFIED, modified);
    out.insert(CACHE_CONTROL, HeaderValue::from_static(CRL_CACHE));
    Ok(response)
}

fn of_issuer(api: &Api, issuer: IssuerKind) -> Result<Arc<Published>, ApiError> {
    api.service().crl(issuer).ok_or_else(|| {
        let why = api.service().crl_trouble(issuer);
        let why = why.unwrap_or_else(|| "the CRL is being signed: ask again in a moment".to_owned());
        ApiError::new(Code::Unavailable, why).retry_after(Duration::from_secs(5))
    })
}

/// RFC 9110 §13.2.2: If-None-Match decides when it is there, and If-Modified-Since only when it is not.
fn is_known(headers: &HeaderMap, tag: &str, published: &Published) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        let tags = headers.get_all(IF_NONE_MATCH).iter();
        let listed = tags
            .filter_map(|value| value.to_str().ok())
            .flat_map(|v| v.split(','));
        return listed
            .map(|t| t.trim().trim_start_matches("W/"))
            .any(|t| t == tag || t == "*");
    }
    let since = headers
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok());
    let since = since.and_then(date::parse);
    since.is_some_and(|since| published.signed_at.trunc_secs() <= since)
}

/// Ask for the status of certificates
///
/// OCSP (RFC 6960, RFC 9919), request and answer in DER. Also as `GET /ocsp/{base64 of the request}`. Always 200; what
/// went wrong is in the answer.
#[utoipa::path(post, path = "/ocsp", tag = "public",
    request_body(content = Vec<u8>, content_type = "application/ocsp-request"), responses(
    (status = 200, description = "The answer", body = Vec<u8>, content_type = "application/ocsp-response"),
))]
pub(super) async fn ocsp(State(api): State<Api>, body: Body) -> Response {
    let collected = Limited::new(body, OCSP_REQUEST_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collected).await {
        Ok(Ok(request)) => answer(&api, &request.to_bytes()).await,
        _ => refusal(OcspError::MalformedRequest),
    }
}

/// The same with the request in the path.
pub(super) async fn ocsp_get(State(api): State<Api>, OriginalUri(uri): OriginalUri) -> Response {
    // As it stands in the request line: base64 has slashes, and some clients escape them.
    let rest = uri.path().strip_prefix("/ocsp/").unwrap_or_default();
    match decode_get(rest) {
        Ok(request) => answer(&api, &request).await,
        Err(error) => refusal(error),
    }
}

async fn answer(api: &Api, request: &[u8]) -> Response {
    let now = api.service().clock().now();
    match api.service().ocsp(request).await {
        Ok(answer) => dressed(&answer, now),
        Err(error) => refusal(error),
    }
}

/// With the headers of RFC 9919 §7.2: an answer made for one request alone is kept by nobody.
fn dressed(answer: &OcspAnswer, now: crate::base::Timestamp) -> Response {
    let mut response = ([(CONTENT_TYPE, OCSP_RESPONSE)], Bytes::clone(&answer.der)).into_response();
    let headers = response.headers_mut();
    if answer.has_nonce {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    let good_for = answer.next_update.since(now).as_secs().min(60);
    let cache = format!("public, max-age={good_for}, no-transform, must-revalidate");
    let tag = format!("\"{}\"", hex(&sha256(&answer.der)[..16]));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_str(&cache).expect("letters and digits"),
    );
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("hex"));
    headers.insert(LAST_MODIFIED, date::header(answer.produced_at));
    headers.insert(EXPIRES, date::header(answer.next_update));
    response
}

fn refusal(error: OcspError) -> Response {
    (
        [(CONTENT_TYPE, OCSP_RESPONSE), (CACHE_CONTROL, "no-store")],
        error.response().to_vec(),
    )
        .into_response()
}
