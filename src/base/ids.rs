//! Identifiers that are drawn, not counted: 16 random bytes in lower-case base32.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::encoding::{base32, base32_decode};
use super::random::Random;

/// A 128-bit random identifier; its text form is 26 characters of lower-case base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

impl Id {
    /// Draws a new one.
    pub fn draw(random: &dyn Random) -> Self {
        Self(random.bytes())
    }

    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes: the form the store keeps.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 26 characters of lower-case base32 (a-z, 2-7)")]
pub struct IdError;

impl FromStr for Id {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = base32_decode(text).ok_or(IdError)?;
        Ok(Self(bytes.try_into().map_err(|_| IdError)?))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededRandom;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = Id::draw(&SeededRandom::new(1));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("".parse::<Id>(), Err(IdError));
        assert_eq!("../../etc/passwd".parse::<Id>(), Err(IdError));
    }
}
