//! Statements over many rows at once.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use super::super::failure::Failure;
use super::super::rows::json;

/// Rows in one statement. With the widest table it stays far below SQLite's 32,766 parameters.
const ROWS_MAX: usize = 256;

/// Arguments, in order.
#[derive(Default)]
pub struct Values(SqliteArguments);

impl Values {
    /// The next one.
    pub fn add<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> Result<&mut Self, Failure> {
        self.0.add(value).map_err(Failure::arguments)?;
        Ok(self)
    }
}

/// Inserts all rows. The statements hold powers of two of them, so that there are few different texts and
/// all stay prepared.
pub async fn insert<T>(
    connection: &mut SqliteConnection,
    head: &'static str,
    width: usize,
    rows: &[T],
    write: impl Fn(&T, &mut Values) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut rest = rows;
    while !rest.is_empty() {
        let count = ROWS_MAX.min(1 << rest.len().ilog2());
        let (now, later) = rest.split_at(count);
        let mut values = Values::default();
        now.iter().try_for_each(|row| write(row, &mut values))?;
        sqlx::query_with(AssertSqlSafe(values_text(head, width, count)), values.0)
            .execute(&mut *connection)
            .await?;
        rest = later;
    }
    Ok(())
}

/// `head (?,?),(?,?)`: made of constants and numbers alone.
fn values_text(head: &str, width: usize, count: usize) -> String {
    let tuple = format!("({}?)", "?,".repeat(width - 1));
    let mut text = String::with_capacity(head.len() + (tuple.len() + 1) * count);
    text.push_str(head);
    for at in 0..count {
        text.push_str(if at == 0 { "" } else { "," });
        text.push_str(&tuple);
    }
    text
}

/// Runs an update over a JSON array of rows, each of which must be found.
pub async fn update<T: serde::Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &[T],
    otherwise: &str,
) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(sql).bind(json(rows)).execute(connection).await?;
    if done.rows_affected() == rows.len() as u64 {
        Ok(())
    } else {
        Err(Failure::condition(otherwise))
    }
}

/// Runs a statement that must change one row.
pub async fn one(
    connection: &mut SqliteConnection,
    sql: &'static str,
    values: Values,
    otherwise: &str,
) -> Result<(), Failure> {
    let done = sqlx::query_with(sql, values.0).execute(connection).await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Failure::condition(otherwise))
    }
}
