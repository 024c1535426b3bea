//! Sessions in SQLite.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::super::StoreError;
use super::super::op::{Answer, Op};
use super::super::sessions::{SessionChange, SessionOrder, SessionStore};
use super::super::state::{SessionRow, State};
use super::failure::Failure;
use super::rows::Columns;
use super::save::statements::{Values, one};
use super::{SqliteStore, sql};
use crate::base::{Id, Timestamp};
use crate::model::Session;

#[async_trait]
impl SessionStore for SqliteStore {
    async fn change_session(&self, order: SessionOrder) -> Result<Option<Session>, StoreError> {
        self.run(Op::Session(Box::new(order))).await.map(Answer::session)
    }

    async fn session_by_link(&self, link: [u8; 32]) -> Result<Option<Session>, StoreError> {
        let query = sqlx::query(sql::SESSION_BY_LINK).bind(link.to_vec());
        self.reader().one(query, session).await
    }

    async fn session_by_cookie(&self, cookie: [u8; 32]) -> Result<Option<Session>, StoreError> {
        let query = sqlx::query(sql::SESSION_BY_COOKIE).bind(cookie.to_vec());
        self.reader().one(query, session).await
    }

    async fn session(&self, id: Id) -> Result<Option<Session>, StoreError> {
        let query = sqlx::query(sql::SESSION).bind(id.as_bytes().to_vec());
        self.reader().one(query, session).await
    }

    async fn sessions(
        &self,
        identity: Option<Id>,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let query = match identity {
            Some(identity) => sqlx::query(sql::SESSIONS_OF)
                .bind(since.as_millis())
                .bind(limit)
                .bind(identity.as_bytes().to_vec()),
            None => sqlx::query(sql::SESSIONS).bind(since.as_millis()).bind(limit),
        };
        let rows = self.reader().all(query).await?;
        rows.iter().map(session).collect()
    }
}

fn session(row: &SqliteRow) -> Result<Session, StoreError> {
    session_row(row).map(|row| row.session)
}

fn session_row(row: &SqliteRow) -> Result<SessionRow, StoreError> {
    let mut columns = Columns::new(row, 0, "session");
    let (id, link) = (columns.id()?, columns.hash()?);
    let cookie: Option<Vec<u8>> = columns.raw()?;
    let session = Session {
        id,
        identity: columns.id()?,
        name: columns.text()?,
        serial: columns.serial()?,
        created_at: columns.time()?,
        started_at: columns.optional_time()?,
        seen_at: columns.time()?,
        source: columns.optional_text()?,
        ended_at: columns.optional_time()?,
    };
    Ok(SessionRow {
        session,
        link,
        cookie: cookie.and_then(|cookie| cookie.try_into().ok()),
    })
}

/// Loads what these changes are about.
pub async fn load(
    connection: &mut SqliteConnection,
    changes: &[SessionChange],
    state: &mut State,
) -> Result<(), Failure> {
    for change in changes {
        let query = match change {
            SessionChange::Offer { session, .. } => sqlx::query(sql::SESSIONS_OF)
                .bind(i64::MIN)
                .bind(i64::MAX)
                .bind(session.identity.as_bytes().to_vec()),
            SessionChange::Start { link, .. } => sqlx::query(sql::SESSION_BY_LINK).bind(link.to_vec()),
            SessionChange::Seen(id) | SessionChange::End(id) => {
                sqlx::query(sql::SESSION).bind(id.as_bytes().to_vec())
            }
        };
        for row in query.fetch_all(&mut *connection).await? {
            state.put_session(session_row(&row)?);
        }
    }
    Ok(())
}

/// Writes down what changed. A link is spent where it is not spent yet, or not at all.
pub async fn save(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    let changes = &state.changes;
    if let Some(before) = changes.sessions_forgotten {
        let forget = sqlx::query(sql::FORGET_SESSIONS).bind(before.as_millis());
        forget.execute(&mut *connection).await?;
    }
    for row in changes.sessions.new_rows().filter_map(|id| state.session(id)) {
        let session = &row.session;
        let mut values = Values::default();
        values
            .add(session.id.as_bytes().as_slice())?
            .add(row.link.as_slice())?;
        values.add(row.cookie.as_ref().map(|cookie| cookie.as_slice()))?;
        values.add(session.identity.as_bytes().as_slice())?;
        values
            .add(session.name.as_str())?
            .add(session.serial.as_bytes())?;
        values.add(session.created_at.as_millis())?;
        values.add(session.started_at.map(Timestamp::as_millis))?;
        values.add(session.seen_at.as_millis())?;
        values.add(session.source.map(|source| source.to_string()))?;
        values.add(session.ended_at.map(Timestamp::as_millis))?;
        one(connection, sql::INSERT_SESSION, values, "a link was not stored").await?;
    }
    let is_new = |id: &Id| changes.sessions.new_rows().any(|new| new == *id);
    let started = changes.sessions_started.iter().filter(|id| !is_new(id));
    for row in started.filter_map(|id| state.session(*id)) {
        let mut values = Values::default();
        values.add(row.session.id.as_bytes().as_slice())?;
        values.add(row.cookie.as_ref().map(|cookie| cookie.as_slice()))?;
        values.add(row.session.started_at.map(Timestamp::as_millis))?;
        values.add(row.session.seen_at.as_millis())?;
        values.add(row.session.source.map(|source| source.to_string()))?;
        values.add(row.session.ended_at.map(Timestamp::as_millis))?;
        one(
            connection,
            sql::START_SESSION,
            values,
            "a link was spent meanwhile",
        )
        .await?;
    }
    for row in changes.sessions.changed_rows().filter_map(|id| state.session(id)) {
        let mut values = Values::default();
        values.add(row.session.id.as_bytes().as_slice())?;
        values.add(row.session.seen_at.as_millis())?;
        values.add(row.session.ended_at.map(Timestamp::as_millis))?;
        one(connection, sql::TOUCH_SESSION, values, "a session is gone").await?;
    }
    Ok(())
}
