//! `POST /v1/certificates/{serial}/revoke`, `POST /v1/certificates/revoke`, `POST /v1/identities/{name}/revoke`.

use axum::Json;
use axum::extract::State;

use super::super::extract::{Access, Body, Part};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::base::encoding::hex_decode;
use crate::base::limits::API_BODY_BYTES_MAX;
use crate::pki::{IdentityName, Serial};
use crate::service::{Anyone, Authorized, Viewer, Withdrawn};
use crate::wire::{RevokeRequest, RevokeShown, Revoked};

/// Revoke a certificate
///
/// Needs `operator`, or the certificate is the caller's own. For good; repeating it changes nothing. The answer comes
/// when it is durable.
#[utoipa::path(post, path = "/v1/certificates/{serial}/revoke", tag = "certificates",
    params(("serial" = String, Path, description = "Hex, with or without colons")), request_body = RevokeRequest,
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "Revoked", body = Revoked),
    Problems,
))]
pub(super) async fn serial(
    State(api): State<Api>,
    Access(caller): Access<Anyone>,
    Part(serial): Part<Serial>,
    Body(request): Body<RevokeRequest, API_BODY_BYTES_MAX>,
) -> Result<Json<Revoked>, ApiError> {
    if request.profile.is_some() {
        return Err(ApiError::bad_request(
            "profile goes with a name, not with a serial",
        ));
    }
    let withdrawn = api
        .service()
        .revoke_serial(&caller, serial, request.reason)
        .await?;
    revoked(&api, &caller, withdrawn).await
}

/// Revoke a certificate by its fingerprint, or by showing it
///
/// As by its serial. A certificate that is shown may be one this server has no record of, if its issuers signed it.
#[utoipa::path(post, path = "/v1/certificates/revoke", tag = "certificates", request_body = RevokeShown,
    security(("mutualTLS" = [])), responses(
    (status = 200, description = "Revoked", body = Revoked),
    Problems,
))]
pub(super) async fn shown(
    State(api): State<Api>,
    Access(caller): Access<Anyone>,
    Body(request): Body<RevokeShown, API_BODY_BYTES_MAX>,
) -> Result<Json<Revoked>, ApiError> {
    let (service, reason) = (api.service(), request.reason);
    let withdrawn = match (request.fingerprint_sha256, request.certificate) {
        (Some(fingerprint), None) => {
            let fingerprint = fingerprint_of(&fingerprint)?;
            service.revoke_fingerprint(&caller, fingerprint, reason).await?
        }
        (None, Some(certificate)) => service.revoke_shown(&caller, &certificate, reason).await?,
        _ => {
            return Err(ApiError::bad_request(
                "give fingerprint_sha256 or certificate, and only one of them",
            ));
        }
    };
    revoked(&api, &caller, withdrawn).await
}

fn fingerprint_of(text: &str) -> Result<[u8; 32], ApiError> {
    let plain: String = text.chars().filter(|c| *c != ':').collect();
    let bytes = hex_decode(&plain.to_ascii_lowercase()).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        ApiError::bad_request(
            "fingerprint_sha256 is not 64 hex digits, as `openssl x509 -fingerprint -sha256` prints them",
        )
    })
}

/// Revoke all certificates of a host or client
///
/// Needs `operator`, or it is the caller itself. Those that are valid, and those that expired so recently that they could
/// still be renewed.
#[utoipa::path(post, path = "/v1/identities/{name}/revoke", tag = "certificates", params(("name" = String, Path)),
    request_body = RevokeRequest, security(("mutualTLS" = [])), responses(
    (status = 200, description = "Revoked", body = Revoked),
    Problems,
))]
pub(super) async fn identity(
    State(api): State<Api>,
    Access(caller): Access<Anyone>,
    Part(name): Part<IdentityName>,
    Body(request): Body<RevokeRequest, API_BODY_BYTES_MAX>,
) -> Result<Json<Revoked>, ApiError> {
    let service = api.service();
    let withdrawn = service
        .revoke_identity(&caller, &name, request.profile, request.reason)
        .await?;
    revoked(&api, &caller, withdrawn).await
}

/// Who is no viewer learns how many hosts there are, not which.
async fn revoked(
    api: &Api,
    caller: &Authorized<Anyone>,
    withdrawn: Withdrawn,
) -> Result<Json<Revoked>, ApiError> {
    let numbers = withdrawn.revocations.iter().map(|revocation| revocation.feed);
    let feed = numbers.max().unwrap_or(0);
    let mut progress = api.service().progress(feed).await?;
    if !caller.reaches::<Viewer>() {
        progress.missing.clear();
    }
    Ok(Json(Revoked {
        revoked: withdrawn.revocations.iter().map(views::revocation).collect(),
        feed,
        repeated: withdrawn.fresh == 0,
        applied: views::applied(feed, &progress),
    }))
}
