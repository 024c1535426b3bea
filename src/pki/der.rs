//! The little DER the other modules share: split and build tag-length-value triples (X.690 §8, §10).
//! Definite, minimal lengths and one-byte tags only; anything else is refused, never repaired.

/// BOOLEAN.
pub(crate) const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;
/// NULL.
pub(crate) const NULL: u8 = 0x05;
/// ENUMERATED.
pub(crate) const ENUMERATED: u8 = 0x0a;
/// SEQUENCE, constructed.
pub(crate) const SEQUENCE: u8 = 0x30;
/// How deep constructed values may nest in what strangers send.
const DEPTH_MAX: usize = 16;

/// One element: its tag, its contents, and the whole of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// Reads elements one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Over the contents of a constructed value.
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element; `None` at the end and on anything that is not DER.
    pub(crate) fn next(&mut self) -> Option<Tlv<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (len, head) = length(rest)?;
        let end = 1 + head + len;
        let raw = self.0.get(..end)?;
        self.0 = &self.0[end..];
        Some(Tlv {
            tag,
            value: &raw[1 + head..],
            raw,
        })
    }

    /// The next element if it carries `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Tlv<'a>> {
        self.next().filter(|tlv| tlv.tag == tag)
    }
}

/// The value of a length field and how many bytes it took.
fn length(data: &[u8]) -> Option<(usize, usize)> {
    let first = *data.first()?;
    if first < 0x80 {
        return Some((usize::from(first), 1));
    }
    let count = usize::from(first & 0x7f);
    // Four bytes of length are 4 GiB: more than any bound of ours.
    let bytes = data.get(1..1 + count).filter(|_| (1..=4).contains(&count))?;
    let len = bytes.iter().fold(0usize, |len, b| len << 8 | usize::from(*b));
    let minimal = bytes[0] != 0 && len >= 0x80;
    minimal.then_some((len, 1 + count))
}

/// The contents of the one element that fills `data` and carries `tag`.
pub(crate) fn only(tag: u8, data: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(data);
    let tlv = reader.expect(tag)?;
    reader.is_empty().then_some(tlv.value)
}

/// The bytes of a BIT STRING without unused bits.
pub(crate) fn whole_bytes(bit_string: &[u8]) -> Option<&[u8]> {
    match bit_string.split_first() {
        Some((0, bytes)) => Some(bytes),
        _ => None,
    }
}

/// The magnitude of a positive INTEGER of at most 20 bytes: its contents without the sign byte. `None` for zero,
/// a negative number, a number that is not encoded minimally, and a longer one (RFC 5280 §4.1.2.2).
pub(crate) fn positive(integer: &[u8]) -> Option<&[u8]> {
    let magnitude = match integer {
        [0, 0x80..=0xff, ..] => &integer[1..],
        [1..0x80, ..] => integer,
        _ => return None,
    };
    (magnitude.len() <= 20).then_some(magnitude)
}

/// The value of an INTEGER from 0 through 2^64-1, encoded minimally.
pub(crate) fn unsigned(integer: &[u8]) -> Option<u64> {
    if integer == [0] {
        return Some(0);
    }
    let magnitude = positive(integer).filter(|bytes| bytes.len() <= 8)?;
    Some(magnitude.iter().fold(0, |value, b| value << 8 | u64::from(*b)))
}

/// A dotted OID for messages, from the contents of an OBJECT IDENTIFIER.
pub(crate) fn oid_text(contents: &[u8]) -> String {
    x509_parser::oid_registry::Oid::new(contents.into()).to_id_string()
}

/// One extension (RFC 5280 §4.1): OID contents, whether it is critical, and the contents of its value.
pub(crate) fn extension(sequence: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let mut fields = Reader::new(sequence);
    let oid = fields.expect(OID)?.value;
    let mut next = fields.next()?;
    let critical = next.tag == BOOLEAN;
    if critical {
        // DER: TRUE is 0xff, and FALSE, the default, is left out (X.690 §11.1, §11.5).
        if next.value != [0xff] {
            return None;
        }
        next = fields.next()?;
    }
    (next.tag == OCTET_STRING && fields.is_empty()).then_some((oid, critical, next.value))
}

/// Whether `data` is elements all the way down: constructed ones filled exactly, nested at most
/// [`DEPTH_MAX`] deep. Contents of primitive values are not looked into.
pub(crate) fn is_well_formed(data: &[u8]) -> bool {
    fn walk(data: &[u8], depth: usize) -> bool {
        let mut reader = Reader::new(data);
        while !reader.is_empty() {
            let Some(tlv) = reader.next() else { return false };
            if tlv.tag & 0x20 != 0 && (depth == 0 || !walk(tlv.value, depth - 1)) {
                return false;
            }
        }
        true
    }
    walk(data, DEPTH_MAX)
}

/// Writes one element around `parts`. Only the signing side needs it.
#[cfg(any(test, feature = "server"))]
pub(crate) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let mut out = Vec::with_capacity(len + 6);
    write_header(&mut out, tag, len);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Appends the tag and length of an element with `len` bytes of contents.
#[cfg(any(test, feature = "server"))]
pub(crate) fn write_header(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    if len < 0x80 {
        out.push(len as u8);
        return;
    }
    let bytes = len.to_be_bytes();
    let skip = bytes.iter().take_while(|b| **b == 0).count();
    out.push(0x80 | (bytes.len() - skip) as u8);
    out.extend_from_slice(&bytes[skip..]);
}

/// An INTEGER of a magnitude: a zero byte before a set top bit (X.690 §8.3).
#[cfg(any(test, feature = "server"))]
pub(crate) fn write_magnitude(out: &mut Vec<u8>, magnitude: &[u8]) {
    let sign = usize::from(magnitude.first().is_none_or(|b| *b >= 0x80));
    write_header(out, INTEGER, magnitude.len() + sign);
    out.extend_from_slice(&[0][..sign]);
    out.extend_from_slice(magnitude);
}

/// An INTEGER of a number.
#[cfg(any(test, feature = "server"))]
pub(crate) fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    write_magnitude(out, &bytes[(value.leading_zeros() / 8) as usize..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_definite_minimal_lengths_are_read() {
        assert_eq!(only(0x04, &[0x04, 0x01, 0xaa]), Some([0xaa].as_slice()));
        for bad in [
            [0x04, 0x81, 0x01, 0xaa].as_slice(), // long form of a short length
            &[0x04, 0x82, 0x00, 0x01, 0xaa],     // leading zero
            &[0x04, 0x80, 0xaa, 0x00, 0x00],     // indefinite
            &[0x04, 0x02, 0xaa],                 // longer than the input
            &[0x04, 0x01, 0xaa, 0x00],           // trailing byte
            &[0x1f, 0x01, 0x01, 0xaa],           // long tag
            &[0x04, 0x85, 1, 0, 0, 0, 0],        // five bytes of length
            &[0x04, 0xff],
            &[0x04],
            &[],
        ] {
            assert_eq!(only(0x04, bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn integers_have_one_form() {
        for (contents, magnitude) in [
            ([1].as_slice(), Some([1].as_slice())),
            (&[0, 0x80], Some(&[0x80])),
            (&[0x7f; 20], Some(&[0x7f; 20])),
            (&[0], None),          // zero
            (&[], None),           // nothing
            (&[0x80], None),       // negative
            (&[0, 1], None),       // a zero too many
            (&[0, 0, 0x80], None), // two zeros too many
            (&[0x7f; 21], None),   // too long
        ] {
            assert_eq!(positive(contents), magnitude, "{contents:02x?}");
        }
        assert_eq!(unsigned(&[0]), Some(0));
        assert_eq!(
            unsigned(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Some(u64::MAX)
        );
        assert_eq!(unsigned(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn an_extension_that_spells_out_its_default_is_refused() {
        let (oid, value) = (
            write(OID, &[&[0x55, 0x1d, 20]]),
            write(OCTET_STRING, &[&[2, 1, 1]]),
        );
        let with = |critical: &[u8]| [oid.clone(), critical.to_vec(), value.clone()].concat();
        assert_eq!(
            extension(&with(&[])),
            Some(([0x55, 0x1d, 20].as_slice(), false, [2, 1, 1].as_slice()))
        );
        assert!(extension(&with(&[1, 1, 0xff])).is_some_and(|(_, critical, _)| critical));
        for bad in [[1, 1, 0].as_slice(), &[1, 1, 1], &[1, 0], &[5, 0]] {
            assert_eq!(extension(&with(bad)), None, "{bad:02x?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nest = |n: usize| (0..n).fold(Vec::new(), |inner, _| write(SEQUENCE, &[&inner]));
        assert!(is_well_formed(&nest(DEPTH_MAX)));
        assert!(!is_well_formed(&nest(DEPTH_MAX + 2)));
        assert!(!is_well_formed(&nest(5000)));
    }

    proptest! {
        #[test]
        fn numbers_are_read_back(value: u64) {
            let mut out = Vec::new();
            write_unsigned(&mut out, value);
            prop_assert_eq!(only(INTEGER, &out).and_then(unsigned), Some(value));
        }

        #[test]
        fn what_is_written_is_read_back(tag in 0u8..0x1f, len in 0usize..70_000) {
            let value = vec![7u8; len];
            let written = write(tag, &[&value[..len / 2], &value[len / 2..]]);
            prop_assert_eq!(only(tag, &written), Some(value.as_slice()));
        }

        #[test]
        fn no_input_makes_the_reader_panic(data: Vec<u8>) {
            is_well_formed(&data);
        }
    }
}
