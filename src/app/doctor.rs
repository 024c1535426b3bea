//! `dockwarden doctor`: what is wrong on this host, for people or for programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::agent::settings::Settings;
use super::format::Format;
use crate::agent::daemon::engine::RealEngines;
use crate::agent::daemon::look::{KnownProgram, Look, RealLook, Sought};
use crate::agent::doctor::examine::{ClientPlaces, Places, examine};
use crate::agent::doctor::{Finding, Severity, diagnose, worst};
use crate::base::SystemClock;
use crate::sys::{Files, Programs, RealHost, RealProcesses, RealPrograms, RealServices, RealUnits};

/// Exit code for a wrong command line: what `clap` says elsewhere, 2, means a warning here. As in `sysexits.h`.
pub const USAGE: u8 = 64;
/// Exit code when nothing could be examined: 1 means a notice here. As in `sysexits.h`.
const FAILED: u8 = 70;
/// Docker's own socket, without a configuration that says otherwise.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Characters in a line for people, indentation aside.
const LINE_CHARS: usize = 110;
/// What stands before the second and later lines of a finding.
const INDENT: &str = "            ";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 ok, 1 notice, 2 warning, 3 critical; 64 wrong usage, 70 nothing could be examined"
)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
    /// Also show the checks that found nothing wrong
    #[arg(short, long)]
    verbose: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What programs get.
#[derive(Serialize)]
struct Report<'a> {
    /// The worst.
    severity: Severity,
    /// Everything, the worst first; what is fine included.
    findings: &'a [Finding],
}

/// Looks, and says what is wrong. The exit code is the worst finding's.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match look(arguments) {
        Ok(findings) => {
            let text = match arguments.format {
                Format::Table => table(&findings, arguments.verbose),
                Format::Json => json(&findings)?,
            };
            print(&text)?;
            Ok(ExitCode::from(worst(&findings).code()))
        }
        Err(error) => {
            eprintln!("dockwarden: {error:#}");
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// To standard output; a reader that went away is none of our business.
fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn look(arguments: &Arguments) -> anyhow::Result<Vec<Finding>> {
    let config = arguments
        .settings
        .load_if_any()
        .map(|c| c.map_err(|e| format!("{e:#}")));
    let configured = config.as_ref().and_then(|config| config.as_ref().ok());
    let configured = configured.map(|config| config.docker_socket.clone());
    let socket = configured.or_else(|| arguments.settings.docker_socket());
    let socket = socket.unwrap_or_else(|| DOCKER_SOCKET.into());
    super::agent::block_on(async {
        let facts = dockerd(&socket).look().await;
        let places = Places {
            facts: Some(facts),
            socket,
            config,
            client: client_places(),
            files: Files::system(),
            host: &RealHost,
            programs: &RealPrograms,
            processes: &RealProcesses,
            clock: &SystemClock,
        };
        diagnose(&examine(places).await)
    })
}

/// The dockerd that answers this socket. How it is restarted does not matter here.
fn dockerd(socket: &Path) -> RealLook {
    let programs: Arc<dyn Programs> = Arc::new(RealPrograms);
    RealLook {
        sought: Sought {
            docker_socket: socket.to_owned(),
            restart: None,
        },
        files: Files::system(),
        processes: Arc::new(RealProcesses),
        units: Arc::new(RealUnits::new(Arc::clone(&programs))),
        services: Arc::new(RealServices::new(Arc::clone(&programs))),
        programs,
        engines: Arc::new(RealEngines),
        known: KnownProgram::default(),
    }
}

fn client_places() -> ClientPlaces {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let home = || Some(PathBuf::from(variable("HOME")?).join(".docker"));
    ClientPlaces {
        directory: variable("DOCKER_CONFIG").map(PathBuf::from).or_else(home),
        host: variable("DOCKER_HOST"),
        verify: variable("DOCKER_TLS_VERIFY"),
        cert_path: variable("DOCKER_CERT_PATH").map(PathBuf::from),
        context: variable("DOCKER_CONTEXT"),
    }
}

fn json(findings: &[Finding]) -> anyhow::Result<String> {
    let severity = worst(findings);
    Ok(serde_json::to_string_pretty(&Report { severity, findings })? + "\n")
}

/// What people see: the worst first, what is fine as a count unless it was asked for.
fn table(findings: &[Finding], verbose: bool) -> String {
    let mut out = String::new();
    let is_shown = |finding: &&Finding| verbose || finding.severity > Severity::Ok;
    for finding in findings.iter().filter(is_shown) {
        let mut lines = finding.seen.lines().flat_map(wrap);
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(out, "  {:8}  {first}", finding.severity.label());
        for line in lines {
            let _ = writeln!(out, "{INDENT}{line}");
        }
        if let Some(fix) = &finding.fix {
            // A command is not broken into lines: it is there to be copied.
            let _ = writeln!(out, "{INDENT}fix: {fix}");
        }
    }
    let fine = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Ok)
        .count();
    if !verbose && fine > 0 {
        let more = if fine < findings.len() { " more" } else { "" };
        let checks = if fine == 1 { "check" } else { "checks" };
        let _ = writeln!(out, "  ok        {fine}{more} {checks} (-v shows them)");
    }
    out
}

/// Breaks a line between words.
fn wrap(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().expect("never empty");
        let fits = last.chars().count() + 1 + word.chars().count() <= LINE_CHARS;
        match (last.is_empty(), fits) {
            (true, _) => last.push_str(word),
            (false, true) => {
                last.push(' ');
                last.push_str(word);
            }
            (false, false) => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, seen: &str, fix: Option<&str>) -> Finding {
        Finding {
            severity,
            check: "test",
            seen: seen.to_owned(),
            fix: fix.map(str::to_owned),
        }
    }

    #[test]
    fn the_table_reads_as_the_walkthrough_shows_it() {
        let long = "word ".repeat(30);
        let findings = [
            finding(
                Severity::Critical,
                "web-22 serves 7a…11\ndockerd was not restarted",
                Some("dockwarden agent apply --now"),
            ),
            finding(Severity::Notice, long.trim(), None),
            finding(Severity::Ok, "fine", None),
            finding(Severity::Ok, "fine, too", None),
        ];
        let expected = format!(
            "  CRITICAL  web-22 serves 7a…11\n            dockerd was not restarted\n            fix: dockwarden agent apply --now\n  \
             NOTICE    {}\n            {}\n  ok        2 more checks (-v shows them)\n",
            "word ".repeat(22).trim(),
            "word ".repeat(8).trim(),
        );
        assert_eq!(table(&findings, false), expected);
        assert!(table(&findings, true).ends_with("  ok        fine\n  ok        fine, too\n"));
        assert_eq!(
            table(&findings[3..], false),
            "  ok        1 check (-v shows them)\n"
        );
    }

    #[test]
    fn programs_get_everything() {
        let findings = [
            finding(Severity::Warning, "open", Some("close it")),
            finding(Severity::Ok, "fine", None),
        ];
        let report: serde_json::Value = serde_json::from_str(&json(&findings).unwrap()).unwrap();
        assert_eq!(report["severity"], "warning");
        assert_eq!(report["findings"][0]["fix"], "close it");
        assert_eq!(
            report["findings"][1],
            serde_json::json!({"severity": "ok", "check": "test", "seen": "fine"})
        );
    }
}
