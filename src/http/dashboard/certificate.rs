//! `GET /certificates/{serial}`: everything about one certificate; `POST /certificates/{serial}/revoke` withdraws it.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::super::Api;
use super::super::extract::{Part, Query};
use super::super::problem::ApiError;
use super::certificates;
use super::forms::Sent;
use super::host;
use super::moment::Moment;
use super::page::{Refusal, Section, Shell};
use super::person::Person;
use crate::base::encoding::hex;
use crate::base::limits::DASHBOARD_HISTORY;
use crate::model::{Certificate, CertificateStatus, IdentityKind, Revocation};
use crate::pki::cert::ExtendedKeyUsage;
use crate::pki::{self, RevocationReason, Serial, pem};
use crate::service::{HostProgress, Operator, Progress, Viewer};

#[derive(Template)]
#[template(path = "certificate.html")]
struct CertificatePage {
    shell: Shell,
    name: String,
    status: CertificateStatus,
    is_host: bool,
    is_late: bool,
    is_over: bool,
    not_before: Moment,
    not_after: Moment,
    issued_at: Moment,
    renew_after: Moment,
    renewed_from: Option<String>,
    renewed_by: Option<String>,
    asked_by: String,
    served: Option<String>,
    sans: Vec<String>,
    key: String,
    usage: String,
    issuer: String,
    serial: String,
    fingerprint: String,
    spki: String,
    revocation: Option<Revoked>,
    may_revoke: bool,
    asked_to_revoke: bool,
    reasons: Vec<String>,
    history: Vec<certificates::Row>,
    more_history: bool,
    chain: String,
}

/// How it was revoked, and who knows.
struct Revoked {
    at: Moment,
    by: String,
    reason: String,
    feed: u64,
    hosts: u64,
    applied: u64,
    cut: u64,
    is_complete: bool,
    missing: Vec<Missing>,
}

struct Missing {
    name: String,
    words: String,
}

/// What an address says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    revoke: String,
}

/// The page.
pub(super) async fn show(
    State(api): State<Api>,
    person: Person<Viewer>,
    serial: Result<Part<Serial>, ApiError>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| person.refusal(error.into());
    let (Part(serial), Query(asked)) = (serial.map_err(refuse)?, query.map_err(refuse)?);
    let service = api.service();
    let found = service.certificate(&person.caller.anyone(), &serial).await;
    let found = found.map_err(|e| refuse(e.into()))?;
    let mut page = page(&api, &person, &found).map_err(refuse)?;
    if let Some(revocation) = service.revocation(&found).await.map_err(|e| refuse(e.into()))? {
        let progress = service.progress(revocation.feed).await;
        let progress = progress.map_err(|e| refuse(e.into()))?;
        page.revocation = Some(revoked(&page.shell, &revocation, &progress));
    }
    page.served = served(&api, &person, &found).await?;
    let history = host::newest(&api, &person, found.identity).await?;
    page.more_history = history.len() == DASHBOARD_HISTORY as usize;
    let now = page.shell.now;
    page.history = history.iter().map(|c| certificates::Row::new(c, now)).collect();
    page.asked_to_revoke = !asked.revoke.is_empty();
    super::page::show(&page)
}

/// What the certificate itself says.
fn page(api: &Api, person: &Person<Viewer>, found: &Certificate) -> Result<CertificatePage, ApiError> {
    let parsed = pki::Certificate::parse(&found.der).map_err(ApiError::bad_request)?;
    let issuer = api.service().authority().issuer(found.issuer);
    let shell = person.shell(Section::Certificates, format!("{}, certificate", found.name));
    let now = shell.now;
    let status = found.status(now);
    let key = parsed
        .key_algorithm()
        .map_or("unknown", |algorithm| algorithm.as_str());
    let usages = parsed.extended_key_usages.iter().flatten().map(usage_words);
    Ok(CertificatePage {
        name: found.name.to_string(),
        status,
        is_host: found.kind == IdentityKind::Host,
        is_late: status == CertificateStatus::Valid && found.renew_after < now,
        is_over: now > found.not_after,
        not_before: shell.moment(found.not_before),
        not_after: shell.moment(found.not_after),
        issued_at: shell.moment(found.issued_at),
        renew_after: shell.moment(found.renew_after),
        renewed_from: found.renewed_from.as_ref().map(ToString::to_string),
        renewed_by: found.superseded_by.as_ref().map(ToString::to_string),
        asked_by: asked_by(found),
        served: None,
        sans: found.sans.iter().map(ToString::to_string).collect(),
        key: key.to_owned(),
        usage: usages.collect::<Vec<_>>().join(", "),
        issuer: parsed.issuer_text(),
        serial: found.serial.to_string(),
        fingerprint: hex(&parsed.fingerprint),
        spki: hex(&found.spki_sha256),
        revocation: None,
        may_revoke: person.may_act() && now <= found.not_after,
        asked_to_revoke: false,
        reasons: RevocationReason::ALL.iter().map(ToString::to_string).collect(),
        history: Vec::new(),
        more_history: false,
        chain: format!("{}{}", pem::encode_certificate(&found.der), issuer.pem()),
        shell,
    })
}

fn usage_words(usage: &ExtendedKeyUsage) -> String {
    match usage {
        ExtendedKeyUsage::ServerAuth => "being a server (serverAuth)".to_owned(),
        ExtendedKeyUsage::ClientAuth => "being a client (clientAuth)".to_owned(),
        ExtendedKeyUsage::OcspSigning => "signing OCSP answers".to_owned(),
        ExtendedKeyUsage::Any => "anything".to_owned(),
        ExtendedKeyUsage::Other(oid) => oid.clone(),
    }
}

fn asked_by(found: &Certificate) -> String {
    match (&found.token, &found.renewed_from) {
        (Some(token), _) => format!("whoever held join token {token}"),
        (None, Some(from)) => format!("its holder, with certificate {}", from.short()),
        (None, None) => "somebody at the server's console".to_owned(),
    }
}

fn revoked(shell: &Shell, revocation: &Revocation, progress: &Progress) -> Revoked {
    let missing = progress.missing.iter().map(|host| Missing {
        name: host.name.to_string(),
        words: meanwhile(shell, host),
    });
    Revoked {
        at: shell.moment(revocation.revoked_at),
        by: revocation.by.clone(),
        reason: revocation.reason.to_string(),
        feed: revocation.feed,
        hosts: progress.hosts,
        applied: progress.applied,
        cut: progress.cut,
        is_complete: progress.applied == progress.hosts,
        missing: missing.collect(),
    }
}

/// What a host that has not applied it does until it has.
fn meanwhile(shell: &Shell, host: &HostProgress) -> String {
    let seen = match host.last_seen {
        None => "was never heard of".to_owned(),
        Some(seen) => format!("was last heard of {}", shell.moment(seen).words()),
    };
    let patience = host.denies_after.map(Duration::from_secs);
    let then = match (host.applied, host.last_seen.zip(patience)) {
        (Some(_), _) if !host.refuses => "knows of it, and nothing there refuses anybody".to_owned(),
        (None, _) => "does not follow revocations: it goes on accepting".to_owned(),
        (_, None) => "goes on accepting until it is back".to_owned(),
        (_, Some((seen, patience))) => {
            let denies = shell.moment(seen + patience);
            match denies.is_past() {
                true => "refuses every remote client until it is back".to_owned(),
                false => format!("refuses every remote client from {} on", denies.absolute()),
            }
        }
    };
    format!("{seen}; {then}")
}

/// Whether the host says that this very certificate is what clients meet.
async fn served(api: &Api, person: &Person<Viewer>, found: &Certificate) -> Result<Option<String>, Refusal> {
    if found.kind != IdentityKind::Host {
        return Ok(None);
    }
    let seen = api.service().host(&person.caller.anyone(), &found.name).await;
    // The server's own certificate is no host's.
    let Some(status) = seen.ok().and_then(|seen| seen.full).and_then(|host| host.status) else {
        return Ok(None);
    };
    let Some(served) = &status.report.served else {
        return Ok(None);
    };
    let at = Moment::new(status.reported_at, api.service().clock().now()).words();
    Ok(Some(match served.serial == found.serial {
        true => format!("yes, as {} said {at}", found.name),
        false => format!(
            "no: {} serves {} instead, as it said {at}",
            found.name,
            served.serial.short()
        ),
    }))
}

/// Withdraws it, when the name was typed.
pub(super) async fn revoke(
    State(api): State<Api>,
    serial: Result<Part<Serial>, ApiError>,
    sent: Sent<Operator>,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| sent.person.refusal(error.into());
    let Part(serial) = serial.map_err(refuse)?;
    let service = api.service();
    let caller = sent.person.caller.anyone();
    let found = service
        .certificate(&caller, &serial)
        .await
        .map_err(|e| refuse(e.into()))?;
    if sent.field("confirm") != found.name.as_str() {
        let text = format!(
            "Nothing was revoked: type the name {} to confirm. Go back and try again.",
            found.name
        );
        return Err(refuse(ApiError::bad_request(text)));
    }
    let reason: RevocationReason = match sent.field("reason") {
        "" => RevocationReason::default(),
        word => word.parse().map_err(ApiError::bad_request).map_err(refuse)?,
    };
    let done = service.revoke_serial(&caller, serial.clone(), reason).await;
    done.map_err(|e| refuse(e.into()))?;
    Ok(Redirect::to(&format!("/certificates/{serial}")).into_response())
}
