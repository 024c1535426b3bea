//! The jobs that work on a data directory, and the schedule with all jobs on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backup;
use super::compose::show_root_crl;
use super::layout::Layout;
use crate::base::Timestamp;
use crate::jobs::{self, AlwaysJob, Job, JobError, KeepDatabase, Prune, PublishCrls, Scheduler, SettleFeed};
use crate::model::job::JobName;
use crate::service::Service;

/// How often it is looked whether somebody has brought a new list of the root.
const ROOT_CRL_EVERY: Duration = Duration::from_secs(10);
/// What a backup's directory is called: this, and the time.
const PREFIX: &str = "dockwarden-";
/// A backup that is not whole yet ends in this.
const PARTIAL: &str = ".partial";

/// Where backups are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPlan {
    /// The directory that holds them.
    pub directory: PathBuf,
    /// How many are kept.
    pub keep: usize,
}

/// Starts the schedule.
pub fn start(
    service: &Arc<Service>,
    layout: &Layout,
    backups: Option<&BackupPlan>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let always: [Arc<dyn AlwaysJob>; 3] = [
        Arc::new(PublishCrls::new(Arc::clone(service))),
        Arc::new(SettleFeed::new(Arc::clone(service))),
        Arc::new(ShowRootCrl {
            layout: layout.clone(),
            service: Arc::clone(service),
        }),
    ];
    for job in always {
        tasks.spawn(jobs::keep(job, Arc::clone(service), stop.clone()));
    }
    let mut scheduled: Vec<Arc<dyn Job>> = vec![
        Arc::new(Prune::new(Arc::clone(service))),
        Arc::new(KeepDatabase::new(Arc::clone(service))),
    ];
    if let Some(plan) = backups {
        scheduled.push(Arc::new(BackUp {
            layout: layout.clone(),
            plan: plan.clone(),
            service: Arc::clone(service),
        }));
    }
    let scheduler = Scheduler::new(Arc::clone(service), scheduled);
    tasks.spawn(scheduler.run(stop.clone()));
}

/// See [`JobName::RootCrl`].
struct ShowRootCrl {
    layout: Layout,
    service: Arc<Service>,
}

#[async_trait]
impl Job for ShowRootCrl {
    fn name(&self) -> JobName {
        JobName::RootCrl
    }

    async fn run(&self) -> Result<String, JobError> {
        show_root_crl(&self.layout, &self.service).map_err(JobError::Other)?;
        Ok(match self.service.root_crl() {
            Some(shown) => format!("shown: {}", shown.crl.number),
            None => "there is none".to_owned(),
        })
    }
}

#[async_trait]
impl AlwaysJob for ShowRootCrl {
    fn every(&self) -> Duration {
        ROOT_CRL_EVERY
    }
}

/// See [`JobName::Backup`]. A backup is made under a name that says that it is not whole, and renamed when it is.
struct BackUp {
    layout: Layout,
    plan: BackupPlan,
    service: Arc<Service>,
}

#[async_trait]
impl Job for BackUp {
    fn name(&self) -> JobName {
        JobName::Backup
    }

    async fn run(&self) -> Result<String, JobError> {
        let made = make(&self.layout, &self.plan, self.service.clock().now()).await;
        made.map_err(|error| JobError::Other(format!("{error:#}")))
    }
}

/// Makes a backup in the plan's directory, and removes the oldest.
async fn make(layout: &Layout, plan: &BackupPlan, now: Timestamp) -> anyhow::Result<String> {
    let files = layout.files();
    files.private_directory(&plan.directory)?;
    for name in files.list(&plan.directory)? {
        if is_ours(&name) && name.ends_with(PARTIAL) {
            files.remove_tree(&plan.directory.join(name))?;
        }
    }
    let name = directory_name(now);
    let (partial, whole) = (
        plan.directory.join(format!("{name}{PARTIAL}")),
        plan.directory.join(&name),
    );
    let count = backup::make(layout, &partial, now).await?;
    std::fs::rename(&partial, &whole).with_context(|| format!("{} cannot be renamed", partial.display()))?;
    files.sync_directory(&plan.directory)?;
    let removed = rotate(layout, &plan.directory, plan.keep)?;
    Ok(format!("{name}: {count} files; {removed} older ones removed"))
}

/// Removes all but the newest `keep`. Their names sort by time.
fn rotate(layout: &Layout, directory: &Path, keep: usize) -> anyhow::Result<usize> {
    let files = layout.files();
    let mut backups = files.list(directory)?;
    backups.retain(|name| is_ours(name) && !name.ends_with(PARTIAL));
    backups.sort_unstable();
    let old = backups.len().saturating_sub(keep);
    for name in &backups[..old] {
        // Without its manifest it is no backup any more, should the rest of the removal be cut short.
        files.remove(&directory.join(name).join(backup::MANIFEST))?;
        files.remove_tree(&directory.join(name))?;
    }
    Ok(old)
}

/// `dockwarden-20261122T022900Z`
fn directory_name(now: Timestamp) -> String {
    let time = now.trunc_secs().to_string();
    let time: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{PREFIX}{time}")
}

/// Whether a directory was named by us: nothing else is ever removed.
fn is_ours(name: &str) -> bool {
    let time = name.strip_suffix(PARTIAL).unwrap_or(name).strip_prefix(PREFIX);
    time.is_some_and(|time| {
        let digits = time.len() == 16 && time.bytes().all(|b| b.is_ascii_digit() || b"TZ".contains(&b));
        digits && time.ends_with('Z')
    })
}

#[cfg(test)]
mod tests;
