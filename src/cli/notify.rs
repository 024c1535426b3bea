//! `dockwarden notify` and `dockwarden problem`: what is wrong, and who was told.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::output::{Column, ListArgs, Row, list, or_dash, printable};
use super::pages::{self, Fetch};
use super::profile::Connection;
use super::{Error, World, text};
use crate::base::Timestamp;
use crate::base::limits::PAGE_MAX;
use crate::wire::{NotificationQuery, NotificationView, PageQuery, ProblemQuery, ProblemView};

/// How often it is looked whether a test has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Commands of `dockwarden notify`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List notifications, newest first
    Ls(Ls),
    /// Send a test message to a channel, and wait until it has arrived
    Test(Test),
}

/// Commands of `dockwarden problem`.
#[derive(Debug, Subcommand)]
pub enum ProblemCommand {
    /// List what somebody should look at, newest first
    Ls(ProblemLs),
}

/// Arguments of `notify ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// Only those that were not delivered
    #[arg(long)]
    waiting: bool,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value = "100")]
    limit: u32,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `problem ls`.
#[derive(Debug, Args)]
pub struct ProblemLs {
    /// Those that are over too
    #[arg(short, long)]
    all: bool,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value = "1000")]
    limit: u32,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `notify test`.
#[derive(Debug, Args)]
pub struct Test {
    /// The channel's name, as in server.toml
    channel: String,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: crate::base::Span,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Ls(args) => ls(args, world).await,
        Command::Test(args) => test(args, world).await,
    }
}

/// Runs one.
pub async fn run_problem(command: ProblemCommand, world: &mut World) -> Result<u8, Error> {
    let ProblemCommand::Ls(args) = command;
    let filters = args.list.filters(&["kind", "severity", "subject"])?;
    let client = &args.connection.client(world).await?;
    let all = args.all.then_some(true);
    let fits = |problem: &ProblemView| {
        filters.iter().all(|(key, value)| match *key {
            "kind" => problem.kind.as_str() == *value,
            "severity" => problem.severity.as_str() == *value,
            _ => problem.subject == *value,
        })
    };
    let problems = pages::first(args.limit, fits, |page: PageQuery| async move {
        let (limit, cursor) = (page.limit, page.cursor);
        let list = client.problems(&ProblemQuery { all, limit, cursor }).await?;
        Ok(Fetch {
            items: list.items,
            next: list.next,
        })
    })
    .await?;
    list(
        world,
        &args.list,
        &problems,
        |p| p.number.to_string(),
        PROBLEM_COLUMNS,
    )?;
    Ok(0)
}

fn time(at: Timestamp, row: &Row) -> String {
    match row.whole {
        true => at.to_string(),
        false => text::relative(at, row.now),
    }
}

const PROBLEM_COLUMNS: &[Column<ProblemView>] = &[
    Column {
        header: "NO",
        cell: |p, _| p.number.to_string(),
    },
    Column {
        header: "SEVERITY",
        cell: |p, _| match p.resolved_at {
            None => p.severity.to_string(),
            Some(_) => "over".to_owned(),
        },
    },
    Column {
        header: "KIND",
        cell: |p, _| p.kind.to_string(),
    },
    Column {
        header: "SUBJECT",
        cell: |p, _| printable(&p.subject),
    },
    Column {
        header: "SINCE",
        cell: |p, row| time(p.first_seen, row),
    },
    Column {
        header: "WHAT",
        cell: |p, _| printable(&p.message),
    },
];

const COLUMNS: &[Column<NotificationView>] = &[
    Column {
        header: "NO",
        cell: |n, _| n.number.to_string(),
    },
    Column {
        header: "CHANNEL",
        cell: |n, _| printable(&n.channel),
    },
    Column {
        header: "EVENT",
        cell: |n, _| n.event.to_string(),
    },
    Column {
        header: "SEVERITY",
        cell: |n, _| n.problem.severity.to_string(),
    },
    Column {
        header: "SUBJECT",
        cell: |n, _| printable(&n.problem.subject),
    },
    Column {
        header: "MADE",
        cell: |n, row| time(n.at, row),
    },
    Column {
        header: "DELIVERED",
        cell: |n, row| or_dash(n.delivered_at.map(|at| time(at, row))),
    },
    Column {
        header: "NEXT",
        cell: |n, row| or_dash(n.due_at.map(|at| time(at, row))),
    },
    Column {
        header: "FAILED",
        cell: |n, _| n.attempts.to_string(),
    },
    Column {
        header: "WHY",
        cell: |n, _| {
            or_dash(
                n.error
                    .as_deref()
                    .filter(|_| n.delivered_at.is_none())
                    .map(printable),
            )
        },
    },
];

async fn ls(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args.list.filters(&["channel", "event", "subject"])?;
    let client = &args.connection.client(world).await?;
    let waiting = args.waiting.then_some(true);
    let fits = |n: &NotificationView| {
        filters.iter().all(|(key, value)| match *key {
            "channel" => n.channel == *value,
            "event" => n.event.as_str() == *value,
            _ => n.problem.subject == *value,
        })
    };
    let notifications = pages::first(args.limit, fits, |page: PageQuery| async move {
        let (limit, cursor) = (page.limit, page.cursor);
        let query = NotificationQuery {
            waiting,
            limit,
            cursor,
        };
        let list = client.notifications(&query).await?;
        Ok(Fetch {
            items: list.items,
            next: list.next,
        })
    })
    .await?;
    list(
        world,
        &args.list,
        &notifications,
        |n| n.number.to_string(),
        COLUMNS,
    )?;
    Ok(0)
}

async fn test(args: Test, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let number = client.test_channel(&args.channel).await?.number;
    let started = world.clock.now();
    let query = NotificationQuery {
        limit: Some(PAGE_MAX),
        ..NotificationQuery::default()
    };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let sent = client.notifications(&query).await?.items;
        let sent = sent.into_iter().find(|n| n.number == number);
        if sent.as_ref().is_some_and(|n| n.delivered_at.is_some()) {
            world.say(format!("{} has taken the test message", args.channel))?;
            return Ok(0);
        }
        if let Some(why) = sent.and_then(|n| n.error) {
            return Err(Error::Found(format!(
                "{} did not take the test message: {}\n  It is tried again: dockwarden notify ls --waiting",
                args.channel,
                printable(&why)
            )));
        }
        if world.clock.now().since(started) > args.timeout.0 {
            return Err(Error::Found(format!(
                "{} has not taken the test message within {}: dockwarden notify ls --waiting says how it goes on",
                args.channel, args.timeout
            )));
        }
    }
}
