//! Durations as people write them: `30d`, `12h`, `90m`, `45s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write a whole number and a unit, such as 30d, 12h, 90m or 45s")]
pub struct DurationError(String);

/// A duration in configuration, flags and queries: a whole number with one unit (`d`, `h`, `m`, `s`).
/// At most 100 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// Seconds in each unit, longest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// A hundred years, in seconds: beyond it somebody mistyped.
const SECONDS_MAX: u64 = 36_525 * 86_400;

impl FromStr for Span {
    type Err = DurationError;
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let seconds = UNITS.iter().find_map(|(unit, seconds)| {
            let number = text.trim().strip_suffix(unit)?;
            let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| number.parse::<u64>().ok()?.checked_mul(*seconds))?
        });
        match seconds {
            Some(seconds) if seconds <= SECONDS_MAX => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(DurationError(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Span {
    /// In the longest unit that is exact; fractions of a second are dropped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (unit, size) = UNITS
            .into_iter()
            .find(|(_, size)| seconds != 0 && seconds.is_multiple_of(*size))
            .unwrap_or(("s", 1));
        write!(f, "{}{unit}", seconds / size)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_needs_exactly_one_unit() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("12h", 43_200),
            ("90m", 5400),
            ("45s", 45),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        for bad in [
            "",
            "30",
            "d",
            "-1d",
            "1.5h",
            "1h30m",
            "30 d",
            "30D",
            "+3s",
            "99999999999999999999s",
            "36526d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_span_survives_its_text_form(seconds in 0u64..=SECONDS_MAX) {
            let span = Span(Duration::from_secs(seconds));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
