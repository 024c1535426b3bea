//! The roles that are there without anybody writing them. Their names cannot be given to others.

use std::sync::LazyLock;

use super::rules::BodyRules;
use super::spec::{Role, RoleName, RoleSpec};

/// Every built-in role, from the least to the most that it allows.
pub fn built_ins() -> &'static [Role] {
    static ALL: LazyLock<Vec<Role>> = LazyLock::new(|| ROWS.iter().map(role).collect());
    &ALL
}

/// A built-in role by name.
pub fn built_in(name: &RoleName) -> Option<&'static Role> {
    built_ins().iter().find(|role| role.name() == name)
}

/// What `docker` asks before anything else, whatever the command.
const GREETING: [&str; 3] = ["SystemPing", "SystemPingHead", "SystemVersion"];

/// A built-in role: name, description, operations besides the greeting, and whether the strictest rules hold.
type Row = (&'static str, &'static str, &'static [&'static str], bool);

const ROWS: &[Row] = &[
    (
        "metrics",
        "for a monitoring program: how the Engine and its containers do",
        &[
            "SystemInfo",
            "SystemDataUsage",
            "SystemEvents",
            "ContainerList",
            "ContainerStats",
        ],
        false,
    ),
    (
        "logs",
        "finds containers and services, and reads what they print",
        &[
            "@logs",
            "ContainerList",
            "ContainerInspect",
            "ServiceList",
            "ServiceInspect",
            "TaskList",
            "TaskInspect",
            "NodeList",
            "NodeInspect",
        ],
        false,
    ),
    (
        "viewer",
        "sees everything and changes nothing, logs included",
        &["@read", "@logs"],
        false,
    ),
    (
        "operator",
        "viewer, and starts, stops, signals and enters what is there",
        &["@read", "@logs", "@run", "@exec"],
        true,
    ),
    (
        "builder",
        "builds, pulls and pushes images",
        &[
            "SystemInfo",
            "SystemDataUsage",
            "SystemEvents",
            "ImageList",
            "ImageInspect",
            "ImageHistory",
            "@images",
            "@build",
            "@registry",
        ],
        false,
    ),
    (
        "deployer",
        "operator, and makes and removes containers, volumes, networks and images, nothing of the host in them",
        &[
            "@read",
            "@logs",
            "@run",
            "@exec",
            "@files",
            "@create",
            "@images",
            "@registry",
        ],
        true,
    ),
    ("admin", "everything: root on the host", &["*"], false),
];

fn role((name, description, allow, ruled): &Row) -> Role {
    let spec = RoleSpec {
        description: (*description).to_owned(),
        allow: GREETING
            .iter()
            .chain(*allow)
            .map(|entry| (*entry).to_owned())
            .collect(),
        deny: Vec::new(),
        rules: ruled.then(BodyRules::default),
    };
    let name = name.parse().expect("built-in names are names");
    Role::check(name, spec).expect("built-in roles are checked by a test")
}
