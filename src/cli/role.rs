//! `dockwarden role`: what clients may do to Docker, and who may where.

mod applied;
mod learn;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::arguments::{Ls, Named};
use super::output::{Column, list, or_dash, printable};
use super::profile::Connection;
use super::waiting::Wait;
use super::{Error, World, text};
use crate::model::role::{RoleSpec, parse_selector};
use crate::wire::{BindingQuery, BindingRequest, BindingView, RoleRequest, RoleView};

/// The largest role file.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// Commands of `dockwarden role`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List roles
    Ls(Ls),
    /// Show what a role allows, and who has it where
    Inspect(Named),
    /// Write a role from a file
    #[command(
        after_help = "The file (TOML, YAML or JSON) names operations of the Engine's API, see docs/roles.md:\n  \
        allow = [\"@read\", \"@logs\", \"ContainerRestart\"]"
    )]
    Create(Create),
    /// Remove roles that nobody has
    Rm(Named),
    /// Give a client a role: everywhere, or on the hosts with these labels
    #[command(after_help = "  dockwarden role bind alice operator tier=web,zone=a")]
    Bind(Bind),
    /// Take a role from a client, and close its open connections
    Unbind(Bind),
    /// Print the role that would allow exactly what a client was seen to use on this host
    #[command(after_help = "Needs learn = true in agent.toml, and root:\n  \
        dockwarden role learn ci --since 1h > ci.toml")]
    Learn(learn::Learn),
}

/// Arguments of `role create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name
    name: String,
    /// What it allows: a file that ends in .toml, .yaml, .yml or .json
    #[arg(short, long, value_name = "PATH")]
    file: PathBuf,
    /// Replace a role of this name
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `role bind` and `role unbind`.
#[derive(Debug, Args)]
pub struct Bind {
    /// The client
    client: String,
    /// The role
    role: String,
    /// Labels that a host must have: tier=web,zone=a [default: every host]
    #[arg(value_name = "LABELS", default_value = "", hide_default_value = true)]
    hosts: String,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Ls(args) => ls(args, world).await,
        Command::Inspect(args) => inspect(args, world).await,
        Command::Create(args) => create(args, world).await,
        Command::Rm(args) => rm(args, world).await,
        Command::Bind(args) => bind(args, world).await,
        Command::Unbind(args) => unbind(args, world).await,
        Command::Learn(args) => learn::run(&args, world),
    }
}

async fn ls(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args.list.filters(&["name", "operation"])?;
    let client = args.connection.client(world).await?;
    let answer = client.roles().await?;
    if let Some(restored) = &answer.restored {
        let lines = applied::restored(restored, world.clock.now());
        lines.iter().for_each(|line| world.warn(printable(line)));
    }
    let mut roles = answer.items;
    roles.retain(|role| {
        filters.iter().all(|(key, value)| match *key {
            "name" => role.name == *value,
            _ => role.operations.iter().any(|operation| operation == value),
        })
    });
    list(world, &args.list, &roles, |role| role.name.clone(), COLUMNS)?;
    Ok(0)
}

const COLUMNS: &[Column<RoleView>] = &[
    Column {
        header: "NAME",
        cell: |role, _| role.name.clone(),
    },
    Column {
        header: "OPERATIONS",
        cell: |role, _| role.operations.len().to_string(),
    },
    Column {
        header: "RULES",
        cell: |role, _| if role.role.rules.is_some() { "yes" } else { "no" }.to_owned(),
    },
    Column {
        header: "BINDINGS",
        cell: |role, _| role.bindings.to_string(),
    },
    Column {
        header: "CHANGED",
        cell: |role, row| match (role.built_in, role.changed_at) {
            (false, Some(at)) => text::relative(at, row.now),
            _ => "built in".to_owned(),
        },
    },
    Column {
        header: "DESCRIPTION",
        cell: |role, _| or_dash(Some(printable(&role.role.description)).filter(|text| !text.is_empty())),
    },
];

/// A role with who has it.
#[derive(serde::Serialize)]
struct Inspected {
    #[serde(flatten)]
    role: RoleView,
    bound: Vec<BindingView>,
}

async fn inspect(args: Named, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let (roles, bindings) = (client.roles().await?.items, client.bindings().await?.items);
    let mut found = Vec::new();
    for name in &args.names {
        let role = roles.iter().find(|role| role.name == *name);
        let role = role
            .ok_or_else(|| Error::Found(format!("there is no role {name}: dockwarden role ls shows all")))?;
        let bound = bindings.iter().filter(|binding| binding.role == *name);
        found.push(Inspected {
            role: role.clone(),
            bound: bound.cloned().collect(),
        });
    }
    let text = serde_json::to_string_pretty(&found).expect("maps by string are always JSON");
    world.say(text)?;
    Ok(0)
}

async fn create(args: Create, world: &mut World) -> Result<u8, Error> {
    let path = world.absolute(&args.file)?;
    let text = world.files.read_text(&path, FILE_BYTES_MAX)?;
    let role = read(&path, &text).map_err(|why| Error::Found(format!("{}: {why}", path.display())))?;
    let request = RoleRequest {
        name: args.name,
        role,
        replace: args.replace,
    };
    let client = args.connection.client(world).await?;
    let outcome = client.put_role(&request).await?;
    world.say(&request.name)?;
    if !outcome.changed {
        world.note("  it was like that before");
    }
    applied::report(&client, args.wait, world).await?;
    Ok(0)
}

/// A role file, by the ending of its name.
fn read(path: &Path, text: &str) -> Result<RoleSpec, String> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
        Some("json") => serde_json::from_str(text).map_err(|error| error.to_string()),
        Some("toml") => RoleSpec::from_toml(text).map_err(|error| error.to_string()),
        _ => Err("a role file ends in .toml, .yaml, .yml or .json".to_owned()),
    }
}

async fn rm(args: Named, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    for name in &args.names {
        client.remove_role(name).await?;
        world.say(name)?;
    }
    Ok(0)
}

async fn bind(args: Bind, world: &mut World) -> Result<u8, Error> {
    let hosts = parse_selector(&args.hosts).map_err(|error| Error::Usage(error.to_string()))?;
    let request = BindingRequest {
        client: args.client,
        role: args.role,
        hosts: hosts.pairs().clone(),
    };
    let client = args.connection.client(world).await?;
    let outcome = client.bind_role(&request).await?;
    world.say(format!("{} {}{}", request.client, request.role, on(&args.hosts)))?;
    if !outcome.changed {
        world.note("  it was so before");
    }
    applied::report(&client, args.wait, world).await?;
    Ok(0)
}

async fn unbind(args: Bind, world: &mut World) -> Result<u8, Error> {
    parse_selector(&args.hosts).map_err(|error| Error::Usage(error.to_string()))?;
    let query = BindingQuery {
        client: args.client,
        role: args.role,
        hosts: Some(args.hosts.clone()).filter(|hosts| !hosts.is_empty()),
    };
    let client = args.connection.client(world).await?;
    client.unbind_role(&query).await?;
    world.say(format!("{} {}{}", query.client, query.role, on(&args.hosts)))?;
    applied::report(&client, args.wait, world).await?;
    Ok(0)
}

fn on(hosts: &str) -> String {
    match hosts {
        "" => String::new(),
        hosts => format!(" on {hosts}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_file_says_the_same_in_three_languages() {
        let toml = "description = 'd'\nallow = ['@read']\n[rules]\nbinds = ['/srv/app']\nprivileged = true\n";
        let yaml = "description: d\nallow: ['@read']\nrules:\n  binds:\n    - /srv/app\n  privileged: true\n";
        let json =
            r#"{"description":"d","allow":["@read"],"rules":{"binds":["/srv/app"],"privileged":true}}"#;
        let [toml, yaml, json] = [("r.toml", toml), ("r.yaml", yaml), ("r.json", json)]
            .map(|(name, text)| read(Path::new(name), text).unwrap());
        assert_eq!((&toml, &toml), (&yaml, &json));
    }

    #[test]
    fn a_key_that_is_unknown_or_comes_twice_is_refused_in_every_language() {
        for (name, text) in [
            ("r.toml", "allow = ['@read']\nalow = []\n"),
            ("r.yaml", "allow: ['@read']\nalow: []\n"),
            ("r.json", r#"{"allow":["@read"],"alow":[]}"#),
            ("r.toml", "allow = ['@read']\nallow = ['*']\n"),
            ("r.yaml", "allow: ['@read']\nallow: ['*']\n"),
            ("r.json", r#"{"allow":["@read"],"allow":["*"]}"#),
            ("r.yaml", "allow: ['@read']\n---\nallow: ['*']\n"),
            ("r.txt", "allow = ['@read']"),
        ] {
            assert!(read(Path::new(name), text).is_err(), "{name}: {text}");
        }
    }
}
