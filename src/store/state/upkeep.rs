//! Jobs, and what is removed when it is old.

use super::super::StoreError;
use super::super::events;
use super::super::op::Answer;
use super::super::upkeep::{JobChange, JobOrder, PruneOrder, Pruned};
use super::{Row, State};
use crate::base::{Id, Timestamp};
use crate::model::Certificate;
use crate::model::audit::Checkpoint;
use crate::model::job::{JobAsked, JobName, JobState};

/// Keys of rows that were removed.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Certificates.
    pub certificates: Vec<(Row, Certificate)>,
    /// Tokens; their requests go with them.
    pub tokens: Vec<Id>,
    /// Numbers of problems.
    pub problems: Vec<u64>,
    /// Numbers of notifications.
    pub notifications: Vec<u64>,
    /// The last audit record that was removed.
    pub audit: Option<Checkpoint>,
}

impl Removed {
    fn is_nothing_but_audit(&self) -> bool {
        let told = self.problems.len() + self.notifications.len();
        self.certificates.is_empty() && self.tokens.is_empty() && told == 0
    }
}

impl State {
    pub(super) fn change_job(&mut self, order: &JobOrder) -> Answer {
        let mut job = self.job(order.job);
        match &order.change {
            JobChange::Plan { plan, next } => {
                job.plan.clone_from(plan);
                (job.next_at, job.retries) = (next.at, next.retries);
            }
            JobChange::Ask { actor, source } => {
                job.asked.get_or_insert_with(|| JobAsked {
                    at: order.now,
                    by: actor.text(),
                });
                self.record(&events::job_asked(order.job, actor, *source, order.now));
            }
            JobChange::Begin { cause } => job.begin(*cause, order.now),
            JobChange::End {
                outcome,
                detail,
                next,
            } => job.end(*outcome, detail.clone(), *next, order.now),
        }
        self.changes.jobs.insert(order.job);
        self.put_job(job.clone());
        Answer::Job(Box::new(job))
    }

    /// Removes what is old: of what is known, the oldest first.
    pub(super) fn prune(&mut self, order: &PruneOrder) -> Result<Answer, StoreError> {
        let limit = order.limit as usize;
        let mut removed = Removed::default();
        if let Some(before) = order.certificates {
            let ended = self.ended_certificates(before, limit);
            let forgotten = ended.into_iter().filter_map(|row| self.forget_certificate(row));
            removed.certificates = forgotten.collect();
        }
        if let Some(before) = order.tokens {
            removed.tokens = self.ended_tokens(before, limit);
        }
        if let Some(before) = order.problems {
            (removed.problems, removed.notifications) = self.forget_over(before, limit);
        }
        let mut pruned = Pruned {
            certificates: removed.certificates.len() as u64,
            tokens: removed.tokens.len() as u64,
            audit: 0,
            problems: removed.problems.len() as u64,
            notifications: removed.notifications.len() as u64,
        };
        if let Some(before) = order.audit {
            (pruned.audit, removed.audit) = self.old_records(before, limit);
        }
        for id in &removed.tokens {
            self.tokens.remove(id);
            self.waiting.remove(id);
            self.requests.retain(|_, request| request.token != *id);
            self.request_keys.retain(|(token, _), _| token != id);
        }
        if !removed.is_nothing_but_audit() {
            self.record(&events::pruned(&pruned, order));
        }
        if let Some(checkpoint) = &removed.audit {
            self.record(&events::audit_pruned(checkpoint, pruned.audit, order.now));
            self.oldest.retain(|record| record.seq > checkpoint.seq);
            self.checkpoint = Some(*checkpoint);
        }
        self.changes.removed = removed;
        Ok(Answer::Pruned(pruned))
    }

    fn ended_certificates(&self, before: Timestamp, limit: usize) -> Vec<Row> {
        let ended = self.certificates.iter().filter(|(_, c)| c.not_after < before);
        let mut ended: Vec<_> = ended.map(|(row, c)| (c.not_after, *row)).collect();
        ended.sort_unstable();
        ended.into_iter().take(limit).map(|(_, row)| row).collect()
    }

    fn ended_tokens(&self, before: Timestamp, limit: usize) -> Vec<Id> {
        let ended = self.tokens.values().filter(|token| token.expires_at < before);
        let mut ended: Vec<_> = ended.map(|token| (token.expires_at, token.id)).collect();
        ended.sort_unstable();
        ended.into_iter().take(limit).map(|(_, id)| id).collect()
    }

    /// How many of the oldest records in a row are from before `before`, and the last of them.
    fn old_records(&self, before: Timestamp, limit: usize) -> (u64, Option<Checkpoint>) {
        let old = |record: &&Checkpoint| record.at < before && record.seq < self.head.seq;
        let old = self.oldest.iter().take(limit).take_while(old);
        let (count, last) = old.fold((0, None), |(count, _), record| (count + 1, Some(*record)));
        (count, last)
    }

    fn forget_certificate(&mut self, row: Row) -> Option<(Row, Certificate)> {
        let certificate = self.certificates.remove(&row)?;
        self.serials.remove(&certificate.serial);
        if let Some(token) = certificate.token {
            self.token_keys.remove(&(token, certificate.spki_sha256));
        }
        if let Some(held) = self.held.get_mut(&certificate.identity) {
            held.remove(&row);
        }
        Some((row, certificate))
    }

    /// Knows what is remembered of this job.
    pub fn put_job(&mut self, job: JobState) {
        self.jobs.insert(job.name, job);
    }

    /// Knows the oldest audit records, in order.
    pub fn put_oldest(&mut self, records: Vec<Checkpoint>) {
        self.oldest = records;
    }

    /// What is remembered of a job.
    pub fn job(&self, name: JobName) -> JobState {
        self.jobs
            .get(&name)
            .cloned()
            .unwrap_or_else(|| JobState::new(name))
    }

    /// What is remembered of all jobs, by name.
    pub fn jobs(&self) -> impl Iterator<Item = &JobState> {
        self.jobs.values()
    }

    /// After which record the chain begins, when it was moved.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }
}
