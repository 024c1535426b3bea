//! The never-log list: tokens, keys, requests and passphrases reach no log, at any level.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::server::{Credentials, TestServer, csr_pem, key};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(kept.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .finish();
    // While there is one subscriber in a process, what a thread without any meets first counts as unwanted everywhere.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // For this thread: the runtime of this test has no other.
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = TestServer::sqlite().await;
    let token = server.token(json!({"uses": 3, "reason": "reason-marker"})).await;
    let first = key();
    let csr = csr_pem(&first, "web-1.fleet", &[]);
    let issued = server.enroll(&token, &csr).await;
    assert_eq!(issued.status, 201);
    let host = Credentials::new(&issued.issued(), Arc::clone(&first));
    let next = csr_pem(&key(), "web-1.fleet", &[]);
    assert_eq!(server.renew(&host, &next).await.status, 201);
    for (bad_token, bad_csr) in [
        ("dw1_hunter2", csr.as_str()),
        (&token, "hunter2"),
        (&token[..60], &csr),
    ] {
        assert!(server.enroll(bad_token, bad_csr).await.status >= 400);
    }
    let path = format!("/v1/whoami?token={token}");
    server.get(None, &path).await;
    server.get(None, &format!("/nothing/{token}")).await;
    server.stop().await;

    let log = String::from_utf8_lossy(&kept.0.lock().unwrap()).into_owned();
    for expected in ["POST", "/enroll", "201", "web-1.fleet"] {
        assert!(log.contains(expected), "the log should tell of {expected}");
    }
    let own: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" dockwarden::"))
        .collect();
    assert!(!own.is_empty());
    let secret = token.split('_').nth(2).unwrap();
    let pem = first.to_pkcs8_pem();
    let private = pem.lines().nth(1).unwrap();
    let request = csr.lines().nth(2).unwrap();
    for (what, forbidden) in [
        ("a token", secret),
        ("a private key", private),
        ("a CSR", request),
        ("a broken token", "hunter2"),
    ] {
        let found: Vec<_> = own.iter().filter(|line| line.contains(forbidden)).collect();
        assert!(found.is_empty(), "{what} was logged: {found:?}");
    }
    for (what, forbidden) in [("a token's secret", secret), ("a private key", private)] {
        let ours_or_theirs: Vec<_> = log
            .lines()
            .filter(|l| l.contains(forbidden) && !l.contains("TRACE"))
            .collect();
        assert!(ours_or_theirs.is_empty(), "{what} was logged: {ours_or_theirs:?}");
    }
}
