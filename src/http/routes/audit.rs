//! `GET /v1/audit`.

use axum::Json;
use axum::extract::State;

use super::super::extract::{Access, Query, page};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::service::{AuditFilter, Operator};
use crate::wire::{AuditList, AuditQuery};

/// Read the audit log
///
/// Needs `operator`. With all that is needed to check its hash chain; `dockwarden audit verify` does.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery), security(("mutualTLS" = [])), responses(
    (status = 200, description = "One page", body = AuditList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditList>, ApiError> {
    let page = page(query.limit, query.cursor)?;
    let filter = AuditFilter {
        subject: query.subject,
        after: query.after,
    };
    // Before the records: a removal in between must not leave a gap behind what is said here.
    let begin = api.service().audit_checkpoint(&operator).await?;
    let found = api.service().audit(&operator, filter, page).await?;
    Ok(Json(AuditList {
        items: found.items.into_iter().map(views::audit).collect(),
        next: found.next,
        begins_after: begin.as_ref().map(views::audit_begin),
    }))
}
