//! The scans that find what somebody should look at. Each can be repeated: it says what is so, and the store what is new.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Job, JobError};
use crate::model::job::{JobCause, JobName};
use crate::service::Service;

/// One of the scans.
pub struct Scan {
    service: Arc<Service>,
    name: JobName,
}

impl Scan {
    /// All of them.
    pub fn all(service: &Arc<Service>) -> [Arc<dyn Job>; 3] {
        [JobName::RenewalScan, JobName::ExpiryScan, JobName::ServerScan].map(|name| {
            let service = Arc::clone(service);
            Arc::new(Self { service, name }) as Arc<dyn Job>
        })
    }
}

impl Scan {
    /// Whether this run was missed: the machine slept, or its clock has jumped. Hosts were not heard meanwhile, either.
    fn is_late(&self) -> bool {
        let running = self.service.job_state(self.name).and_then(|job| job.running);
        running.is_some_and(|running| running.cause == JobCause::Missed)
    }
}

#[async_trait]
impl Job for Scan {
    fn name(&self) -> JobName {
        self.name
    }

    async fn run(&self) -> Result<String, JobError> {
        let found = match self.name {
            JobName::RenewalScan => {
                if self.is_late() {
                    self.service.listen_anew();
                }
                self.service.scan_hosts().await?
            }
            JobName::ExpiryScan => self.service.scan_clients().await?,
            _ => self.service.scan_server().await?,
        };
        Ok(format!(
            "{} problems, {} of them new; {} are over",
            found.open, found.opened, found.resolved
        ))
    }
}
