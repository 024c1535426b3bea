//! Certificate serial numbers: 16 random bytes, positive (RFC 5280 §4.1.2.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::{Random, encoding};

/// A serial number as its big-endian magnitude without leading zeros, 1 to 20 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Draws 16 random bytes with the top bit clear and the first byte not zero, so that the DER
    /// INTEGER is always exactly 16 bytes.
    pub fn draw(random: &dyn Random) -> Self {
        loop {
            let mut bytes: [u8; 16] = random.bytes();
            bytes[0] &= 0x7f;
            if bytes[0] != 0 {
                return Self(bytes.to_vec());
            }
        }
    }

    /// From the contents of a DER INTEGER or a plain magnitude; leading zeros are dropped.
    /// Refuses zero, and more than 20 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let start = bytes.iter().position(|b| *b != 0).ok_or(SerialError)?;
        let magnitude = &bytes[start..];
        if magnitude.len() > 20 {
            return Err(SerialError);
        }
        Ok(Self(magnitude.to_vec()))
    }

    /// From decimal digits alone, as some tools print it; `None` for anything else, zero, and more than 20 bytes.
    pub fn from_decimal(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > 49 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut magnitude = [0_u8; 24];
        for digit in text.bytes() {
            let mut carry = u32::from(digit - b'0');
            for byte in magnitude.iter_mut().rev() {
                carry += u32::from(*byte) * 10;
                *byte = carry as u8;
                carry >>= 8;
            }
        }
        Self::from_bytes(&magnitude).ok()
    }

    /// The magnitude, big-endian.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first and last byte, for messages: `4f…a1`.
    pub fn short(&self) -> String {
        let hex = self.to_string();
        if hex.len() <= 6 {
            hex
        } else {
            format!("{}…{}", &hex[..2], &hex[hex.len() - 2..])
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::hex(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a serial number: expected 1 to 20 bytes in hex, with or without colons, as `openssl x509 -serial` prints"
)]
pub struct SerialError;

impl FromStr for Serial {
    type Err = SerialError;
    fn from_str(text: &str) -> Result<Self, SerialError> {
        let mut hex: String = text.trim().chars().filter(|c| *c != ':').collect();
        if hex.len() > 42 {
            return Err(SerialError);
        }
        if hex.len() % 2 == 1 {
            hex.insert(0, '0');
        }
        Self::from_bytes(&encoding::hex_decode(&hex).ok_or(SerialError)?)
    }
}

impl Serialize for Serial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Serial {
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
    fn a_drawn_serial_is_sixteen_positive_bytes() {
        let random = SeededRandom::new(5);
        for _ in 0..2000 {
            let serial = Serial::draw(&random);
            assert_eq!(serial.as_bytes().len(), 16);
            assert!((1..0x80).contains(&serial.as_bytes()[0]));
        }
    }

    #[test]
    fn a_serial_in_decimal_is_the_same_number() {
        let largest = (u128::MAX).to_string();
        assert_eq!(Serial::from_decimal(&largest), "ff".repeat(16).parse().ok());
        assert_eq!(Serial::from_decimal("2587"), "0a1b".parse().ok());
        // 2^160 - 1 has 49 digits; one more is 21 bytes.
        let limit = "1461501637330902918203684832716283019655932542975";
        assert_eq!(Serial::from_decimal(limit), "ff".repeat(20).parse().ok());
        for bad in [
            "",
            "0",
            "12a",
            "-1",
            "1461501637330902918203684832716283019655932542976",
            &"9".repeat(60),
        ] {
            assert_eq!(Serial::from_decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_way_people_write_a_serial_reads_the_same() {
        let expected: Serial = "0a1b".parse().unwrap();
        for text in ["0A1B", "a1b", "0a:1b", "00:0A:1B", " 0a1b\n"] {
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
        }
        for bad in ["", "0", "00", "xyz", &"7f".repeat(21), "0a-1b"] {
            assert_eq!(bad.parse::<Serial>(), Err(SerialError), "{bad}");
        }
        assert!("7f".repeat(20).parse::<Serial>().is_ok());
    }
}
