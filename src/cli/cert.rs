//! `dockwarden cert`: certificates that were issued.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::{Column, ListArgs, Row, list_as};
use super::pages::{self, Fetch};
use super::profile::Connection;
use super::{Error, World, revoke, text};
use crate::base::limits::PEM_BYTES_MAX;
use crate::client::{self, Client};
use crate::model::{CertificateStatus, IdentityKind};
use crate::pki::{RevocationReason, Serial, SerialError};
use crate::wire::{
    CertificateDetail, CertificateQuery, CertificateView, Code, PageQuery, RevokeRequest, RevokeShown,
    Revoked,
};

/// Commands of `dockwarden cert`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List certificates, those that expire first on top
    #[command(
        after_help = "Filters: name=web-01 (an identity, or any name or address in a certificate), status=valid|superseded|expired|revoked,\n\
        expires-within=30d, profile=host|client, host=web-01, serial=4f... Without a status and without -a only certificates in use are shown."
    )]
    Ls(Ls),
    /// Show everything about certificates, as JSON
    Inspect(Inspect),
    /// Revoke certificates, for good: no host accepts them any more
    #[command(
        after_help = "A serial is read as hex, with or without colons, and when there is no such certificate and it has digits alone, as decimal.\n\n  \
        dockwarden cert revoke 4f:a1:... --reason keyCompromise\n  dockwarden cert revoke --file leaked.pem\n  dockwarden cert revoke --identity ci-deploy --wait 30s"
    )]
    Revoke(Revoke),
}

/// Arguments of `cert ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// Also those that were replaced, have expired or were revoked
    #[arg(short, long)]
    all: bool,
    /// Whole serials
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `cert inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A serial, its first digits, or the name of a host or client (its newest certificate)
    #[arg(required = true, value_name = "SERIAL|NAME")]
    certificates: Vec<String>,
    /// Print the certificate itself, PEM
    #[arg(long)]
    pem: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `cert revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    #[command(flatten)]
    target: Target,
    /// With --identity: whether the host or the client of that name
    #[arg(long, value_name = "host|client", requires = "identity")]
    kind: Option<IdentityKind>,
    #[command(flatten)]
    options: revoke::Options,
}

/// Which certificate; exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Its serial
    #[arg(value_name = "SERIAL")]
    serial: Option<String>,
    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    /// The certificate itself, PEM; also one that the server has no record of
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// All certificates of a host or client
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Ls(args) => ls(args, world).await,
        Command::Inspect(args) => inspect(args, world).await,
        Command::Revoke(args) => revoke(args, world).await,
    }
}

async fn ls(args: Ls, world: &mut World) -> Result<u8, Error> {
    let query = query(&args)?;
    let client = args.connection.client(world).await?;
    let certificates = fetch(&client, &query).await?;
    let row = Row {
        now: world.clock.now(),
        whole: args.no_trunc,
    };
    list_as(
        world,
        &args.list,
        row,
        &certificates,
        |c| c.serial.to_string(),
        COLUMNS,
    )?;
    Ok(0)
}

fn query(args: &Ls) -> Result<CertificateQuery, Error> {
    let known = ["name", "status", "expires-within", "profile", "host", "serial"];
    let mut query = CertificateQuery::default();
    for (key, value) in args.list.filters(&known)? {
        let field = match key {
            "name" => &mut query.name,
            "status" => &mut query.status,
            "expires-within" => &mut query.expires_within,
            "profile" => &mut query.profile,
            "host" => &mut query.host,
            _ => &mut query.serial,
        };
        // Docker's habit: the same key twice means either. Only statuses can be listed.
        *field = Some(match field.take() {
            Some(before) if key == "status" => format!("{before},{value}"),
            Some(_) => return Err(Error::Usage(format!("--filter {key}=... is given twice"))),
            None => value.to_owned(),
        });
    }
    if query.status.is_none() && query.serial.is_none() && !args.all {
        query.status = Some(CertificateStatus::Valid.to_string());
    }
    Ok(query)
}

async fn fetch(client: &Client, query: &CertificateQuery) -> Result<Vec<CertificateView>, Error> {
    pages::all(|page: PageQuery| {
        let query = CertificateQuery {
            limit: page.limit,
            cursor: page.cursor,
            ..query.clone()
        };
        async move {
            client.certificates(&query).await.map(|l| Fetch {
                items: l.items,
                next: l.next,
            })
        }
    })
    .await
}

const COLUMNS: &[Column<CertificateView>] = &[
    Column {
        header: "SERIAL",
        cell: |c, row| serial(&c.serial, row.whole),
    },
    Column {
        header: "NAME",
        cell: |c, _| c.name.clone(),
    },
    Column {
        header: "PROFILE",
        cell: |c, _| c.profile.to_string(),
    },
    Column {
        header: "STATUS",
        cell: |c, _| c.status.to_string(),
    },
    Column {
        header: "EXPIRES",
        cell: |c, row| {
            if row.whole {
                c.not_after.to_string()
            } else {
                text::relative(c.not_after, row.now)
            }
        },
    },
    Column {
        header: "NAMES",
        cell: |c, _| c.sans.join(","),
    },
];

/// Like Docker's container ids: twelve characters, enough to name it again.
fn serial(serial: &Serial, whole: bool) -> String {
    let mut text = serial.to_string();
    if !whole {
        text.truncate(12);
    }
    text
}

async fn inspect(args: Inspect, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let mut details = Vec::new();
    for reference in &args.certificates {
        details.push(find(&client, reference).await?);
    }
    if args.pem {
        return details
            .iter()
            .try_for_each(|d| world.say(d.pem.trim_end()))
            .map(|()| 0);
    }
    world.say(serde_json::to_string_pretty(&details).expect("wire types are always JSON"))?;
    Ok(0)
}

/// A whole serial is asked for directly; anything else is looked for in the list.
async fn find(client: &Client, reference: &str) -> Result<CertificateDetail, Error> {
    if let Ok(serial) = reference.parse::<Serial>()
        && serial.to_string().len() >= 32
    {
        return Ok(client.certificate(&serial).await?);
    }
    let named = CertificateQuery {
        name: Some(reference.to_owned()),
        ..Default::default()
    };
    let named = fetch(client, &named).await?;
    if let Some(newest) = named
        .iter()
        .filter(|c| c.name == reference)
        .max_by_key(|c| c.not_before)
    {
        return Ok(client.certificate(&newest.serial).await?);
    }
    let everything = fetch(client, &CertificateQuery::default()).await?;
    match everything
        .iter()
        .filter(|c| matches(&c.serial, reference))
        .collect::<Vec<_>>()
        .as_slice()
    {
        [one] => Ok(client.certificate(&one.serial).await?),
        [] => Err(Error::Found(format!(
            "there is no certificate with serial or name {reference:?}\n  dockwarden cert ls -a lists all of them."
        ))),
        several => Err(Error::Found(format!(
            "{reference:?} fits {} certificates: write more digits of the serial (dockwarden cert ls -a --no-trunc)",
            several.len()
        ))),
    }
}

/// `4fa1`, the first digits; or `4f…a1`, as messages shorten it.
fn matches(serial: &Serial, reference: &str) -> bool {
    let (whole, reference) = (
        serial.to_string(),
        reference.to_ascii_lowercase().replace(':', ""),
    );
    match reference.split_once('…').or_else(|| reference.split_once("..")) {
        Some((head, tail)) => whole.starts_with(head) && whole.ends_with(tail),
        None => whole.starts_with(&reference),
    }
}

async fn revoke(args: Revoke, world: &mut World) -> Result<u8, Error> {
    let client = args.options.connection.client(world).await?;
    let reason = args.options.reason;
    let Target {
        serial,
        fingerprint,
        file,
        identity,
    } = args.target;
    let revoked = if let Some(name) = identity {
        args.options.confirm(&format!("all certificates of {name}"))?;
        let request = RevokeRequest {
            reason,
            profile: args.kind,
        };
        client.revoke_identity(&name, &request).await?
    } else if let Some(text) = serial {
        args.options.confirm(&format!("certificate {text}"))?;
        revoke_serial(&client, &text, reason).await?
    } else {
        let certificate = file
            .map(|path| world.files.read_text(&path, PEM_BYTES_MAX))
            .transpose()?;
        args.options.confirm("this certificate")?;
        let request = RevokeShown {
            reason,
            fingerprint_sha256: fingerprint.map(|print| digits_of(&print)),
            certificate,
        };
        client.revoke_shown(&request).await?
    };
    args.options.report(&client, &revoked, world).await?;
    Ok(0)
}

/// `sha256 Fingerprint=AA:BB:...`: what OpenSSL prints may be pasted whole.
fn digits_of(fingerprint: &str) -> String {
    let digits = fingerprint
        .rsplit_once('=')
        .map_or(fingerprint, |(_, digits)| digits);
    digits.trim().to_owned()
}

/// Digits alone may be hex or decimal: what exists decides, hex first.
async fn revoke_serial(client: &Client, text: &str, reason: RevocationReason) -> Result<Revoked, Error> {
    let request = RevokeRequest {
        reason,
        profile: None,
    };
    let plain = text.strip_prefix("0x").unwrap_or(text);
    let (hex, decimal) = (plain.parse::<Serial>(), Serial::from_decimal(text));
    let attempts: Vec<Serial> = hex.into_iter().chain(decimal).collect();
    let mut refusal = None;
    for serial in attempts {
        match client.revoke_serial(&serial, &request).await {
            Ok(revoked) => return Ok(revoked),
            Err(error) if is_not_found(&error) => refusal = refusal.or(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refusal.map_or_else(|| Error::Usage(format!("{text:?}: {SerialError}")), Error::from))
}

fn is_not_found(error: &client::Error) -> bool {
    matches!(error, client::Error::Problem { problem, .. } if problem.code == Code::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_taken_as_openssl_prints_it() {
        assert_eq!(digits_of("sha256 Fingerprint=AA:BB\n"), "AA:BB");
        assert_eq!(digits_of("aabb"), "aabb");
    }

    #[test]
    fn a_serial_is_found_by_every_form_it_is_shown_in() {
        let serial: Serial = "4f0102030405060708090a0b0c0d0ea1".parse().unwrap();
        for reference in [
            "4f01",
            "4F:01:02",
            "4f…a1",
            "4f..a1",
            &super::serial(&serial, false),
            &serial.short(),
        ] {
            assert!(matches(&serial, reference), "{reference}");
        }
        for reference in ["5f", "4f…a2", "01"] {
            assert!(!matches(&serial, reference), "{reference}");
        }
    }
}
