//! `dockwarden agent status`: what the running agent last found, for people or for programs.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::settings::Settings;
use crate::agent::{Records, Status};
use crate::app::format::Format;
use crate::base::{Clock, SystemClock, Timestamp};
use crate::model::ConditionStatus;
use crate::sys::Files;

/// A running agent writes more often than this.
const STALE_AFTER: Duration = Duration::from_secs(180);

/// Arguments of `agent status`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints it. Fails (1) when a condition is false, or when no agent has written for minutes.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    let records = Records::new(Files::system(), &config.state);
    let status = records.status()?.with_context(|| {
        format!(
            "no agent has run here: there is no status.json in {}\n  start it: systemctl enable --now dockwarden-agent",
            config.state.display()
        )
    })?;
    let now = SystemClock.now();
    match arguments.format {
        Format::Table => print!("{}", table(&status, now)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&status)?),
    }
    let stale = now.since(status.updated_at) > STALE_AFTER;
    if stale {
        eprintln!(
            "dockwarden: this is from {}: the agent does not seem to run (systemctl status dockwarden-agent)",
            ago(status.updated_at, now)
        );
    }
    let wrong = status
        .report
        .conditions
        .iter()
        .any(|c| c.status == ConditionStatus::False);
    Ok(if wrong || stale {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What people see.
pub(super) fn table(status: &Status, now: Timestamp) -> String {
    let mut out = String::new();
    let connected = match status.connected {
        Some(true) => "connected",
        Some(false) => "not reachable",
        None => "not asked yet",
    };
    let clock = status
        .report
        .clock_offset_ms
        .map(|ms| format!(", clock {:+.1} s", ms as f64 / 1000.0));
    let _ = writeln!(
        out,
        "  Host {}      mode {}      server {} ({connected}{})",
        status.name,
        status.report.mode,
        status.server,
        clock.unwrap_or_default()
    );
    let rows: Vec<[String; 4]> = status
        .report
        .conditions
        .iter()
        .map(|c| {
            [
                c.kind.to_string(),
                c.status.to_string(),
                ago(c.since, now),
                c.message.clone(),
            ]
        })
        .collect();
    let head = ["CONDITION", "STATUS", "SINCE", "REASON"].map(str::to_owned);
    let width = |column: usize| {
        let widths = rows.iter().chain([&head]).map(|row| row[column].chars().count());
        widths.max().unwrap_or_default() + 2
    };
    let widths = [width(0).max(19), width(1), width(2)];
    for row in std::iter::once(&head).chain(&rows) {
        let [kind, state, since, message] = row;
        let indent = 2 + widths.iter().sum::<usize>();
        let message = message.replace('\n', &format!("\n{:indent$}", ""));
        let _ = writeln!(
            out,
            "  {kind:a$}{state:b$}{since:c$}{message}",
            a = widths[0],
            b = widths[1],
            c = widths[2]
        );
    }
    if let Some(next) = &status.next {
        let _ = writeln!(out, "\n  Next: {next}");
    }
    out
}

/// `2 min ago`.
fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(time).as_secs();
    let (size, unit) = match seconds {
        0..60 => (1, "s"),
        60..3600 => (60, "min"),
        3600..86_400 => (3600, "h"),
        _ => (86_400, "d"),
    };
    format!("{} {unit} ago", seconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Condition, ConditionKind, HostReport, Mode};

    fn condition(kind: ConditionKind, status: ConditionStatus, message: &str, since: i64) -> Condition {
        Condition {
            kind,
            status,
            reason: "Word".into(),
            message: message.into(),
            since: Timestamp::from_secs(since),
        }
    }

    #[test]
    fn the_table_reads_as_the_walkthrough_shows_it() {
        let status = Status {
            name: "web-07.fleet.internal".into(),
            server: "https://ca.fleet.internal:8443".into(),
            connected: Some(true),
            updated_at: Timestamp::from_secs(1000),
            next: None,
            report: HostReport {
                observed_generation: 1,
                mode: Mode::Gate,
                agent_version: "0".into(),
                engine_version: None,
                endpoints: vec![],
                issued: None,
                served: None,
                renew_at: None,
                clock_offset_ms: Some(200),
                revocations: None,
                conditions: vec![
                    condition(
                        ConditionKind::Enrolled,
                        ConditionStatus::True,
                        "token k4m2… used (12 of 40)",
                        880,
                    ),
                    condition(
                        ConditionKind::Serving,
                        ConditionStatus::False,
                        "first\nsecond",
                        999,
                    ),
                ],
            },
        };
        let expected = "  \
  Host web-07.fleet.internal      mode gate      server https://ca.fleet.internal:8443 (connected, clock +0.2 s)
  CONDITION          STATUS  SINCE      REASON
  Enrolled           True    2 min ago  token k4m2… used (12 of 40)
  Serving            False   1 s ago    first
                                        second
";
        assert_eq!(table(&status, Timestamp::from_secs(1000)), expected);
    }
}
