//! `dockwarden audit`: what happened, and whether the log of it is whole.

use std::io::IsTerminal;

use clap::{Args, Subcommand};

use super::output::{Column, ListArgs, list, or_dash, printable};
use super::profile::Connection;
use super::{Error, World};
use crate::base::limits::PAGE_MAX;
use crate::base::{Span, Timestamp, encoding};
use crate::client::Client;
use crate::model::audit::{Chain, ChainError, Checkpoint, Record};
use crate::wire::{AuditQuery, AuditView};

/// Commands of `dockwarden audit`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what happened, the newest last
    Ls(Ls),
    /// Check every record from the first on: none changed, none missing
    #[command(
        after_help = "Exits with 1 when the log is broken. Note the head down elsewhere: with --expect a log that was\n\
        cut off or written anew is found too."
    )]
    Verify(Verify),
}

/// Arguments of `audit ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// How far back [default: the newest 100 records]
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// How many records at most
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A head that was printed earlier: record number and hash
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_head)]
    expect: Option<(u64, String)>,
    #[command(flatten)]
    connection: Connection,
}

fn parse_head(head: &str) -> Result<(u64, String), String> {
    let parsed = head.split_once(':').and_then(|(number, hash)| {
        let whole = encoding::hex_decode(hash).is_some_and(|h| h.len() == 32);
        Some((number.parse().ok()?, hash.to_ascii_lowercase())).filter(|_| whole)
    });
    parsed.ok_or_else(|| "expected NUMBER:HASH as audit verify prints it".to_owned())
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Ls(args) => ls(args, world).await,
        Command::Verify(args) => verify(args, world).await,
    }
}

async fn ls(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args
        .list
        .filters(&["identity", "serial", "token", "subject", "action", "outcome"])?;
    let now = world.clock.now();
    let limit = args.limit.unwrap_or(if args.since.is_some() {
        super::pages::ITEMS_MAX
    } else {
        100
    });
    let earliest = args.since.map(|since| now - since.0);
    let subject =
        |(key, value): &(&str, &str)| (!matches!(*key, "action" | "outcome")).then(|| (*value).to_owned());
    let query = AuditQuery {
        subject: filters.iter().find_map(subject),
        limit: Some(PAGE_MAX),
        ..Default::default()
    };
    if filters.iter().filter_map(subject).count() > 1 {
        return Err(Error::Usage(
            "--filter: one of identity=, serial=, token= and subject= at a time".into(),
        ));
    }
    let matches = |record: &AuditView| {
        filters.iter().all(|(key, value)| match *key {
            "action" => record.action == *value,
            "outcome" => record.outcome.split(':').next() == Some(value),
            _ => true,
        })
    };
    let client = args.connection.client(world).await?;
    let mut records = newest(&client, query, earliest, limit, matches).await?;
    records.reverse();
    list(world, &args.list, &records, |r| r.seq.to_string(), COLUMNS)?;
    Ok(0)
}

/// The newest matching records, newest first, back to `earliest`.
async fn newest(
    client: &Client,
    mut query: AuditQuery,
    earliest: Option<Timestamp>,
    limit: usize,
    matches: impl Fn(&AuditView) -> bool,
) -> Result<Vec<AuditView>, Error> {
    let mut records = Vec::new();
    loop {
        let page = client.audit(&query).await?;
        for record in page.items {
            if records.len() == limit || earliest.is_some_and(|earliest| record.at < earliest) {
                return Ok(records);
            }
            if matches(&record) {
                records.push(record);
            }
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(records),
        }
    }
}

const COLUMNS: &[Column<AuditView>] = &[
    Column {
        header: "NO",
        cell: |r, _| r.seq.to_string(),
    },
    Column {
        header: "TIME",
        cell: |r, row| {
            if row.whole {
                r.at.to_string()
            } else {
                r.at.trunc_secs().to_string()
            }
        },
    },
    Column {
        header: "WHO",
        cell: |r, _| printable(&r.actor),
    },
    Column {
        header: "ACTION",
        cell: |r, _| printable(&r.action),
    },
    Column {
        header: "SUBJECT",
        cell: |r, _| or_dash(Some(printable(&r.subject))),
    },
    Column {
        header: "OUTCOME",
        cell: |r, _| printable(&r.outcome),
    },
    Column {
        header: "FROM",
        cell: |r, _| or_dash(r.source.as_deref().map(printable)),
    },
    Column {
        header: "DETAIL",
        cell: |r, row| detail(&r.detail, row.whole),
    },
];

/// `{"uses":"1"}` as `uses=1`; keys and hashes as their first twelve digits.
fn detail(json: &str, whole: bool) -> String {
    let map: Option<std::collections::BTreeMap<String, String>> = serde_json::from_str(json).ok();
    let is_hash = |v: &str| v.len() >= 32 && v.bytes().all(|b| b.is_ascii_hexdigit());
    let value = |v: &str| match is_hash(v) && !whole {
        true => v[..12].to_owned(),
        false => printable(v),
    };
    let pairs = map
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", value(&v)));
    or_dash(Some(pairs.collect::<Vec<_>>().join(" ")))
}

async fn verify(args: Verify, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let mut walk = Walk::new(begin(&client).await?, args.expect);
    loop {
        let query = AuditQuery {
            after: Some(walk.chain.head().0),
            limit: Some(PAGE_MAX),
            ..Default::default()
        };
        let page = client.audit(&query).await?.items;
        if page.is_empty() {
            break;
        }
        for view in &page {
            walk.take(view)?;
        }
        world.progress(&format!("{} records checked", walk.count));
    }
    clear(world);
    let (seq, hash) = walk.finish()?;
    if let Some(begin) = &walk.begin {
        world.say(format!(
            "records 1 to {} were removed because they were old; the log says so, and goes on after the last of them",
            begin.seq
        ))?;
    }
    let hash = encoding::hex(&hash);
    world.say(format!(
        "{} audit records, none changed or missing\nhead {seq}:{hash}",
        walk.count
    ))?;
    Ok(0)
}

/// What the log begins after, if old records were removed.
async fn begin(client: &Client) -> Result<Option<Checkpoint>, Error> {
    let query = AuditQuery {
        after: Some(0),
        limit: Some(1),
        ..Default::default()
    };
    let Some(begin) = client.audit(&query).await?.begins_after else {
        return Ok(None);
    };
    let hash = encoding::hex_decode(&begin.hash).and_then(|hash| hash.try_into().ok());
    let hash = hash.ok_or_else(|| broken(&"the server says that it begins after a record without a hash"))?;
    Ok(Some(Checkpoint {
        seq: begin.seq,
        at: begin.at,
        hash,
    }))
}

/// A walk along the chain.
struct Walk {
    begin: Option<Checkpoint>,
    /// Whether a record says that what came before the beginning was removed on purpose.
    told: bool,
    chain: Chain,
    count: u64,
    expect: Option<(u64, String)>,
    expected_found: bool,
}

impl Walk {
    fn new(begin: Option<Checkpoint>, expect: Option<(u64, String)>) -> Self {
        let head = begin.map(|begin| (begin.seq, encoding::hex(&begin.hash)));
        Self {
            told: begin.is_none(),
            chain: begin.as_ref().map_or_else(Chain::default, Chain::after),
            begin,
            count: 0,
            expected_found: expect.is_none() || expect == head,
            expect,
        }
    }

    fn take(&mut self, view: &AuditView) -> Result<(), Error> {
        let record = record(view).map_err(|e| broken(&e))?;
        self.chain.check(&record).map_err(|e| broken(&e))?;
        self.count += 1;
        self.told |= self.begin.is_some_and(|begin| begin.is_told_by(&record));
        let Some((_, hash)) = self.expect.as_ref().filter(|(number, _)| *number == view.seq) else {
            return Ok(());
        };
        self.expected_found = true;
        match *hash == view.hash {
            true => Ok(()),
            false => Err(Error::Found(format!(
                "audit record {} is not the one that was noted down: the log was written anew up to there",
                view.seq
            ))),
        }
    }

    fn finish(&self) -> Result<(u64, [u8; 32]), Error> {
        let (seq, hash) = self.chain.head();
        if let Some(begin) = self.begin.filter(|_| !self.told) {
            return Err(broken(&format!(
                "it begins after record {}, and no record says that those before were removed on purpose",
                begin.seq
            )));
        }
        match (&self.expect, &self.begin) {
            _ if self.expected_found => Ok((seq, hash)),
            (Some((number, _)), Some(begin)) if *number <= begin.seq => Err(Error::Found(format!(
                "audit record {number} was removed because it was old, and cannot be compared any more; the rest of the \
                 log is whole. Note down its head: {seq}:{}",
                encoding::hex(&hash)
            ))),
            _ => Err(Error::Found(format!(
                "the audit log ends at record {seq}, before the one that was noted down: its end was cut off"
            ))),
        }
    }
}

/// A hash that is not hex cannot be the right one: the record counts as changed.
fn record(view: &AuditView) -> Result<Record, ChainError> {
    let hash = encoding::hex_decode(&view.hash).and_then(|hash| hash.try_into().ok());
    Ok(Record {
        seq: view.seq,
        at: view.at,
        actor: view.actor.clone(),
        action: view.action.clone(),
        subject: view.subject.clone(),
        outcome: view.outcome.clone(),
        source: view.source.clone(),
        detail: view.detail.clone(),
        hash: hash.ok_or(ChainError::Changed(view.seq))?,
    })
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::Found(format!(
        "the audit log is broken: {error}\n  Keep the database file as it is and compare it with the last backup (dockwarden server backup)."
    ))
}

fn clear(world: &World) {
    if std::io::stderr().is_terminal() {
        world.progress("");
    }
}
