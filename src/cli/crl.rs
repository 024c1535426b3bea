//! `dockwarden crl`: the lists of revoked certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::profile::Connection;
use super::{Error, World};
use crate::base::Timestamp;
use crate::base::limits::CRL_BYTES_MAX;
use crate::pki::crl::Crl;
use crate::pki::{RevocationReason, Serial};

/// Commands of `dockwarden crl`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch the list of an issuer
    Get(Get),
    /// Show what a list says, as JSON
    Inspect(Inspect),
    /// After a restoration: publish lists without waiting for more hosts to say what was lost (admin)
    Settle(Settle),
}

/// Whose list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Whose {
    /// Certificates of hosts
    Hosts,
    /// Certificates of clients
    Clients,
    /// The issuers themselves
    Root,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Clients => "clients",
            Self::Root => "root",
        }
    }
}

/// Arguments of `crl get`.
#[derive(Debug, Args)]
pub struct Get {
    /// Whose list
    #[arg(value_enum)]
    issuer: Whose,
    /// DER instead of PEM; needs --output
    #[arg(long, requires = "output")]
    der: bool,
    /// Write it to this file, replacing it at once and whole
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `crl inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Whose list to fetch
    #[arg(value_enum, required_unless_present = "file", conflicts_with = "file")]
    issuer: Option<Whose>,
    /// A list that is in a file, PEM or DER
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `crl settle`.
#[derive(Debug, Args)]
pub struct Settle {
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Get(args) => get(args, world).await,
        Command::Inspect(args) => inspect(args, world).await,
        Command::Settle(args) => settle(args, world).await,
    }
}

fn parsed(bytes: Vec<u8>) -> Result<Crl, Error> {
    Crl::parse_pem_or_der(bytes).map_err(|e| Error::Found(e.to_string()))
}

async fn get(args: Get, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let crl = parsed(client.crl(args.issuer.name()).await?)?;
    let pem = crl.pem();
    let Some(path) = &args.output else {
        return world.say(pem.trim_end()).map(|()| 0);
    };
    let bytes: &[u8] = if args.der { crl.der() } else { pem.as_bytes() };
    world.files.write_public(path, bytes)?;
    world.note(format!(
        "{} written: number {}, {} certificates, good until {}",
        path.display(),
        crl.number,
        crl.entry_count,
        crl.next_update
    ));
    Ok(0)
}

/// A list as `crl inspect` shows it.
#[derive(Serialize)]
struct Shown {
    issuer: String,
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    expired: bool,
    certificates: usize,
    revoked: Vec<ShownEntry>,
}

#[derive(Serialize)]
struct ShownEntry {
    serial: Serial,
    revoked_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<RevocationReason>,
}

async fn inspect(args: Inspect, world: &mut World) -> Result<u8, Error> {
    let bytes = match (&args.file, args.issuer) {
        (Some(path), _) => world.files.read(path, CRL_BYTES_MAX)?,
        (None, issuer) => {
            let issuer = issuer.expect("clap requires one of the two");
            args.connection.client(world).await?.crl(issuer.name()).await?
        }
    };
    let crl = parsed(bytes)?;
    let entries = crl.entries().map(|entry| ShownEntry {
        serial: entry.to_serial(),
        revoked_at: entry.revoked_at,
        reason: entry.reason(),
    });
    let shown = Shown {
        issuer: crl.issuer_text(),
        number: crl.number,
        this_update: crl.this_update,
        next_update: crl.next_update,
        expired: crl.is_stale_at(world.clock.now()),
        certificates: crl.entry_count,
        revoked: entries.collect(),
    };
    world.say(serde_json::to_string_pretty(&shown).expect("strings and numbers are always JSON"))?;
    Ok(0)
}

async fn settle(args: Settle, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    match client.settle_feed().await?.settled {
        true => world
            .say("settled: revocations that no host has given back are lost, and CRLs are published again")?,
        false => world.say("there is nothing to settle")?,
    }
    Ok(0)
}
