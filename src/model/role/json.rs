//! A body as the Engine's JSON decoder reads it, or not at all.
//!
//! Go's `encoding/json` takes a key for a field whatever its case (`"privileged"`, `"PRIVILEGED"`, and, because it folds
//! as Unicode does, `"\u{17f}ecurityopt"`), lets the last of two equal keys win and merges objects. Two readers that do not
//! agree on that are a way past every rule. So here a key is looked up whatever its case, and an object that holds a
//! key twice, in whatever case, is refused; so is everything that Go would repair (invalid UTF-8, lone surrogates) or
//! ignore (what follows the first value).

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The largest body that is read to be judged. A larger one is refused where rules must see it.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How deep objects and lists may lie in each other. The Engine's own types have less than 12.
pub const DEPTH_MAX: usize = 32;
/// How many values one body may have.
pub const VALUES_MAX: usize = 200_000;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`: for Go, as if it were absent.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number; no rule looks at its value.
    Number,
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object: keys as they were written, no two of which differ by their case only.
    Object(Vec<(String, Json)>),
}

/// Why a body is not judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("the body is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// Not JSON, not UTF-8, too deep, too many values, a key twice; says where.
    #[error("the body cannot be judged: {0}")]
    Refused(String),
}

impl Json {
    /// Reads a whole body. An empty one is [`Json::Null`].
    ///
    /// # Errors
    /// [`JsonError`]; nothing is guessed.
    pub fn read(body: &[u8]) -> Result<Self, JsonError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(JsonError::TooLong);
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::Null);
        }
        let refused = |error: &dyn fmt::Display| JsonError::Refused(error.to_string());
        let text = std::str::from_utf8(body).map_err(|_| refused(&"it is not UTF-8"))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let mut left = VALUES_MAX;
        let value = Value {
            depth: 0,
            left: &mut left,
        };
        let value = value.deserialize(&mut reader).map_err(|error| refused(&error))?;
        reader
            .end()
            .map_err(|_| refused(&"something follows the JSON value"))?;
        Ok(value)
    }

    /// The value of a field, whatever the case of its key; [`Json::Null`] when there is none.
    pub fn get(&self, name: &str) -> &Json {
        let Self::Object(pairs) = self else {
            return &Self::Null;
        };
        let name = folded(name);
        let found = pairs.iter().find(|(key, _)| folded(key) == name);
        found.map_or(&Self::Null, |(_, value)| value)
    }

    /// The keys with their values; `None` when this is no object. `null` is an empty one.
    pub fn pairs(&self) -> Option<&[(String, Json)]> {
        match self {
            Self::Null => Some(&[]),
            Self::Object(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The values of a list; `None` when this is none. `null` is an empty one.
    pub fn items(&self) -> Option<&[Json]> {
        match self {
            Self::Null => Some(&[]),
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text; `None` when this is none. `null` is an empty one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Null => Some(""),
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value; `None` when this is none. `null` is `false`.
    pub fn bool(&self) -> Option<bool> {
        match self {
            Self::Null => Some(false),
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

/// A key without its case. Folds at least what Go folds (the long s, the Kelvin sign); what it folds beyond that makes
/// it refuse more.
pub fn folded(key: &str) -> String {
    key.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

struct Value<'a> {
    depth: usize,
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(D::Error::custom(format!(
                "it is more than {DEPTH_MAX} levels deep"
            )));
        }
        if *self.left == 0 {
            return Err(D::Error::custom(format!("it has more than {VALUES_MAX} values")));
        }
        *self.left -= 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Value {
            depth: self.depth + 1,
            left: self.left,
        })? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
        while let Some(key) = entries.next_key::<String>()? {
            if !seen.insert(folded(&key)) {
                let shown: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format!("it holds the key {shown:?} twice")));
            }
            let value = entries.next_value_seed(Value {
                depth: self.depth + 1,
                left: self.left,
            })?;
            pairs.push((key, value));
        }
        Ok(Json::Object(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json, JsonError> {
        Json::read(text.as_bytes())
    }

    #[test]
    fn a_field_is_found_whatever_the_case_of_its_key() {
        for key in [
            "SecurityOpt",
            "securityopt",
            "SECURITYOPT",
            "\u{17f}ecurityOpt",
            "\\u017fecurityopt",
            "\\u0053ecurityOpt",
        ] {
            let value = read(&format!("{{\"{key}\": \"x\"}}")).unwrap();
            assert_eq!(value.get("SecurityOpt").text(), Some("x"), "{key}");
        }
        assert_eq!(
            read("{\"LIN\u{212a}S\": true}").unwrap().get("Links").bool(),
            Some(true)
        );
        assert_eq!(
            read("{\"Privileged \": true}").unwrap().get("Privileged"),
            &Json::Null
        );
    }

    #[test]
    fn a_key_that_comes_twice_in_whatever_case_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"Privileged":false,"privileged":true}"#,
            r#"{"x":{"HostConfig":{},"hostconfig":{}}}"#,
            "{\"SecurityOpt\":[],\"\u{17f}ecurityopt\":[]}",
            r#"{"SecurityOpt":[],"\u017fecurityopt":[]}"#,
            "{\"Links\":[],\"lin\u{212a}s\":[]}",
            r#"[{"a":1,"A":1}]"#,
        ] {
            assert!(
                matches!(read(text), Err(JsonError::Refused(why)) if why.contains("twice")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_go_would_repair_or_ignore_is_refused() {
        for text in [
            r#"{"a":1}{"a":2}"#,
            r#"{"a":1} x"#,
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
            r#"{"a":1,}"#,
            r"{'a':1}",
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1e999}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":1"#,
            r#"{a:1}"#,
            r#"{"a":1}//"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(Json::read(b"{\"a\":\"\xff\"}").is_err());
        for empty in ["", " \r\n\t", "null"] {
            assert_eq!(read(empty), Ok(Json::Null), "{empty:?}");
        }
    }

    #[test]
    fn depth_length_and_number_of_values_are_bounded() {
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(DEPTH_MAX + 1)).is_ok());
        assert!(read(&deep(DEPTH_MAX + 2)).is_err());
        assert!(read(&deep(100_000)).is_err());
        let long = |zeros: usize| format!("[{}0]", "0,".repeat(zeros));
        assert!(read(&long(VALUES_MAX - 2)).is_ok());
        assert!(read(&long(VALUES_MAX - 1)).is_err());
        let padded = |bytes| format!("{}{}", " ".repeat(bytes - 2), "{}");
        assert!(read(&padded(BODY_BYTES_MAX)).is_ok());
        assert_eq!(read(&padded(BODY_BYTES_MAX + 1)), Err(JsonError::TooLong));
    }
}
