//! `GET /certificates`: every certificate there is, searched as somebody types.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::super::Api;
use super::super::extract::{Query, parse};
use super::super::problem::ApiError;
use super::moment::Moment;
use super::page::{Refusal, Section, Shell, show};
use super::person::Person;
use crate::base::limits::DASHBOARD_ROWS;
use crate::base::{Span, Timestamp};
use crate::model::{Certificate, CertificateStatus, PageRequest};
use crate::service::{CertificateSearch, ListOrder, Viewer};

/// What the form asks for, and an address says. Empty means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    q: String,
    status: String,
    profile: String,
    within: String,
    sort: String,
    cursor: String,
}

type Choices = &'static [(&'static str, &'static str)];
const STATUSES: Choices = &[
    ("", "any"),
    ("valid", "valid"),
    ("superseded", "superseded"),
    ("expired", "expired"),
    ("revoked", "revoked"),
];
const PROFILES: Choices = &[("", "any"), ("host", "host"), ("client", "client")];
const SPANS: Choices = &[
    ("", "any time"),
    ("1d", "within a day"),
    ("7d", "within 7 days"),
    ("30d", "within 30 days"),
    ("90d", "within 90 days"),
];
const SORTS: Choices = &[
    ("", "soonest expiry"),
    ("name", "name"),
    ("newest", "newest first"),
];

impl Asked {
    /// Whether nothing narrows the list.
    fn is_plain(&self) -> bool {
        Self {
            sort: String::new(),
            ..self.clone()
        } == Self::default()
    }

    /// What the service is asked.
    pub(super) fn search(&self) -> Result<CertificateSearch, ApiError> {
        let word = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let status: Option<CertificateStatus> = parse("status", word(&self.status).as_deref())?;
        let within: Option<Span> = parse("within", word(&self.within).as_deref())?;
        Ok(CertificateSearch {
            text: self.q.clone(),
            statuses: status.into_iter().collect(),
            kind: parse("profile", word(&self.profile).as_deref())?,
            expires_within: within.map(|Span(within)| within),
            order: match self.sort.as_str() {
                "" => ListOrder::Expiry,
                "name" => ListOrder::Name,
                "newest" => ListOrder::Newest,
                other => {
                    let text = format!("sort: unknown order {other:?}: use name or newest, or leave it out");
                    return Err(ApiError::bad_request(text));
                }
            },
        })
    }

    /// The same list from another place on.
    fn from(&self, cursor: String) -> Self {
        Self {
            cursor,
            ..self.clone()
        }
    }

    /// `?q=…`, or nothing.
    fn query(&self) -> String {
        let encoded = encoded(self);
        match encoded.is_empty() {
            true => encoded,
            false => format!("?{encoded}"),
        }
    }
}

/// As a browser would send the form.
fn encoded(asked: &Asked) -> String {
    let fields = [
        ("q", &asked.q),
        ("status", &asked.status),
        ("profile", &asked.profile),
        ("within", &asked.within),
        ("sort", &asked.sort),
        ("cursor", &asked.cursor),
    ];
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = given
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    pairs.join("&")
}

/// Percent-encoded (RFC 3986 §2.1): all but what is never special.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[derive(Template)]
#[template(path = "certificates.html")]
struct CertificatesPage {
    shell: Shell,
    asked: Asked,
    statuses: Choices,
    profiles: Choices,
    spans: Choices,
    sorts: Choices,
    rows: Vec<Row>,
    next: Option<String>,
    first: String,
    paged: bool,
    query: String,
}

/// A certificate in a list.
pub(super) struct Row {
    pub(super) serial: String,
    pub(super) serial_short: String,
    pub(super) name: String,
    pub(super) status: CertificateStatus,
    pub(super) profile: &'static str,
    pub(super) not_after: Moment,
    /// While it is in use.
    pub(super) renew_after: Option<Moment>,
    /// In use, and nearer to its end than a tenth of its life.
    pub(super) is_urgent: bool,
    /// In use, and it should have been renewed.
    pub(super) is_late: bool,
    pub(super) sans: String,
}

impl Row {
    pub(super) fn new(certificate: &Certificate, now: Timestamp) -> Self {
        let serial = certificate.serial.to_string();
        let status = certificate.status(now);
        let in_use = status == CertificateStatus::Valid;
        let sans: Vec<String> = certificate.sans.iter().map(ToString::to_string).collect();
        let life = certificate.not_after.since(certificate.not_before);
        Self {
            serial_short: serial.chars().take(12).collect(),
            serial,
            name: certificate.name.to_string(),
            status,
            profile: certificate.kind.as_str(),
            not_after: Moment::new(certificate.not_after, now),
            renew_after: in_use.then(|| Moment::new(certificate.renew_after, now)),
            is_urgent: in_use && certificate.not_after.since(now) < life / 10,
            is_late: in_use && certificate.renew_after < now,
            sans: sans.join(" "),
        }
    }
}

/// The list.
pub(super) async fn list(
    State(api): State<Api>,
    person: Person<Viewer>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    let Query(asked) = query.map_err(|e| person.refusal(e.into()))?;
    let search = asked.search().map_err(|e| person.refusal(e.into()))?;
    let page = PageRequest {
        limit: DASHBOARD_ROWS,
        cursor: (!asked.cursor.is_empty()).then(|| asked.cursor.clone()),
    };
    let found = api.service().search(&person.caller, search, page).await;
    let found = found.map_err(|e| person.refusal(e.into()))?;
    let shell = person.shell(Section::Certificates, "Certificates");
    let now = shell.now;
    let first = asked.from(String::new());
    show(&CertificatesPage {
        rows: found.items.iter().map(|c| Row::new(c, now)).collect(),
        next: found
            .next
            .map(|next| format!("/certificates{}", asked.from(next).query())),
        first: format!("/certificates{}", first.query()),
        paged: !asked.cursor.is_empty(),
        query: first.query(),
        statuses: STATUSES,
        profiles: PROFILES,
        spans: SPANS,
        sorts: SORTS,
        asked,
        shell,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_what_was_asked_and_nothing_can_break_out_of_it() {
        let asked = Asked {
            q: "a&b=\"<>#é".to_owned(),
            status: "valid".to_owned(),
            ..Asked::default()
        };
        assert_eq!(asked.query(), "?q=a%26b%3D%22%3C%3E%23%C3%A9&status=valid");
        assert_eq!(Asked::default().query(), "");
    }
}
