//! Problems and notifications in SQLite.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::super::StoreError;
use super::super::cursor::{self, List};
use super::super::op::{Answer, Op};
use super::super::problems::{DeliveryOrder, FindingsOrder, Found, ProblemStore, TestOrder, Waiting};
use super::super::state::State;
use super::failure::Failure;
use super::rows::{Columns, json};
use super::{SqliteStore, sql};
use crate::base::Timestamp;
use crate::model::problem::{Area, Notification, Problem};
use crate::model::{Page, PageRequest};

#[async_trait]
impl ProblemStore for SqliteStore {
    async fn record_findings(&self, order: FindingsOrder) -> Result<Found, StoreError> {
        self.run(Op::Findings(Box::new(order))).await.map(Answer::found)
    }

    async fn queue_test(&self, order: TestOrder) -> Result<u64, StoreError> {
        self.run(Op::TestChannel(Box::new(order)))
            .await
            .map(Answer::number)
    }

    async fn record_attempt(&self, order: DeliveryOrder) -> Result<(), StoreError> {
        self.run(Op::Delivery(Box::new(order))).await.map(drop)
    }

    async fn problems(&self, all: bool, page: PageRequest) -> Result<Page<Problem>, StoreError> {
        let text = if all { sql::PROBLEMS } else { sql::PROBLEMS_OPEN };
        let rows = self.numbered(text, List::Problems, &page).await?;
        let read = |row| problem(row).map(|problem| (problem.number as i64, problem));
        let rows: Result<Vec<_>, _> = rows.iter().map(read).collect();
        Ok(cursor::page(List::Problems, cursor::limit(&page), rows?))
    }

    async fn notifications(
        &self,
        waiting: bool,
        page: PageRequest,
    ) -> Result<Page<Notification>, StoreError> {
        let text = match waiting {
            true => sql::NOTIFICATIONS_WAITING,
            false => sql::NOTIFICATIONS,
        };
        let rows = self.numbered(text, List::Notifications, &page).await?;
        let read = |row| notification(row).map(|n| (n.number as i64, n));
        let rows: Result<Vec<_>, _> = rows.iter().map(read).collect();
        Ok(cursor::page(List::Notifications, cursor::limit(&page), rows?))
    }

    async fn next_notification(
        &self,
        channel: &str,
        now: Timestamp,
    ) -> Result<Option<Notification>, StoreError> {
        let query = sqlx::query(sql::NEXT_NOTIFICATION)
            .bind(channel)
            .bind(now.as_millis());
        self.reader().one(query, notification).await
    }

    async fn waiting(&self, channel: &str) -> Result<Waiting, StoreError> {
        let query = sqlx::query(sql::WAITING).bind(channel);
        let read = |row: &SqliteRow| {
            let mut columns = Columns::new(row, 0, "number of notifications");
            Ok(Waiting {
                count: columns.count()?,
                oldest: columns.optional_time()?,
            })
        };
        Ok(self.reader().one(query, read).await?.unwrap_or_default())
    }
}

impl SqliteStore {
    /// Rows of a list by number, newest first.
    async fn numbered(
        &self,
        text: &'static str,
        list: List,
        page: &PageRequest,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let before = cursor::start::<i64>(list, page)?.unwrap_or(i64::MAX);
        let limit = i64::try_from(cursor::limit(page) + 1).unwrap_or(i64::MAX);
        self.reader()
            .all(sqlx::query(text).bind(before).bind(limit))
            .await
    }
}

fn problem(row: &SqliteRow) -> Result<Problem, StoreError> {
    let mut c = Columns::new(row, 0, "problem");
    let mut problem = Problem {
        number: c.count()?,
        area: c.text()?,
        key: c.raw()?,
        kind: c.text()?,
        severity: c.text()?,
        subject: c.raw()?,
        message: c.raw()?,
        first_seen: c.time()?,
        last_seen: c.time()?,
        told: None,
        resolved_at: None,
    };
    problem.told = c.optional_time()?.zip(c.optional_text()?);
    problem.resolved_at = c.optional_time()?;
    Ok(problem)
}

fn notification(row: &SqliteRow) -> Result<Notification, StoreError> {
    let mut c = Columns::new(row, 0, "notification");
    Ok(Notification {
        number: c.count()?,
        id: c.id()?,
        channel: c.raw()?,
        event: c.text()?,
        problem: c.json()?,
        at: c.time()?,
        wanted_at: c.time()?,
        due_at: c.time()?,
        attempts: c.count()?,
        error: c.raw()?,
        delivered_at: c.optional_time()?,
    })
}

/// Loads the last numbers that were given.
pub async fn load_numbers(connection: &mut SqliteConnection, state: &mut State) -> Result<(), Failure> {
    let row = sqlx::query(sql::LAST_NUMBERS).fetch_one(connection).await?;
    let mut columns = Columns::new(&row, 0, "last numbers");
    state.put_last_numbers(columns.count()?, columns.count()?);
    Ok(())
}

/// Loads the open problems of an area, and which reminders wait.
pub async fn load_area(
    connection: &mut SqliteConnection,
    area: Area,
    state: &mut State,
) -> Result<(), Failure> {
    let query = sqlx::query(sql::LOAD_PROBLEMS).bind(area.as_str());
    for row in query.fetch_all(&mut *connection).await? {
        state.put_problem(problem(&row)?);
    }
    for row in sqlx::query(sql::LOAD_REMINDED).fetch_all(connection).await? {
        let mut columns = Columns::new(&row, 0, "reminder");
        state.put_reminded(columns.raw()?, columns.count()?);
    }
    Ok(())
}

/// Loads a notification.
pub async fn load_notification(
    connection: &mut SqliteConnection,
    number: u64,
    state: &mut State,
) -> Result<(), Failure> {
    let query = sqlx::query(sql::LOAD_NOTIFICATION).bind(number as i64);
    if let Some(row) = query.fetch_optional(connection).await? {
        state.put_notification(notification(&row)?);
    }
    Ok(())
}

/// Loads what was over, or delivered, before this: the oldest, at most `limit` of each.
pub async fn load_over(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: i64,
    state: &mut State,
) -> Result<(), Failure> {
    let query = sqlx::query(sql::LOAD_OVER).bind(before.as_millis()).bind(limit);
    for row in query.fetch_all(&mut *connection).await? {
        state.put_problem(problem(&row)?);
    }
    let query = sqlx::query(sql::LOAD_DELIVERED)
        .bind(before.as_millis())
        .bind(limit);
    for row in query.fetch_all(connection).await? {
        state.put_notification(notification(&row)?);
    }
    Ok(())
}

/// Writes down what changed, in one statement each.
pub async fn save(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    let changes = &state.changes;
    let problems: Vec<_> = changes
        .problems
        .iter()
        .filter_map(|n| state.problem(*n))
        .map(problem_row)
        .collect();
    let notifications = changes.notifications.iter();
    let notifications: Vec<_> = notifications
        .filter_map(|n| state.notification(*n))
        .map(notification_row)
        .collect();
    for (text, rows) in [
        (sql::PUT_PROBLEMS, problems),
        (sql::PUT_NOTIFICATIONS, notifications),
    ] {
        if !rows.is_empty() {
            sqlx::query(text)
                .bind(json(&rows))
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

fn problem_row(problem: &Problem) -> serde_json::Value {
    let (told_at, told_severity) = problem.told.unzip();
    serde_json::json!([
        problem.number,
        problem.area,
        problem.key,
        problem.kind,
        problem.severity,
        problem.subject,
        problem.message,
        problem.first_seen.as_millis(),
        problem.last_seen.as_millis(),
        told_at.map(Timestamp::as_millis),
        told_severity,
        problem.resolved_at.map(Timestamp::as_millis),
    ])
}

fn notification_row(n: &Notification) -> serde_json::Value {
    serde_json::json!([
        n.number,
        crate::base::encoding::hex(n.id.as_bytes()),
        n.channel,
        n.event,
        n.problem.number,
        json(&n.problem),
        n.at.as_millis(),
        n.wanted_at.as_millis(),
        n.due_at.as_millis(),
        n.attempts,
        n.error,
        n.delivered_at.map(Timestamp::as_millis),
    ])
}
