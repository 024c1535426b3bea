use super::*;
use proptest::prelude::*;

fn host(name: &str) -> KnownHost {
    KnownHost {
        name: name.into(),
        endpoint: format!("tcp://{name}:2376"),
    }
}

fn mine(name: &str, host: &str) -> Existing {
    let mark = Mark {
        client: "alice".into(),
        server: "https://ca".into(),
        host: host.into(),
    };
    Existing {
        name: name.into(),
        mark: Some(mark),
    }
}

fn foreign(name: &str) -> Existing {
    Existing {
        name: name.into(),
        mark: None,
    }
}

fn of_alice(mark: &Mark) -> bool {
    mark.client == "alice"
}

fn names(plan: &Plan) -> Vec<(&str, &str)> {
    plan.write
        .iter()
        .map(|(name, host)| (name.as_str(), host.name.as_str()))
        .collect()
}

#[test]
fn a_context_is_called_like_its_host_for_short() {
    let plan = plan(
        &[],
        of_alice,
        &[host("web-01.fleet.internal"), host("db.fleet.internal")],
        None,
    );
    assert_eq!(
        names(&plan),
        [("db", "db.fleet.internal"), ("web-01", "web-01.fleet.internal")]
    );
}

#[test]
fn two_hosts_of_one_short_name_get_their_whole_names() {
    let plan = plan(
        &[],
        of_alice,
        &[host("web.eu.internal"), host("web.us.internal")],
        None,
    );
    assert_eq!(
        names(&plan),
        [
            ("web.eu.internal", "web.eu.internal"),
            ("web.us.internal", "web.us.internal")
        ]
    );
}

#[test]
fn a_name_somebody_else_uses_is_left_to_them() {
    let existing = [foreign("web"), mine("old", "gone.internal")];
    let plan = plan(&existing, of_alice, &[host("web.internal")], None);
    assert_eq!(names(&plan), [("web.internal", "web.internal")]);
    assert_eq!(plan.remove, ["old"]);
    let taken = super::plan(&existing, of_alice, &[host("web.internal")], Some("web"));
    assert!(taken.write.is_empty() && taken.skipped.len() == 1);
}

#[test]
fn names_docker_does_not_take_are_made_longer() {
    let plan = plan(&[], of_alice, &[host("a"), host("default")], None);
    assert_eq!(
        names(&plan),
        [("a-dockwarden", "a"), ("default-dockwarden", "default")]
    );
}

fn some_hosts() -> impl Strategy<Value = Vec<KnownHost>> {
    let name = "(web|db|a|default)[12]?(\\.(eu|us))?";
    proptest::collection::btree_set(name, 0..8).prop_map(|names| names.iter().map(|n| host(n)).collect())
}

fn some_contexts() -> impl Strategy<Value = Vec<Existing>> {
    let context = ("(web|db|a1|x)[12]?(\\.eu)?", 0..3u8, "(web|db)[12]?(\\.eu)?");
    proptest::collection::vec(context, 0..8).prop_map(|all| {
        let unique: BTreeMap<String, (u8, String)> = all.into_iter().map(|(n, k, h)| (n, (k, h))).collect();
        let make = |(name, (kind, host)): (String, (u8, String))| match kind {
            0 => foreign(&name),
            1 => mine(&name, &host),
            _ => {
                let mark = Mark {
                    client: "bob".into(),
                    server: "https://ca".into(),
                    host,
                };
                Existing {
                    name,
                    mark: Some(mark),
                }
            }
        };
        unique.into_iter().map(make).collect()
    })
}

proptest! {
    #[test]
    fn contexts_of_others_are_never_touched(existing in some_contexts(), hosts in some_hosts()) {
        let plan = plan(&existing, of_alice, &hosts, None);
        for other in existing.iter().filter(|e| !e.mark.as_ref().is_some_and(of_alice)) {
            prop_assert!(!plan.write.contains_key(&other.name) && !plan.remove.contains(&other.name));
        }
    }

    #[test]
    fn every_host_has_one_context_or_is_named_as_skipped(existing in some_contexts(), hosts in some_hosts()) {
        let plan = plan(&existing, of_alice, &hosts, None);
        for host in &hosts {
            let contexts = plan.write.values().filter(|h| h.name == host.name).count();
            let skipped = plan.skipped.iter().filter(|(name, _)| *name == host.name).count();
            prop_assert_eq!(contexts + skipped, 1, "{}", host.name);
        }
        prop_assert!(plan.write.keys().all(|name| is_context_name(name)));
        prop_assert!(plan.remove.iter().all(|name| !plan.write.contains_key(name)));
    }

    #[test]
    fn a_second_run_changes_no_name_and_removes_nothing(existing in some_contexts(), hosts in some_hosts()) {
        let first = plan(&existing, of_alice, &hosts, None);
        let mut after: Vec<Existing> =
            existing.into_iter().filter(|e| !first.remove.contains(&e.name) && !first.write.contains_key(&e.name)).collect();
        after.extend(first.write.iter().map(|(name, host)| mine(name, &host.name)));
        let second = plan(&after, of_alice, &hosts, None);
        prop_assert_eq!(&second.write, &first.write);
        prop_assert!(second.remove.is_empty());
    }
}
