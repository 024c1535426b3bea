//! How a file's characters are written: UTF-8, or what its byte order mark says. dockerd reads all of these from 23.0
//! on, and only the first before.

/// The encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8 without a mark.
    Plain,
    /// UTF-8 behind a mark.
    Marked,
    /// UTF-16, low byte first.
    LittleEndian,
    /// UTF-16, high byte first.
    BigEndian,
}

impl Encoding {
    /// Reads the text behind the mark, if there is one.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, String), &'static str> {
        if let Some(units) = bytes.strip_prefix(b"\xff\xfe") {
            return Ok((Self::LittleEndian, decode_utf16(units, u16::from_le_bytes)?));
        }
        if let Some(units) = bytes.strip_prefix(b"\xfe\xff") {
            return Ok((Self::BigEndian, decode_utf16(units, u16::from_be_bytes)?));
        }
        let (encoding, text) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(text) => (Self::Marked, text),
            None => (Self::Plain, bytes),
        };
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8: save it as UTF-8")?;
        Ok((encoding, text.to_owned()))
    }

    /// Writes the text, mark and all.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Plain => text.as_bytes().to_vec(),
            Self::Marked => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            Self::LittleEndian => encode_utf16(b"\xff\xfe", text, u16::to_le_bytes),
            Self::BigEndian => encode_utf16(b"\xfe\xff", text, u16::to_be_bytes),
        }
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, &'static str> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
    text.ok_or("its first bytes say UTF-16, and the rest is not: save it as UTF-8")
}

fn encode_utf16(mark: &[u8], text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mut out = mark.to_vec();
    out.extend(text.encode_utf16().flat_map(bytes));
    out
}
