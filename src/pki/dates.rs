//! The two ASN.1 times, in the one form DER and RFC 5280 §4.1.2.5 leave of each: whole seconds, `Z`.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::base::Timestamp;

/// UTCTime: `YYMMDDHHMMSSZ`, years 1950 to 2049.
pub(crate) const UTC_TIME: u8 = 0x17;
/// GeneralizedTime: `YYYYMMDDHHMMSSZ`.
pub(crate) const GENERALIZED_TIME: u8 = 0x18;

/// A time and the tag it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) time: Timestamp,
    pub(crate) tag: u8,
}

impl Date {
    /// Whether it has the form RFC 5280 §5.1.2.4 asks for: UTCTime through 2049, GeneralizedTime after.
    pub(crate) fn is_in_right_form(self) -> bool {
        (self.tag == UTC_TIME) == is_for_utc_time(self.time)
    }
}

/// Reads either form; `None` for another tag, fractions, offsets, and dates that do not exist.
pub(crate) fn read(tag: u8, contents: &[u8]) -> Option<Date> {
    let (year, rest) = match (tag, contents.len()) {
        (UTC_TIME, 13) => {
            let year = number(&contents[..2])?;
            (year + if year < 50 { 2000 } else { 1900 }, &contents[2..])
        }
        (GENERALIZED_TIME, 15) => (number(&contents[..4])?, &contents[4..]),
        _ => return None,
    };
    let (fields, zone) = rest.split_at(10);
    let field = |at: usize| number(&fields[at..at + 2]).map(|value| value as i8);
    let civil = DateTime::new(year, field(0)?, field(2)?, field(4)?, field(6)?, field(8)?, 0).ok()?;
    let seconds = Offset::UTC.to_timestamp(civil).ok()?.as_second();
    let time = Timestamp::from_secs(seconds);
    (zone == b"Z" && time.as_secs() == seconds).then_some(Date { time, tag })
}

fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Some(value * 10 + i16::from(digit - b'0')),
        _ => None,
    })
}

fn is_for_utc_time(time: Timestamp) -> bool {
    /// 1950-01-01T00:00:00Z through 2049-12-31T23:59:59Z.
    const YEARS: std::ops::Range<i64> = -631_152_000..2_524_608_000;
    YEARS.contains(&time.as_secs())
}

/// Appends a time as certificates and CRLs carry it; a fraction of a second is dropped.
#[cfg(any(test, feature = "server"))]
pub(crate) fn write(out: &mut Vec<u8>, time: Timestamp) {
    if is_for_utc_time(time) {
        out.extend_from_slice(&[UTC_TIME, 13]);
        out.extend_from_slice(&digits(time)[2..]);
    } else {
        write_generalized(out, time);
    }
}

/// Appends a GeneralizedTime, which is what OCSP carries (RFC 6960 §4.2.2.1).
#[cfg(any(test, feature = "server"))]
pub(crate) fn write_generalized(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(&[GENERALIZED_TIME, 15]);
    out.extend_from_slice(&digits(time));
}

#[cfg(any(test, feature = "server"))]
fn digits(time: Timestamp) -> [u8; 15] {
    let instant = jiff::Timestamp::from_second(time.as_secs()).expect("a Timestamp lies in years 1 to 9999");
    let civil = Offset::UTC.to_datetime(instant);
    let mut out = *b"00000000000000Z";
    let mut put = |range: std::ops::Range<usize>, mut value: i16| {
        for digit in out[range].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0..4, civil.year());
    let two_digits = [
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second(),
    ];
    for (at, value) in two_digits.into_iter().enumerate() {
        put(4 + 2 * at..6 + 2 * at, i16::from(value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn utc_time_ends_with_2049() {
        for (text, written) in [
            (
                "1950-01-01T00:00:00Z",
                [&[UTC_TIME, 13][..], b"500101000000Z"].concat(),
            ),
            (
                "2049-12-31T23:59:59Z",
                [&[UTC_TIME, 13][..], b"491231235959Z"].concat(),
            ),
            (
                "2050-01-01T00:00:00Z",
                [&[GENERALIZED_TIME, 15][..], b"20500101000000Z"].concat(),
            ),
            (
                "1949-12-31T23:59:59Z",
                [&[GENERALIZED_TIME, 15][..], b"19491231235959Z"].concat(),
            ),
        ] {
            let time = Timestamp::parse(text).unwrap();
            let mut out = Vec::new();
            write(&mut out, time);
            assert_eq!(out, written, "{text}");
            let date = read(out[0], &out[2..]).unwrap();
            assert_eq!(date.time, time);
            assert!(date.is_in_right_form());
        }
        assert!(
            !read(GENERALIZED_TIME, b"20261122100000Z")
                .unwrap()
                .is_in_right_form()
        );
    }

    #[test]
    fn other_forms_are_refused() {
        for (tag, text) in [
            (UTC_TIME, "2611221000Z"),
            (UTC_TIME, "261122100000+0000"),
            (UTC_TIME, "261122100000z"),
            (UTC_TIME, "260230100000Z"),
            (UTC_TIME, "261122100060Z"),
            (UTC_TIME, "26112210000 Z"),
            (GENERALIZED_TIME, "20261122100000.5Z"),
            (GENERALIZED_TIME, "2026112210000Z"),
            (GENERALIZED_TIME, "00000101000000Z"),
            (0x16, "261122100000Z"),
        ] {
            assert_eq!(read(tag, text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_is_read_back(seconds in -62_135_596_800i64..253_402_207_200) {
            let time = Timestamp::from_secs(seconds);
            for form in [write, write_generalized] {
                let mut out = Vec::new();
                form(&mut out, time);
                prop_assert_eq!(read(out[0], &out[2..]).map(|d| d.time), Some(time));
            }
        }
    }
}
