mod bypass;

use proptest::prelude::*;

use super::*;

fn role(name: &str) -> &'static Role {
    built_in(&name.parse().unwrap()).unwrap()
}

fn allows(name: &str, operation: &str) -> bool {
    role(name).operations().names().contains(&operation)
}

/// The Engine's routes of `published_routes.txt`: method, path, first and last API version (minor).
fn published() -> Vec<(&'static str, &'static str, u32, u32)> {
    let lines = include_str!("published_routes.txt").lines();
    let routes = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let minor = |version: &str| version.strip_prefix("1.").unwrap().parse().unwrap();
    routes
        .map(|line| match line.split(' ').collect::<Vec<_>>().as_slice() {
            [method, path, first, last] => (*method, *path, minor(first), minor(last)),
            _ => panic!("{line}"),
        })
        .collect()
}

#[test]
fn every_route_of_every_engine_is_in_the_table() {
    let routes = published();
    for (engine, api, least) in [("20.10", 41, 118), ("26.1", 45, 118), ("28.5", 51, 118)] {
        let of_engine: Vec<_> = routes
            .iter()
            .filter(|(_, _, first, last)| (*first..=*last).contains(&api))
            .collect();
        assert!(
            of_engine.len() >= least,
            "Engine {engine}: {} routes",
            of_engine.len()
        );
        for (method, path, _, _) in of_engine {
            let target = format!("/v1.{api}{}", path.replace(['{', '}'], ""));
            let found = Request::classify(method, &target);
            let found =
                found.unwrap_or_else(|refusal| panic!("Engine {engine}: {method} {target}: {refusal}"));
            let shape = |path: &str| {
                path.split('/')
                    .map(|s| if s.starts_with('{') { "{}" } else { s }.to_owned())
                    .collect::<Vec<_>>()
            };
            let profile = path.starts_with("/debug/pprof/");
            assert!(
                shape(found.operation.path) == shape(path) || profile,
                "{method} {path} is taken for {}",
                found.operation.path
            );
        }
    }
}

#[test]
fn the_page_about_roles_lists_every_operation_in_its_class() {
    let page = include_str!("../../../docs/roles.md");
    for class in Class::ALL {
        let start = format!("| `@{class}` | ");
        let row = page.lines().find(|line| line.starts_with(&start)).unwrap();
        let listed: Vec<&str> = row
            .trim_end_matches(" |")
            .rsplit(" | ")
            .next()
            .unwrap()
            .split(' ')
            .collect();
        assert_eq!(
            listed,
            OperationSet::of(|operation| operation.class == class).names(),
            "{class}"
        );
    }
    for role in built_ins() {
        assert!(
            page.contains(&format!("| `{}` | ", role.name())),
            "{}",
            role.name()
        );
    }
}

#[test]
fn the_role_files_of_deploy_are_roles() {
    for text in [
        include_str!("../../../deploy/roles/restarter.toml"),
        include_str!("../../../deploy/roles/shop.toml"),
    ] {
        let role = Role::check("sample".parse().unwrap(), RoleSpec::from_toml(text).unwrap()).unwrap();
        assert!(role.rules().is_some());
        assert!(!role.operations().names().contains(&"ContainerExec"));
    }
}

#[test]
fn no_path_belongs_to_two_routes() {
    for operation in OPERATIONS {
        for name in ["a", "json", "create", "prune", "get", "search"] {
            let path = operation
                .path
                .replace("{name...}", &format!("x/{name}"))
                .replace("{id}", name);
            let found = find(operation.method, &path).unwrap();
            let literal = !found.path.contains('{');
            assert!(
                std::ptr::eq(found, operation) || literal,
                "{} {path}: {} and {}",
                operation.method,
                found.name,
                operation.name
            );
        }
    }
    let mut names: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        OPERATIONS.len() - names.len(),
        1,
        "only NetworkList has two routes"
    );
}

#[test]
fn names_with_slashes_are_those_of_images_and_plugins() {
    for (method, target, operation) in [
        (
            "GET",
            "/images/registry.example:5000/a/b:1/json",
            Some("ImageInspect"),
        ),
        ("GET", "/images/a%2Fb/json", Some("ImageInspect")),
        ("DELETE", "/v1.41/images/a/b", Some("ImageDelete")),
        ("POST", "/plugins/vieux/sshfs:latest/enable", Some("PluginEnable")),
        ("GET", "/distribution/a/b/json", Some("DistributionInspect")),
        ("GET", "/containers/a/b/json", None),
        ("GET", "/containers/a%2fb/json", None),
        ("GET", "/volumes/a/b", None),
        ("GET", "/containers/json/", None),
        ("GET", "/networks/", Some("NetworkList")),
        ("GET", "/images//json", Some("ImageList")),
        ("GET", "/v1.41.0/containers/json", None),
        ("GET", "/v1/containers/json", None),
        ("GET", "/V1.41/containers/json", None),
        ("GET", "/v1.41/v1.41/containers/json", None),
        ("HEAD", "/containers/json", None),
        ("OPTIONS", "/containers/json", None),
        ("get", "/containers/json", None),
        ("GET", "http://docker/containers/json", None),
        ("GET", "*", None),
    ] {
        let found = Request::classify(method, target).map(|request| request.operation.name);
        assert_eq!(found.ok(), operation, "{method} {target}");
    }
}

#[test]
fn a_viewer_changes_nothing_and_gets_no_file_and_no_secret() {
    let harmful = OPERATIONS
        .iter()
        .filter(|operation| operation.method != "GET" && operation.method != "HEAD");
    for operation in harmful.filter(|operation| operation.name != "ContainerWait") {
        assert!(!allows("viewer", operation.name), "{}", operation.name);
    }
    for name in [
        "ContainerAttachWebsocket",
        "ContainerArchive",
        "ContainerArchiveInfo",
        "ContainerExport",
        "ImageGet",
        "ImageGetAll",
        "ConfigInspect",
        "SecretList",
        "SwarmInspect",
        "SwarmUnlockkey",
        "DistributionInspect",
        "ImageSearch",
        "GetPluginPrivileges",
        "DebugVars",
        "DebugProfile",
    ] {
        assert!(!allows("viewer", name), "{name}");
    }
    for name in [
        "ContainerList",
        "ContainerLogs",
        "SystemEvents",
        "ImageInspect",
        "SystemDataUsage",
    ] {
        assert!(allows("viewer", name), "{name}");
    }
}

#[test]
fn every_built_in_role_lets_docker_say_hello_and_admin_alone_owns_the_host() {
    for role in built_ins() {
        let name = role.name().as_str();
        for greeting in ["SystemPing", "SystemPingHead", "SystemVersion"] {
            assert!(allows(name, greeting), "{name} {greeting}");
        }
        let owns = role
            .operations()
            .iter()
            .any(|operation| operation.class == Class::Host);
        assert_eq!(owns, name == "admin", "{name}");
    }
}

#[test]
fn several_roles_allow_what_one_of_them_allows() {
    let request = Request::classify("POST", "/build").unwrap();
    let both = [role("operator"), role("builder")];
    assert_eq!(decide(both, &request, Body::Unread), Decision::Allowed);
    let create = Request::classify("POST", "/containers/create").unwrap();
    let privileged = Body::Whole(br#"{"Image":"a","HostConfig":{"Privileged":true}}"#);
    assert_eq!(
        decide([role("viewer"), role("deployer")], &create, Body::Unread),
        Decision::NeedsBody
    );
    let refused = decide([role("viewer"), role("deployer")], &create, privileged);
    assert!(
        matches!(refused, Decision::Refused(Refusal::Rules { .. })),
        "{refused:?}"
    );
    assert_eq!(
        decide([role("deployer"), role("admin")], &create, privileged),
        Decision::Allowed
    );
}

#[test]
fn a_refusal_says_which_role_what_and_whom_to_ask() {
    let say = |roles: &[&'static Role], method, target, body| {
        let request = Request::classify(method, target).unwrap();
        match decide(roles.iter().copied(), &request, body) {
            Decision::Refused(refusal) => refusal.in_words("alice", "web-07"),
            other => panic!("{other:?}"),
        }
    };
    let delete = ("DELETE", "/v1.41/containers/db");
    assert_eq!(
        say(&[role("operator")], delete.0, delete.1, Body::Unread),
        r#"role "operator" does not allow ContainerDelete on web-07; ask an admin for role "deployer""#
    );
    assert_eq!(
        say(&[role("viewer"), role("logs")], delete.0, delete.1, Body::Unread),
        r#"roles "viewer" and "logs" do not allow ContainerDelete on web-07; ask an admin for role "deployer""#
    );
    let binds = Body::Whole(br#"{"Image":"a","HostConfig":{"Binds":["/etc:/x"]}}"#);
    assert_eq!(
        say(&[role("deployer")], "POST", "/containers/create", binds),
        r#"role "deployer" does not allow ContainerCreate with a bind of "/etc" on web-07; ask an admin for a role whose rules list it"#
    );
    assert_eq!(
        say(&[], delete.0, delete.1, Body::Unread),
        "alice has no role on web-07; ask an admin for one (dockwarden role bind alice ROLE)"
    );
}

proptest! {
    #[test]
    fn nothing_that_is_sent_panics_or_gets_past_no_role(method in "[A-Z]{3,6}", target in "/?[a-z0-9./%{}?=&;:@-]{0,60}", body in any::<Vec<u8>>()) {
        if let Ok(request) = Request::classify(&method, &target) {
            prop_assert_eq!(decide([], &request, Body::Whole(&body)), Decision::Refused(Refusal::NoRole));
            let _ = decide(built_ins(), &request, Body::Whole(&body));
        }
    }

    /// However a path is spelled, the table sees what the Engine sees: the decoded, cleaned one.
    #[test]
    fn every_spelling_of_a_route_is_that_route(place in 0..OPERATIONS.len(), mask: u64, noise in "(/|/\\.|/x/\\.\\.){0,3}") {
        let operation = &OPERATIONS[place];
        let plain = operation.path.replace("{name...}", "a/b").replace("{id}", "a");
        let spelled: String = plain.bytes().enumerate().map(|(at, byte)| match mask >> (at % 64) & 1 {
            1 => format!("%{byte:02X}"),
            _ => char::from(byte).to_string(),
        }).collect();
        let target = format!("/v1.41{noise}/{spelled}");
        let found = Request::classify(operation.method, &target).unwrap();
        prop_assert_eq!(found.operation.name, find(operation.method, &plain).unwrap().name);
    }

    /// More roles never allow less.
    #[test]
    fn another_role_never_takes_anything_away(place in 0..OPERATIONS.len(), some in prop::collection::vec(0..built_ins().len(), 0..4), more in 0..built_ins().len()) {
        let request = Request { operation: &OPERATIONS[place], query: "", is_form: false };
        let roles: Vec<_> = some.iter().map(|at| &built_ins()[*at]).collect();
        let with = roles.iter().copied().chain([&built_ins()[more]]);
        if decide(roles.iter().copied(), &request, Body::Whole(b"{}")) == Decision::Allowed {
            prop_assert_eq!(decide(with, &request, Body::Whole(b"{}")), Decision::Allowed);
        }
    }
}
