//! One form for every path: decoded once, dot segments and empty segments resolved, encoded once.
//!
//! The Engine routes on the *decoded* path: `/containers%2fjson` and `/containers/json` reach the same
//! handler, and `{name:.*}` in its routes may hold slashes either way. So an escaped slash means a slash
//! here too, and the Engine, our rules and our log all see the same text. `%25` decodes to a percent sign
//! that is escaped again, never decoded twice.

/// The longest path, bytes as sent. The Engine's own longest are image names, below 1 KiB.
pub const PATH_BYTES_MAX: usize = 8 * 1024;

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than `PATH_BYTES_MAX`, as sent or as it would be forwarded.
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// Not `/...`.
    #[error("the path does not begin with a slash")]
    Relative,
    /// `%` without two hex digits.
    #[error("the path holds a '%' that is not followed by two hex digits")]
    Escape,
    /// A control character, NUL included.
    #[error("the path holds a control character")]
    Control,
    /// Not UTF-8 once decoded.
    #[error("the path is not UTF-8 once it is decoded")]
    NotText,
}

/// Decodes and normalises `raw`, as it stood in the request line. A trailing slash stays.
///
/// # Errors
/// [`PathError`]; nothing is repaired by guessing.
pub fn normalise(raw: &str) -> Result<String, PathError> {
    if raw.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    if !raw.starts_with('/') {
        return Err(PathError::Relative);
    }
    let decoded = String::from_utf8(decode(raw.as_bytes())?).map_err(|_| PathError::NotText)?;
    if decoded.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err(PathError::Control);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut path = format!("/{}", kept.join("/"));
    if decoded.ends_with('/') && path.len() > 1 {
        path.push('/');
    }
    // Escaping makes it longer, and what is forwarded has to be a path here, too.
    if encode(&path).len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    Ok(path)
}

fn decode(raw: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(*rest.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push(high << 4 | low),
            _ => return Err(PathError::Escape),
        }
    }
    Ok(out)
}

/// Escapes a normalised path for a request line: everything but RFC 3986's `pchar` and the slash.
pub fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 0xf] {
                let digit = char::from_digit(u32::from(nibble), 16).expect("four bits are one hex digit");
                out.push(digit.to_ascii_uppercase());
            }
        }
    }
    out
}

/// The path without its API version: `/v1.41/info` is `/info`. Other paths are returned as they are.
pub fn without_version(path: &str) -> &str {
    let version = path.strip_prefix("/v").and_then(|rest| {
        let end = rest.find('/')?;
        let (major, minor) = rest[..end].split_once('.')?;
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (number(major) && number(minor)).then_some(&rest[end..])
    });
    version.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_a_path_becomes_one() {
        for (raw, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/v1.41/containers/json", "/v1.41/containers/json"),
            ("/v1.41/containers%2fjson", "/v1.41/containers/json"),
            ("/v1.41/containers%2Fjson", "/v1.41/containers/json"),
            ("//v1.41///containers/./json", "/v1.41/containers/json"),
            ("/images/../containers/json", "/containers/json"),
            ("/images/%2e%2e/containers/json", "/containers/json"),
            ("/images/..%2fcontainers/json", "/containers/json"),
            ("/../../info", "/info"),
            ("/a/b/..", "/a"),
            ("/a/b/../", "/a/"),
            (
                "/images/r.example:5000/a/b:1/json",
                "/images/r.example:5000/a/b:1/json",
            ),
            ("/images/a%252fb/json", "/images/a%2fb/json"),
            ("/volumes/b%C3%BCcher", "/volumes/bücher"),
            ("/.../..a/b..", "/.../..a/b.."),
        ] {
            assert_eq!(normalise(raw).as_deref(), Ok(expected), "{raw}");
        }
        assert_eq!(encode("/images/a%2fb/b ü?#"), "/images/a%252fb/b%20%C3%BC%3F%23");
    }

    #[test]
    fn paths_that_mean_two_things_are_refused() {
        for (raw, expected) in [
            ("", PathError::Relative),
            ("*", PathError::Relative),
            ("containers/json", PathError::Relative),
            ("/a%", PathError::Escape),
            ("/a%2", PathError::Escape),
            ("/a%zz", PathError::Escape),
            ("/a%+1", PathError::Escape),
            ("/a%00b", PathError::Control),
            ("/a%0d%0ab", PathError::Control),
            ("/a%7f", PathError::Control),
            ("/a%ff", PathError::NotText),
            ("/a%c0%af", PathError::NotText),
        ] {
            assert_eq!(normalise(raw), Err(expected), "{raw}");
        }
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
        assert!(normalise(&longest).is_ok());
        assert_eq!(normalise(&format!("{longest}a")), Err(PathError::TooLong));
    }

    #[test]
    fn only_a_version_is_taken_for_one() {
        for (path, expected) in [
            ("/v1.41/info", "/info"),
            ("/info", "/info"),
            ("/v1/info", "/v1/info"),
            ("/v1.41", "/v1.41"),
            ("/v1.x/info", "/v1.x/info"),
            ("/v1.41.2/info", "/v1.41.2/info"),
            ("/volumes/a", "/volumes/a"),
        ] {
            assert_eq!(without_version(path), expected, "{path}");
        }
    }

    /// Go's `path.Clean` on a rooted path, written the long way, with the trailing slash mux keeps.
    fn cleaned(decoded: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        for part in decoded.split('/') {
            if part == ".." {
                parts.truncate(parts.len().saturating_sub(1));
            } else if !part.is_empty() && part != "." {
                parts.push(part.to_owned());
            }
        }
        let slash = if decoded.ends_with('/') && !parts.is_empty() {
            "/"
        } else {
            ""
        };
        format!("/{}{slash}", parts.join("/"))
    }

    fn escaped_somewhere(path: &str, mask: u64) -> String {
        let mut out = String::new();
        for (i, byte) in path.bytes().enumerate() {
            if i > 0 && mask >> (i % 64) & 1 == 1 || !byte.is_ascii() || byte == b'%' {
                out.push_str(&format!("%{byte:02x}"));
            } else {
                out.push(char::from(byte));
            }
        }
        out
    }

    proptest! {
        #[test]
        fn normalising_agrees_with_the_engines_own_cleaning(path in "/[a./%ü]{0,24}", mask: u64) {
            prop_assert_eq!(normalise(&escaped_somewhere(&path, mask)), Ok(cleaned(&path)));
        }

        #[test]
        fn a_normalised_path_is_normal_for_good(raw in "/[a-zA-Z0-9./%:@ü?#\\\\ ]{0,40}") {
            if let Ok(once) = normalise(&raw) {
                prop_assert_eq!(normalise(&encode(&once)), Ok(once.clone()));
                let inner = once.trim_end_matches('/');
                prop_assert!(inner.split('/').skip(1).all(|s| !matches!(s, "" | "." | "..")), "{}", once);
            }
        }

        #[test]
        fn nothing_panics(raw in "\\PC{0,80}") {
            let _ = normalise(&raw);
            let _ = without_version(&raw);
        }
    }
}
