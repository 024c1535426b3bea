//! The client library against a server that answers from a script.

use std::sync::Arc;
use std::time::Duration;

use dockwarden::base::encoding;
use dockwarden::base::{Clock, ManualClock, SeededRandom};
use dockwarden::client::{Client, Enrolled, Error, IDLE_CONNECTION_MAX, RESPONSE_BYTES_MAX};
use dockwarden::model::JoinToken;
use dockwarden::pki::tls::{Pins, ServerTrust, TlsIdentity};
use dockwarden::wire::{Code, EnrollRequest, PageQuery};

use crate::support::peer::{Peer, clock, json, server_tls};
use crate::support::pki::{ClientAuth, DAY, Fleet, Signed, Spec, t0};

const EMPTY_PAGE: &str = r#"{"items":[]}"#;

fn issued() -> String {
    r#"{"certificate":"c","chain":"cc","ca":"r","name":"web-01","serial":"4fa1","not_before":"2026-11-22T00:00:00Z",
       "not_after":"2026-12-22T00:00:00Z","renew_after":"2026-12-12T00:00:00Z"}"#
        .to_owned()
}

fn token(fleet: &Fleet) -> JoinToken {
    JoinToken::draw(&SeededRandom::new(3), fleet.anchors().pins().collect())
}

fn enrolment(token: &JoinToken) -> EnrollRequest {
    EnrollRequest {
        token: token.expose().to_string(),
        csr: "a request".into(),
        names: Vec::new(),
        addresses: Vec::new(),
        labels: Default::default(),
        profile: None,
    }
}

fn pinned(url: &str, token: &JoinToken) -> Client {
    Client::new(
        url.parse().unwrap(),
        ServerTrust::Pins(Pins(token.pins.clone())),
        None,
        clock(),
    )
}

fn anchored(url: &str, fleet: &Fleet, leaf: Option<&Signed>, clock: Arc<dyn Clock>) -> Client {
    let identity = leaf.map(|l| Arc::new(TlsIdentity::new(l.chain(), l.private_key()).unwrap()));
    Client::new(
        url.parse().unwrap(),
        ServerTrust::Anchors(fleet.anchors().shared()),
        identity,
        clock,
    )
}

async fn answering(fleet: &Fleet, answer: impl Fn(usize) -> Option<String> + Send + Sync + 'static) -> Peer {
    let leaf = fleet.host("127.0.0.1");
    Peer::start(
        Some(server_tls(fleet, &leaf)),
        Arc::new(move |n, _: &str| answer(n)),
    )
    .await
}

#[tokio::test]
async fn an_enrolment_sends_the_token_to_the_pinned_server_and_returns_the_certificate() {
    let fleet = Fleet::new();
    let token = token(&fleet);
    let peer = answering(&fleet, |_| Some(json("201 Created", "", &issued()))).await;
    let enrolled = pinned(&peer.url(), &token)
        .enroll(&enrolment(&token))
        .await
        .unwrap();
    let Enrolled::Issued(issued) = enrolled else {
        panic!("{enrolled:?}")
    };
    assert_eq!(issued.serial.to_string(), "4fa1");
    let request = &peer.requests()[0];
    assert!(request.starts_with("POST /enroll HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&*token.expose()));
}

#[tokio::test]
async fn a_request_that_waits_for_an_operator_is_no_error() {
    let fleet = Fleet::new();
    let token = token(&fleet);
    let body = r#"{"request":"aaaaaaaaaaaaaaaaaaaaaaaaaa","spki_sha256":"ab","retry_after":7}"#;
    let peer = answering(&fleet, move |_| {
        Some(json("202 Accepted", "retry-after: 7\r\n", body))
    })
    .await;
    let enrolled = pinned(&peer.url(), &token)
        .enroll(&enrolment(&token))
        .await
        .unwrap();
    assert!(matches!(enrolled, Enrolled::Pending(p) if p.retry_after == 7));
}

/// Failure 37's cousin: whatever answers, if it is not the pinned server it must not learn the secret.
#[tokio::test]
async fn the_secret_never_reaches_a_server_that_is_not_the_pinned_one() {
    let (ours, proxy) = (Fleet::new(), Fleet::new());
    let token = token(&ours);
    let mut with_our_root = proxy.host("127.0.0.1");
    with_our_root.append(&ours.root);
    let expired = Spec::host("127.0.0.1").dates(t0() - DAY * 9, t0() - DAY);
    let as_client = Spec::at(t0(), "127.0.0.1", &[ClientAuth]).sans(&["127.0.0.1"]);
    for (what, leaf) in [
        ("another CA", proxy.host("127.0.0.1")),
        ("another CA that sends our root along", with_our_root),
        ("an expired certificate", ours.hosts.issue(expired)),
        (
            "another name",
            ours.hosts
                .issue(Spec::at(t0(), "web", &[crate::support::pki::ServerAuth]).sans(&["web"])),
        ),
        ("a client's certificate", ours.clients.issue(as_client)),
    ] {
        let script = Arc::new(|_: usize, _: &str| Some(json("201 Created", "", &issued())));
        let peer = Peer::start(Some(server_tls(&proxy, &leaf)), script).await;
        let error = pinned(&peer.url(), &token)
            .enroll(&enrolment(&token))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::PinMismatch { .. } | Error::Tls { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(peer.requests(), Vec::<String>::new(), "{what}");
        let secret = token.expose();
        assert!(
            !error.to_string().contains(secret.split('_').nth(2).unwrap()),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_a_hello_and_nothing_else() {
    let fleet = Fleet::new();
    let token = token(&fleet);
    let peer = Peer::start(None, Arc::new(|_: usize, _: &str| None)).await;
    let error = pinned(&peer.url(), &token)
        .enroll(&enrolment(&token))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    // One ClientHello, and an alert about the answer to it.
    assert!((1..4096).contains(&peer.seen.lock().unwrap().raw_bytes));
}

#[tokio::test]
async fn a_wrong_pin_says_who_answered_and_what_was_expected() {
    let (ours, proxy) = (Fleet::new(), Fleet::new());
    let token = token(&ours);
    let peer = answering(&proxy, |_| None).await;
    let error = pinned(&peer.url(), &token)
        .enroll(&enrolment(&token))
        .await
        .unwrap_err()
        .to_string();
    let pin = |fleet: &Fleet| encoding::hex(&fleet.anchors().pins().next().unwrap()[..8]);
    let expected = format!(
        "the server at {} is not the one this token was made for.\n  its chain ends in  {}…  (CN=test root)\n  \
         the token expects  {}…\n  The join token was not sent. Is there a TLS-inspecting proxy in between? \
         See docs/troubleshooting.md#pin.",
        peer.url(),
        pin(&proxy),
        pin(&ours)
    );
    assert_eq!(error, expected);
}

#[tokio::test]
async fn nobody_listening_is_told_with_address_and_advice() {
    let fleet = Fleet::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = anchored(&format!("https://{closed}"), &fleet, None, clock());
    let error = client.health().await.unwrap_err();
    assert!(
        matches!(error, Error::Connect { .. }) && error.is_transient(),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&closed.to_string()) && text.contains("is the server running"),
        "{text}"
    );
}

#[tokio::test]
async fn a_refused_certificate_is_told_from_a_lost_connection() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let peer = answering(&fleet, |n| (n > 1).then(|| json("200 OK", "", EMPTY_PAGE))).await;
    let stranger = other.client("mallory");
    let expired = fleet
        .clients
        .issue(Spec::client("late").dates(t0() - DAY * 9, t0() - DAY));
    for (leaf, words) in [(&stranger, "another CA"), (&expired, "expired")] {
        let client = anchored(&peer.url(), &fleet, Some(leaf), clock());
        let error = client.hosts(&PageQuery::default()).await.unwrap_err();
        assert!(matches!(error, Error::CertificateRefused { .. }), "{error:?}");
        assert!(
            !error.is_transient() && error.to_string().contains(words),
            "{error}"
        );
    }
    let good = fleet.client("alice");
    let client = anchored(&peer.url(), &fleet, Some(&good), clock());
    let lost = client.hosts(&PageQuery::default()).await.unwrap_err();
    assert!(
        matches!(lost, Error::Closed { .. }) && lost.is_transient(),
        "{lost:?}"
    );
    assert!(
        client
            .hosts(&PageQuery::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fleet = Fleet::new();
    let elsewhere = answering(&fleet, |_| Some(json("200 OK", "", EMPTY_PAGE))).await;
    let location = format!("location: {}/v1/hosts\r\n", elsewhere.url());
    let peer = answering(&fleet, move |_| {
        Some(json("307 Temporary Redirect", &location, ""))
    })
    .await;
    let client = anchored(&peer.url(), &fleet, None, clock());
    let error = client.hosts(&PageQuery::default()).await.unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_not_a_byte_further() {
    let fleet = Fleet::new();
    let body = |bytes: usize| format!("{EMPTY_PAGE}{}", " ".repeat(bytes - EMPTY_PAGE.len()));
    let peer = answering(&fleet, move |n| {
        Some(json("200 OK", "", &body(RESPONSE_BYTES_MAX + n - 1)))
    })
    .await;
    let client = anchored(&peer.url(), &fleet, None, clock());
    assert!(client.hosts(&PageQuery::default()).await.is_ok());
    let error = client.hosts(&PageQuery::default()).await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_of_an_answer_is_left_in_time() {
    let fleet = Fleet::new();
    let peer = answering(&fleet, |_| {
        Some("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_owned())
    })
    .await;
    let client = anchored(&peer.url(), &fleet, None, clock()).with_call_timeout(Duration::from_millis(300));
    let call = tokio::time::timeout(Duration::from_secs(10), client.health()).await;
    let error = call.expect("the limit must hold").unwrap_err();
    assert!(
        matches!(error, Error::Timeout { .. }) && error.is_transient(),
        "{error:?}"
    );
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_call_unless_it_was_idle_for_long() {
    let fleet = Fleet::new();
    let peer = answering(&fleet, |_| Some(json("200 OK", "", EMPTY_PAGE))).await;
    let time = ManualClock::new(t0());
    let client = anchored(&peer.url(), &fleet, None, Arc::new(time.clone()));
    for (wait, connections) in [
        (Duration::ZERO, 1),
        (IDLE_CONNECTION_MAX, 1),
        (IDLE_CONNECTION_MAX + Duration::from_millis(1), 2),
    ] {
        time.advance(wait);
        client.hosts(&PageQuery::default()).await.unwrap();
        assert_eq!(
            peer.seen.lock().unwrap().connections,
            connections,
            "after {wait:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_serves_every_call() {
    let fleet = Fleet::new();
    let peer = answering(&fleet, |_| {
        Some(json("200 OK", "connection: close\r\n", EMPTY_PAGE))
    })
    .await;
    let client = anchored(&peer.url(), &fleet, None, clock());
    for _ in 0..20 {
        client.hosts(&PageQuery::default()).await.unwrap();
    }
    assert_eq!(peer.requests().len(), 20);
}

#[tokio::test]
async fn a_problem_keeps_its_code_and_cannot_write_on_the_terminal() {
    let fleet = Fleet::new();
    let body = r#"{"type":"about:blank","title":"t","status":429,"code":"rate_limited","detail":"slow\u001b[2J down"}"#;
    let peer = answering(&fleet, move |_| {
        Some(json("429 Too Many Requests", "retry-after: 17\r\n", body))
    })
    .await;
    let error = anchored(&peer.url(), &fleet, None, clock())
        .whoami()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::RateLimited));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    assert!(
        error.is_transient() && !error.to_string().contains('\u{1b}'),
        "{error:?}"
    );
}

#[tokio::test]
async fn something_that_is_no_dockwarden_server_is_named_as_such() {
    let fleet = Fleet::new();
    for answer in [
        json("200 OK", "", "<html>welcome</html>"),
        json("502 Bad Gateway", "", "<html>nginx</html>"),
        "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
    ] {
        let peer = answering(&fleet, move |_| Some(answer.clone())).await;
        let error = anchored(&peer.url(), &fleet, None, clock())
            .whoami()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn the_clocks_difference_shows_after_the_first_answer() {
    let fleet = Fleet::new();
    let headers = "date: Sun, 22 Nov 2026 00:00:03 GMT\r\n";
    let peer = answering(&fleet, move |_| Some(json("200 OK", headers, EMPTY_PAGE))).await;
    let client = anchored(&peer.url(), &fleet, None, clock());
    assert_eq!(client.clock_offset_ms(), None);
    client.hosts(&PageQuery::default()).await.unwrap();
    assert_eq!(client.clock_offset_ms(), Some(-3500));
}
