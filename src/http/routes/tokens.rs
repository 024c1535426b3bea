//! `GET` and `POST /v1/tokens`, `DELETE /v1/tokens/{id}`.

use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::extract::{Access, Body, Part, Query, page};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::Id;
use crate::base::limits::{API_BODY_BYTES_MAX, TOKEN_LIFETIME_DEFAULT};
use crate::model::{Labels, NameRules};
use crate::service::{NewToken, Operator};
use crate::wire::{CreatedToken, PageQuery, TokenList, TokenRequest};

/// List join tokens, newest first
///
/// Needs `operator`. Never shows a secret.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(PageQuery), security(("mutualTLS" = [])), responses(
    (status = 200, description = "One page", body = TokenList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Query(query): Query<PageQuery>,
) -> Result<Json<TokenList>, ApiError> {
    let page = page(query.limit, query.cursor)?;
    let found = api.service().tokens(&operator, page).await?;
    Ok(Json(TokenList {
        items: found.items.iter().map(views::token).collect(),
        next: found.next,
    }))
}

/// Make a join token
///
/// Needs `operator`; a token that gives a permission needs `admin`. The answer is the only one that ever carries
/// the secret.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = TokenRequest,
    security(("mutualTLS" = [])), responses(
    (status = 201, description = "Made", body = CreatedToken),
    Problems,
))]
pub(super) async fn create(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Body(request): Body<TokenRequest, API_BODY_BYTES_MAX>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let (joining, token) = api.service().create_token(&operator, new_token(request)?).await?;
    let created = CreatedToken {
        token: joining.expose().to_string(),
        view: views::token(&token),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

fn new_token(request: TokenRequest) -> Result<NewToken, ApiError> {
    Ok(NewToken {
        kind: request.profile,
        rules: NameRules {
            names: parse_all("names", &request.names)?,
            addresses: parse_all("cidrs", &request.cidrs)?,
        },
        sources: parse_all("sources", &request.sources)?,
        uses: request.uses.unwrap_or(1),
        lifetime: request
            .expires_in
            .map_or(TOKEN_LIFETIME_DEFAULT, Duration::from_secs),
        labels: Labels::new(request.labels).map_err(ApiError::bad_request)?,
        role: request.role,
        permission: request.permission,
        approval: request.approval,
        replace: request.replace,
        reason: request.reason,
    })
}

fn parse_all<T: FromStr<Err: std::fmt::Display>>(field: &str, texts: &[String]) -> Result<Vec<T>, ApiError> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|e| ApiError::bad_request(format!("{field}: {e}")))
    };
    texts.iter().map(parse).collect()
}

/// Delete a join token
///
/// Needs `operator`. It can enrol nobody from now on; who joined with it stays.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 204, description = "Deleted"),
    Problems,
))]
pub(super) async fn delete(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Part(id): Part<Id>,
) -> Result<StatusCode, ApiError> {
    api.service().delete_token(&operator, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
