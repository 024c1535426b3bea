//! `GET /ca`: the root, the issuers, and their lists of revoked certificates.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Api;
use super::moment::{Moment, span};
use super::page::{Refusal, Section, Shell};
use super::person::Person;
use crate::base::encoding::{base32, hex};
use crate::model::{IdentityKind, IssuerKind};
use crate::pki;
use crate::service::Viewer;

#[derive(Template)]
#[template(path = "ca.html")]
struct CaPage {
    shell: Shell,
    pin: String,
    certificates: Vec<Authority>,
    lists: Vec<List>,
    reasons: Vec<String>,
}

/// A CA certificate.
struct Authority {
    role: &'static str,
    subject: String,
    key: String,
    serial: String,
    fingerprint: String,
    from: Moment,
    until: Moment,
    /// What it can still sign in full, and whether that is little.
    runway: Option<(String, bool)>,
    file: &'static str,
}

/// A list of revoked certificates.
struct List {
    issuer: &'static str,
    number: u64,
    entries: usize,
    signed: Moment,
    next: Moment,
    is_stale: bool,
    trouble: Option<String>,
    file: String,
}

/// The page.
pub(super) async fn show(State(api): State<Api>, person: Person<Viewer>) -> Result<Response, Refusal> {
    let shell = person.shell(Section::Ca, "Certificate authority");
    let service = api.service();
    let authority = service.authority();
    let reasons = service.ready().await.map_err(|e| person.refusal(e.into()))?;
    let mut certificates = vec![describe(&shell, "root", authority.root(), "/ca.pem", None)];
    for (issuer, kind, role, file) in [
        (
            IssuerKind::Hosts,
            IdentityKind::Host,
            "issuer of hosts",
            "/issuers/hosts.crt",
        ),
        (
            IssuerKind::Clients,
            IdentityKind::Client,
            "issuer of clients",
            "/issuers/clients.crt",
        ),
    ] {
        let certificate = authority.issuer(issuer).certificate();
        let lifetime = service.profile(kind).lifetime;
        let left = certificate.not_after.since(shell.now);
        let words = match left < lifetime * 2 {
            true => format!("{} left: replace it before its leaves are cut short", span(left)),
            false => format!("{} left, its leaves live {}", span(left), span(lifetime)),
        };
        let runway = Some((words, left < lifetime * 2));
        certificates.push(describe(&shell, role, certificate, file, runway));
    }
    let lists = IssuerKind::ALL.into_iter().filter_map(|issuer| {
        let published = service.crl(issuer)?;
        let facts = &published.crl;
        Some(List {
            issuer: issuer.as_str(),
            number: facts.number,
            entries: facts.entry_count,
            signed: shell.moment(published.signed_at),
            next: shell.moment(facts.next_update),
            is_stale: facts.is_stale_at(shell.now),
            trouble: service.crl_trouble(issuer),
            file: format!("/crl/{issuer}.crl"),
        })
    });
    let page = CaPage {
        pin: base32(&authority.root().spki_sha256),
        certificates,
        lists: lists.collect(),
        reasons,
        shell,
    };
    super::page::show(&page)
}

fn describe(
    shell: &Shell,
    role: &'static str,
    certificate: &pki::Certificate,
    file: &'static str,
    runway: Option<(String, bool)>,
) -> Authority {
    let key = certificate
        .key_algorithm()
        .map_or("unknown", |algorithm| algorithm.as_str());
    Authority {
        role,
        subject: certificate.subject_text(),
        key: key.to_owned(),
        serial: certificate.serial.to_string(),
        fingerprint: hex(&certificate.fingerprint),
        from: shell.moment(certificate.not_before),
        until: shell.moment(certificate.not_after),
        runway,
        file,
    }
}
