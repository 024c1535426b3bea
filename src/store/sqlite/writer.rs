//! The one writer: a task that owns the one connection that writes. What has queued up while a commit was
//! being made durable shares the next transaction; everybody is answered after the commit.

use std::path::PathBuf;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::StoreError;
use super::super::op::{Answer, Op, Outcome};
use super::failure::{Failure, unavailable};
use super::load::load;
use super::save::save;
use super::{open, sql};

/// Operations in one transaction.
pub const GROUP_MAX: usize = 256;
/// Operations that wait for a transaction; whoever comes after them waits for room.
pub const QUEUE_MAX: usize = 1024;

/// What the writer is asked.
pub enum Message {
    /// Do this.
    Run(Op, oneshot::Sender<Outcome>),
    /// Do what was asked so far, then close.
    Close(oneshot::Sender<()>),
}

type Job = (Op, oneshot::Sender<Outcome>);

/// The writer's side.
pub struct Writer {
    place: PathBuf,
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    /// The last group failed for want of room or worse: readiness is proved by a write.
    doubtful: bool,
    /// The feed's newest number.
    feed: watch::Sender<u64>,
    /// Counts changes of who may do what.
    roles: watch::Sender<u64>,
}

impl Writer {
    /// Takes over `connection`; `options` open another one like it.
    pub fn new(place: PathBuf, options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self {
            place,
            options,
            connection: Some(connection),
            doubtful: false,
            feed: watch::Sender::new(0),
            roles: watch::Sender::new(0),
        }
    }

    /// Works until every sender is gone or [`Message::Close`] comes.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut closing = Vec::new();
        let mut messages = Vec::with_capacity(GROUP_MAX);
        while queue.recv_many(&mut messages, GROUP_MAX).await > 0 {
            let mut jobs: Vec<Job> = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Run(op, answer) => jobs.push((op, answer)),
                    Message::Close(done) => {
                        queue.close();
                        closing.push(done);
                    }
                }
            }
            self.run_group(jobs).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, place = %self.place.display(), "the database was not closed cleanly");
        }
        for done in closing {
            // Who does not wait for the end any more need not be told of it.
            let _ = done.send(());
        }
    }

    /// Commits the group as one. When one operation is to blame for a failure, halves of the group are
    /// tried, so that it fails alone.
    async fn run_group(&mut self, jobs: Vec<Job>) {
        let mut groups = vec![jobs];
        while let Some(mut jobs) = groups.pop() {
            if jobs.is_empty() {
                continue;
            }
            match self.commit(&jobs).await {
                Ok(outcomes) => answer(jobs, outcomes),
                Err(Failure::Operation(_)) if jobs.len() > 1 => {
                    let second = jobs.split_off(jobs.len() / 2);
                    groups.push(second);
                    groups.push(jobs);
                }
                Err(Failure::Operation(error)) => answer(jobs, vec![Err(error)]),
                Err(Failure::Busy(why)) => self.refuse(jobs, &why),
                Err(Failure::Connection(why)) => {
                    self.give_up_connection(&why).await;
                    self.refuse(jobs, &why);
                }
            }
        }
    }

    /// One transaction.
    async fn commit(&mut self, jobs: &[Job]) -> Result<Vec<Outcome>, Failure> {
        let doubtful = self.doubtful;
        let mut transaction = self.connection().await?.begin_with("BEGIN IMMEDIATE").await?;
        let mut state = load(&mut transaction, jobs.iter().map(|(op, _)| op)).await?;
        let outcomes = jobs.iter().map(|(op, _)| state.apply(op)).collect();
        save(&mut transaction, &state).await?;
        if doubtful {
            sqlx::query(sql::PROBE).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.doubtful = false;
        if !state.changes.feed.is_empty() {
            self.feed.send_replace(state.head.feed);
        }
        if state.changes_roles() {
            self.roles.send_modify(|count| *count += 1);
        }
        Ok(outcomes)
    }

    async fn connection(&mut self) -> Result<&mut SqliteConnection, Failure> {
        if self.connection.is_none() {
            let mut connection = self.options.connect().await?;
            open::check_settings(&mut connection).await?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("opened above"))
    }

    /// After an I/O error what the connection holds in memory may not be what is on disk. The next group
    /// gets a new one, which reads the disk.
    async fn give_up_connection(&mut self, why: &str) {
        tracing::error!(place = %self.place.display(), why, "the database was not written; opening it anew");
        self.doubtful = true;
        if let Some(connection) = self.connection.take() {
            drop(connection.close_hard().await);
        }
    }

    fn refuse(&self, jobs: Vec<Job>, why: &str) {
        let outcomes = jobs.iter().map(|_| Err(unavailable(&self.place, why))).collect();
        answer(jobs, outcomes);
    }
}

/// Answers everybody. Who has gone away meanwhile asks again.
fn answer(jobs: Vec<Job>, outcomes: Vec<Outcome>) {
    for ((_, answer), outcome) in jobs.into_iter().zip(outcomes) {
        drop(answer.send(outcome));
    }
}

/// The callers' side.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    place: PathBuf,
    queue: mpsc::Sender<Message>,
    feed: watch::Sender<u64>,
    roles: watch::Sender<u64>,
}

impl WriterHandle {
    /// Starts the task.
    pub fn start(writer: Writer) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let (place, feed, roles) = (writer.place.clone(), writer.feed.clone(), writer.roles.clone());
        tokio::spawn(writer.run(receiver));
        Self {
            place,
            queue: sender,
            feed,
            roles,
        }
    }

    /// Queues the operation and waits until it is durable.
    pub async fn run(&self, op: Op) -> Result<Answer, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let closed = || unavailable(&self.place, "it is closed: the server is stopping");
        self.queue
            .send(Message::Run(op, sender))
            .await
            .map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }

    /// The feed's newest number, as it is committed.
    pub fn feed(&self) -> watch::Receiver<u64> {
        self.feed.subscribe()
    }

    /// Counts changes of who may do what, as they are committed.
    pub fn roles(&self) -> watch::Receiver<u64> {
        self.roles.subscribe()
    }

    /// The feed stood here when the database was opened.
    pub fn note_feed(&self, number: u64) {
        self.feed.send_if_modified(|known| {
            let newer = number > *known;
            *known = number.max(*known);
            newer
        });
    }

    /// Finishes what is queued and closes.
    pub async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.queue.send(Message::Close(sender)).await.is_ok() {
            drop(receiver.await);
        }
    }
}
