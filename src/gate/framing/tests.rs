use super::*;
use proptest::prelude::*;

fn refusal(bytes: &[u8]) -> Option<Refusal> {
    Scanner::new().feed(bytes).err().map(|stop| stop.refusal)
}

#[test]
fn what_clients_send_passes() {
    for request in [
        "GET /info HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /_ping HTTP/1.0\r\n\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n",
        "POST /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
        "POST /a HTTP/1.1\r\ncontent-length:0\r\n\r\n",
    ] {
        let mut scanner = Scanner::new();
        assert_eq!(scanner.feed(request.as_bytes()), Ok(()), "{request:?}");
        assert!(!scanner.is_inside_head() && !scanner.is_opaque(), "{request:?}");
    }
}

/// Heads, and why each is refused.
const AMBIGUOUS: &[(&str, Refusal)] = &[
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::Http2),
    (
        "POST /a HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        Refusal::LengthAndEncoding,
    ),
    (
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        Refusal::LengthAndEncoding,
    ),
    (
        "POST /a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        Refusal::Length,
    ),
    (
        "POST /a HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\n",
        Refusal::Length,
    ),
    (
        "POST /a HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
        Refusal::Length,
    ),
    ("POST /a HTTP/1.1\r\nContent-Length: +3\r\n\r\n", Refusal::Length),
    ("POST /a HTTP/1.1\r\nContent-Length: -3\r\n\r\n", Refusal::Length),
    ("POST /a HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n", Refusal::Length),
    ("POST /a HTTP/1.1\r\nContent-Length:\r\n\r\n", Refusal::Length),
    (
        "POST /a HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
        Refusal::Length,
    ),
    (
        "POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        Refusal::Encoding,
    ),
    (
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        Refusal::Encoding,
    ),
    (
        "POST /a HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        Refusal::Encoding,
    ),
    (
        "POST /a HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        Refusal::Encoding,
    ),
    (
        "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Refusal::Encoding,
    ),
    (
        "POST /a HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        Refusal::Malformed,
    ),
    ("POST /a HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Refusal::Malformed),
    ("GET /a HTTP/1.1\nHost: x\n\n", Refusal::BareLineFeed),
    ("GET /a HTTP/1.1\r\nHost: x\n\r\n", Refusal::BareLineFeed),
    ("GET /a HTTP/1.1\r\nHost: x\r\n\n", Refusal::BareLineFeed),
    ("GET /a HTTP/3.0\r\n\r\n", Refusal::Malformed),
    ("GET /a\r\n\r\n", Refusal::Malformed),
    ("\r\n\r\nGET /a HTTP/1.1\r\n\r\n", Refusal::Malformed),
    ("G\0T /a HTTP/1.1\r\n\r\n", Refusal::Malformed),
    ("GET /a HTTP/1.1\r\nA: b\0\r\n\r\n", Refusal::Malformed),
];

#[test]
fn whatever_two_parsers_could_read_differently_is_refused() {
    for (request, expected) in AMBIGUOUS {
        assert_eq!(refusal(request.as_bytes()), Some(*expected), "{request:?}");
    }
}

#[test]
fn a_chunked_body_is_exact_or_refused() {
    let chunked = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "\r\n",
        "g\r\n",
        "3;ext=1\r\n",
        "3 \r\nabc\r\n",
        "3\nabc",
        "3\r\nabcd",
        "3\r\nabc\n",
        "0\r\n\n",
        "-1\r\n",
        "0x3\r\n",
        "0\r\n a: b\r\n\r\n",
        "0\r\na: b\n\r\n",
        "1234567890123456\r\n",
    ] {
        assert_eq!(
            refusal(format!("{chunked}{body}").as_bytes()),
            Some(Refusal::Chunk),
            "{body:?}"
        );
    }
}

#[test]
fn a_head_is_bounded_in_bytes_and_fields() {
    let filler = |bytes| format!("GET /a HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(bytes - 24));
    assert_eq!(refusal(filler(HEAD_BYTES_MAX).as_bytes()), None);
    let long = filler(HEAD_BYTES_MAX + 1);
    let stop = Scanner::new().feed(long.as_bytes()).unwrap_err();
    assert_eq!(stop.refusal, Refusal::HeadTooLarge);
    assert!(stop.allowed <= HEAD_BYTES_MAX);
    let fields = |n| format!("GET /a HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert_eq!(refusal(fields(HEADERS_MAX).as_bytes()), None);
    assert_eq!(
        refusal(fields(HEADERS_MAX + 1).as_bytes()),
        Some(Refusal::Malformed)
    );
    let trailers = |n: usize| {
        format!(
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA:{}\r\n\r\n",
            "b".repeat(n - 2)
        )
    };
    assert_eq!(refusal(trailers(8 * 1024).as_bytes()), None);
    assert_eq!(refusal(trailers(8 * 1024 + 1).as_bytes()), Some(Refusal::Chunk));
}

#[test]
fn after_an_upgrade_request_and_its_body_nothing_is_looked_at() {
    for head in [
        "POST /exec/1/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}",
        "CONNECT x:1 HTTP/1.1\r\n\r\n",
    ] {
        let mut scanner = Scanner::new();
        assert_eq!(scanner.feed(format!("{head}\n\nPRI \0\0").as_bytes()), Ok(()));
        assert!(scanner.is_opaque());
    }
}

fn message() -> impl Strategy<Value = String> {
    let head = "(GET|POST|PUT) /[a-z/]{0,12} HTTP/1\\.1\r\n(X-[a-z]{1,5}: [a-z ]{0,9}\r\n){0,3}";
    let chunk = proptest::collection::vec("[a-zA-Z0-9\r\n]{1,20}", 0..4);
    prop_oneof![
        head.prop_map(|h| format!("{h}\r\n")),
        (head, "[a-z\r\n]{0,30}").prop_map(|(h, b)| format!("{h}Content-Length: {}\r\n\r\n{b}", b.len())),
        (head, chunk).prop_map(|(h, chunks)| {
            let body: String = chunks
                .iter()
                .map(|c| format!("{:x}\r\n{c}\r\n", c.len()))
                .collect();
            format!("{h}Transfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n")
        }),
    ]
}

fn feed_in_pieces(bytes: &[u8], sizes: &[usize]) -> (usize, Option<Refusal>) {
    let (mut scanner, mut at, mut sizes) = (Scanner::new(), 0, sizes.iter().cycle());
    while at < bytes.len() {
        let end = (at + sizes.next().copied().unwrap_or(1)).min(bytes.len());
        if let Err(stop) = scanner.feed(&bytes[at..end]) {
            return (at + stop.allowed, Some(stop.refusal));
        }
        at = end;
    }
    (at, None)
}

proptest! {
    #[test]
    fn a_run_of_good_requests_passes_however_it_is_cut(
        messages in proptest::collection::vec(message(), 1..5),
        sizes in proptest::collection::vec(1usize..40, 1..6),
    ) {
        let bytes = messages.concat();
        prop_assert_eq!(feed_in_pieces(bytes.as_bytes(), &sizes), (bytes.len(), None));
        let mut scanner = Scanner::new();
        scanner.feed(bytes.as_bytes()).unwrap();
        prop_assert!(!scanner.is_inside_head() && matches!(scanner.state, State::Head));
    }

    #[test]
    fn how_the_bytes_were_cut_decides_nothing(
        good in message(),
        bad in proptest::collection::vec(any::<u8>(), 0..60),
        sizes in proptest::collection::vec(1usize..20, 1..6),
    ) {
        let bytes = [good.as_bytes(), &bad].concat();
        let whole = feed_in_pieces(&bytes, &[bytes.len()]);
        let cut = feed_in_pieces(&bytes, &sizes);
        prop_assert_eq!(whole.1, cut.1);
    }
}
