//! A change of a file that is not ours, as it is planned, journalled and taken back: which file, what is in it now,
//! what will be.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::arrangement::FileChange;
use crate::base::encoding;

/// The bytes of a file. Shown and logged as their number only: options files may hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Text as a string, anything else as `{"hex": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Other { hex: String },
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match std::str::from_utf8(&self.0) {
            Ok(text) => Written::Text(text.to_owned()),
            Err(_) => Written::Other {
                hex: encoding::hex(&self.0),
            },
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self(text.into_bytes())),
            Written::Other { hex } => encoding::hex_decode(&hex)
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom("not hexadecimal")),
        }
    }
}

/// A file that is to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which.
    pub path: PathBuf,
    /// What is in it before; `None`: it does not exist.
    pub before: Option<Bytes>,
    /// What is in it afterwards; `None`: it is removed.
    pub after: Option<Bytes>,
    /// Whether systemd has to read its units again right after.
    pub reload_units: bool,
}

impl Change {
    /// What takes it back.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            before: self.after,
            after: self.before,
            ..self
        }
    }
}

impl From<&FileChange> for Change {
    fn from(change: &FileChange) -> Self {
        Self {
            path: change.path.clone(),
            before: change.before.clone().map(Bytes),
            after: change.after.clone().map(Bytes),
            reload_units: change.reload_units,
        }
    }
}

impl From<&Change> for FileChange {
    fn from(change: &Change) -> Self {
        Self {
            path: change.path.clone(),
            before: change.before.clone().map(|bytes| bytes.0),
            after: change.after.clone().map(|bytes| bytes.0),
            reload_units: change.reload_units,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match (&self.before, &self.after) {
            (None, _) => "write",
            (Some(_), Some(_)) => "change",
            (Some(_), None) => "remove",
        };
        write!(f, "{verb} {}", self.path.display())?;
        if self.reload_units {
            f.write_str(" and have systemd read its units again")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_content_comes_back_from_the_journal_as_it_was() {
        for contents in [&b""[..], b"{\n}", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0"] {
            let change = Change {
                path: "/etc/docker/daemon.json".into(),
                before: Some(Bytes(contents.to_vec())),
                after: None,
                reload_units: false,
            };
            let json = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change);
            assert!(
                !format!("{change:?}").contains('{')
                    || contents.is_empty()
                    || !format!("{change:?}").contains("{\n}")
            );
        }
    }
}
