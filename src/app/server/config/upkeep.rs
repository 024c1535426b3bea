//! `[schedule]`, `[retention]` and `[backup]` of `server.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::super::upkeep::BackupPlan;
use crate::base::{Span, Zone};
use crate::model::job::{JobName, JobPlans};
use crate::service::{Retention, Settings};

/// What turns a job off, in the place of an expression.
const OFF: &str = "off";
/// What keeps things, in the place of a time.
const FOREVER: &str = "forever";
/// How many backups are kept unless something else is said.
const KEEP: usize = 7;
/// The most backups that can be kept.
const KEEP_MAX: usize = 10_000;
const DAY: Duration = Duration::from_secs(86_400);
/// Certificates are kept this much longer than they can be renewed with.
const BEYOND_GRACE: Duration = DAY;
/// A repeated enrolment is answered for a day after the token's end.
const TOKENS_MIN: Duration = Duration::from_secs(2 * 86_400);
/// Less would not do for looking into anything.
const AUDIT_MIN: Duration = Duration::from_secs(30 * 86_400);
/// Less would not show whether a thing goes wrong again and again.
const PROBLEMS_MIN: Duration = Duration::from_secs(7 * 86_400);

/// `[schedule]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSchedule {
    zone: Option<String>,
    jobs: BTreeMap<String, String>,
}

/// `[retention]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRetention {
    certificates: Option<String>,
    tokens: Option<String>,
    audit: Option<String>,
    problems: Option<String>,
}

/// `[backup]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawBackup {
    directory: Option<PathBuf>,
    keep: Option<usize>,
}

impl RawSchedule {
    /// Every expression read, in the zone.
    pub fn check(&self) -> anyhow::Result<JobPlans> {
        let zone = match &self.zone {
            None => Zone::UTC,
            Some(name) => name.parse().context("schedule.zone")?,
        };
        let mut plans = JobPlans::new(zone);
        for (name, text) in &self.jobs {
            let key = || format!("schedule.jobs.{name}");
            let job: JobName = name.parse().with_context(key)?;
            let schedule = match text.as_str() {
                OFF => None,
                expression => Some(expression.parse().with_context(key)?),
            };
            plans.set(job, schedule).with_context(key)?;
        }
        Ok(plans)
    }
}

impl RawRetention {
    /// Within the bounds that the rest of the server needs.
    pub fn check(&self, settings: &Settings) -> anyhow::Result<Retention> {
        let usual = Retention::default();
        let grace = settings.host.renew_grace.max(settings.client.renew_grace) + BEYOND_GRACE;
        let why = "an expired certificate must be known for as long as it can be renewed";
        Ok(Retention {
            certificates: kept("certificates", &self.certificates, usual.certificates, grace, why)?,
            tokens: kept(
                "tokens",
                &self.tokens,
                usual.tokens,
                TOKENS_MIN,
                "a host whose answer was lost asks again",
            )?,
            audit: kept(
                "audit",
                &self.audit,
                usual.audit,
                AUDIT_MIN,
                "what happened must be found when somebody looks",
            )?,
            problems: kept(
                "problems",
                &self.problems,
                usual.problems,
                PROBLEMS_MIN,
                "somebody may have been away for a week",
            )?,
        })
    }
}

fn kept(
    key: &str,
    text: &Option<String>,
    usual: Option<Duration>,
    least: Duration,
    why: &str,
) -> anyhow::Result<Option<Duration>> {
    let kept = match text.as_deref() {
        // A long grace of renewal moves the usual time, too.
        None => return Ok(usual.map(|usual| usual.max(least))),
        Some(FOREVER) => return Ok(None),
        Some(text) => {
            text.parse::<Span>()
                .with_context(|| format!("retention.{key}"))?
                .0
        }
    };
    if kept < least {
        bail!(
            "retention.{key} must be {} or more, or {FOREVER:?}: {why}",
            Span(least)
        );
    }
    Ok(Some(kept))
}

impl RawBackup {
    /// Where, and how many; `None` without a directory.
    pub fn check(&self) -> anyhow::Result<Option<BackupPlan>> {
        let Some(directory) = &self.directory else {
            if self.keep.is_some() {
                bail!("backup.keep without backup.directory: say where backups go");
            }
            return Ok(None);
        };
        if !directory.is_absolute() {
            bail!(
                "backup.directory {} must be an absolute path",
                directory.display()
            );
        }
        let keep = self.keep.unwrap_or(KEEP);
        if !(1..=KEEP_MAX).contains(&keep) {
            bail!("backup.keep must be 1 to {KEEP_MAX}");
        }
        Ok(Some(BackupPlan {
            directory: directory.clone(),
            keep,
        }))
    }
}
