//! The chunked coding (RFC 9112 §7.1), strictly: CRLF everywhere, no chunk extensions, bounded trailers.

/// The largest trailer section, bytes.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Hex digits of a chunk size: sixteen would overflow what readers use.
const SIZE_DIGITS_MAX: u8 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size {
        digits: u8,
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    DataEndLf,
    /// At the start of a trailer line, or of the last CRLF.
    Line,
    Trailer,
    TrailerLf,
    LastLf,
}

/// Where in a chunked body the connection is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    at: At,
    trailer_bytes: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            at: At::Size { digits: 0, value: 0 },
            trailer_bytes: 0,
        }
    }

    /// Takes bytes up to the end of the body: how many, and whether it ended. The error is the position
    /// of the first byte that does not belong.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), usize> {
        let mut done = 0;
        while done < bytes.len() {
            if let At::Data { left } = self.at {
                let taken = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - done);
                let left = left - taken as u64;
                self.at = if left == 0 { At::DataEnd } else { At::Data { left } };
                done += taken;
                continue;
            }
            if self.at == At::LastLf && bytes[done] == b'\n' {
                return Ok((done + 1, true));
            }
            self.at = self.step(bytes[done]).ok_or(done)?;
            done += 1;
        }
        Ok((done, false))
    }

    fn step(&mut self, byte: u8) -> Option<At> {
        let next = match (self.at, byte) {
            (At::Size { digits, value }, b'\r') if digits > 0 => At::SizeEnd { value },
            (At::Size { digits, value }, _) if digits < SIZE_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16)?;
                At::Size {
                    digits: digits + 1,
                    value: value << 4 | u64::from(digit),
                }
            }
            (At::SizeEnd { value: 0 }, b'\n') => At::Line,
            (At::SizeEnd { value }, b'\n') => At::Data { left: value },
            (At::DataEnd, b'\r') => At::DataEndLf,
            (At::DataEndLf, b'\n') => At::Size { digits: 0, value: 0 },
            (At::Line, b'\r') => At::LastLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::Line,
            // A trailer line may not be folded onto the one before, nor hold a bare LF.
            (At::Line, b' ' | b'\t') | (At::Line | At::Trailer, b'\n') => return None,
            (At::Line | At::Trailer, _) if self.trailer_bytes < TRAILER_BYTES_MAX => {
                self.trailer_bytes += 1;
                At::Trailer
            }
            _ => return None,
        };
        Some(next)
    }
}
