//! Keeps the database quick.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Job, JobError};
use crate::model::job::JobName;
use crate::service::Service;

/// See [`JobName::Database`].
pub struct KeepDatabase(Arc<Service>);

impl KeepDatabase {
    /// Of a service.
    pub fn new(service: Arc<Service>) -> Self {
        Self(service)
    }
}

/// Bytes in one MiB.
const MIB: f64 = 1_048_576.0;

#[async_trait]
impl Job for KeepDatabase {
    fn name(&self) -> JobName {
        JobName::Database
    }

    async fn run(&self) -> Result<String, JobError> {
        let size = self.0.tune_database().await?;
        Ok(format!(
            "{:.1} MiB, of which {:.1} MiB are free",
            size.bytes as f64 / MIB,
            size.free_bytes as f64 / MIB
        ))
    }
}
