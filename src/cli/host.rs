//! `dockwarden host`: hosts, and enrolments that wait for an operator.

use clap::{Args, Subcommand};

use super::arguments::{Ls, Named};
use super::output::{Column, Row, list, or_dash, printable};
use super::pages::{self, Fetch};
use super::profile::Connection;
use super::{Error, World, text};
use crate::base::Id;
use crate::client::Client;
use crate::model::{IdentityKind, Serving};
use crate::wire::{HostView, PageQuery, RequestView};

/// Commands of `dockwarden host`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List hosts
    Ls(Ls),
    /// Show everything about hosts, as JSON
    Inspect(Named),
    /// List enrolments of hosts and clients that wait for approval
    Requests(Ls),
    /// Approve enrolments: compare KEY with what the joining side prints first
    Approve(Decide),
    /// Deny enrolments, for good
    Deny(Decide),
    /// Revoke all certificates of a host, for good: it may not talk to the server any more, and has to join anew
    Revoke(Revoke),
}

/// Arguments of `host revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    options: super::revoke::Options,
}

/// Arguments of `host approve` and `host deny`.
#[derive(Debug, Args)]
pub struct Decide {
    /// Ids as `host requests` shows them, or names that exactly one request asks for
    #[arg(required = true, value_name = "ID|NAME")]
    requests: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Ls(args) => ls(args, world).await,
        Command::Inspect(args) => inspect(args, world).await,
        Command::Requests(args) => requests(args, world).await,
        Command::Approve(args) => decide(args, true, world).await,
        Command::Deny(args) => decide(args, false, world).await,
        Command::Revoke(args) => args.options.revoke(&args.name, IdentityKind::Host, world).await,
    }
}

/// Every host the caller may see.
pub async fn all(client: &Client) -> Result<Vec<HostView>, Error> {
    pages::all(|page: PageQuery| async move {
        client.hosts(&page).await.map(|l| Fetch {
            items: l.items,
            next: l.next,
        })
    })
    .await
}

async fn ls(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args.list.filters(&["name", "label", "healthy", "certificate"])?;
    let mut hosts = all(&args.connection.client(world).await?).await?;
    hosts.retain(|host| {
        filters.iter().all(|(key, value)| match *key {
            "name" => host.name == *value,
            "certificate" => is_certificate(host, value),
            "label" => host.labels.iter().any(|(k, v)| format!("{k}={v}") == *value),
            _ => health(host) == *value || host.healthy.map(|h| h.to_string()).as_deref() == Some(value),
        })
    });
    list(world, &args.list, &hosts, |h| h.name.clone(), COLUMNS)?;
    Ok(0)
}

/// `--filter certificate=restart-pending`, however the words are joined.
fn is_certificate(host: &HostView, wanted: &str) -> bool {
    let plain = |text: &str| text.replace(['-', '_'], " ");
    host.serving.map(|serving| serving.to_string()) == Some(plain(wanted))
}

fn health(host: &HostView) -> &'static str {
    match host.healthy {
        Some(true) => "healthy",
        Some(false) => "unhealthy",
        None => "unknown",
    }
}

const COLUMNS: &[Column<HostView>] = &[
    Column {
        header: "NAME",
        cell: |h, _| h.name.clone(),
    },
    Column {
        header: "HEALTH",
        cell: |h, _| health(h).to_owned(),
    },
    Column {
        header: "ENDPOINT",
        cell: |h, _| or_dash(h.endpoints.first().map(|e| printable(e))),
    },
    Column {
        header: "SERVES UNTIL",
        cell: |h, row| or_dash(h.served_not_after.map(|t| time(t, row))),
    },
    Column {
        header: "ISSUED UNTIL",
        cell: |h, row| or_dash(h.issued_not_after.map(|t| time(t, row))),
    },
    Column {
        header: "CERTIFICATE",
        cell: |h, row| {
            or_dash(
                h.serving
                    .map(|serving| certificate(serving, h.serving_reason.as_deref(), row)),
            )
        },
    },
    Column {
        header: "LAST SEEN",
        cell: |h, row| or_dash(h.last_seen.map(|t| time(t, row))),
    },
    Column {
        header: "LABELS",
        cell: |h, _| {
            or_dash(Some(
                h.labels
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect::<Vec<_>>()
                    .join(","),
            ))
        },
    },
];

/// `restart pending (OutsideWindow)`: the reason's word alone, the sentence behind it when everything is wanted.
fn certificate(serving: Serving, reason: Option<&str>, row: &Row) -> String {
    let word = |reason: &str| reason.split(':').next().unwrap_or_default().to_owned();
    let reason = reason.map(|reason| {
        if row.whole {
            reason.to_owned()
        } else {
            word(reason)
        }
    });
    match reason {
        Some(reason) => format!("{serving} ({})", printable(&reason)),
        None => serving.to_string(),
    }
}

fn time(time: crate::base::Timestamp, row: &Row) -> String {
    if row.whole {
        time.to_string()
    } else {
        text::relative(time, row.now)
    }
}

async fn inspect(args: Named, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let mut hosts = Vec::new();
    for name in &args.names {
        hosts.push(client.host(name).await?);
    }
    world.say(serde_json::to_string_pretty(&hosts).expect("wire types are always JSON"))?;
    Ok(0)
}

async fn waiting(client: &Client) -> Result<Vec<RequestView>, Error> {
    pages::all(|page: PageQuery| async move {
        client.requests(&page).await.map(|l| Fetch {
            items: l.items,
            next: l.next,
        })
    })
    .await
}

async fn requests(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args.list.filters(&["name", "profile", "state"])?;
    let mut requests = waiting(&args.connection.client(world).await?).await?;
    requests.retain(|request| {
        filters.iter().all(|(key, value)| match *key {
            "name" => request.name == *value,
            "profile" => request.profile.as_str() == *value,
            _ => request.state == *value,
        })
    });
    list(
        world,
        &args.list,
        &requests,
        |r| r.id.to_string(),
        REQUEST_COLUMNS,
    )?;
    Ok(0)
}

const REQUEST_COLUMNS: &[Column<RequestView>] = &[
    Column {
        header: "ID",
        cell: |r, _| r.id.to_string(),
    },
    Column {
        header: "PROFILE",
        cell: |r, _| r.profile.to_string(),
    },
    Column {
        header: "NAME",
        cell: |r, _| r.name.clone(),
    },
    Column {
        header: "KEY",
        cell: |r, row| key(&r.spki_sha256, row.whole),
    },
    Column {
        header: "NAMES",
        cell: |r, _| or_dash(Some(r.sans.join(","))),
    },
    Column {
        header: "FROM",
        cell: |r, _| or_dash(r.source.clone()),
    },
    Column {
        header: "ASKED",
        cell: |r, row| time(r.created_at, row),
    },
    Column {
        header: "STATE",
        cell: |r, _| printable(&r.state),
    },
];

/// A key's SHA-256 as people compare it: the first 16 digits, in fours.
pub fn key(sha256: &str, whole: bool) -> String {
    if whole {
        return sha256.to_owned();
    }
    let digits: Vec<char> = sha256.chars().take(16).collect();
    digits
        .chunks(4)
        .map(|four| four.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

async fn decide(args: Decide, approve: bool, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let mut known = None;
    for reference in &args.requests {
        let id = match reference.parse::<Id>() {
            Ok(id) => id,
            Err(_) => {
                if known.is_none() {
                    known = Some(waiting(&client).await?);
                }
                by_name(known.as_deref().unwrap_or_default(), reference)?
            }
        };
        let decided = if approve {
            client.approve(&id).await?
        } else {
            client.deny(&id).await?
        };
        world.say(format!("{reference}  {}", printable(&decided.state)))?;
    }
    Ok(0)
}

fn by_name(requests: &[RequestView], name: &str) -> Result<Id, Error> {
    let fits: Vec<_> = requests
        .iter()
        .filter(|r| r.name == name && r.state == "pending")
        .collect();
    match fits.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Error::Found(format!(
            "no enrolment that waits has the id or name {name:?}\n  dockwarden host requests lists them."
        ))),
        several => Err(Error::Found(format!(
            "{} enrolments ask for the name {name:?}: name the one you mean by its id, after comparing KEY\n  dockwarden host requests lists them.",
            several.len()
        ))),
    }
}
