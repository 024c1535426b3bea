//! `GET /ca.pem` and `GET /issuers/{file}`.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::Api;
use super::super::problem::{ApiError, Problems};
use crate::base::encoding::{hex, sha256};
use crate::model::IssuerKind;
use crate::wire::Code;

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

/// An issuer's certificate
///
/// What the authority information access of a leaf points to (RFC 5280 §4.2.2.1): for readers that were given the
/// leaf alone. Public, over plain HTTP too; it is worth what the root it chains to is worth.
#[utoipa::path(get, path = "/issuers/{file}", tag = "public",
    params(("file" = String, Path, description = "`hosts.crt` or `clients.crt`")), responses(
    (status = 200, description = "DER", body = Vec<u8>, content_type = "application/pkix-cert"),
    Problems,
))]
pub(super) async fn issuer(State(api): State<Api>, Path(file): Path<String>) -> Result<Response, ApiError> {
    let unknown = || {
        ApiError::new(
            Code::NotFound,
            "there are /issuers/hosts.crt and /issuers/clients.crt",
        )
    };
    let kind: IssuerKind = file
        .strip_suffix(".crt")
        .and_then(|kind| kind.parse().ok())
        .ok_or_else(unknown)?;
    let der = api
        .service()
        .authority()
        .issuer(kind)
        .certificate()
        .der()
        .to_vec();
    let headers = [
        (CONTENT_TYPE, "application/pkix-cert"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    Ok((headers, der).into_response())
}
