//! Query strings and path segments, percent-encoded (RFC 3986 §2.1).

use std::fmt::Write;

use serde::Serialize;

/// One path segment: nothing in it can end the segment or the path.
pub(super) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String does not fail");
        }
        out
    })
}

/// `path?a=b&c=d` from a struct of optional fields; absent fields are left out.
pub(super) fn with(path: &str, query: &impl Serialize) -> String {
    let value = serde_json::to_value(query).expect("a query is a struct of strings and numbers");
    let pairs: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            let text = match value {
                serde_json::Value::Null => return None,
                serde_json::Value::String(text) => segment(text),
                other => segment(&other.to_string()),
            };
            Some(format!("{key}={text}"))
        })
        .collect();
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{AuditQuery, CertificateQuery};

    #[test]
    fn only_what_was_asked_for_is_sent() {
        let query = CertificateQuery {
            status: Some("valid,superseded".into()),
            limit: Some(5),
            ..Default::default()
        };
        assert_eq!(
            with("/v1/certificates", &query),
            "/v1/certificates?limit=5&status=valid%2Csuperseded"
        );
        assert_eq!(with("/v1/audit", &AuditQuery::default()), "/v1/audit");
    }

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(
            segment("a/../b?c#d%e&f=g h\n"),
            "a%2F..%2Fb%3Fc%23d%25e%26f%3Dg%20h%0A"
        );
        assert_eq!(segment("bob@corp.example"), "bob%40corp.example");
    }
}
