//! `GET /v1/certificates` and `GET /v1/certificates/{serial}`.

use axum::Json;
use axum::extract::State;

use super::super::extract::{Access, Part, Query, page, parse};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::Span;
use crate::model::{CertificateFilter, CertificateStatus};
use crate::pki::Serial;
use crate::service::{Anyone, Viewer};
use crate::wire::{CertificateDetail, CertificateList, CertificateQuery};

/// List certificates, soonest expiry first
///
/// Needs `viewer`.
#[utoipa::path(get, path = "/v1/certificates", tag = "certificates", params(CertificateQuery),
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "One page", body = CertificateList),
    Problems,
))]
pub(super) async fn list(
    State(api): State<Api>,
    Access(viewer): Access<Viewer>,
    Query(query): Query<CertificateQuery>,
) -> Result<Json<CertificateList>, ApiError> {
    let page = page(query.limit, query.cursor.clone())?;
    let host = parse("host", query.host.as_deref())?;
    let found = api
        .service()
        .certificates(&viewer, filter(&query)?, host, page)
        .await?;
    let now = api.service().clock().now();
    Ok(Json(CertificateList {
        items: found.items.iter().map(|c| views::certificate(c, now)).collect(),
        next: found.next,
    }))
}

fn filter(query: &CertificateQuery) -> Result<CertificateFilter, ApiError> {
    let statuses = query.status.iter().flat_map(|text| text.split(','));
    let statuses: Result<Vec<CertificateStatus>, String> = statuses.map(|word| word.trim().parse()).collect();
    Ok(CertificateFilter {
        statuses: statuses.map_err(|e| ApiError::bad_request(format!("status: {e}")))?,
        expires_within: parse("expires_within", query.expires_within.as_deref())?.map(|Span(within)| within),
        kind: parse("profile", query.profile.as_deref())?,
        name: query.name.as_ref().map(|name| name.to_ascii_lowercase()),
        serial: parse("serial", query.serial.as_deref())?,
        identity: None,
    })
}

/// Show a certificate
///
/// Any for `viewer`; the own ones for every identity.
#[utoipa::path(get, path = "/v1/certificates/{serial}", tag = "certificates",
    params(("serial" = String, Path, description = "Hex, with or without colons")),
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "The certificate", body = CertificateDetail),
    Problems,
))]
pub(super) async fn detail(
    State(api): State<Api>,
    Access(caller): Access<Anyone>,
    Part(serial): Part<Serial>,
) -> Result<Json<CertificateDetail>, ApiError> {
    let found = api.service().certificate(&caller, &serial).await?;
    let revoked = api.service().revocation(&found).await?;
    let now = api.service().clock().now();
    Ok(Json(views::certificate_detail(&found, revoked.as_ref(), now)))
}
