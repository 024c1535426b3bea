//! A query as the Engine reads it, or not at all.

/// Why a query is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A separator for some readers, a character for others.
    #[error("the query holds a ';'")]
    Semicolon,
    /// `%` without two hex digits.
    #[error("the query holds a '%' that is not followed by two hex digits")]
    Escape,
    /// Not UTF-8 once decoded.
    #[error("the query is not UTF-8 once it is decoded")]
    NotText,
    /// Go takes the first, others the last.
    #[error("the query holds a key twice that a rule looks at")]
    Twice,
}

/// The value of `key`, `""` when it is absent: Go's `Form.Get` without a form in the body.
///
/// # Errors
/// [`QueryError`].
pub fn value(query: &str, key: &str) -> Result<String, QueryError> {
    if query.contains(';') {
        return Err(QueryError::Semicolon);
    }
    let mut found = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if name == key && found.replace(value).is_some() {
            return Err(QueryError::Twice);
        }
    }
    Ok(found.unwrap_or_default())
}

fn decode(text: &str) -> Result<String, QueryError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || {
                    let digit = char::from(rest.next()?).to_digit(16)?;
                    u8::try_from(digit).ok()
                };
                let (high, low) = (digit(), digit());
                out.push(
                    high.zip(low)
                        .map(|(high, low)| high << 4 | low)
                        .ok_or(QueryError::Escape)?,
                );
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|_| QueryError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_or_none_or_a_refusal() {
        for (query, expected) in [
            ("", Ok("")),
            ("x=1", Ok("")),
            ("key=a+b%2f", Ok("a b/")),
            ("%6bey=a&x", Ok("a")),
            ("key", Ok("")),
            ("KEY=a", Ok("")),
            ("key=a&key=b", Err(QueryError::Twice)),
            ("key=a&%6Bey=b", Err(QueryError::Twice)),
            ("x=1;key=a", Err(QueryError::Semicolon)),
            ("x=%zz", Err(QueryError::Escape)),
            ("x=%f", Err(QueryError::Escape)),
            ("x=%ff", Err(QueryError::NotText)),
        ] {
            assert_eq!(value(query, "key").as_deref(), expected.as_deref(), "{query}");
        }
    }
}
