//! The dashboard: who sees which page, what its headers forbid, what forms need, and that nothing in a name becomes markup.

use dockwarden::http::DASHBOARD_ROUTES;
use dockwarden::model::Permission;
use serde_json::json;

use crate::support::browser::{Browser, mark};
use crate::support::server::{Credentials, TestServer, csr_pem, key};

/// A path with its parts filled in; none of what they name exists.
fn filled(path: &str) -> String {
    path.replace("{serial}", "0a0b")
        .replace("{name}", "nobody.fleet")
        .replace("{id}", "aaaaaaaaaaaaaaaaaaaaaaaaaa")
        .replace("{link}", "aaaa")
        .replace("{version}/{file}", "0/app.css")
}

/// What a caller may at most do, and the credentials.
async fn callers(server: &TestServer) -> Vec<(&'static str, usize, Option<Credentials>)> {
    let viewer = server.person("viewer", Permission::Viewer).await;
    let operator = server.person("operator", Permission::Operator).await;
    let plain = server.join("client", "plain").await;
    let host = server.join("host", "web-1.fleet").await;
    vec![
        ("nobody", 0, None),
        ("a client without permission", 0, Some(plain)),
        ("a host", 0, Some(host)),
        ("viewer", 1, Some(viewer)),
        ("operator", 2, Some(operator)),
        ("admin", 3, Some(server.admin.clone())),
    ]
}

fn level(needs: &str) -> usize {
    let levels = ["public", "viewer", "operator", "admin"];
    levels.iter().position(|level| *level == needs).unwrap()
}

#[tokio::test]
async fn every_page_and_action_refuses_everybody_who_lacks_its_permission() {
    let server = TestServer::memory().await;
    for (who, reaches, credentials) in callers(&server).await {
        let mut browser = Browser::new(&server, credentials.as_ref());
        for (method, path, needs) in DASHBOARD_ROUTES {
            let call = filled(path);
            let answer = match *method {
                // Without end, for who may.
                _ if *path == "/live" && reaches >= level(needs) => continue,
                "get" => browser.get(&call).await,
                _ => browser.post(&call, &[]).await,
            };
            let refused = answer.status == 401 || answer.text().contains("it needs permission");
            assert_eq!(
                refused,
                reaches < level(needs),
                "{method} {path} as {who}: {} {}",
                answer.status,
                answer.text()
            );
            if refused {
                let expected = if credentials.is_none() { 401 } else { 403 };
                assert_eq!(answer.status, expected, "{method} {path} as {who}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn no_action_is_done_without_the_mark_of_a_page() {
    let server = TestServer::memory().await;
    let other = server.person("other", Permission::Admin).await;
    let certificate = format!("/certificates/{}", other.serial);
    let page = Browser::new(&server, Some(&other)).get(&certificate).await;
    let of_another = mark(page.text());
    let mut browser = Browser::new(&server, Some(&server.admin));
    let page = browser.get(&certificate).await;
    let own = mark(page.text());
    assert_ne!(own, of_another);
    for (_, path, _) in DASHBOARD_ROUTES
        .iter()
        .filter(|(method, _, needs)| *method == "post" && *needs != "public")
    {
        let path = filled(path);
        for fields in [
            vec![],
            vec![("mark", "")],
            vec![("mark", "00")],
            vec![("mark", of_another.as_str())],
        ] {
            let answer = browser.post(&path, &fields).await;
            assert_eq!(answer.status, 403, "{path} with {fields:?}: {}", answer.text());
            assert!(
                answer.text().contains("did not come from a page"),
                "{path}: {}",
                answer.text()
            );
        }
        let answer = browser
            .post_from("https://evil.example", &path, &[("mark", &own)])
            .await;
        assert_eq!(answer.status, 403, "{path} from another site");
        let answer = browser.post_from("null", &path, &[("mark", &own)]).await;
        assert_eq!(answer.status, 403, "{path} from a page without an origin");
        let answer = browser.post(&path, &[("mark", &own)]).await;
        assert!(
            !answer.text().contains("did not come from a page"),
            "{path}: {}",
            answer.text()
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn every_page_is_private_and_lets_nothing_foreign_in() {
    let server = TestServer::memory().await;
    server.join("host", "web-1.fleet").await;
    for credentials in [None, Some(&server.admin)] {
        let mut browser = Browser::new(&server, credentials);
        for (_, path, _) in DASHBOARD_ROUTES
            .iter()
            .filter(|(method, path, _)| *method == "get" && !path.starts_with("/assets") && *path != "/live")
        {
            let answer = browser.get(&filled(path)).await;
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("vary"), "Cookie", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
            let policy = answer.header("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
                "{path}: {policy}"
            );
            assert!(
                policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'none'"),
                "{path}"
            );
            assert!(!policy.contains("unsafe"), "{path}");
            let text = answer.text();
            for forbidden in [
                " style=\"",
                "<style",
                "javascript:",
                " onclick",
                " onload",
                "http://",
                "hx-on",
            ] {
                assert!(!text.contains(forbidden), "{path} holds {forbidden}");
            }
            for script in text.split("<script").skip(1) {
                assert!(script.starts_with(" src=\"/assets/"), "{path}: {script:.60}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_asset_is_kept_forever_under_the_hash_of_what_it_holds() {
    let server = TestServer::memory().await;
    let mut browser = Browser::new(&server, Some(&server.admin));
    let page = browser.get("/hosts").await;
    let links = page.text().split("\"/assets/").skip(1);
    let links: Vec<&str> = links.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links.len(), 4, "{links:?}");
    for link in links {
        let answer = browser.get(&format!("/assets/{link}")).await;
        assert_eq!(answer.status, 200, "{link}");
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        let (version, _) = link.split_once('/').unwrap();
        assert_eq!(answer.header("etag"), format!("\"{version}\""));
        let file = link.rsplit('/').next().unwrap();
        let old = browser.get(&format!("/assets/0123456789abcdef/{file}")).await;
        assert_eq!((old.status, old.header("cache-control")), (200, "no-cache"));
    }
    assert_eq!(browser.get("/assets/x/../../etc/passwd").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_is_found_by_the_beginning_of_any_name_and_of_its_serial() {
    let server = TestServer::memory().await;
    let mut hosts = Vec::new();
    for name in ["web-1.fleet", "web-2.fleet", "db-1.fleet"] {
        hosts.push(server.join("host", name).await);
    }
    let serial = hosts[1].serial.to_string();
    let mut browser = Browser::new(&server, Some(&server.admin));
    let begun = serial[..8].to_owned();
    for (query, expected) in [
        ("q=web", vec!["web-1.fleet", "web-2.fleet"]),
        ("q=WEB-2", vec!["web-2.fleet"]),
        ("q=fleet", vec![]),
        (&format!("q={begun}"), vec!["web-2.fleet"]),
        ("q=web&profile=client", vec![]),
        (
            "profile=host&status=valid&sort=name",
            vec!["db-1.fleet", "web-1.fleet", "web-2.fleet"],
        ),
        ("status=revoked", vec![]),
    ] {
        let page = browser.get(&format!("/certificates?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text());
        let results = page.text().split("id=\"results\"").nth(1).unwrap();
        let shown: Vec<&str> = ["db-1.fleet", "web-1.fleet", "web-2.fleet"]
            .into_iter()
            .filter(|name| results.contains(&format!(">{name}</a>")))
            .collect();
        assert_eq!(shown, expected, "{query}");
    }
    let detail = browser.get(&format!("/certificates/{serial}")).await;
    let text = detail.text();
    let fingerprint = text
        .split("SHA-256 fingerprint</dt><dd class=\"mono\">")
        .nth(1)
        .unwrap();
    let fingerprint = &fingerprint[..64];
    let page = browser.get(&format!("/certificates?q={fingerprint}")).await;
    assert!(page.text().contains(">web-2.fleet</a>"));
    for bad in ["status=good", "sort=x", "within=never", "cursor=zz", "unknown=1"] {
        let page = browser.get(&format!("/certificates?{bad}")).await;
        assert_eq!(page.status, 400, "{bad}: {}", page.text());
        assert!(page.text().contains("<!doctype html>"), "{bad}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_export_holds_every_certificate_that_fits() {
    let server = TestServer::memory().await;
    for name in ["web-1.fleet", "web-2.fleet"] {
        server.join("host", name).await;
    }
    let mut browser = Browser::new(&server, Some(&server.admin));
    let csv = browser.get("/certificates.csv?q=web").await;
    assert_eq!(
        csv.header("content-disposition"),
        "attachment; filename=\"certificates.csv\""
    );
    let lines: Vec<&str> = csv.text().lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[1].contains("\"web-1.fleet\",\"host\",\"valid\""),
        "{}",
        lines[1]
    );
    let json = browser
        .get("/certificates.json?profile=host&q=web-2")
        .await
        .json();
    let names: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["web-2.fleet"]);
    let nothing = browser.get("/certificates.json?q=nothing").await.json();
    assert_eq!(nothing, json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_is_revoked_by_a_person_who_typed_its_name() {
    let server = TestServer::memory().await;
    let leaked = server.join("client", "leaked").await;
    let path = format!("/certificates/{}", leaked.serial);
    let operator = server.person("olga", Permission::Operator).await;
    let viewer = server.person("vera", Permission::Viewer).await;
    let seen = Browser::new(&server, Some(&viewer)).get(&path).await;
    assert!(
        !seen
            .text()
            .contains("<form method=\"post\" action=\"/certificates")
    );
    let mut browser = Browser::new(&server, Some(&operator));
    let page = browser.get(&path).await;
    let mark = mark(page.text());
    let revoke = format!("{path}/revoke");
    let wrong = [
        ("mark", mark.as_str()),
        ("confirm", "another"),
        ("reason", "keyCompromise"),
    ];
    let answer = browser.post(&revoke, &wrong).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("type the name leaked"),
        "{}",
        answer.text()
    );
    let right = [
        ("mark", mark.as_str()),
        ("confirm", "leaked"),
        ("reason", "keyCompromise"),
    ];
    let answer = browser.post(&revoke, &right).await;
    assert_eq!((answer.status, answer.header("location")), (303, path.as_str()));
    let page = browser.get(&path).await;
    assert!(
        page.text()
            .contains("<strong>client:olga</strong>, reason keyCompromise"),
        "{}",
        page.text()
    );
    assert_eq!(server.get(Some(&leaked), "/v1/whoami").await.status, 403);
    let record = server
        .audit()
        .await
        .into_iter()
        .find(|r| r["action"] == "certificate.revoke")
        .unwrap();
    assert_eq!(record["actor"], "client:olga");
    server.stop().await;
}

#[tokio::test]
async fn a_browser_without_a_certificate_is_told_the_ways_in() {
    let server = TestServer::memory().await;
    let page = Browser::new(&server, None).get("/hosts").await;
    assert_eq!(page.status, 401);
    assert!(page.text().contains("dockwarden dashboard"));
    let nothing = Browser::new(&server, None).get("/nothing").await;
    assert_eq!(nothing.status, 404);
    assert!(nothing.text().contains("There is no such page"));
    server.stop().await;
}

/// What would run, if any of it became markup.
const HOSTILE: &str = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"' onmouseover=alert(3)";

#[tokio::test]
async fn nothing_that_others_wrote_becomes_markup_on_any_page() {
    let server = TestServer::memory().await;
    let host = server.join("host", "web-1.fleet").await;
    let condition = json!({"type": "Serving", "status": "False", "reason": HOSTILE, "message": HOSTILE,
        "since": "2026-01-01T00:00:00Z"});
    let seen = json!({"serial": "0a0b", "not_after": "2027-01-01T00:00:00Z"});
    let report = json!({"observed_generation": 1, "mode": "gate", "agent_version": HOSTILE, "engine_version": HOSTILE,
        "endpoints": [], "issued": null, "served": seen, "renew_at": null, "clock_offset_ms": null,
        "conditions": [condition]});
    let answer = server
        .call(Some(&host), "PUT", "/v1/hosts/web-1.fleet/status", Some(report))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = server
        .token(
            json!({"profile": "host", "names": ["new.fleet"], "reason": HOSTILE, "approval": "manual",
        "labels": {"zone": "a.b-c_d/e"}}),
        )
        .await;
    let waiting = server.enroll(&token, &csr_pem(&key(), "new.fleet", &[])).await;
    assert_eq!(waiting.status, 202, "{}", waiting.text());
    // Names and labels that could be markup do not get this far.
    for body in [
        json!({"profile": "host", "names": [HOSTILE]}),
        json!({"profile": "host", "labels": {"a": HOSTILE}}),
    ] {
        assert_eq!(
            server
                .call(Some(&server.admin), "POST", "/v1/tokens", Some(body))
                .await
                .status,
            400
        );
    }
    let mut browser = Browser::new(&server, Some(&server.admin));
    let mut shown = 0;
    let escaped: String = HOSTILE.bytes().map(|b| format!("%{b:02X}")).collect();
    let asked = [
        format!("/certificates?q={escaped}"),
        format!("/certificates?sort={escaped}"),
        format!("/certificates/{escaped}"),
        format!("/hosts?q={escaped}"),
        format!("/hosts/{escaped}"),
        "/hosts/web-1.fleet".to_owned(),
        format!("/certificates/{}", host.serial),
        format!("/audit?subject={escaped}"),
        format!("/audit?after={escaped}"),
        format!("/requests?all={escaped}"),
        format!("/sign-in/{escaped}"),
        format!("/nothing/{escaped}"),
    ];
    let plain = DASHBOARD_ROUTES
        .iter()
        .filter(|(method, path, _)| *method == "get" && !path.contains('{'));
    let plain = plain
        .map(|(_, path, _)| (*path).to_owned())
        .filter(|path| !path.contains('.') && *path != "/live");
    for path in plain.chain(asked) {
        let page = browser.get(&path).await;
        let text = page.text();
        for bad in ["<script>", "<img", "onerror=alert(2)>", "\"' on", "</td><s"] {
            let found = text.find(bad);
            assert!(found.is_none(), "{path} holds {bad}: {}", &text[found.unwrap()..]);
        }
        shown += usize::from(text.contains("alert(1)"));
    }
    assert!(shown >= 6, "what others wrote was shown on {shown} pages only");
    server.stop().await;
}

#[tokio::test]
async fn a_request_is_approved_by_a_person_who_saw_its_key() {
    let server = TestServer::memory().await;
    let olga = server.person("olga", Permission::Operator).await;
    let mut browser = Browser::new(&server, Some(&olga));
    for (name, verb, expected) in [("one.fleet", "approve", 201), ("two.fleet", "deny", 403)] {
        let token = server
            .token(json!({"profile": "host", "names": [name], "approval": "manual"}))
            .await;
        let csr = csr_pem(&key(), name, &[]);
        assert_eq!(server.enroll(&token, &csr).await.status, 202);
        let page = browser.get("/requests").await;
        let text = page.text();
        let list = server.get(Some(&olga), "/v1/requests").await.json();
        let request = &list["items"][0];
        assert!(text.contains(request["spki_sha256"].as_str().unwrap()), "{text}");
        let action = format!("/requests/{}/{verb}", request["id"].as_str().unwrap());
        assert!(text.contains(&action));
        let answer = browser.post(&action, &[("mark", &mark(text))]).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/requests"));
        assert_eq!(server.enroll(&token, &csr).await.status, expected, "{verb}");
        let page = browser.get("/requests?all=1").await;
        assert!(page.text().contains("client:olga"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_withdrawn_and_the_log_is_verified_from_pages() {
    let server = TestServer::memory().await;
    let token = server
        .token(json!({"names": ["x.fleet"], "reason": "for the test"}))
        .await;
    let mut browser = Browser::new(&server, Some(&server.admin));
    let page = browser.get("/tokens").await;
    assert!(page.text().contains("for the test"));
    let id = page.text().split("/tokens/").nth(1).unwrap()[..26].to_owned();
    let answer = browser
        .post(&format!("/tokens/{id}/delete"), &[("mark", &mark(page.text()))])
        .await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        server
            .enroll(&token, &csr_pem(&key(), "x.fleet", &[]))
            .await
            .status,
        403
    );
    let page = browser.get("/audit").await;
    assert!(page.text().contains("token.delete"));
    let verified = browser
        .post("/audit/verify", &[("mark", &mark(page.text()))])
        .await;
    assert!(
        verified.text().contains("none changed or missing"),
        "{}",
        verified.text()
    );
    server.stop().await;
}

#[tokio::test]
async fn the_overview_names_what_needs_somebody_first() {
    let server = TestServer::memory().await;
    let mut browser = Browser::new(&server, Some(&server.admin));
    let page = browser.get("/").await;
    assert!(
        page.text().contains("No host or client has joined yet") || page.text().contains("Every host"),
        "{}",
        page.text()
    );
    let host = server.join("host", "web-1.fleet").await;
    server.join("host", "web-2.fleet").await;
    let condition = json!({"type": "ConfigApplied", "status": "False", "reason": "Window", "message": "outside window",
        "since": "2026-01-01T00:00:00Z"});
    let of = |serial: &str| json!({"serial": serial, "not_after": "2027-01-01T00:00:00Z"});
    let report = json!({"observed_generation": 1, "mode": "daemon", "agent_version": "1", "engine_version": null,
        "endpoints": [], "issued": of(&host.serial.to_string()), "served": of("0a0b"), "renew_at": null, "clock_offset_ms": null,
        "conditions": [condition]});
    server
        .call(Some(&host), "PUT", "/v1/hosts/web-1.fleet/status", Some(report))
        .await;
    server.clock.advance(std::time::Duration::from_secs(6));
    let page = browser.get("/").await;
    let needs = page
        .text()
        .split("id=\"needs\"")
        .nth(1)
        .unwrap()
        .split("</section>")
        .next()
        .unwrap()
        .to_owned();
    assert!(
        needs.contains("not served") && needs.contains("ConfigApplied: outside window"),
        "{needs}"
    );
    assert!(!needs.contains("web-2"), "{needs}");
    server.clock.advance(crate::support::pki::DAY * 25);
    let page = browser.get("/").await;
    let needs = page
        .text()
        .split("id=\"needs\"")
        .nth(1)
        .unwrap()
        .split("</section>")
        .next()
        .unwrap()
        .to_owned();
    assert!(
        needs.contains("not renewed") && needs.contains("web-2.fleet"),
        "{needs}"
    );
    assert!(needs.contains("silent"), "{needs}");
    server.stop().await;
}
