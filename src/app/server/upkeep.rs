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
use super::config::{ChannelPlan, Config, NamedChannel};
use super::layout::Layout;
use crate::base::Timestamp;
use crate::jobs::{
    self, AlwaysJob, Channel, CommandChannel, Deliver, HttpChannel, Job, JobError, KeepDatabase, Prune,
    PublishCrls, Scan, Scheduler, SettleFeed, SmtpChannel,
};
use crate::model::job::JobName;
use crate::service::Service;
use crate::sys::command::RealPrograms;

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
pub fn start(service: &Arc<Service>, config: &Config, tasks: &TaskTracker, stop: &CancellationToken) {
    let layout = &config.layout;
    let channels = config
        .channels
        .iter()
        .map(|named| channel(named, config, service));
    let always: [Arc<dyn AlwaysJob>; 4] = [
        Arc::new(Deliver::new(Arc::clone(service), channels.collect())),
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
    scheduled.extend(Scan::all(service));
    if let Some(plan) = &config.backups {
        scheduled.push(Arc::new(BackUp {
            layout: layout.clone(),
            plan: plan.clone(),
            service: Arc::clone(service),
        }));
    }
    let scheduler = Scheduler::new(Arc::clone(service), scheduled);
    tasks.spawn(scheduler.run(stop.clone()));
}

fn channel((name, plan): &NamedChannel, config: &Config, service: &Service) -> Arc<dyn Channel> {
    let (name, source) = (name.clone(), source(config));
    match plan.clone() {
        ChannelPlan::Command(words) => {
            Arc::new(CommandChannel::new(name, words, source, Arc::new(RealPrograms)))
        }
        ChannelPlan::Smtp(plan) => Arc::new(SmtpChannel {
            name,
            plan,
            source,
            files: config.layout.files().clone(),
        }),
        ChannelPlan::Http {
            form,
            url,
            secret_file,
            ca_file,
        } => Arc::new(HttpChannel {
            name,
            url,
            form,
            source,
            secret_file,
            ca_file,
            files: config.layout.files().clone(),
            clock: Arc::clone(service.clock()),
        }),
    }
}

/// What this server is called in events: a URI reference, as CloudEvents wants it.
fn source(config: &Config) -> String {
    match (&config.public_url, config.settings.names.first()) {
        (Some(url), _) => url.clone(),
        (None, Some(name)) => format!("/dockwarden/{name}"),
        (None, None) => "/dockwarden".to_owned(),
    }
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
