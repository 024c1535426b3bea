//! Jobs, and what is old, in SQLite.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::super::StoreError;
use super::super::op::{Answer, Op};
use super::super::state::State;
use super::super::upkeep::{DatabaseSize, JobOrder, PruneOrder, Pruned, UpkeepStore};
use super::failure::{Failure, unavailable, words};
use super::rows::{self, Columns, json};
use super::save::names_of;
use super::{SqliteStore, open, problems, sql};
use crate::base::encoding::hex;
use crate::model::audit::Checkpoint;
use crate::model::job::JobState;

#[async_trait]
impl UpkeepStore for SqliteStore {
    async fn change_job(&self, order: JobOrder) -> Result<JobState, StoreError> {
        self.run(Op::Job(Box::new(order))).await.map(Answer::job)
    }

    async fn prune(&self, order: PruneOrder) -> Result<Pruned, StoreError> {
        self.run(Op::Prune(Box::new(order))).await.map(Answer::pruned)
    }

    async fn jobs(&self) -> Result<Vec<JobState>, StoreError> {
        let rows = self.reader().all(sqlx::query(sql::JOBS)).await?;
        Ok(rows.iter().filter_map(job).collect())
    }

    async fn audit_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let query = sqlx::query(sql::AUDIT_CHECKPOINT);
        self.reader().one(query, checkpoint).await
    }

    async fn size(&self) -> Result<DatabaseSize, StoreError> {
        let found = self
            .reader()
            .one(sqlx::query(sql::SIZE), rows::counts::<3>)
            .await?;
        let [pages, free, page_bytes] = found.unwrap_or_default();
        let mut log = self.place.as_os_str().to_owned();
        log.push("-wal");
        let log_bytes = std::fs::metadata(log).map_or(0, |log| log.len());
        Ok(DatabaseSize {
            bytes: pages * page_bytes + log_bytes,
            free_bytes: free * page_bytes,
        })
    }

    /// On a connection of its own. The log is written back as far as no reader needs it, which holds up nobody.
    async fn tune(&self) -> Result<(), StoreError> {
        let failed = |e: sqlx::Error| unavailable(&self.place, words(&e));
        let options = open::writer_options(&self.place);
        let mut connection = options.connect().await.map_err(failed)?;
        let mut done = Ok(());
        for text in sql::TUNE {
            done = sqlx::query(text).fetch_all(&mut connection).await.map(drop);
            if done.is_err() {
                break;
            }
        }
        connection.close().await.map_err(failed)?;
        done.map_err(failed)
    }
}

/// What another release remembers of its jobs is not this one's: such a job counts as one that never ran.
fn job(row: &SqliteRow) -> Option<JobState> {
    Columns::new(row, 0, "job").json().ok()
}

fn checkpoint(row: &SqliteRow) -> Result<Checkpoint, StoreError> {
    let mut columns = Columns::new(row, 0, "audit checkpoint");
    Ok(Checkpoint {
        seq: columns.count()?,
        hash: columns.hash()?,
        at: columns.time()?,
    })
}

/// Loads what is remembered of all jobs.
pub async fn load_jobs(connection: &mut SqliteConnection, state: &mut State) -> Result<(), Failure> {
    let rows = sqlx::query(sql::JOBS).fetch_all(connection).await?;
    rows.iter().filter_map(job).for_each(|job| state.put_job(job));
    Ok(())
}

/// Loads what an order may remove: of each kind the oldest, as many as the order allows.
pub async fn load_old(
    connection: &mut SqliteConnection,
    order: &PruneOrder,
    state: &mut State,
) -> Result<(), Failure> {
    let limit = i64::from(order.limit);
    if let Some(before) = order.certificates {
        let query = sqlx::query(sql::LOAD_ENDED).bind(before.as_millis()).bind(limit);
        for row in query.fetch_all(&mut *connection).await? {
            let (number, certificate) = rows::certificate(&row, 0)?;
            state.put_certificate(number, certificate);
        }
    }
    if let Some(before) = order.tokens {
        let query = sqlx::query(sql::LOAD_ENDED_TOKENS)
            .bind(before.as_millis())
            .bind(limit);
        for row in query.fetch_all(&mut *connection).await? {
            state.put_token(rows::token(&row)?);
        }
    }
    if let Some(before) = order.problems {
        problems::load_numbers(connection, state).await?;
        problems::load_over(connection, before, limit, state).await?;
    }
    if order.audit.is_some() {
        let rows = sqlx::query(sql::LOAD_OLDEST_AUDIT).bind(limit);
        let rows = rows.fetch_all(connection).await?;
        let records: Result<Vec<_>, _> = rows.iter().map(checkpoint).collect();
        state.put_oldest(records?);
    }
    Ok(())
}

/// Writes down what changed of jobs, and removes what was removed; after the audit records were written.
pub async fn save(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    for name in &state.changes.jobs {
        sqlx::query(sql::PUT_JOB)
            .bind(name.as_str())
            .bind(json(&state.job(*name)))
            .execute(&mut *connection)
            .await?;
    }
    let removed = &state.changes.removed;
    if !removed.certificates.is_empty() {
        let certificates = &removed.certificates;
        let names: Vec<_> = certificates
            .iter()
            .flat_map(|(row, c)| names_of(*row, c))
            .collect();
        let rows: Vec<_> = certificates.iter().map(|(row, _)| *row).collect();
        for (text, keys) in [
            (sql::REMOVE_NAMES, json(&names)),
            (sql::REMOVE_CERTIFICATES, json(&rows)),
        ] {
            sqlx::query(text).bind(keys).execute(&mut *connection).await?;
        }
    }
    if !removed.tokens.is_empty() {
        let tokens: Vec<String> = removed.tokens.iter().map(|id| hex(id.as_bytes())).collect();
        for text in [sql::REMOVE_TOKEN_REQUESTS, sql::REMOVE_TOKENS] {
            let query = sqlx::query(text).bind(json(&tokens));
            query.execute(&mut *connection).await?;
        }
    }
    for (text, numbers) in [
        (sql::REMOVE_PROBLEMS, &removed.problems),
        (sql::REMOVE_NOTIFICATIONS, &removed.notifications),
    ] {
        if !numbers.is_empty() {
            let query = sqlx::query(text).bind(json(numbers));
            query.execute(&mut *connection).await?;
        }
    }
    if let Some(checkpoint) = &removed.audit {
        sqlx::query(sql::PUT_AUDIT_CHECKPOINT)
            .bind(checkpoint.seq as i64)
            .bind(checkpoint.hash.to_vec())
            .bind(checkpoint.at.as_millis())
            .execute(&mut *connection)
            .await?;
        let query = sqlx::query(sql::REMOVE_AUDIT).bind(checkpoint.seq as i64);
        query.execute(connection).await?;
    }
    Ok(())
}
