//! The GET form: base64 of the request as the last part of the path (RFC 6960 appendix A.1).

use data_encoding::{BASE64, BASE64_NOPAD};

use super::OcspError;
use crate::base::limits::OCSP_REQUEST_BYTES_MAX;

/// The request in what follows `/ocsp/` in the path, as it stands in the request line. `/`, `+` and `=` may be escaped
/// or not, and padding may be missing: clients differ.
///
/// # Errors
/// [`OcspError::MalformedRequest`], also for more than [`OCSP_REQUEST_BYTES_MAX`] bytes.
pub fn decode_get(rest_of_path: &str) -> Result<Vec<u8>, OcspError> {
    /// Base64 takes 4 bytes for 3; escaped, each may take 3.
    const TEXT_MAX: usize = OCSP_REQUEST_BYTES_MAX / 3 * 4 * 3;
    let text = (rest_of_path.len() <= TEXT_MAX)
        .then(|| unescape(rest_of_path.as_bytes()))
        .flatten();
    let text = text.ok_or(OcspError::MalformedRequest)?;
    let decoded = BASE64.decode(&text).or_else(|_| BASE64_NOPAD.decode(&text));
    decoded.map_err(|_| OcspError::MalformedRequest)
}

/// Decodes `%XX`.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (digits, after) = after.split_first_chunk::<2>()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        out.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = after;
    }
    Some(out)
}
