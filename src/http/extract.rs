//! What handlers take: the authorised caller, and bodies, queries and path parts that were checked.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::Api;
use super::connection::ConnectionInfo;
use super::problem::ApiError;
use crate::base::limits::{BODY_TIMEOUT, PAGE_DEFAULT, PAGE_MAX};
use crate::model::PageRequest;
use crate::service::{Authorized, Level, Peer, Renewer};
use crate::wire::Code;

/// The caller, who reached level `L`. A handler that takes none reaches only what is public.
pub(super) struct Access<L>(pub(super) Authorized<L>);

impl<L: Level> FromRequestParts<Api> for Access<L> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let (peer, source) = peer(parts)?;
        let caller = api.service().identify(&peer, source).await?;
        let authorized = caller.authorize()?;
        Ok(Self(authorized))
    }
}

/// The caller of a renewal: also with a leaf that expired a short while ago.
pub(super) struct Renewing(pub(super) Renewer);

impl FromRequestParts<Api> for Renewing {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let (peer, source) = peer(parts)?;
        Ok(Self(api.service().identify_for_renewal(&peer, source).await?))
    }
}

fn connection(parts: &Parts) -> Option<&Arc<ConnectionInfo>> {
    parts.extensions.get::<Arc<ConnectionInfo>>()
}

fn peer(parts: &Parts) -> Result<(Peer, Option<IpAddr>), ApiError> {
    let connection = connection(parts);
    let peer = connection.and_then(|c| c.peer.clone()).ok_or_else(|| {
        ApiError::new(
            Code::CertificateRequired,
            "this needs a client certificate (TLS): enrol first, or pass --cert and --key",
        )
    })?;
    Ok((peer, connection.and_then(|c| c.source)))
}

/// Where a request came from.
pub(super) struct Source(pub(super) Option<IpAddr>);

impl FromRequestParts<Api> for Source {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self, ApiError> {
        Ok(Self(connection(parts).and_then(|c| c.source)))
    }
}

/// A JSON body of at most `MAX` bytes.
pub(super) struct Body<T, const MAX: usize>(pub(super) T);

impl<T: DeserializeOwned, const MAX: usize> FromRequest<Api> for Body<T, MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _api: &Api) -> Result<Self, ApiError> {
        if !is_json(&request) {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "send JSON, with the header Content-Type: application/json",
            ));
        }
        let collected = Limited::new(request.into_body(), MAX).collect();
        let collected = tokio::time::timeout(BODY_TIMEOUT, collected).await.map_err(|_| {
            ApiError::bad_request(format!(
                "the body did not arrive within {} s",
                BODY_TIMEOUT.as_secs()
            ))
        })?;
        let bytes = collected.map_err(|e| body_error(&*e, MAX))?.to_bytes();
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|e| ApiError::bad_request(json_error(&e)))
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = value.and_then(|v| v.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

fn body_error(error: &(dyn std::error::Error + 'static), bytes_max: usize) -> ApiError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return ApiError::new(
                Code::TooLarge,
                format!("the body is larger than {bytes_max} bytes"),
            );
        }
        cause = error.source();
    }
    ApiError::bad_request("the body broke off")
}

/// What is wrong with a body, without repeating what stood in it: that may be a token or a key.
fn json_error(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    let text = error.to_string();
    let names_a_field = ["unknown field", "missing field", "duplicate field"];
    let shown = match text.split_once(", expected ") {
        _ if error.is_eof() => "it ends too early".to_owned(),
        _ if names_a_field.iter().any(|start| text.starts_with(start)) => text.chars().take(200).collect(),
        Some((_, expected)) if error.is_data() => {
            let expected = expected.split(" at line").next().unwrap_or_default();
            format!("expected {}", expected.chars().take(100).collect::<String>())
        }
        _ if error.is_data() => "a value is not of the form it must have".to_owned(),
        _ => "it is not JSON".to_owned(),
    };
    format!("the body cannot be used: {shown} ({place})")
}

/// The query string; unknown parameters are refused.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, api).await;
        let refuse = |e: QueryRejection| {
            let text = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            ApiError::bad_request(format!(
                "the query cannot be used: {}",
                text.chars().take(200).collect::<String>()
            ))
        };
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(refuse)
    }
}

/// The one variable part of a path.
pub(super) struct Part<T>(pub(super) T);

impl<T> FromRequestParts<Api> for Part<T>
where
    T: FromStr<Err: std::fmt::Display> + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, api)
            .await
            .map_err(|_| ApiError::bad_request("the path holds bytes that are not UTF-8"))?;
        text.parse().map(Self).map_err(ApiError::bad_request)
    }
}

/// The page a query asks for, inside its bounds.
pub(super) fn page(limit: Option<u32>, cursor: Option<String>) -> Result<PageRequest, ApiError> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::bad_request(format!(
            "limit {limit} is outside 1 to {PAGE_MAX}"
        )));
    }
    Ok(PageRequest { limit, cursor })
}

/// A query value that is a word of ours.
pub(super) fn parse<T: FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, ApiError> {
    text.map(|text| {
        text.parse()
            .map_err(|e| ApiError::bad_request(format!("{name}: {e}")))
    })
    .transpose()
}
