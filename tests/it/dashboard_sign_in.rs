//! Signing a browser in with a one-time link: once, for a minute, for one person, and no longer than their certificate.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockwarden::http::DASHBOARD_ROUTES;
use dockwarden::model::Permission;
use dockwarden::pki::tls::{ALPN_HTTP1, ServerTrust, client_config};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::browser::{Browser, mark};
use crate::support::server::{Credentials, TestServer};

const COOKIE: &str = "__Host-dockwarden";

async fn link(server: &TestServer, who: &Credentials) -> String {
    let answer = server.call(Some(who), "POST", "/v1/sessions", None).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["path"].as_str().unwrap().to_owned()
}

async fn signed_in<'s>(server: &'s TestServer, who: &Credentials) -> Browser<'s> {
    let link = link(server, who).await;
    let mut browser = Browser::new(server, None);
    let answer = browser.post(&link, &[]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/"),
        "{}",
        answer.text()
    );
    browser
}

#[tokio::test]
async fn a_link_signs_in_one_browser_once_and_looking_at_it_spends_nothing() {
    let server = TestServer::sqlite().await;
    let vera = server.person("vera", Permission::Viewer).await;
    let link = link(&server, &vera).await;
    for _ in 0..3 {
        let mut previewer = Browser::new(&server, None);
        let page = previewer.get(&link).await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains("Sign in as vera"));
        assert!(previewer.cookies.is_empty());
    }
    let mut browser = Browser::new(&server, None);
    assert_eq!(browser.get("/hosts").await.status, 401);
    let answer = browser.post(&link, &[]).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with(&format!("{COOKIE}=")), "{cookie}");
    for attribute in [
        "; Path=/",
        "; HttpOnly",
        "; Secure",
        "; SameSite=Strict",
        "; Max-Age=43200",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
    let page = browser.get("/hosts").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("vera") && page.text().contains("Sign out"));
    for again in [
        Browser::new(&server, None).post(&link, &[]).await,
        Browser::new(&server, None).get(&link).await,
    ] {
        assert_eq!(again.status, 403);
        assert!(again.text().contains("used before"), "{}", again.text());
        assert_eq!(again.header("set-cookie"), "");
    }
    let actions: Vec<String> = server
        .audited()
        .await
        .into_iter()
        .map(|(action, _)| action)
        .collect();
    let sessions: Vec<&String> = actions
        .iter()
        .filter(|action| action.starts_with("session"))
        .collect();
    assert_eq!(sessions, ["session.offer", "session.start"]);
    server.stop().await;
}

#[tokio::test]
async fn of_many_that_press_the_button_at_once_one_is_signed_in() {
    let server = TestServer::sqlite().await;
    let link = link(&server, &server.admin).await;
    let attempts = (0..8).map(|_| async {
        let mut browser = Browser::new(&server, None);
        browser.post(&link, &[]).await.status
    });
    let mut answers = futures_util::future::join_all(attempts).await;
    answers.sort_unstable();
    assert_eq!(answers, [303, 403, 403, 403, 403, 403, 403, 403]);
    server.stop().await;
}

#[tokio::test]
async fn a_link_is_good_for_a_minute() {
    let server = TestServer::memory().await;
    let (early, late) = (
        link(&server, &server.admin).await,
        link(&server, &server.admin).await,
    );
    server.clock.advance(Duration::from_secs(59));
    assert_eq!(Browser::new(&server, None).post(&early, &[]).await.status, 303);
    server.clock.advance(Duration::from_secs(2));
    assert_eq!(Browser::new(&server, None).post(&late, &[]).await.status, 403);
    for bad in ["/sign-in/x", "/sign-in/", &format!("/sign-in/{}", "a".repeat(52))] {
        assert!(
            matches!(Browser::new(&server, None).post(bad, &[]).await.status, 403..=405),
            "{bad}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_ends_idle_old_ended_or_with_its_certificate() {
    let server = TestServer::memory().await;
    let vera = server.person("vera", Permission::Viewer).await;
    let mut idle = signed_in(&server, &vera).await;
    let mut used = signed_in(&server, &vera).await;
    let mut ended = signed_in(&server, &vera).await;
    let page = ended.get("/sessions").await;
    let answer = ended.post("/sign-out", &[("mark", &mark(page.text()))]).await;
    assert_eq!(answer.status, 303);
    assert!(ended.cookies.is_empty(), "the cookie is taken back");
    server.clock.advance(Duration::from_secs(1800));
    assert_eq!(used.get("/hosts").await.status, 200);
    server.clock.advance(Duration::from_secs(1801));
    let page = idle.get("/hosts").await;
    assert_eq!(page.status, 401);
    assert!(page.text().contains("The session has ended"));
    assert_eq!(used.get("/hosts").await.status, 200);
    for _ in 0..23 {
        server.clock.advance(Duration::from_secs(1800));
        used.get("/hosts").await;
    }
    assert_eq!(used.get("/hosts").await.status, 401, "half a day is the most");
    let mut revoked = signed_in(&server, &vera).await;
    assert_eq!(revoked.get("/hosts").await.status, 200);
    let revoke = format!("/v1/certificates/{}/revoke", vera.serial);
    let answer = server
        .call(Some(&server.admin), "POST", &revoke, Some(json!({})))
        .await;
    assert_eq!(answer.status, 200);
    let page = revoked.get("/hosts").await;
    assert_eq!(page.status, 403);
    assert!(
        page.text().contains("its sessions ended with it"),
        "{}",
        page.text()
    );
    server.stop().await;
}

#[tokio::test]
async fn a_link_of_a_certificate_that_was_revoked_since_signs_nobody_in() {
    let server = TestServer::memory().await;
    let vera = server.person("vera", Permission::Viewer).await;
    let link = link(&server, &vera).await;
    let revoke = format!("/v1/certificates/{}/revoke", vera.serial);
    server
        .call(Some(&server.admin), "POST", &revoke, Some(json!({})))
        .await;
    let answer = Browser::new(&server, None).post(&link, &[]).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.header("set-cookie"), "");
    server.stop().await;
}

#[tokio::test]
async fn only_who_may_look_gets_a_link_and_everybody_ends_their_own_sessions() {
    let server = TestServer::memory().await;
    let vera = server.person("vera", Permission::Viewer).await;
    let olga = server.person("olga", Permission::Operator).await;
    let plain = server.join("client", "plain").await;
    let host = server.join("host", "web-1.fleet").await;
    for who in [&plain, &host] {
        assert_eq!(
            server.call(Some(who), "POST", "/v1/sessions", None).await.status,
            403
        );
    }
    let mut browser = signed_in(&server, &vera).await;
    let ids = async |who: &Credentials| {
        let list = server.get(Some(who), "/v1/sessions").await.json();
        let items = list["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&olga).await, Vec::<String>::new());
    let seen = ids(&vera).await;
    assert_eq!((seen.len(), ids(&server.admin).await), (1, seen.clone()));
    let path = format!("/v1/sessions/{}", seen[0]);
    assert_eq!(server.call(Some(&olga), "DELETE", &path, None).await.status, 404);
    assert_eq!(browser.get("/hosts").await.status, 200);
    assert_eq!(
        server
            .call(Some(&server.admin), "DELETE", &path, None)
            .await
            .status,
        204
    );
    assert_eq!(browser.get("/hosts").await.status, 401);
    assert_eq!(server.call(Some(&vera), "DELETE", &path, None).await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_session_reaches_the_pages_its_person_may_see_and_not_the_api() {
    let server = TestServer::memory().await;
    let vera = server.person("vera", Permission::Viewer).await;
    let mut browser = signed_in(&server, &vera).await;
    for (method, path, needs) in DASHBOARD_ROUTES {
        if *method != "get" || path.contains('{') || *path == "/live" {
            continue;
        }
        let status = browser.get(path).await.status;
        assert_eq!(status, if *needs == "operator" { 403 } else { 200 }, "{path}");
    }
    for path in ["/v1/hosts", "/v1/whoami", "/v1/sessions"] {
        assert_eq!(browser.get(path).await.status, 401, "{path}");
    }
    // What one session's page gave is worth nothing in another.
    let other = signed_in(&server, &vera).await.get("/sessions").await;
    let answer = browser.post("/sign-out", &[("mark", &mark(other.text()))]).await;
    assert_eq!(answer.status, 403);
    assert_eq!(browser.get("/hosts").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn secrets_of_links_and_cookies_are_in_no_list_and_no_record() {
    let server = TestServer::memory().await;
    let link = link(&server, &server.admin).await;
    let secret = link.rsplit('/').next().unwrap().to_owned();
    let mut browser = Browser::new(&server, None);
    browser.post(&link, &[]).await;
    let cookie = browser.cookies[0].1.clone();
    let pages = [
        browser.get("/sessions").await.text().to_owned(),
        browser.get("/audit").await.text().to_owned(),
        server
            .get(Some(&server.admin), "/v1/sessions")
            .await
            .text()
            .to_owned(),
        format!("{:?}", server.audit().await),
    ];
    for page in pages {
        assert!(!page.contains(&secret) && !page.contains(&cookie));
    }
    server.stop().await;
}

/// A browser that looks what it is asked for, and shows nothing.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<Vec<u8>>>);

impl ResolvesClientCert for Asked {
    fn resolve(&self, hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap() = hints.iter().map(|hint| hint.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_browser_is_asked_for_certificates_of_this_fleet_and_no_others() {
    let server = TestServer::memory().await;
    let asked = Arc::new(Asked::default());
    let trust = ServerTrust::Anchors(server.anchors());
    let mut config = client_config(trust, None, Arc::new(server.clock.clone()), ALPN_HTTP1);
    config.client_auth_cert_resolver = asked.clone();
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap();
    let root = server.anchors().load().certificates()[0].to_vec();
    let hints = asked.0.lock().unwrap().clone();
    assert_eq!(hints.len(), 1);
    // The root names itself as its issuer and as its subject.
    let found = root.windows(hints[0].len()).filter(|bytes| *bytes == hints[0]);
    assert_eq!(found.count(), 2);
    server.stop().await;
}
