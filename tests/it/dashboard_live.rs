//! `/live`: an open page is told when to look again, for as long as whoever looks may, and only so many are told.

use std::time::Duration;

use dockwarden::base::limits::{LIVE_EVERY, LIVE_MAX};
use dockwarden::model::Permission;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use serde_json::json;

use crate::support::browser::{Browser, mark};
use crate::support::server::{Credentials, PATIENCE, TestServer};

/// What comes within this time came because something happened: the next look would be later.
const AT_ONCE: Duration = Duration::from_secs(LIVE_EVERY.as_secs() - 1);
/// What comes within this time may have come because it was time.
const IN_TIME: Duration = Duration::from_secs(LIVE_EVERY.as_secs() + PATIENCE.as_secs());

/// A page that follows.
struct Follower {
    status: u16,
    body: Incoming,
    /// Dropped, it closes the connection.
    _connection: SendRequest<Full<bytes::Bytes>>,
}

impl Follower {
    async fn new(server: &TestServer, who: Option<&Credentials>, cookies: &[(String, String)]) -> Self {
        let mut connection = server.connect(who).await.unwrap();
        let pairs: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = Request::builder()
            .uri("/live")
            .header("host", "localhost")
            .header("cookie", pairs.join("; "))
            .body(Full::default())
            .unwrap();
        let answer = tokio::time::timeout(PATIENCE, connection.send_request(request));
        let answer = answer.await.unwrap().unwrap();
        if answer.status() == 200 {
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            assert_eq!(answer.headers()["cache-control"], "no-store");
        }
        Self {
            status: answer.status().as_u16(),
            body: answer.into_body(),
            _connection: connection,
        }
    }

    /// The next event; `None` when there will be none.
    async fn next(&mut self, within: Duration) -> Option<String> {
        let frame = tokio::time::timeout(within, self.body.frame());
        let frame = frame.await.expect("nothing came, and it did not end")?;
        let data = frame.unwrap().into_data().unwrap();
        Some(String::from_utf8(data.to_vec()).unwrap())
    }

    /// Everything that it says.
    async fn text(self) -> String {
        let whole = tokio::time::timeout(PATIENCE, self.body.collect());
        let whole = whole.await.unwrap().unwrap();
        String::from_utf8(whole.to_bytes().to_vec()).unwrap()
    }
}

async fn revoke(server: &TestServer, who: &Credentials) {
    let path = format!("/v1/certificates/{}/revoke", who.serial);
    let answer = server
        .call(Some(&server.admin), "POST", &path, Some(json!({})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn an_open_page_is_told_of_a_revocation_at_once_and_otherwise_every_few_seconds() {
    let server = TestServer::memory().await;
    let leaked = server.join("client", "leaked").await;
    let vera = server.person("vera", Permission::Viewer).await;
    let mut page = Follower::new(&server, Some(&vera), &[]).await;
    revoke(&server, &leaked).await;
    let event = Some("event: changed\ndata:\n\n".to_owned());
    assert_eq!(page.next(AT_ONCE).await, event);
    assert_eq!(
        page.next(IN_TIME).await,
        event,
        "nothing happened, and it looks again"
    );
    // A server that stops ends what has no end of its own.
    server.stop().await;
    assert_eq!(page.next(PATIENCE).await, None);
}

#[tokio::test]
async fn following_ends_with_the_session() {
    let server = TestServer::sqlite().await;
    let link = server
        .call(Some(&server.admin), "POST", "/v1/sessions", None)
        .await;
    let link = link.json()["path"].as_str().unwrap().to_owned();
    let mut browser = Browser::new(&server, None);
    assert_eq!(browser.post(&link, &[]).await.status, 303);
    let mut page = Follower::new(&server, None, &browser.cookies).await;
    assert_eq!(page.status, 200);
    assert!(
        page.next(IN_TIME).await.is_some(),
        "while the session is good it goes on"
    );
    let cookies = browser.cookies.clone();
    let sessions = browser.get("/sessions").await;
    let out = browser
        .post("/sign-out", &[("mark", &mark(sessions.text()))])
        .await;
    assert_eq!(out.status, 303);
    assert_eq!(page.next(IN_TIME).await, None, "nothing is told after the end");
    assert_eq!(Follower::new(&server, None, &cookies).await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn following_ends_at_once_with_a_certificate_that_is_revoked() {
    let server = TestServer::memory().await;
    let vera = server.person("vera", Permission::Viewer).await;
    let other = server.person("other", Permission::Viewer).await;
    let mut page = Follower::new(&server, Some(&vera), &[]).await;
    let mut others = Follower::new(&server, Some(&other), &[]).await;
    revoke(&server, &vera).await;
    assert_eq!(page.next(AT_ONCE).await, None);
    assert!(others.next(AT_ONCE).await.is_some());
    server.stop().await;
}

#[tokio::test]
async fn one_page_more_than_there_is_room_for_is_refused_until_another_is_closed() {
    let server = TestServer::memory().await;
    let vera = server.person("vera", Permission::Viewer).await;
    let mut pages = join_all((0..LIVE_MAX).map(|_| Follower::new(&server, Some(&vera), &[]))).await;
    assert!(pages.iter().all(|page| page.status == 200));
    let refused = Follower::new(&server, Some(&vera), &[]).await;
    assert_eq!(refused.status, 503);
    let text = refused.text().await;
    assert!(
        text.contains(&format!("{LIVE_MAX} pages follow already")),
        "{text}"
    );
    let page = Browser::new(&server, Some(&vera)).get("/hosts").await;
    assert_eq!(page.status, 200, "other pages have room");
    drop(pages.pop());
    let freed = async {
        while Follower::new(&server, Some(&vera), &[]).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(IN_TIME, freed).await.unwrap();
    server.stop().await;
}
