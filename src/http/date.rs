//! The `Date` header (RFC 9110 §6.6.1): agents measure the offset of their clock with it.

use axum::http::HeaderValue;

use crate::base::Timestamp;

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn header(now: Timestamp) -> HeaderValue {
    let time = jiff::Timestamp::from_millisecond(now.as_millis()).expect("clamped to years 1 to 9999");
    let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).expect("letters, digits and blanks")
}

/// Reads what [`header`] writes; the two obsolete forms are not sent by clients of this century.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_an_imf_fixdate() {
        assert_eq!(
            header(Timestamp::from_secs(784_111_777)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        let read = parse("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read, Some(Timestamp::from_secs(784_111_777)));
        assert_eq!(parse("yesterday"), None);
    }
}
