//! Administering from the command line, against a server in this process.

use std::sync::Arc;

use dockwarden::model::JoinToken;
use dockwarden::store::PruneOrder;
use serde_json::{Value, json};

use crate::support::desk::{Desk, HOME};
use crate::support::peer::{Peer, json as answer, server_tls};
use crate::support::pki::{DAY, Fleet};
use crate::support::server::{Setup, TestServer};

#[tokio::test]
async fn a_new_token_is_all_that_is_printed() {
    let server = TestServer::memory().await;
    let mut desk = Desk::of_admin(&server);
    let line = "token create --profile host --name web-*.fleet --name db.fleet --cidr 10.20.0.0/16 --source 10.0.0.0/8 \
                --uses 40 --expires 24h --label tier=web --manual --replace --reason because";
    let printed = desk.ok(line).await;
    let token: JoinToken = printed.trim_end().parse().unwrap();
    assert_eq!(printed.lines().count(), 1);
    let listed: Value = serde_json::from_str(&desk.ok("token ls --format json").await).unwrap();
    for (key, value) in [
        ("id", json!(token.id.to_string())),
        ("profile", json!("host")),
        ("names", json!(["web-*.fleet", "db.fleet"])),
        ("cidrs", json!(["10.20.0.0/16"])),
        ("sources", json!(["10.0.0.0/8"])),
        ("uses_max", json!(40)),
        ("labels", json!({"tier": "web"})),
        ("approval", json!("manual")),
        ("replace", json!(true)),
        ("reason", json!("because")),
        ("created_by", json!("admin")),
        ("expires_at", json!("2026-11-23T00:00:00Z")),
    ] {
        assert_eq!(listed[key], value, "{key}");
    }
    assert_eq!(desk.ok("token ls --filter label=tier=db -q").await, "");
    assert_eq!(
        desk.ok("token ls --filter profile=host -q").await,
        format!("{}\n", token.id)
    );
    assert_eq!(
        desk.ok(&format!("token rm {}", token.id)).await,
        format!("{}\n", token.id)
    );
    assert_eq!(desk.ok("token ls -q").await, "");
}

#[tokio::test]
async fn usage_errors_are_told_from_refusals() {
    let server = TestServer::memory().await;
    let mut desk = Desk::of_admin(&server);
    for line in [
        "token create --profile host --name a --role operator",
        "token create --profile host --name a --label x",
        "cert ls --filter nme=web",
        "cert ls --filter name=a --filter name=b",
        "cert ls --format serial,colour",
        "audit ls --filter identity=a --filter token=b",
    ] {
        assert_eq!(desk.refused(line).await.0, 2, "{line}");
    }
    for line in [
        "cert inspect nobody",
        "host inspect nobody",
        "host approve nobody",
        "cert ls --profile /nowhere",
    ] {
        assert_eq!(desk.refused(line).await.0, 1, "{line}");
    }
}

#[tokio::test]
async fn certificates_are_listed_by_what_is_asked_for() {
    let server = TestServer::memory().await;
    let web = server.join("host", "web-1.fleet").await;
    server.clock.advance(DAY * 20);
    let ci = server.join("client", "ci-deploy").await;
    let mut desk = Desk::of_admin(&server);
    let serial = ci.serial.to_string();
    let table = desk.ok("cert ls --filter name=ci-deploy").await;
    assert_eq!(
        table,
        format!(
            "SERIAL        NAME       PROFILE  STATUS  EXPIRES  NAMES\n{}  ci-deploy  client   valid   in 30 d\n",
            &serial[..12]
        )
    );
    for (line, names) in [
        (
            "cert ls --filter expires-within=15d --filter profile=host --format name",
            "web-1.fleet\n",
        ),
        (
            "cert ls --filter name=web-1.fleet -q",
            &format!("{}\n", web.serial),
        ),
        ("cert ls --filter status=revoked --format name", ""),
        (
            &format!("cert ls --filter serial={serial} --format name"),
            "ci-deploy\n",
        ),
    ] {
        assert_eq!(desk.ok(line).await, *names, "{line}");
    }
    for reference in [&serial, &serial[..10], "ci-deploy", &ci.serial.short()] {
        let detail: Value =
            serde_json::from_str(&desk.ok(&format!("cert inspect {reference}")).await).unwrap();
        assert_eq!(detail[0]["serial"], serial.as_str(), "{reference}");
    }
    assert!(
        desk.ok("cert inspect ci-deploy --pem")
            .await
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let server = TestServer::memory().await;
    for n in 0..7 {
        server.join("client", &format!("c{n}")).await;
    }
    let mut desk = Desk::of_admin(&server);
    let names = desk.ok("client ls -q").await;
    assert_eq!(
        names.lines().collect::<Vec<_>>(),
        ["admin", "c0", "c1", "c2", "c3", "c4", "c5", "c6"]
    );
}

#[tokio::test]
async fn the_audit_log_is_listed_oldest_first_and_found_whole() {
    let server = TestServer::memory().await;
    server.join("client", "alice").await;
    server.clock.advance(DAY);
    server.join("client", "bob").await;
    let mut desk = Desk::of_admin(&server);
    let about = |line| format!("{line} --filter action=enroll --format subject");
    let enrolments = desk.ok(&about("audit ls")).await;
    let all = desk.ok("audit ls --format no").await;
    let numbers: Vec<u64> = all.lines().map(|n| n.parse().unwrap()).collect();
    assert!(
        numbers.is_sorted() && numbers[0] == 1 && numbers.len() > 3,
        "{all}{enrolments}"
    );
    let recent = desk.ok("audit ls --since 1h --format no").await;
    assert!(recent.lines().count() < numbers.len() && !recent.is_empty());
    assert_eq!(
        desk.ok("audit ls -n 1 --format no").await,
        format!("{}\n", numbers.len())
    );
    let verified = desk.ok("audit verify").await;
    assert!(
        verified.starts_with(&format!(
            "{} audit records, none changed or missing\nhead ",
            numbers.len()
        )),
        "{verified}"
    );
    let head = verified.trim_end().rsplit(' ').next().unwrap();
    desk.ok(&format!("audit verify --expect {head}")).await;
    let later = format!("audit verify --expect 999:{}", "0".repeat(64));
    assert!(desk.refused(&later).await.1.contains("cut off"));
    let other = format!("audit verify --expect 1:{}", "0".repeat(64));
    assert!(desk.refused(&other).await.1.contains("written anew"));
}

/// A server that shows a log in which `change` was made.
async fn verify_changed(records: &[Value], change: impl Fn(&mut Vec<Value>)) -> Result<String, (u8, String)> {
    verify_log(records, change, None, "").await
}

/// The same of a log that begins after a record that was removed.
async fn verify_log(
    records: &[Value],
    change: impl Fn(&mut Vec<Value>),
    begin: Option<Value>,
    flags: &str,
) -> Result<String, (u8, String)> {
    let real = TestServer::memory().await;
    let fleet = Fleet::new();
    let leaf = fleet.host("127.0.0.1");
    let mut records = records.to_vec();
    change(&mut records);
    let script = move |_: usize, request: &str| {
        let after: u64 = request
            .split("after=")
            .nth(1)?
            .split(['&', ' '])
            .next()?
            .parse()
            .ok()?;
        let items: Vec<&Value> = records
            .iter()
            .filter(|r| r["seq"].as_u64() > Some(after))
            .collect();
        let page = match &begin {
            Some(begin) => json!({"items": items, "begins_after": begin}),
            None => json!({"items": items}),
        };
        Some(answer("200 OK", "", &page.to_string()))
    };
    let peer = Peer::start(Some(server_tls(&fleet, &leaf)), Arc::new(script)).await;
    let mut desk = Desk::new(&real);
    let auditor = fleet.client("auditor");
    let pem = |der: &[u8]| dockwarden::pki::pem::encode_certificate(der);
    desk.put(&format!("{HOME}/p/ca.pem"), &pem(&fleet.root.der));
    desk.put(
        &format!("{HOME}/p/cert.pem"),
        &auditor.chain().iter().map(|c| pem(c)).collect::<String>(),
    );
    desk.put(&format!("{HOME}/p/key.pem"), &auditor.key.serialize_pem());
    desk.put(
        &format!("{HOME}/p/profile.toml"),
        &format!(
            "server = \"{}\"\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n",
            peer.url()
        ),
    );
    match desk
        .run(&format!("audit verify --profile {HOME}/p {flags}"))
        .await
    {
        Ok((0, printed)) => Ok(printed),
        Ok((code, printed)) => Err((code, printed)),
        Err(e) => Err((e.exit_code(), e.to_string())),
    }
}

#[tokio::test]
async fn a_changed_or_missing_audit_record_is_found() {
    let server = TestServer::memory().await;
    server.join("client", "alice").await;
    let records = server.audit().await;
    assert!(verify_changed(&records, |_| {}).await.is_ok());
    type Change = fn(&mut Vec<Value>);
    let changes: [(Change, &str); 4] = [
        (
            |records| records[1]["subject"] = json!("mallory"),
            "2 was changed",
        ),
        (|records| drop(records.remove(1)), "2 is missing"),
        (|records| records.swap(0, 1), "missing"),
        (|records| records[0]["hash"] = json!("not hex"), "1 was changed"),
    ];
    for (change, expected) in changes {
        let (code, message) = verify_changed(&records, change).await.unwrap_err();
        assert_eq!(code, 1);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_log_whose_old_records_were_removed_is_whole_when_it_says_so_itself() {
    let setup = Setup::memory();
    let store = setup.store.clone();
    let server = setup.start().await;
    server.join("client", "alice").await;
    let before = server.audit().await;
    let order = PruneOrder {
        certificates: None,
        tokens: None,
        audit: Some(server.clock_now() + DAY),
        problems: None,
        limit: 2,
        now: server.clock_now(),
    };
    assert_eq!(store.prune(order).await.unwrap().audit, 2);
    let removed = |n: usize| json!({"seq": n + 1, "at": before[n]["at"], "hash": before[n]["hash"]});
    let records = server.audit().await;
    assert_eq!(records[0]["seq"], 3);

    let mut desk = Desk::of_admin(&server);
    let whole = desk.ok("audit verify").await;
    assert!(
        whole.contains("records 1 to 2 were removed") && whole.contains("none changed or missing"),
        "{whole}"
    );
    let noted = |n: usize| format!("--expect {}:{}", n + 1, before[n]["hash"].as_str().unwrap());
    desk.ok(&format!("audit verify {}", noted(1))).await;
    let (_, gone) = desk.refused(&format!("audit verify {}", noted(0))).await;
    assert!(gone.contains("cannot be compared any more"), "{gone}");

    let same = |_: &mut Vec<Value>| {};
    assert!(verify_log(&records, same, Some(removed(1)), "").await.is_ok());
    // By hand: one more is gone, and the beginning was moved.
    let third = json!({"seq": 3, "at": records[0]["at"], "hash": records[0]["hash"]});
    let (_, why) = verify_log(&records[1..], same, Some(third), "")
        .await
        .unwrap_err();
    assert!(
        why.contains("no record says that those before were removed"),
        "{why}"
    );
    let (_, why) = verify_log(&records[1..], same, Some(removed(1)), "")
        .await
        .unwrap_err();
    assert!(why.contains("3 is missing"), "{why}");
    let (_, why) = verify_log(&records, same, None, "").await.unwrap_err();
    assert!(why.contains("1 is missing"), "{why}");
}

#[tokio::test]
async fn hosts_show_both_ends_of_validity_and_why_they_differ() {
    let server = TestServer::memory().await;
    let mut desk = Desk::of_admin(&server);
    for (name, served, certificate) in [
        (
            "db-1.fleet",
            "0a",
            "restart pending (OutsideWindow: until Sun 03:00)",
        ),
        ("web-1.fleet", "0b", "current"),
    ] {
        let host = server.join("host", name).await;
        let condition = json!({
            "type": "ConfigApplied", "status": "False", "reason": "OutsideWindow", "message": "until Sun 03:00",
            "since": server.clock_now(),
        });
        let report = json!({
            "observed_generation": 1, "mode": "daemon", "agent_version": "1", "engine_version": null,
            "endpoints": [], "renew_at": null, "clock_offset_ms": null, "conditions": [condition],
            "issued": {"serial": "0b", "not_after": server.clock_now() + DAY * 29},
            "served": {"serial": served, "not_after": server.clock_now() + DAY * 2},
        });
        let path = format!("/v1/hosts/{name}/status");
        let answer = server.call(Some(&host), "PUT", &path, Some(report)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let line = format!("host ls --filter name={name} --format certificate");
        assert_eq!(desk.ok(&line).await, format!("{certificate}\n"));
    }
    let pending = desk.ok("host ls --filter certificate=restart-pending -q").await;
    assert_eq!(pending, "db-1.fleet\n");
    let detail: Value = serde_json::from_str(&desk.ok("host inspect db-1.fleet").await).unwrap();
    assert_eq!(detail[0]["serving"], "restart_pending");
    assert_eq!(detail[0]["serving_reason"], "OutsideWindow: until Sun 03:00");
    assert_ne!(detail[0]["served_not_after"], detail[0]["issued_not_after"]);
    let table = desk.ok("host ls").await;
    for text in [
        "SERVES UNTIL",
        "ISSUED UNTIL",
        "CERTIFICATE",
        "restart pending (OutsideWindow)",
        "in 2 d",
    ] {
        assert!(table.contains(text), "{table}");
    }
}
