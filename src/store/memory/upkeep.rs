//! Jobs, and what is old, in memory.

use async_trait::async_trait;

use super::super::StoreError;
use super::super::op::{Answer, Op};
use super::super::upkeep::{DatabaseSize, JobOrder, PruneOrder, Pruned, UpkeepStore};
use super::MemoryStore;
use crate::model::audit::Checkpoint;
use crate::model::job::JobState;

#[async_trait]
impl UpkeepStore for MemoryStore {
    async fn change_job(&self, order: JobOrder) -> Result<JobState, StoreError> {
        self.run(&Op::Job(Box::new(order))).map(Answer::job)
    }

    async fn prune(&self, order: PruneOrder) -> Result<Pruned, StoreError> {
        let mut inner = self.lock();
        let oldest = inner.log.iter().take(order.limit as usize).map(Checkpoint::of);
        let oldest = oldest.collect();
        inner.state.put_oldest(oldest);
        drop(inner);
        let pruned = self.run(&Op::Prune(Box::new(order))).map(Answer::pruned)?;
        let mut inner = self.lock();
        let begin = inner.state.checkpoint().map_or(0, |checkpoint| checkpoint.seq);
        inner.log.retain(|record| record.seq > begin);
        Ok(pruned)
    }

    async fn jobs(&self) -> Result<Vec<JobState>, StoreError> {
        let mut jobs: Vec<_> = self.lock().state.jobs().cloned().collect();
        jobs.sort_by_key(|job| job.name.as_str());
        Ok(jobs)
    }

    async fn audit_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.lock().state.checkpoint().copied())
    }

    async fn size(&self) -> Result<DatabaseSize, StoreError> {
        Ok(DatabaseSize::default())
    }

    async fn tune(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
