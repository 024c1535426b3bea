//! Roles and bindings.

use std::sync::Arc;

use super::super::{RoleChange, RoleChanged, RoleOrder, Store};
use super::fixture::{acknowledgement, certificate, enroll_fresh, hour, id, identity, t0};
use super::on_every_store;
use crate::model::IdentityKind;
use crate::model::audit::Actor;
use crate::model::role::{Binding, BindingKey, RoleSpec, RolesDigest, StoredRole, parse_selector};

on_every_store![
    a_role_is_written_once_and_replaced_only_when_told_so,
    a_role_is_bound_to_a_client_that_exists_and_stays_while_somebody_has_it,
    a_role_from_a_join_token_is_taken_like_any_other,
    who_tells_hosts_is_woken_by_what_changes_who_may_do_what,
    what_hosts_say_of_roles_is_kept_until_they_say_something_else,
];

fn role(name: &str, operation: &str) -> RoleChange {
    let role = StoredRole {
        name: name.parse().unwrap(),
        spec: RoleSpec {
            allow: vec![operation.to_owned()],
            ..RoleSpec::default()
        },
        changed_at: t0(),
        changed_by: "client:admin".to_owned(),
    };
    RoleChange::Put {
        role: Box::new(role),
        replace: false,
    }
}

fn binding(client: &str, role: &str, hosts: &str) -> Binding {
    Binding {
        client: client.parse().unwrap(),
        role: role.parse().unwrap(),
        hosts: parse_selector(hosts).unwrap(),
        created_at: t0(),
        created_by: "client:admin".to_owned(),
    }
}

fn bind(client: &str, role: &str, hosts: &str) -> RoleChange {
    RoleChange::Bind(Box::new(binding(client, role, hosts)))
}

fn unbind(client: &str, role: &str, hosts: &str) -> RoleChange {
    RoleChange::Unbind(binding(client, role, hosts).key())
}

async fn change(store: &Arc<dyn Store>, change: RoleChange) -> RoleChanged {
    let order = RoleOrder {
        change,
        actor: Actor::Client("admin".to_owned()),
        source: Some("10.0.0.7".parse().unwrap()),
        now: t0(),
    };
    store.change_roles(order).await.unwrap()
}

async fn client(store: &Arc<dyn Store>, number: u32, name: &str, role: Option<&str>) {
    let mut identity = identity(number, IdentityKind::Client, name);
    identity.role = role.map(str::to_owned);
    let certificate = certificate(number, &identity, number, t0());
    store.adopt(identity, certificate, Actor::System).await.unwrap();
}

async fn audited(store: &Arc<dyn Store>) -> Vec<String> {
    let page = store.audit(Default::default(), Default::default()).await.unwrap();
    let roles = page
        .items
        .into_iter()
        .filter(|record| record.action.starts_with("role."));
    roles
        .map(|record| format!("{} {}", record.action, record.subject))
        .collect()
}

async fn a_role_is_written_once_and_replaced_only_when_told_so(store: Arc<dyn Store>) {
    assert_eq!(
        change(&store, role("stopper", "ContainerStop")).await,
        RoleChanged::Done
    );
    assert_eq!(
        change(&store, role("stopper", "ContainerStop")).await,
        RoleChanged::Unchanged
    );
    assert_eq!(
        change(&store, role("stopper", "ContainerKill")).await,
        RoleChanged::Exists
    );
    let RoleChange::Put { role: other, .. } = role("stopper", "ContainerKill") else {
        unreachable!("made above");
    };
    let replacing = RoleChange::Put {
        role: other.clone(),
        replace: true,
    };
    assert_eq!(change(&store, replacing).await, RoleChanged::Done);
    assert_eq!(store.roles().await.unwrap(), [*other]);
    assert_eq!(audited(&store).await, ["role.put stopper", "role.put stopper"]);
    let remove = || RoleChange::Remove("stopper".parse().unwrap());
    assert_eq!(change(&store, remove()).await, RoleChanged::Done);
    assert_eq!(change(&store, remove()).await, RoleChanged::NotFound);
    assert_eq!(store.roles().await.unwrap(), []);
}

async fn a_role_is_bound_to_a_client_that_exists_and_stays_while_somebody_has_it(store: Arc<dyn Store>) {
    client(&store, 1, "alice", None).await;
    change(&store, role("stopper", "ContainerStop")).await;
    for (wanted, expected) in [
        (bind("bob", "viewer", ""), RoleChanged::NoClient),
        (bind("alice", "nothing", ""), RoleChanged::NotFound),
        (bind("alice", "viewer", ""), RoleChanged::Done),
        (bind("alice", "viewer", ""), RoleChanged::Unchanged),
        (bind("alice", "stopper", "zone=a,tier=web"), RoleChanged::Done),
        (
            bind("alice", "stopper", "tier=web,zone=a"),
            RoleChanged::Unchanged,
        ),
        (RoleChange::Remove("stopper".parse().unwrap()), RoleChanged::InUse),
        (unbind("alice", "stopper", "tier=web"), RoleChanged::NotFound),
    ] {
        assert_eq!(change(&store, wanted.clone()).await, expected, "{wanted:?}");
    }
    let bindings = store.bindings().await.unwrap();
    let of = async |names: &[&str]| {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        store.bindings_of(names).await.unwrap()
    };
    assert_eq!(of(&["zoe", "alice", "alice"]).await, bindings);
    assert_eq!(of(&["bob"]).await, []);
    assert_eq!(of(&[]).await, []);
    assert_eq!(
        bindings,
        [
            binding("alice", "stopper", "tier=web,zone=a"),
            binding("alice", "viewer", "")
        ]
    );
    assert_eq!(
        change(&store, unbind("alice", "stopper", "zone=a,tier=web")).await,
        RoleChanged::Done
    );
    assert_eq!(
        change(&store, RoleChange::Remove("stopper".parse().unwrap())).await,
        RoleChanged::Done
    );
    assert_eq!(store.bindings().await.unwrap().len(), 1);
    let last = audited(&store).await;
    assert_eq!(last[..2], ["role.remove stopper", "role.unbind alice"]);
}

async fn a_role_from_a_join_token_is_taken_like_any_other(store: Arc<dyn Store>) {
    change(&store, role("stopper", "ContainerStop")).await;
    client(&store, 1, "alice", Some("stopper")).await;
    client(&store, 2, "bob", None).await;
    let of_tokens = || async { store.token_roles().await.unwrap() };
    assert_eq!(
        of_tokens().await,
        [("alice".parse().unwrap(), "stopper".to_owned())]
    );
    assert_eq!(
        change(&store, RoleChange::Remove("stopper".parse().unwrap())).await,
        RoleChanged::InUse
    );
    assert_eq!(
        change(&store, unbind("alice", "stopper", "tier=web")).await,
        RoleChanged::NotFound
    );
    let everywhere = RoleChange::Unbind(BindingKey {
        client: "alice".parse().unwrap(),
        role: "stopper".parse().unwrap(),
        hosts: String::new(),
    });
    assert_eq!(change(&store, everywhere).await, RoleChanged::Done);
    assert_eq!(of_tokens().await, []);
    let alice = store
        .identity(IdentityKind::Client, &"alice".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(alice.unwrap().role, None);
}

async fn who_tells_hosts_is_woken_by_what_changes_who_may_do_what(store: Arc<dyn Store>) {
    let mut watch = store.roles_watch();
    let mut woken = || {
        let woken = watch.has_changed().unwrap();
        watch.mark_unchanged();
        woken
    };
    client(&store, 1, "alice", None).await;
    assert!(!woken(), "a client without a role changes nothing");
    client(&store, 2, "bob", Some("viewer")).await;
    assert!(woken());
    change(&store, bind("carol", "viewer", "")).await;
    assert!(!woken(), "there is no carol");
    change(&store, bind("alice", "viewer", "")).await;
    assert!(woken());
    change(&store, unbind("alice", "viewer", "")).await;
    assert!(woken());
    change(&store, role("stopper", "ContainerStop")).await;
    assert!(woken());
}

async fn what_hosts_say_of_roles_is_kept_until_they_say_something_else(store: Arc<dyn Store>) {
    for number in 1..5 {
        enroll_fresh(&*store, number, &format!("web-{number}.fleet.internal"), t0()).await;
    }
    client(&store, 7, "alice", None).await;
    let say = |number: u32, roles: Option<RolesDigest>, at| {
        let mut said = acknowledgement(id(number), 0, at);
        said.applied.roles = roles;
        store.acknowledge(said)
    };
    let digest = RolesDigest::of_json(b"roles");
    say(1, Some(digest), hour(1)).await.unwrap();
    say(2, Some(digest), hour(1)).await.unwrap();
    say(2, None, hour(2)).await.unwrap();
    say(4, Some(digest), hour(2)).await.unwrap();
    let own = "web-4.fleet.internal".parse().unwrap();
    let hosts = store.roles_applied(hour(3), &own).await.unwrap();
    let rows: Vec<_> = hosts
        .iter()
        .map(|host| (host.name.as_str(), host.roles, host.last_seen))
        .collect();
    let expected = [
        ("web-1.fleet.internal", Some(digest), Some(hour(1))),
        ("web-2.fleet.internal", None, Some(hour(2))),
        ("web-3.fleet.internal", None, None),
    ];
    assert_eq!(rows, expected);
    assert_eq!((hosts[0].denies_after, hosts[2].said_at), (Some(3600), None));
    assert_eq!(hosts[0].labels, identity(1, IdentityKind::Host, "x").labels);
}
