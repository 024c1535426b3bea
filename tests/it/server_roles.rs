//! Roles and bindings on the server: who may change them, what they become, and what hosts are told.

use std::sync::Arc;

use dockwarden::client::{Client, Feed, FeedEvent};
use dockwarden::model::audit::Actor;
use dockwarden::model::role::{HostRoles, RolesDigest};
use dockwarden::model::{FeedApplied, Permission};
use dockwarden::pki::tls::ServerTrust;
use serde_json::{Value, json};

use crate::support::desk::{Desk, HOME};
use crate::support::server::{Credentials, PATIENCE, Setup, TestServer, csr_pem, key};

async fn labelled_host(server: &TestServer, name: &str, labels: Value) -> Credentials {
    let token = server.token(json!({"names": [name], "labels": labels})).await;
    let own = key();
    let answer = server.enroll(&token, &csr_pem(&own, name, &[name])).await;
    Credentials::new(&answer.issued(), own)
}

fn client(server: &TestServer, who: &Credentials) -> Client {
    let url = format!("https://localhost:{}", server.address.port());
    let trust = ServerTrust::Anchors(server.anchors());
    let clock = Arc::new(server.clock.clone());
    Client::new(url.parse().unwrap(), trust, Some(who.tls()), clock)
}

async fn follow(server: &TestServer, who: &Credentials) -> Feed {
    let mut feed = client(server, who).follow(None).await.unwrap();
    assert!(matches!(next(&mut feed).await, FeedEvent::Hello(_)));
    feed
}

async fn next(feed: &mut Feed) -> FeedEvent {
    tokio::time::timeout(PATIENCE, feed.next())
        .await
        .unwrap()
        .unwrap()
}

/// What a host is told of roles next; what is about numbers is passed over.
async fn told(feed: &mut Feed) -> HostRoles {
    loop {
        match next(feed).await {
            FeedEvent::Roles(roles) => return *roles,
            FeedEvent::Snapshot(_) | FeedEvent::Change(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn of(roles: &HostRoles, client: &str) -> Vec<String> {
    roles.clients.get(client).into_iter().flatten().cloned().collect()
}

#[tokio::test]
async fn roles_are_written_bound_shown_and_removed_from_the_command_line() {
    let server = TestServer::sqlite().await;
    server.join("client", "alice").await;
    let mut desk = Desk::of_admin(&server);
    let create = format!("role create restarter --file {HOME}/restarter.yaml");
    desk.put(
        &format!("{HOME}/restarter.yaml"),
        "allow: ['@read', ContainerRestart]\nrules: {}\n",
    );
    let nobody = "  applied on 0 of 0 hosts (0.00 s)\n";
    assert_eq!(desk.ok(&create).await, format!("restarter\n{nobody}"));
    let again = desk.ok(&create).await;
    assert_eq!(again, format!("restarter\n{nobody}"), "changes nothing");
    desk.put(&format!("{HOME}/restarter.yaml"), "allow: [ContainerRestart]\n");
    let refused = desk.refused(&create).await;
    assert!(refused.1.contains("--replace"), "{refused:?}");
    desk.ok(&format!("{create} --replace")).await;
    assert_eq!(
        desk.ok("role bind alice restarter tier=web").await,
        format!("alice restarter on tier=web\n{nobody}")
    );
    desk.ok("role bind alice restarter tier=web").await;
    let shown: Value = serde_json::from_str(&desk.ok("role inspect restarter").await).unwrap();
    assert_eq!(shown[0]["operations"], json!(["ContainerRestart"]));
    assert_eq!(shown[0]["bound"][0]["hosts"], json!({"tier": "web"}));
    assert_eq!(shown[0]["changed_by"], json!("client:admin"));
    let listed = desk
        .ok("role ls --format name,rules,bindings --filter operation=ContainerRestart")
        .await;
    let rows: Vec<&str> = listed.lines().collect();
    assert_eq!(
        rows,
        [
            "operator\tyes\t0",
            "deployer\tyes\t0",
            "admin\tno\t1",
            "restarter\tno\t1"
        ]
    );
    for (line, part) in [
        ("role rm restarter", "somebody has the role"),
        ("role rm viewer", "built in"),
        ("role rm nothing", "no role nothing"),
        ("role bind bob viewer", "no client bob"),
        ("role bind alice nothing", "no role nothing"),
        ("role bind alice viewer tier", "KEY=VALUE"),
        ("role unbind alice restarter", "has no role restarter"),
        ("role inspect nothing", "no role nothing"),
    ] {
        let refused = desk.refused(line).await;
        assert!(refused.1.contains(part), "{line}: {refused:?}");
    }
    desk.put(&format!("{HOME}/bad.toml"), "allow = ['containerstart']\n");
    let refused = desk
        .refused(&format!("role create bad --file {HOME}/bad.toml"))
        .await;
    assert!(refused.1.contains("did you mean ContainerStart?"), "{refused:?}");
    let refused = desk
        .refused(&format!("role create viewer --file {HOME}/restarter.yaml"))
        .await;
    assert!(refused.1.contains("built in"), "{refused:?}");
    desk.ok("role unbind alice restarter tier=web").await;
    assert_eq!(desk.ok("role rm restarter").await, "restarter\n");
    let audited: Vec<String> = server
        .audited()
        .await
        .into_iter()
        .map(|(action, _)| action)
        .collect();
    let roles: Vec<&String> = audited
        .iter()
        .filter(|action| action.starts_with("role."))
        .collect();
    assert_eq!(roles.len(), 5, "{audited:?}");
}

#[tokio::test]
async fn an_operator_gives_roles_and_an_admin_alone_writes_them() {
    let server = TestServer::memory().await;
    let (operator, viewer) = (
        server.person("oscar", Permission::Operator).await,
        server.person("vera", Permission::Viewer).await,
    );
    let alice = server.join("client", "alice").await;
    let role = json!({"name": "stopper", "role": {"allow": ["ContainerStop"]}});
    let binding = json!({"client": "alice", "role": "viewer"});
    for (who, status) in [
        (&alice, 403),
        (&viewer, 403),
        (&operator, 403),
        (&server.admin, 200),
    ] {
        let answer = server
            .call(Some(who), "POST", "/v1/roles", Some(role.clone()))
            .await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    for (who, status) in [
        (&alice, 403),
        (&viewer, 403),
        (&operator, 200),
        (&server.admin, 200),
    ] {
        let answer = server
            .call(Some(who), "POST", "/v1/bindings", Some(binding.clone()))
            .await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    for (who, status) in [(&alice, 403), (&viewer, 200), (&operator, 200)] {
        assert_eq!(server.get(Some(who), "/v1/roles").await.status, status);
        assert_eq!(server.get(Some(who), "/v1/bindings").await.status, status);
    }
    let taken = "/v1/bindings?client=alice&role=viewer";
    assert_eq!(
        server.call(Some(&viewer), "DELETE", taken, None).await.status,
        403
    );
    assert_eq!(
        server.call(Some(&operator), "DELETE", taken, None).await.status,
        204
    );
    assert_eq!(
        server.call(Some(&operator), "DELETE", taken, None).await.status,
        404
    );
}

#[tokio::test]
async fn a_host_is_told_of_the_roles_that_count_there_and_of_nothing_else() {
    let server = TestServer::sqlite().await;
    let web = labelled_host(&server, "web-1.fleet", json!({"tier": "web"})).await;
    let db = labelled_host(&server, "db-1.fleet", json!({"tier": "db"})).await;
    let alice = server.join("client", "alice").await;
    let (mut web, mut db) = (follow(&server, &web).await, follow(&server, &db).await);
    let first = told(&mut web).await;
    assert_eq!(
        (of(&first, "admin"), of(&first, "alice")),
        (vec!["admin".to_owned()], vec![])
    );
    told(&mut db).await;
    let role = json!({"name": "stopper", "role": {"allow": ["ContainerStop"]}});
    let bind = |role: &str| json!({"client": "alice", "role": role, "hosts": {"tier": "web"}});
    for (path, body) in [("/v1/roles", role), ("/v1/bindings", bind("stopper"))] {
        assert_eq!(
            server
                .call(Some(&server.admin), "POST", path, Some(body))
                .await
                .status,
            200
        );
    }
    let bound = told(&mut web).await;
    assert_eq!(of(&bound, "alice"), ["stopper"]);
    assert_eq!(bound.roles["stopper"], json!({"allow": ["ContainerStop"]}));
    let taken = "/v1/bindings?client=alice&role=stopper&hosts=tier%3Dweb";
    assert_eq!(
        server
            .call(Some(&server.admin), "DELETE", taken, None)
            .await
            .status,
        204
    );
    let after = told(&mut web).await;
    assert_eq!((of(&after, "alice"), after.roles.len()), (vec![], 0));
    // Nothing of that concerned the other host; the next thing it hears is what does.
    let everywhere = json!({"client": "alice", "role": "viewer"});
    server
        .call(Some(&server.admin), "POST", "/v1/bindings", Some(everywhere))
        .await;
    assert_eq!(of(&told(&mut db).await, "alice"), ["viewer"]);
    // A client enforces nothing and is told nothing.
    let mut own = follow(&server, &alice).await;
    assert!(matches!(next(&mut own).await, FeedEvent::Snapshot(_)));
    drop((web, db, own));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_joins_with_a_role_is_told_of_and_can_lose_it() {
    let server = TestServer::memory().await;
    let host = server.join("host", "web-1.fleet").await;
    let mut feed = follow(&server, &host).await;
    told(&mut feed).await;
    let token = server
        .token(json!({"profile": "client", "names": ["bob"], "cidrs": [], "role": "operator"}))
        .await;
    let answer = server.enroll(&token, &csr_pem(&key(), "bob", &[])).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let unknown = json!({"profile": "client", "names": ["eve"], "cidrs": [], "role": "operater"});
    let refused = server
        .call(Some(&server.admin), "POST", "/v1/tokens", Some(unknown))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(of(&told(&mut feed).await, "bob"), ["operator"]);
    let taken = "/v1/bindings?client=bob&role=operator";
    assert_eq!(
        server
            .call(Some(&server.admin), "DELETE", taken, None)
            .await
            .status,
        204
    );
    assert_eq!(of(&told(&mut feed).await, "bob"), Vec::<String>::new());
    drop(feed);
    server.stop().await;
}

/// A host that follows, and says what it has in force.
struct Host {
    client: Client,
    feed: Feed,
    said: FeedApplied,
}

impl Host {
    /// Follows and reads everything that is there; what it was told of roles, if it was.
    async fn follow(
        server: &TestServer,
        who: &Credentials,
        known: Option<RolesDigest>,
    ) -> (Self, Option<HostRoles>) {
        let client = client(server, who);
        let mut feed = client.follow_on(None, known).await.unwrap();
        let FeedEvent::Hello(hello) = next(&mut feed).await else {
            panic!("no hello")
        };
        let mut roles = None;
        loop {
            match next(&mut feed).await {
                FeedEvent::Roles(told) => roles = Some(*told),
                FeedEvent::Snapshot(part) if part.last => {
                    let said = FeedApplied {
                        feed: hello.feed,
                        number: part.at,
                        seal: part.seal,
                        cut: 0,
                        denies_after: Some(3600),
                        refuses: true,
                        roles: known,
                    };
                    return (Self { client, feed, said }, roles);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn say(&mut self, roles: Option<RolesDigest>) {
        self.said.roles = roles;
        self.client.put_applied(&self.said).await.unwrap();
    }
}

#[tokio::test]
async fn who_enforces_a_change_is_said_and_whom_it_does_not_concern_counts() {
    let server = TestServer::memory().await;
    server.join("client", "alice").await;
    let web = labelled_host(&server, "web-1.fleet", json!({"tier": "web"})).await;
    let db = labelled_host(&server, "db-1.fleet", json!({"tier": "db"})).await;
    let (mut web, web_roles) = Host::follow(&server, &web, None).await;
    let (mut db, db_roles) = Host::follow(&server, &db, None).await;
    let mut desk = Desk::of_admin(&server);
    let bind = "role bind alice viewer tier=web --wait 0s";
    let printed = desk.ok(bind).await;
    assert!(
        printed.contains("applied on 0 of 2 hosts"),
        "nobody has said anything: {printed}"
    );
    db.say(Some(RolesDigest::of(&db_roles.unwrap()))).await;
    web.say(Some(RolesDigest::of(&web_roles.unwrap()))).await;
    let printed = desk.ok(bind).await;
    assert!(printed.contains("applied on 1 of 2 hosts"), "{printed}");
    assert!(
        printed.contains("  web-1.fleet last heard of") && !printed.contains("db-1.fleet"),
        "{printed}"
    );
    assert!(
        printed.contains("goes by what it knew, and refuses every remote client from"),
        "{printed}"
    );
    let now = told(&mut web.feed).await;
    assert_eq!(of(&now, "alice"), ["viewer"]);
    web.say(Some(RolesDigest::of(&now))).await;
    let printed = desk.ok("role bind alice viewer tier=web").await;
    assert!(printed.contains("applied on 2 of 2 hosts"), "{printed}");
    // A rewritten role concerns whoever has it; a role that nobody has concerns nobody.
    desk.put(&format!("{HOME}/r.toml"), "allow = ['ContainerStop']\n");
    let create = format!("role create stopper --file {HOME}/r.toml --wait 0s");
    assert!(desk.ok(&create).await.contains("applied on 2 of 2 hosts"));
    desk.ok("role bind alice stopper tier=db --wait 0s").await;
    let bound = told(&mut db.feed).await;
    db.say(Some(RolesDigest::of(&bound))).await;
    desk.put(&format!("{HOME}/r.toml"), "allow = ['ContainerKill']\n");
    let printed = desk.ok(&format!("{create} --replace")).await;
    assert!(
        printed.contains("applied on 1 of 2 hosts") && printed.contains("db-1.fleet"),
        "{printed}"
    );
    db.say(None).await;
    let printed = desk.ok("role unbind alice stopper tier=db").await;
    assert!(printed.contains("applied on 1 of 1 hosts"), "{printed}");
    assert!(printed.contains("1 host looks at no roles"), "{printed}");
    drop((web, db));
    server.stop().await;
}

#[tokio::test]
async fn a_command_waits_until_the_last_host_has_said_it() {
    let server = TestServer::memory().await;
    server.join("client", "alice").await;
    let web = server.join("host", "web-1.fleet").await;
    let (mut web, roles) = Host::follow(&server, &web, None).await;
    web.say(Some(RolesDigest::of(&roles.unwrap()))).await;
    let host = tokio::spawn(async move {
        let now = told(&mut web.feed).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        web.say(Some(RolesDigest::of(&now))).await;
        web
    });
    let printed = Desk::of_admin(&server).ok("role bind alice viewer").await;
    assert!(printed.contains("applied on 1 of 1 hosts"), "{printed}");
    drop(host.await.unwrap());
    server.stop().await;
}

#[tokio::test]
async fn who_has_the_roles_in_force_is_told_others_only() {
    let server = TestServer::memory().await;
    server.join("client", "alice").await;
    let web = server.join("host", "web-1.fleet").await;
    let (first, roles) = Host::follow(&server, &web, None).await;
    drop(first);
    let known = RolesDigest::of(&roles.unwrap());
    let (mut again, roles) = Host::follow(&server, &web, Some(known)).await;
    assert_eq!(roles, None);
    Desk::of_admin(&server)
        .ok("role bind alice viewer --wait 0s")
        .await;
    assert_eq!(of(&told(&mut again.feed).await, "alice"), ["viewer"]);
    drop(again);
    let (_, roles) = Host::follow(&server, &web, Some(known)).await;
    assert_eq!(of(&roles.unwrap(), "alice"), ["viewer"]);
    server.stop().await;
}

#[tokio::test]
async fn a_restored_server_names_the_hosts_that_enforced_other_roles() {
    let setup = Setup::memory();
    let store = setup.store.clone();
    let server = setup.start().await;
    let (one, two) = (
        server.join("host", "web-1.fleet").await,
        server.join("host", "web-2.fleet").await,
    );
    let (host, roles) = Host::follow(&server, &one, None).await;
    drop(host);
    let same = RolesDigest::of(&roles.unwrap());
    let other = RolesDigest::of_json(b"what was lost");
    let list = || async { server.get(Some(&server.admin), "/v1/roles").await.json() };
    let (host, _) = Host::follow(&server, &two, Some(other)).await;
    drop(host);
    assert_eq!(
        list().await["restored"],
        Value::Null,
        "without a restoration that is a change"
    );
    store.restored(Actor::System, server.clock_now()).await.unwrap();
    assert_eq!(list().await["restored"]["differed"], json!([]));
    for (who, known) in [
        (&one, Some(same)),
        (&two, Some(other)),
        (&two, Some(other)),
        (&one, None),
    ] {
        let (host, _) = Host::follow(&server, who, known).await;
        drop(host);
    }
    let restored = list().await["restored"].clone();
    assert_eq!(restored["differed"], json!(["web-2.fleet"]));
    assert!(restored["at"].is_string(), "{restored}");
    let audited = server.audited().await;
    let said = audited.iter().filter(|(action, _)| action == "role.restored");
    assert_eq!(said.count(), 1, "{audited:?}");
    server.stop().await;
}
