//! `dockwarden doctor`: what is wrong on this host, each with its fix. Works in every mode, and without any agent.
//!
//! [`examine`] looks and dials; the checks are pure functions from what was found to findings. Nothing here changes
//! anything, and nothing is sent over a connection but `GET /_ping`.

mod checks;
pub mod dial;
pub mod examine;
pub mod examined;

use serde::Serialize;

#[cfg(test)]
use checks::fixture as checks_fixture;
pub use examined::Examined;

/// How bad it is. The exit code of the command is the worst one's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; may be meant so.
    Notice,
    /// Will hurt, or weakens the host.
    Warning,
    /// Hurts now: the host is open, cannot be reached, or its dockerd would not start again.
    Critical,
}

impl Severity {
    /// 0 to 3.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Notice => 1,
            Self::Warning => 2,
            Self::Critical => 3,
        }
    }

    /// As people see it: what needs attention in capitals.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// What a check has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which check: a word that stays the same between versions; a heading of `docs/doctor.md`.
    pub check: &'static str,
    /// What was seen, and why that is so; lines.
    pub seen: String,
    /// What to do: a command, or a line to change, with file and line where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Makes findings of one check.
#[derive(Clone, Copy, Debug)]
struct Says(&'static str);

impl Says {
    fn ok(self, seen: impl Into<String>) -> Finding {
        self.finding(Severity::Ok, seen, None)
    }

    fn notice(self, seen: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(Severity::Notice, seen, Some(fix.into()))
    }

    fn warning(self, seen: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(Severity::Warning, seen, Some(fix.into()))
    }

    fn critical(self, seen: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(Severity::Critical, seen, Some(fix.into()))
    }

    fn finding(self, severity: Severity, seen: impl Into<String>, fix: Option<String>) -> Finding {
        Finding {
            severity,
            check: self.0,
            seen: seen.into(),
            fix,
        }
    }
}

/// Runs every check. The worst first, otherwise in the order of the checks; a check that does not apply to this host
/// says nothing, one that found nothing wrong says [`Severity::Ok`].
pub fn diagnose(examined: &Examined) -> Vec<Finding> {
    let mut findings: Vec<Finding> = checks::ALL.iter().flat_map(|check| check(examined)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The worst severity; [`Severity::Ok`] of none.
pub fn worst(findings: &[Finding]) -> Severity {
    let severities = findings.iter().map(|finding| finding.severity);
    severities.max().unwrap_or(Severity::Ok)
}
