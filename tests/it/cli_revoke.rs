//! Revoking from the command line.

use dockwarden::pki::pem;
use serde_json::Value;

use crate::support::desk::{Desk, HOME};
use crate::support::server::TestServer;

#[tokio::test]
async fn a_certificate_is_revoked_by_serial_in_every_form_by_file_fingerprint_and_name() {
    let server = TestServer::memory().await;
    let mut desk = Desk::of_admin(&server);
    for (number, way) in [
        "hex",
        "colons",
        "decimal",
        "file",
        "fingerprint",
        "identity",
        "client",
    ]
    .into_iter()
    .enumerate()
    {
        let client = server.join("client", &format!("client-{number}")).await;
        let serial = client.serial.to_string();
        let colons: Vec<String> = serial
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect();
        let decimal = u128::from_str_radix(&serial, 16).unwrap().to_string();
        let print = dockwarden::base::encoding::hex(&dockwarden::base::encoding::sha256(&client.chain[0]));
        desk.put(
            &format!("{HOME}/leaked.pem"),
            &pem::encode_certificate(&client.chain[0]),
        );
        let target = match way {
            "hex" => format!("cert revoke {serial}"),
            "colons" => format!("cert revoke {}", colons.join(":")),
            "decimal" => format!("cert revoke {decimal}"),
            "file" => format!("cert revoke --file {HOME}/leaked.pem"),
            "fingerprint" => format!("cert revoke --fingerprint {print}"),
            "identity" => format!("cert revoke --identity {} --kind client", client.name),
            _ => format!("client revoke {}", client.name),
        };
        let printed = desk
            .ok(&format!("{target} --reason keyCompromise --yes --wait 0s"))
            .await;
        let feed = number + 1;
        let expected = format!("revoked 1 certificate (feed {feed})\n  applied on 0 of 0 hosts (0.00 s)\n");
        assert_eq!(printed, expected, "{way}");
        let printed = desk.ok(&format!("{target} --yes --wait 0s")).await;
        assert!(
            printed.starts_with(&format!("1 certificate had been revoked before (feed {feed})")),
            "{way}: {printed}"
        );
        assert_eq!(server.get(Some(&client), "/v1/whoami").await.status, 403, "{way}");
    }
}

#[tokio::test]
async fn hosts_that_have_not_applied_it_are_named_after_a_bounded_wait() {
    let server = TestServer::memory().await;
    let mut desk = Desk::of_admin(&server);
    server.join("host", "web-17.fleet").await;
    server.join("client", "ci-deploy").await;
    let printed = desk.ok("client revoke ci-deploy --yes --wait 1s").await;
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[1].starts_with("  applied on 0 of 1 hosts"), "{printed}");
    assert!(
        lines[2].starts_with("  web-17.fleet was never heard of: its agent does not follow"),
        "{printed}"
    );
    let printed = desk.ok("host revoke web-17.fleet --yes --wait 1s").await;
    assert!(printed.starts_with("revoked 1 certificate (feed 2)"), "{printed}");
    assert!(
        printed.contains("applied on 0 of 0 hosts"),
        "a revoked host does not count: {printed}"
    );
}

#[tokio::test]
async fn who_revokes_itself_is_told_that_nobody_answers_it_any_more() {
    let server = TestServer::memory().await;
    let mut desk = Desk::of_admin(&server);
    let printed = desk.ok("client revoke admin --yes").await;
    assert!(
        printed.starts_with("revoked 1 certificate (feed 1)\n  0 of 0 hosts had applied it"),
        "{printed}"
    );
    let (code, refused) = desk.refused("cert ls").await;
    assert_eq!(code, 1);
    assert!(refused.contains("revoked"), "{refused}");
}

#[tokio::test]
async fn what_cannot_be_revoked_is_refused_with_what_to_do() {
    let server = TestServer::memory().await;
    let mut desk = Desk::of_admin(&server);
    for (line, code, words) in [
        ("cert revoke 0a0b --yes", 1, "--file"),
        ("cert revoke zz --yes", 2, "not a serial number"),
        (
            "client revoke nobody --yes",
            1,
            "no host or client is named nobody",
        ),
        ("cert revoke --fingerprint 00 --yes", 1, "64 hex digits"),
    ] {
        let (found, refused) = desk.refused(line).await;
        assert_eq!(found, code, "{line}: {refused}");
        assert!(refused.contains(words), "{line}: {refused}");
    }
}

#[tokio::test]
async fn lists_are_fetched_and_shown() {
    let server = TestServer::memory().await;
    let client = server.join("client", "bob").await;
    let mut desk = Desk::of_admin(&server);
    desk.ok("client revoke bob --reason superseded --yes --wait 0s")
        .await;
    server.service.publish_crls().await.unwrap();
    let shown: Value = serde_json::from_str(&desk.ok("crl inspect clients").await).unwrap();
    assert_eq!(
        (&shown["certificates"], &shown["expired"]),
        (&Value::from(1), &Value::from(false))
    );
    assert_eq!(shown["revoked"][0]["serial"], client.serial.to_string());
    assert_eq!(shown["revoked"][0]["reason"], "superseded");
    let printed = desk.ok("crl get clients").await;
    assert!(printed.starts_with("-----BEGIN X509 CRL-----\n"), "{printed}");
    desk.ok(&format!("crl get clients --der --output {HOME}/clients.crl"))
        .await;
    let again: Value =
        serde_json::from_str(&desk.ok(&format!("crl inspect --file {HOME}/clients.crl")).await).unwrap();
    assert_eq!(again, shown);
    let (_, refused) = desk.refused("crl get root").await;
    assert!(refused.contains("root-crl sign"), "{refused}");
    assert_eq!(desk.ok("crl settle").await, "there is nothing to settle\n");
}
