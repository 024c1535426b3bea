//! `GET /certificates.csv` and `.json`: everything that fits a search, as a stream, page by page.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::super::extract::Query;
use super::super::problem::ApiError;
use super::super::{Api, views};
use super::certificates::Asked;
use super::page::{Refusal, dress};
use super::person::Person;
use crate::base::Timestamp;
use crate::base::limits::{EXPORT_ROWS_MAX, PAGE_MAX};
use crate::model::{Certificate, PageRequest};
use crate::service::{Authorized, CertificateSearch, Viewer};

/// Comma-separated values (RFC 4180), with a header.
pub(super) async fn csv(
    State(api): State<Api>,
    person: Person<Viewer>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    export(api, person, query, Form::Csv)
}

/// One JSON array of certificates, as `GET /v1/certificates` shows them.
pub(super) async fn json(
    State(api): State<Api>,
    person: Person<Viewer>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    export(api, person, query, Form::Json)
}

#[derive(Clone, Copy)]
enum Form {
    Csv,
    Json,
}

/// Where an export stands.
struct Exporting {
    api: Api,
    viewer: Authorized<Viewer>,
    search: CertificateSearch,
    form: Form,
    cursor: Option<String>,
    rows: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Rows,
    End,
}

fn export(
    api: Api,
    person: Person<Viewer>,
    query: Result<Query<Asked>, ApiError>,
    form: Form,
) -> Result<Response, Refusal> {
    let Query(asked) = query.map_err(|e| person.refusal(e.into()))?;
    let search = asked.search().map_err(|e| person.refusal(e.into()))?;
    let exporting = Exporting {
        api,
        viewer: person.caller,
        search,
        form,
        cursor: None,
        rows: 0,
        stage: Stage::Start,
    };
    let mut response = Body::from_stream(stream::unfold(exporting, next)).into_response();
    let (content_type, disposition) = match form {
        Form::Csv => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"certificates.csv\"",
        ),
        Form::Json => ("application/json", "attachment; filename=\"certificates.json\""),
    };
    dress(&mut response, content_type);
    let disposition = HeaderValue::from_static(disposition);
    response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// The next piece. An error breaks the answer off: half a list must not look whole.
async fn next(mut at: Exporting) -> Option<(Result<Bytes, std::io::Error>, Exporting)> {
    if at.stage == Stage::End {
        return None;
    }
    let page = PageRequest {
        limit: PAGE_MAX,
        cursor: at.cursor.take(),
    };
    let found = match at.api.service().search(&at.viewer, at.search.clone(), page).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "an export broke off");
            at.stage = Stage::End;
            return Some((Err(std::io::Error::other("the export broke off")), at));
        }
    };
    let now = at.api.service().clock().now();
    let mut text = String::new();
    if at.stage == Stage::Start {
        text.push_str(match at.form {
            Form::Csv => "serial,name,profile,status,names,not_before,not_after,renew_after\r\n",
            Form::Json => "[",
        });
    }
    for certificate in &found.items {
        write(&mut text, at.form, certificate, now, at.rows > 0);
        at.rows += 1;
    }
    at.cursor = found.next.filter(|_| at.rows < EXPORT_ROWS_MAX);
    at.stage = match at.cursor {
        Some(_) => Stage::Rows,
        None => Stage::End,
    };
    if at.stage == Stage::End && matches!(at.form, Form::Json) {
        text.push_str("\n]\n");
    }
    Some((Ok(text.into()), at))
}

fn write(text: &mut String, form: Form, certificate: &Certificate, now: Timestamp, follows: bool) {
    match form {
        Form::Csv => {
            let sans: Vec<String> = certificate.sans.iter().map(ToString::to_string).collect();
            let fields = [
                certificate.serial.to_string(),
                certificate.name.to_string(),
                certificate.kind.to_string(),
                certificate.status(now).to_string(),
                sans.join(" "),
                certificate.not_before.to_string(),
                certificate.not_after.to_string(),
                certificate.renew_after.to_string(),
            ];
            text.push_str(&fields.map(|field| quoted(&field)).join(","));
            text.push_str("\r\n");
        }
        Form::Json => {
            text.push_str(if follows { ",\n" } else { "\n" });
            let view = views::certificate(certificate, now);
            text.push_str(&serde_json::to_string(&view).expect("wire types are always JSON"));
        }
    }
}

/// A field in quotes. What a spreadsheet would take for a formula gets an apostrophe in front.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let apostrophe = if formula { "'" } else { "" };
    format!("\"{apostrophe}{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_computes_nothing() {
        for (field, expected) in [
            ("web-1", "\"web-1\""),
            ("=1+1", "\"'=1+1\""),
            ("a\"b", "\"a\"\"b\""),
            ("@x", "\"'@x\""),
        ] {
            assert_eq!(quoted(field), expected);
        }
    }
}
