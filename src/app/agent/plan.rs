//! `dockwarden agent plan`: what the agent would do now, and why.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::settings::Settings;
use crate::agent::daemon::arrangement::FileChange;
use crate::agent::daemon::arrangement::diff::unified;
use crate::agent::plan::Held;
use crate::agent::step::Step;
use crate::agent::{Config, Preview, RealProbe, Reconciler, wait_in_words};

/// Arguments of `agent plan`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
    /// Also show which files would change
    #[arg(long)]
    diff: bool,
}

/// Prints the plan.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    arguments.settings.warn();
    let config = arguments.settings.load()?;
    let mut world = arguments
        .settings
        .world(config.clone(), None, Arc::new(RealProbe));
    world.plugin = super::plugin::elsewhere();
    let preview = super::block_on(Reconciler::looking(world).preview())?;
    print!("{}", text(&preview));
    if arguments.diff {
        print!("{}", diff(&preview, &config));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reasons and numbered steps.
pub(super) fn text(preview: &Preview) -> String {
    let plan = &preview.plan;
    let mut out = String::new();
    for (index, reason) in plan.because.iter().enumerate() {
        let word = if index == 0 { "because" } else { "    and" };
        let _ = writeln!(out, "  {word}  {reason}");
    }
    for (index, planned) in plan.steps.iter().enumerate() {
        let _ = writeln!(out, "  {}. {}", index + 1, planned.step);
    }
    match &plan.held {
        Some(Held::Until(at)) => {
            let _ = writeln!(out, "  waits until {at} before it asks for a certificate again");
        }
        Some(Held::NoToken(why) | Held::Unreadable(why)) => {
            let _ = writeln!(out, "  cannot go on: {why}");
        }
        Some(Held::NoName) => out.push_str("  cannot go on: this machine has no name but localhost\n"),
        None if plan.waits.is_some() => {
            let waits = plan.waits.as_ref().map(wait_in_words).unwrap_or_default();
            let _ = writeln!(out, "  {waits}");
        }
        None if plan.steps.is_empty() && plan.because.is_empty() => out.push_str("  nothing to do\n"),
        None => {}
    }
    out
}

/// The files that would change.
fn diff(preview: &Preview, config: &Config) -> String {
    let files = config.files.display();
    let mut out = String::new();
    for planned in &preview.plan.steps {
        match &planned.step {
            Step::WriteVersion { version } => {
                for name in ["ca.pem (0444)", "cert.pem (0444)", "key.pem (0400)"] {
                    let _ = writeln!(out, "  + {files}/versions/{version}/{name}");
                }
            }
            Step::Swap { from, to } => {
                let before = from.map_or("nothing".to_owned(), |from| format!("versions/{from}"));
                let _ = writeln!(out, "  ~ {files}/current -> versions/{to} (was {before})");
            }
            Step::Daemon(step) => {
                for change in step.changes() {
                    out.push_str(&unified(&FileChange::from(change)));
                }
            }
            _ => {}
        }
    }
    if out.is_empty() {
        out.push_str("  no file would change\n");
    }
    out
}
