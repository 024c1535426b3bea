//! What is said of mode `daemon`: whether dockerd is told what it should, and whether it serves it, with the reason why
//! not and what comes next.

use std::time::Duration;

use super::attempt::Stage;
use super::plan::Waits;
use super::sight::DaemonSight;
use crate::agent::conditions::{Finding, clock_time, date_and_time, finding};
use crate::agent::observed::Observed;
use crate::agent::plan::Plan;
use crate::agent::step::Served;
use crate::base::Timestamp;
use crate::model::ConditionStatus::{False, True, Unknown};
use crate::model::SeenCertificate;

/// How long it is shown that dockerd was brought down and put right.
const MENDED_SHOWN: Duration = Duration::from_secs(24 * 3600);

/// Whether the files tell dockerd what they should.
pub(in crate::agent) fn config_applied(
    observed: &Observed,
    sight: &DaemonSight,
    plan: &Plan,
    now: Timestamp,
) -> Finding {
    if let Some(why) = &observed.setbacks.disk_failure {
        return finding(False, "DiskFailure", why.as_str());
    }
    if let Err(refusal) = &sight.arrangement {
        return finding(False, "Refused", format!("{refusal}; nothing was changed"));
    }
    if let Some(attempt) = sight.open_attempt() {
        return match &attempt.stage {
            Stage::Returning { why, .. } | Stage::RestartingBack { why, .. } => finding(
                False,
                "RollingBack",
                format!("goes back to how it was, because {why}"),
            ),
            Stage::Changing | Stage::Restarting { .. } => finding(
                False,
                "Applying",
                format!("version {} is being put in use", attempt.to),
            ),
        };
    }
    if let Some(Waits::Contested(until)) = &plan.waits {
        let message = format!(
            "{} changed by something else again and again: is another tool in charge of it? It is left alone until {}",
            paths(sight),
            clock_time(*until)
        );
        return finding(False, "Contested", message);
    }
    if let Some(failure) = &sight.memory.failure {
        return finding(False, &failure.reason, with_retry(&failure.why, plan, now));
    }
    let Some(pair) = observed.pair() else {
        return finding(False, "NoCertificate", "there is nothing to apply yet");
    };
    if !sight.changes().is_empty() {
        let message = format!("{} not as it should be yet", paths(sight));
        return finding(False, "FilesDiffer", with_wait(&message, plan));
    }
    let notes = sight
        .arrangement
        .as_ref()
        .map(|arrangement| &arrangement.notes[..])
        .unwrap_or_default();
    let mut message = format!("version {}", pair.version);
    for note in notes {
        message.push('\n');
        message.push_str(note);
    }
    let mended = sight.memory.mended.as_ref();
    if let Some(mended) = mended.filter(|mended| now.since(mended.at) < MENDED_SHOWN) {
        message.push_str(&format!(
            "\nput right at {}: {}",
            date_and_time(mended.at),
            mended.why
        ));
    }
    finding(True, "Applied", message)
}

/// `a, b: they are`.
fn paths(sight: &DaemonSight) -> String {
    let paths = sight.changed_paths();
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let are = if paths.len() == 1 { "is" } else { "are" };
    format!("{} {are}", paths.join(", "))
}

fn with_retry(message: &str, plan: &Plan, now: Timestamp) -> String {
    match &plan.waits {
        Some(Waits::Failed(at)) if *at > now => format!("{message}\nNext try: {}", date_and_time(*at)),
        _ => message.to_owned(),
    }
}

fn with_wait(message: &str, plan: &Plan) -> String {
    match plan.waits.as_ref().map(wait_in_words) {
        Some(wait) => format!("{message}: {wait}"),
        None => message.to_owned(),
    }
}

/// Why dockerd is not told or restarted now, and what has to happen.
pub fn wait_in_words(waits: &Waits) -> String {
    match waits {
        Waits::Refused(why) | Waits::Down(why) => why.clone(),
        Waits::Stopped => {
            "dockerd does not run, and is not ours to start: it serves the certificate when somebody \
                           starts it (systemctl start docker)"
                .to_owned()
        }
        Waits::Starting => "dockerd is being started".to_owned(),
        Waits::Window { at, windows } => format!(
            "restart pending: window {windows}, next {}; dockwarden agent apply --now does not wait",
            date_and_time(*at)
        ),
        Waits::Idle { busy, until } => {
            format!(
                "restart pending: {}; waits until {} at most",
                busy.join(", "),
                clock_time(*until)
            )
        }
        Waits::Failed(at) => format!("next try: {}", date_and_time(*at)),
        Waits::Contested(at) => format!(
            "another tool changes the same files; left alone until {}",
            clock_time(*at)
        ),
    }
}

/// Whether clients get the certificate that was issued last.
pub(in crate::agent) fn serving(observed: &Observed, sight: &DaemonSight, plan: &Plan, port: u16) -> Finding {
    let Some(pair) = observed.pair() else {
        let why = match &plan.waits {
            Some(waits) => wait_in_words(waits),
            None => "there is nothing to serve yet".to_owned(),
        };
        return finding(False, word(plan.waits.as_ref(), "NoCertificate"), why);
    };
    let issued = observed.waiting.as_ref().unwrap_or(pair);
    match &observed.served {
        Served::Certificate(seen) if seen.serial == issued.serial && !seen.asks_for_client => {
            let message = format!(
                ":{port} serves {}, and lets clients in without a certificate",
                seen.serial.short()
            );
            finding(False, "NotGuarded", with_wait(&message, plan))
        }
        Served::Certificate(seen) if seen.serial == issued.serial => match &sight.facts.engine.error {
            Some(error) => finding(
                True,
                "DockerUnreachable",
                format!(":{port} serves {}, but {error}", seen.serial.short()),
            ),
            None => finding(True, "Serving", format!(":{port} serves {}", seen.serial.short())),
        },
        Served::Certificate(seen) => {
            let message = format!(
                ":{port} serves {} until {}; {} (until {}) is issued and not served",
                seen.serial.short(),
                date_and_time(seen.not_after),
                issued.serial.short(),
                date_and_time(issued.not_after),
            );
            finding(
                False,
                word(plan.waits.as_ref(), "OtherCertificate"),
                with_wait(&message, plan),
            )
        }
        Served::Failed(why) => finding(
            False,
            word(plan.waits.as_ref(), "NotServed"),
            with_wait(why, plan),
        ),
        Served::NotDialled => match &plan.waits {
            Some(waits) => finding(False, word(Some(waits), "NotServed"), wait_in_words(waits)),
            None => finding(Unknown, "NotDialled", "not dialled yet"),
        },
    }
}

/// One word for why something else is served, or nothing.
fn word(waits: Option<&Waits>, otherwise: &'static str) -> &'static str {
    match waits {
        Some(Waits::Window { .. }) => "RestartPending",
        Some(Waits::Idle { .. }) => "WaitsForIdle",
        Some(Waits::Stopped) => "DaemonStopped",
        Some(Waits::Starting) => "DaemonStarting",
        Some(Waits::Down(_)) => "DaemonFailed",
        Some(Waits::Failed(_)) => "RestartFailed",
        Some(Waits::Refused(_)) => "Refused",
        Some(Waits::Contested(_)) => "Contested",
        None => otherwise,
    }
}

/// The certificate that was issued last: one that waits to be put in use, or the one in use.
pub(in crate::agent) fn issued(observed: &Observed) -> Option<SeenCertificate> {
    let pair = observed.waiting.as_ref().or(observed.pair())?;
    Some(SeenCertificate {
        serial: pair.serial.clone(),
        not_after: pair.not_after,
    })
}
