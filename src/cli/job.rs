//! `dockwarden job`: what the server does by itself.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::arguments::Ls;
use super::output::{Column, Row, list, or_dash, printable};
use super::profile::Connection;
use super::{Error, World, text};
use crate::client::Client;
use crate::model::job::{JobName, JobOutcome};
use crate::wire::JobView;

/// How often it is looked whether a run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Commands of `dockwarden job`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List jobs: the last run, what came of it, the next one
    Ls(Ls),
    /// Run a job now, and wait for what comes of it
    Run(Run),
}

/// Arguments of `job run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Its name
    #[arg(value_name = "JOB")]
    name: JobName,
    /// Do not wait
    #[arg(short, long)]
    detach: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: crate::base::Span,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Ls(args) => ls(args, world).await,
        Command::Run(args) => run_job(args, world).await,
    }
}

async fn ls(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args.list.filters(&["name", "result"])?;
    let client = args.connection.client(world).await?;
    let mut jobs = client.jobs().await?.items;
    jobs.retain(|job| {
        filters.iter().all(|(key, value)| match *key {
            "name" => job.name.as_str() == *value,
            _ => result(job) == *value,
        })
    });
    list(world, &args.list, &jobs, |job| job.name.to_string(), COLUMNS)?;
    Ok(0)
}

const COLUMNS: &[Column<JobView>] = &[
    Column {
        header: "JOB",
        cell: |job, _| job.name.to_string(),
    },
    Column {
        header: "SCHEDULE",
        cell: |job, _| printable(&job.schedule),
    },
    Column {
        header: "LAST",
        cell: |job, row| or_dash(job.last.as_ref().map(|last| time(last.ended_at, row))),
    },
    Column {
        header: "RESULT",
        cell: |job, _| or_dash(Some(result(job).to_owned())),
    },
    Column {
        header: "NEXT",
        cell: |job, row| or_dash(job.next_at.map(|at| time(at, row))),
    },
    Column {
        header: "DETAIL",
        cell: |job, row| {
            let detail = job.last.as_ref().map(|last| printable(&last.detail));
            or_dash(detail.map(|detail| match row.whole {
                true => detail,
                false => shortened(&detail),
            }))
        },
    },
];

fn time(at: crate::base::Timestamp, row: &Row) -> String {
    match row.whole {
        true => at.to_string(),
        false => text::relative(at, row.now),
    }
}

/// Characters of a detail in a table.
const DETAIL_CHARS: usize = 60;

fn shortened(detail: &str) -> String {
    match detail.chars().count() > DETAIL_CHARS {
        true => detail.chars().take(DETAIL_CHARS - 1).chain(['…']).collect(),
        false => detail.to_owned(),
    }
}

fn result(job: &JobView) -> &'static str {
    if !job.configured {
        return "not configured";
    }
    if job.running_since.is_some() {
        return "running";
    }
    match job.last.as_ref().map(|last| last.outcome) {
        None => "",
        Some(JobOutcome::Ok) => "ok",
        Some(JobOutcome::Failed) => "failed",
        Some(JobOutcome::Interrupted) => "interrupted",
    }
}

async fn run_job(args: Run, world: &mut World) -> Result<u8, Error> {
    let client = args.connection.client(world).await?;
    let before = find(&client, args.name).await?;
    client.run_job(args.name).await?;
    if args.detach {
        world.say(format!("{} runs", args.name))?;
        return Ok(0);
    }
    let started = world.clock.now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let job = find(&client, args.name).await?;
        let is_new = job.last != before.last && job.running_since.is_none() && job.asked_by.is_none();
        if let Some(last) = job.last.filter(|_| is_new) {
            let took = text::span(last.ended_at.since(last.started_at));
            return match last.outcome {
                JobOutcome::Ok => {
                    world.say(format!("{}: {} ({took})", args.name, printable(&last.detail)))?;
                    Ok(0)
                }
                _ => Err(Error::Found(format!(
                    "{} failed: {}",
                    args.name,
                    printable(&last.detail)
                ))),
            };
        }
        let waited = world.clock.now().since(started);
        if waited > args.timeout.0 {
            return Err(Error::Found(format!(
                "{} has not ended within {}: dockwarden job ls says how it goes on",
                args.name, args.timeout
            )));
        }
        world.progress(&format!("{} runs ({})", args.name, text::span(waited)));
    }
}

async fn find(client: &Client, name: JobName) -> Result<JobView, Error> {
    let jobs = client.jobs().await?.items;
    let found = jobs.into_iter().find(|job| job.name == name);
    found.ok_or_else(|| {
        Error::Found(format!(
            "the server knows no job {name}: it is of another release"
        ))
    })
}
