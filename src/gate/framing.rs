//! Where one request ends and the next begins, judged on the raw bytes.
//!
//! hyper frames requests safely, but it repairs what this gate refuses: it drops a Content-Length beside
//! Transfer-Encoding, folds repeated lengths and reads bare line feeds. Two parsers that repair differently
//! are how requests are smuggled, so the scanner lets only bytes through that every parser reads the same
//! way. It changes nothing and decides nothing else.

mod chunked;

use chunked::Chunked;

/// The largest request head, bytes. `X-Registry-Config` with many registries is the large one.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most header fields in one head.
pub const HEADERS_MAX: usize = 100;

/// Why the bytes of a request were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The HTTP/2 connection preface.
    #[error("HTTP/2 was not negotiated on this connection: use HTTP/1.1")]
    Http2,
    /// A head above `HEAD_BYTES_MAX`.
    #[error("the request head is larger than {HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    /// A head that took too long.
    #[error("the request head did not arrive in time")]
    HeadTooSlow,
    /// Not an HTTP/1 request head.
    #[error("the request head is not HTTP/1.1")]
    Malformed,
    /// A line that ends in LF alone.
    #[error("a line of the request ends in LF without CR")]
    BareLineFeed,
    /// Both ways to say how long the body is.
    #[error("the request has both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// Content-Length twice, equal or not, or not a number.
    #[error("the request has more than one Content-Length, or one that is not a number")]
    Length,
    /// Transfer-Encoding that is not `chunked`, or not HTTP/1.1's.
    #[error("the request has a Transfer-Encoding other than chunked")]
    Encoding,
    /// Chunked framing that is not exact, or carries extensions.
    #[error("the chunked body of the request is malformed")]
    Chunk,
}

/// A refusal, and how many of the bytes just fed lie before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Bytes that may still be passed on.
    pub allowed: usize,
    /// Why the rest may not.
    pub refusal: Refusal,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    /// After a request that asks for an upgrade: either a tunnel, or the connection is closed.
    Opaque,
}

/// Follows one connection's bytes from the client.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    head: Vec<u8>,
    upgrading: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self {
            state: State::Head,
            head: Vec::new(),
            upgrading: false,
        }
    }

    /// Whether part of a head has arrived, and not yet all of it.
    pub fn is_inside_head(&self) -> bool {
        !self.head.is_empty()
    }

    /// Whether everything from here on is the tunnel's.
    pub fn is_opaque(&self) -> bool {
        matches!(self.state, State::Opaque)
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// [`Stop`] at the first byte that must not pass. The connection has to end there.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let taken = match &mut self.state {
                State::Opaque => Ok(rest.len()),
                State::Head => self.feed_head(rest),
                State::Length(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        self.end_body();
                    }
                    Ok(taken)
                }
                State::Chunked(chunks) => match chunks.feed(rest) {
                    Ok((taken, finished)) => {
                        if finished {
                            self.end_body();
                        }
                        Ok(taken)
                    }
                    Err(at) => Err((at, Refusal::Chunk)),
                },
            };
            done += taken.map_err(|(at, refusal)| Stop {
                allowed: done + at,
                refusal,
            })?;
        }
        Ok(())
    }

    fn end_body(&mut self) {
        self.state = if self.upgrading {
            State::Opaque
        } else {
            State::Head
        };
    }

    /// Takes bytes up to the end of the head. The refused head's last bytes never pass, so that hyper
    /// never sees it whole.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<usize, (usize, Refusal)> {
        let before = self.head.len();
        let mut end = None;
        for (at, byte) in bytes.iter().enumerate() {
            self.head.push(*byte);
            if *byte != b'\n' {
                continue;
            }
            if self.head.len() < 2 || self.head[self.head.len() - 2] != b'\r' {
                return Err((at, Refusal::BareLineFeed));
            }
            if self.head.ends_with(b"\r\n\r\n") {
                end = Some(at + 1);
                break;
            }
        }
        if self.head.len() > HEAD_BYTES_MAX {
            return Err((HEAD_BYTES_MAX.saturating_sub(before), Refusal::HeadTooLarge));
        }
        let Some(taken) = end else {
            return Ok(bytes.len());
        };
        let (state, upgrading) = judge(&self.head).map_err(|refusal| (0, refusal))?;
        self.head.clear();
        self.head.shrink_to(1024);
        self.upgrading = upgrading;
        self.state = state;
        if matches!(self.state, State::Length(0)) {
            self.end_body();
        }
        Ok(taken)
    }
}

fn judge(head: &[u8]) -> Result<(State, bool), Refusal> {
    if head.starts_with(b"PRI ") {
        return Err(Refusal::Http2);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        _ => return Err(Refusal::Malformed),
    }
    let fields = |name: &'static str| {
        let all = request.headers.iter();
        all.filter(move |h| h.name.eq_ignore_ascii_case(name))
            .map(|h| h.value)
    };
    let upgrading = fields("upgrade").next().is_some() || request.method == Some("CONNECT");
    let (lengths, encodings) = (
        fields("content-length").count(),
        fields("transfer-encoding").count(),
    );
    let state = match (lengths, encodings) {
        (0, 0) => State::Length(0),
        (1, 0) => State::Length(
            fields("content-length")
                .next()
                .and_then(number)
                .ok_or(Refusal::Length)?,
        ),
        (0, 1) if request.version == Some(1) && fields("transfer-encoding").all(is_chunked) => {
            State::Chunked(Chunked::new())
        }
        (0, _) => return Err(Refusal::Encoding),
        (_, 0) => return Err(Refusal::Length),
        _ => return Err(Refusal::LengthAndEncoding),
    };
    Ok((state, upgrading))
}

fn is_chunked(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"chunked")
}

/// Digits alone: no sign, no list, at most 18 of them, so that every parser agrees.
fn number(value: &[u8]) -> Option<u64> {
    let shaped = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    shaped.then(|| value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
