//! Text forms of bytes: lower-case base32 and hex, and the one hash.

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER_PERMISSIVE};

/// SHA-256 (FIPS 180-4).
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data);
    digest.as_ref().try_into().expect("SHA-256 is 32 bytes")
}

/// Whether two byte strings are equal, in time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER_PERMISSIVE.encode(bytes)
}

/// Reads hex in either case; `None` when it is not hex.
pub fn hex_decode(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// Lower-case base32 (RFC 4648 alphabet) without padding.
pub fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Reads what [`base32`] writes. Upper case, padding and non-canonical endings are refused, so
/// that one value has one text form.
pub fn base32_decode(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()
}

/// Reads base64 with padding (RFC 4648 §4); `None` for anything else.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_has_one_text_form_per_value() {
        assert_eq!(base32(b"dockwarden"), "mrxwg23xmfzgizlo");
        assert_eq!(
            base32_decode("mrxwg23xmfzgizlo").as_deref(),
            Some(b"dockwarden".as_slice())
        );
        for bad in ["MRXWG23XMFZGIZLO", "mr======", "m", "mrxwg1", "mz"] {
            assert_eq!(base32_decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn hex_reads_both_cases() {
        assert_eq!(hex(&[0x0a, 0xff]), "0aff");
        assert_eq!(hex_decode("0AfF"), Some(vec![0x0a, 0xff]));
        assert_eq!(hex_decode("0af"), None);
    }
}
