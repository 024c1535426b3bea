//! `dockwarden token`: join tokens.

use clap::{Args, Subcommand};

use super::arguments::Ls;
use super::output::{Column, list, or_dash};
use super::pages::{self, Fetch};
use super::profile::{Connection, ConnectionWithoutProfile};
use super::{Error, World, text};
use crate::base::{Id, Span};
use crate::model::{Approval, IdentityKind, Labels, Permission};
use crate::wire::{PageQuery, TokenRequest, TokenView};

/// Commands of `dockwarden token`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a join token and print it
    #[command(
        after_help = "The token itself goes to standard output and is shown only this once:\n  \
        dockwarden token create --profile host --name 'web-*.fleet.internal' --cidr 10.20.0.0/16 > join.token"
    )]
    Create(Box<Create>),
    /// List tokens (never their secrets)
    Ls(Ls),
    /// Delete tokens; certificates they were spent on stay valid
    Rm(Rm),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What joins with it: host or client
    #[arg(long, value_name = "host|client")]
    profile: IdentityKind,
    /// Name it may claim; `*` stands for any part of one label: web-*.fleet.internal. May be repeated
    #[arg(long = "name", value_name = "PATTERN", required = true)]
    names: Vec<String>,
    /// Addresses a host may put into its certificate: 10.20.0.0/16. May be repeated
    #[arg(long = "cidr", value_name = "CIDR")]
    cidrs: Vec<String>,
    /// Addresses it may be used from [default: anywhere]. May be repeated
    #[arg(long = "source", value_name = "CIDR")]
    sources: Vec<String>,
    /// How many times it can be used
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u32,
    /// How long it can be used
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: Span,
    /// Label for what joins. May be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// What the client may do to Docker
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// What the client may do to the server: viewer, operator or admin
    #[arg(long, value_name = "PERMISSION")]
    permission: Option<Permission>,
    /// An operator approves each use (dockwarden host requests)
    #[arg(long)]
    manual: bool,
    /// May take over a name that is in use
    #[arg(long)]
    replace: bool,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    connection: ConnectionWithoutProfile,
}

/// Arguments of `token rm`.
#[derive(Debug, Args)]
pub struct Rm {
    /// Ids, as `token ls` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Id>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Create(args) => create(*args, world).await,
        Command::Ls(args) => ls(args, world).await,
        Command::Rm(args) => rm(args, world).await,
    }
}

async fn create(args: Create, world: &mut World) -> Result<u8, Error> {
    let labels = Labels::from_pairs(args.labels.iter().map(String::as_str));
    let labels = labels.map_err(|e| Error::Usage(e.to_string()))?;
    if args.profile == IdentityKind::Host && (args.role.is_some() || args.permission.is_some()) {
        return Err(Error::Usage(
            "--role and --permission are for --profile client: a host has neither".into(),
        ));
    }
    let request = TokenRequest {
        profile: args.profile,
        names: args.names,
        cidrs: args.cidrs,
        sources: args.sources,
        uses: Some(args.uses),
        expires_in: Some(args.expires.0.as_secs()),
        labels: labels.pairs().clone(),
        role: args.role,
        permission: args.permission,
        approval: if args.manual {
            Approval::Manual
        } else {
            Approval::Auto
        },
        replace: args.replace,
        reason: args.reason,
    };
    let client = Connection::from(args.connection).client(world).await?;
    let created = client.create_token(&request).await?;
    world.say(&created.token)?;
    for line in summary(&created.view, world.clock.now()) {
        world.note(line);
    }
    Ok(0)
}

/// What the maker should know of a token, in words.
fn summary(token: &TokenView, now: crate::base::Timestamp) -> Vec<String> {
    let uses = if token.uses_max == 1 {
        "once".to_owned()
    } else {
        format!("{} times", token.uses_max)
    };
    let from = if token.sources.is_empty() {
        "anywhere".to_owned()
    } else {
        token.sources.join(", ")
    };
    let mut lines = vec![format!(
        "join token {} for a {} named {}: usable {uses}, until {}, from {from}",
        token.id,
        token.profile,
        token.names.join(" or "),
        text::date(token.expires_at, now)
    )];
    if token.profile == IdentityKind::Host && token.cidrs.is_empty() {
        lines.push("  no --cidr: hosts get no addresses but loopback in their certificates, clients have to use names".into());
    }
    if token.approval == Approval::Manual {
        lines.push("  each use waits for: dockwarden host approve".into());
    }
    if token.profile == IdentityKind::Client && token.role.is_none() {
        lines.push("  no --role: it may do nothing to Docker through a gate until somebody runs: dockwarden role bind NAME ROLE".into());
    }
    lines.push(
        "  it is a secret and shown only this once; withdraw it with: dockwarden token rm ".to_owned()
            + &token.id.to_string(),
    );
    lines
}

async fn ls(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args.list.filters(&["profile", "name", "label"])?;
    let client = args.connection.client(world).await?;
    let matches = |token: &TokenView| {
        filters.iter().all(|(key, value)| match *key {
            "profile" => token.profile.as_str() == *value,
            "name" => token.names.iter().any(|name| name == value),
            _ => token.labels.iter().any(|(k, v)| format!("{k}={v}") == *value),
        })
    };
    let mut tokens = pages::all(|page: PageQuery| {
        let client = &client;
        async move {
            client.tokens(&page).await.map(|l| Fetch {
                items: l.items,
                next: l.next,
            })
        }
    })
    .await?;
    tokens.retain(matches);
    list(world, &args.list, &tokens, |t| t.id.to_string(), COLUMNS)?;
    Ok(0)
}

const COLUMNS: &[Column<TokenView>] = &[
    Column {
        header: "ID",
        cell: |t, _| t.id.to_string(),
    },
    Column {
        header: "PROFILE",
        cell: |t, _| t.profile.to_string(),
    },
    Column {
        header: "NAMES",
        cell: |t, _| t.names.join(","),
    },
    Column {
        header: "USES LEFT",
        cell: |t, _| format!("{}/{}", t.uses_left, t.uses_max),
    },
    Column {
        header: "EXPIRES",
        cell: |t, row| {
            if row.whole {
                t.expires_at.to_string()
            } else {
                text::relative(t.expires_at, row.now)
            }
        },
    },
    Column {
        header: "ROLE",
        cell: |t, _| or_dash(t.role.clone()),
    },
    Column {
        header: "BY",
        cell: |t, _| t.created_by.clone(),
    },
    Column {
        header: "REASON",
        cell: |t, _| or_dash(Some(super::output::printable(&t.reason))),
    },
];

async fn rm(args: Rm, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    for id in &args.ids {
        client.delete_token(id).await?;
        world.say(id.to_string())?;
    }
    Ok(0)
}
