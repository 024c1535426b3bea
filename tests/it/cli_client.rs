//! Being a client from the command line, against a server in this process: enrolling, renewing, docker contexts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dockwarden::cli::client::docker::id;
use dockwarden::model::Permission;
use dockwarden::pki::{LeafKey, Serial, pem};
use dockwarden::sys::Disk;
use dockwarden::sys::fake::Fault;
use serde_json::{Value, json};

use crate::support::desk::{Desk, HOME};
use crate::support::pki::DAY;
use crate::support::server::TestServer;

const CLIENT: &str = "/home/alice/.config/dockwarden/clients/alice";
const CONTEXTS: &str = "/home/alice/.docker/contexts";

/// A token for alice, in a file.
async fn token(server: &TestServer, desk: &Desk, fields: Value) -> String {
    let mut all = json!({"profile": "client", "names": ["alice"], "cidrs": [], "role": "operator"});
    all.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let text = server.token(all).await;
    desk.put("/token", &format!("{text}\n"));
    text
}

fn enroll(server: &TestServer, more: &str) -> String {
    format!(
        "client enroll --server https://{} --token-file /token {more}",
        server.address
    )
}

/// A host that has reported where its Docker is.
async fn host(server: &TestServer, name: &str) {
    let host = server.join("host", name).await;
    report(server, &host, name).await;
}

async fn report(server: &TestServer, host: &crate::support::server::Credentials, name: &str) {
    let report = json!({"observed_generation": 1, "mode": "gate", "agent_version": "0", "engine_version": null,
        "endpoints": [format!("tcp://{name}:2376")], "issued": null, "served": null, "renew_at": null,
        "clock_offset_ms": null, "conditions": []});
    let answer = server
        .call(
            Some(host),
            "PUT",
            &format!("/v1/hosts/{name}/status"),
            Some(report),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Serials of alice's certificates that the server has, by status.
async fn serials(server: &TestServer, status: &str) -> BTreeSet<String> {
    let path = format!("/v1/certificates?name=alice&status={status}");
    let list = server.get(Some(&server.admin), &path).await.json();
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|i| i["serial"].as_str().unwrap().to_owned())
        .collect()
}

/// The serial in a directory of `{cert,key}.pem`, after checking that they are a pair.
fn pair(desk: &Desk, directory: &str) -> Serial {
    let chain = pem::certificates(desk.read(&format!("{directory}/cert.pem"))).unwrap();
    let leaf = dockwarden::pki::Certificate::parse(&chain[0]).unwrap();
    let key = LeafKey::from_pem(desk.read(&format!("{directory}/key.pem"))).unwrap();
    assert_eq!(
        leaf.spki_sha256,
        key.public_key().spki_sha256(),
        "key and certificate are no pair"
    );
    leaf.serial
}

fn context(desk: &Desk, name: &str) -> Value {
    serde_json::from_str(&desk.read(&format!("{CONTEXTS}/meta/{}/meta.json", id(name)))).unwrap()
}

fn context_names(desk: &Desk) -> BTreeSet<String> {
    let metas = desk.files.list(Path::new(&format!("{CONTEXTS}/meta"))).unwrap();
    let read = |id: &String| -> Value {
        serde_json::from_str(&desk.read(&format!("{CONTEXTS}/meta/{id}/meta.json"))).unwrap()
    };
    metas
        .iter()
        .map(|id| read(id)["Name"].as_str().unwrap().to_owned())
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[tokio::test]
async fn enrolling_makes_a_pair_a_profile_and_a_context_for_each_host() {
    let server = TestServer::memory().await;
    host(&server, "web-1.fleet").await;
    host(&server, "db.fleet").await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({})).await;
    let printed = desk.ok(&enroll(&server, "")).await;
    assert!(
        printed.contains("certificate for alice (operator), until 22 Dec"),
        "{printed}"
    );
    assert!(printed.contains("docker contexts: db, web-1"), "{printed}");
    assert_eq!(
        serials(&server, "valid").await,
        set(&[&pair(&desk, &format!("{CLIENT}/current/docker")).to_string()])
    );
    assert_eq!(context_names(&desk), set(&["web-1", "db"]));
    let web = context(&desk, "web-1");
    assert_eq!(
        web["Endpoints"]["docker"],
        json!({"Host": "tcp://web-1.fleet:2376", "SkipTLSVerify": false})
    );
    // The docker CLI's own path to the files.
    pair(&desk, &format!("{CONTEXTS}/tls/{}/docker", id("web-1")));
    for (path, mode) in [
        (CLIENT.to_owned(), 0o700),
        (format!("{CLIENT}/current/docker/key.pem"), 0o600),
        (format!("{CONTEXTS}/tls"), 0o700),
        (format!("{CONTEXTS}/meta/{}/meta.json", id("db")), 0o644),
    ] {
        assert_eq!(desk.disk.mode(&path), Some(mode), "{path}");
    }
    // It became the profile of this machine's commands.
    assert!(desk.ok("client renew").await.contains("not due before"));
    assert!(desk.there(&format!("{HOME}/.config/dockwarden/profile.toml")));
}

#[tokio::test]
async fn the_same_command_again_spends_nothing_and_changes_nothing() {
    let server = TestServer::memory().await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({})).await;
    desk.ok(&enroll(&server, "")).await;
    let (before, audit) = (
        pair(&desk, &format!("{CLIENT}/current/docker")),
        server.audit().await.len(),
    );
    desk.ok(&enroll(&server, "")).await;
    assert_eq!(pair(&desk, &format!("{CLIENT}/current/docker")), before);
    assert_eq!(server.audit().await.len(), audit);
    assert_eq!(
        desk.files
            .list(Path::new(&format!("{HOME}/.config/dockwarden/joining")))
            .unwrap(),
        [""; 0]
    );
}

/// The process ends before each change it makes on disk in turn, and is started again.
#[tokio::test]
async fn an_enrolment_cut_off_anywhere_ends_with_one_certificate() {
    let server = TestServer::memory().await;
    host(&server, "web-1.fleet").await;
    for step in 1.. {
        let mut desk = Desk::new(&server);
        token(&server, &desk, json!({"replace": true})).await;
        let before = serials(&server, "valid,superseded").await;
        desk.disk.fail_at(desk.disk.steps() + step, Fault::Stop);
        let first = desk.run(&enroll(&server, "")).await;
        let stopped = desk.disk.stopped();
        desk.disk.restart();
        desk.ok(&enroll(&server, "")).await;
        let made: BTreeSet<String> = serials(&server, "valid,superseded")
            .await
            .difference(&before)
            .cloned()
            .collect();
        let held = pair(&desk, &format!("{CLIENT}/current/docker"));
        assert_eq!(made, set(&[&held.to_string()]), "step {step}");
        assert_eq!(context_names(&desk), set(&["web-1"]), "step {step}");
        pair(&desk, &format!("{CONTEXTS}/tls/{}/docker", id("web-1")));
        if !stopped {
            first.unwrap();
            assert!(step > 20, "only {step} steps were visited");
            break;
        }
    }
}

#[tokio::test]
async fn a_renewal_cut_off_anywhere_always_leaves_a_working_pair() {
    let server = TestServer::memory().await;
    for step in 1.. {
        let mut desk = Desk::new(&server);
        token(&server, &desk, json!({"replace": true})).await;
        desk.ok(&enroll(&server, "")).await;
        let old = pair(&desk, &format!("{CLIENT}/current/docker"));
        desk.disk.fail_at(desk.disk.steps() + step, Fault::Stop);
        // A renewal that fails is told and makes the exit code 1.
        let _ = desk.run("client renew --force").await;
        let stopped = desk.disk.stopped();
        desk.disk.restart();
        let between = pair(&desk, &format!("{CLIENT}/current/docker"));
        desk.ok("client renew --force").await;
        let new = pair(&desk, &format!("{CLIENT}/current/docker"));
        assert!(
            new != old && serials(&server, "valid").await.contains(&new.to_string()),
            "step {step}"
        );
        if !stopped {
            assert_ne!(between, old);
            assert!(step > 10, "only {step} steps were visited");
            break;
        }
    }
}

#[tokio::test]
async fn a_renewal_waits_until_it_is_due_and_then_takes_a_new_key() {
    let server = TestServer::memory().await;
    host(&server, "web-1.fleet").await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({})).await;
    desk.ok(&enroll(&server, "")).await;
    let tls = format!("{CONTEXTS}/tls/{}/docker", id("web-1"));
    let (old, old_key) = (pair(&desk, &tls), desk.read(&format!("{tls}/key.pem")));
    server.clock.advance(DAY * 17);
    assert!(desk.ok("client renew").await.contains("not due"));
    server.clock.advance(DAY * 6);
    let printed = desk.ok("client renew").await;
    let new = pair(&desk, &tls);
    assert!(new != old && desk.read(&format!("{tls}/key.pem")) != old_key);
    assert!(
        printed.contains(&format!("certificate {}", new.short())),
        "{printed}"
    );
    assert_eq!(serials(&server, "superseded").await, set(&[&old.to_string()]));
}

#[tokio::test]
async fn contexts_follow_the_hosts_and_leave_those_of_others_alone() {
    let server = TestServer::memory().await;
    host(&server, "web-1.fleet").await;
    let mut desk = Desk::new(&server);
    let somebodys =
        json!({"Name": "db", "Metadata": {}, "Endpoints": {"docker": {"Host": "ssh://db"}}}).to_string();
    let path = format!("{CONTEXTS}/meta/{}/meta.json", id("db"));
    desk.put(&path, &somebodys);
    desk.put(&format!("{CONTEXTS}/meta/garbled/meta.json"), "{");
    token(&server, &desk, json!({})).await;
    desk.ok(&enroll(&server, "")).await;
    desk.disk
        .remove_file(Path::new(&format!("{CONTEXTS}/meta/garbled/meta.json")))
        .unwrap();
    desk.files
        .remove_tree(Path::new(&format!("{CONTEXTS}/meta/garbled")))
        .unwrap();
    assert_eq!(context_names(&desk), set(&["web-1", "db"]));
    host(&server, "db.fleet").await;
    let printed = desk.ok("client contexts").await;
    assert!(
        printed.contains("2 docker contexts, 1 new or changed: db.fleet, web-1"),
        "{printed}"
    );
    assert_eq!(desk.read(&path), somebodys);
    assert!(desk.ok("client contexts").await.contains("0 new or changed"));
}

#[tokio::test]
async fn what_docker_context_update_broke_is_mended() {
    let server = TestServer::memory().await;
    host(&server, "web-1.fleet").await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({})).await;
    desk.ok(&enroll(&server, "--context work")).await;
    assert_eq!(context_names(&desk), set(&["work"]));
    // It deletes the certificate and writes the description anew, keeping unknown metadata.
    let tls = PathBuf::from(format!("{CONTEXTS}/tls/{}", id("work")));
    desk.files.remove(&tls).unwrap();
    desk.put(&format!("{}/docker/ca.pem", tls.display()), "left over");
    desk.ok("client contexts").await;
    pair(&desk, &format!("{}/docker", tls.display()));
}

#[tokio::test]
async fn one_context_name_is_not_given_to_two_hosts() {
    let server = TestServer::memory().await;
    host(&server, "web-1.fleet").await;
    host(&server, "web-2.fleet").await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({})).await;
    let (code, message) = desk.refused(&enroll(&server, "--context work")).await;
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("--host"), "{message}");
    // The certificate is there by now; the same command with the fix goes on.
    desk.ok(&enroll(&server, "--context work --host web-2.fleet"))
        .await;
    assert_eq!(
        context(&desk, "work")["Metadata"]["dockwarden"]["host"],
        "web-2.fleet"
    );
    let (code, _) = desk.refused(&enroll(&server, "--context default")).await;
    assert_eq!(code, 2);
}

#[tokio::test]
async fn a_directory_of_files_can_be_used_and_renewed_and_is_never_overwritten() {
    let server = TestServer::memory().await;
    host(&server, "web-1.fleet").await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({})).await;
    desk.put("/certs/key.pem", "somebody's only key");
    let (code, message) = desk.refused(&enroll(&server, "--cert-path /certs")).await;
    assert_eq!(code, 1);
    assert!(message.contains("/certs/key.pem is there already"), "{message}");
    assert_eq!(
        serials(&server, "valid").await.len(),
        0,
        "refused before the token was spent"
    );
    desk.files.remove(Path::new("/certs/key.pem")).unwrap();
    desk.ok(&enroll(&server, "--cert-path /certs")).await;
    let old = pair(&desk, "/certs");
    assert!(!desk.there(CONTEXTS), "no docker contexts");
    desk.ok("client renew --force --cert-path /certs").await;
    assert_ne!(pair(&desk, "/certs"), old);
    let printed = desk.ok("client env --cert-path /certs --host web-1").await;
    assert_eq!(
        printed,
        "export DOCKER_HOST=tcp://web-1.fleet:2376\nexport DOCKER_TLS_VERIFY=1\nexport DOCKER_CERT_PATH=/certs\n"
    );
    let (code, _) = desk.refused("client contexts --cert-path /certs").await;
    assert_eq!(code, 2);
}

#[tokio::test]
async fn an_enrolment_that_needs_approval_continues_with_the_same_command() {
    let server = TestServer::memory().await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({"approval": "manual"})).await;
    assert_eq!(desk.run(&enroll(&server, "")).await.unwrap().0, 1);
    assert!(!desk.there(&format!("{CLIENT}/profile.toml")));
    let mut admin = Desk::of_admin(&server);
    let waiting = admin.ok("host requests --format name,state").await;
    assert_eq!(waiting, "alice\tpending\n");
    assert_eq!(admin.ok("host approve alice").await, "alice  approved\n");
    desk.ok(&enroll(&server, "")).await;
    assert_eq!(serials(&server, "valid").await.len(), 1);
}

#[tokio::test]
async fn waiting_for_an_approval_ends_when_it_comes() {
    let server = TestServer::memory().await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({"approval": "manual"})).await;
    let mut admin = Desk::of_admin(&server);
    let line = enroll(&server, "--wait 10m");
    let (enrolled, ()) = tokio::join!(desk.run(&line), async {
        while admin.ok("host requests -q").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        admin.ok("host approve alice").await;
    });
    assert_eq!(enrolled.unwrap().0, 0);
}

#[tokio::test]
async fn bad_tokens_are_refused_with_what_to_do() {
    let server = TestServer::memory().await;
    let mut desk = Desk::new(&server);
    let good = token(&server, &desk, json!({})).await;
    desk.put("/token", &good[..good.len() - 5]);
    assert!(desk.refused(&enroll(&server, "")).await.1.contains("damaged"));
    desk.put("/token", "password");
    assert!(
        desk.refused(&enroll(&server, ""))
            .await
            .1
            .contains("dockwarden token create")
    );
    let (code, message) = desk
        .refused(&format!("client enroll --server https://{}", server.address))
        .await;
    assert_eq!(code, 2);
    assert!(message.contains("DOCKWARDEN_TOKEN"), "{message}");
    desk.put("/token", &server.token(json!({"names": ["web-1.fleet"]})).await);
    assert!(
        desk.refused(&enroll(&server, ""))
            .await
            .1
            .contains("token_refused")
    );
}

#[tokio::test]
async fn the_first_administrators_plain_files_are_taken_over_and_renewed_when_used() {
    let server = TestServer::memory().await;
    server.person("someone", Permission::Viewer).await;
    let mut desk = Desk::of_admin(&server);
    desk.plant_admin(&server, "/srv/admin");
    let before = pair(&desk, "/srv/admin");
    desk.ok("cert ls --profile /srv/admin").await;
    assert_eq!(pair(&desk, "/srv/admin"), before, "not due yet");
    server.clock.advance(DAY * 21);
    desk.ok("cert ls --profile /srv/admin").await;
    let renewed = pair(&desk, "/srv/admin");
    assert_ne!(renewed, before);
    desk.ok("client renew --force --cert-path /srv/admin").await;
    assert_ne!(pair(&desk, "/srv/admin"), renewed);
    assert!(
        desk.refused("client renew --cert-path /elsewhere")
            .await
            .1
            .contains("profile.toml")
    );
}

#[tokio::test]
async fn an_expired_certificate_says_that_it_is_time_to_enrol_again() {
    let server = TestServer::memory().await;
    let mut desk = Desk::new(&server);
    token(&server, &desk, json!({})).await;
    desk.ok(&enroll(&server, "")).await;
    server.clock.advance(DAY * 40);
    let (_, message) = desk.refused("cert ls").await;
    assert!(
        message.contains("expired") && message.contains("enrol again"),
        "{message}"
    );
    assert_eq!(desk.run("client renew").await.unwrap().0, 1);
}
