//! A consistent copy of the database while it is in use.

use std::fs::File;
use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use super::super::StoreError;
use super::failure::{unavailable, words};
use super::{open, sql};

/// Copies the database at `place` to `copy`, which must not exist, and checks the copy. What was committed
/// before is in it. A copy that is not good is removed.
pub async fn write(place: &Path, copy: &Path) -> Result<(), StoreError> {
    let copy = open::place(copy)?;
    open::create_private(&copy)?;
    let done = vacuum_into(place, &copy).await;
    if done.is_err()
        && let Err(error) = std::fs::remove_file(&copy)
    {
        tracing::warn!(%error, path = %copy.display(), "an unfinished backup could not be removed");
    }
    done
}

async fn vacuum_into(place: &Path, copy: &Path) -> Result<(), StoreError> {
    let text = copy
        .to_str()
        .ok_or_else(|| unavailable(copy, "its path is not UTF-8"))?;
    let failed = |e: sqlx::Error| unavailable(copy, words(&e));
    // A connection of its own: a long copy must not take a reader away.
    let mut connection = open::reader_options(place).connect().await.map_err(failed)?;
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(text)
        .execute(&mut connection)
        .await;
    connection.close().await.map_err(failed)?;
    copied.map_err(failed)?;
    check(copy).await?;
    sync(copy).map_err(|e| unavailable(copy, format!("it was not made durable: {e}")))
}

async fn check(copy: &Path) -> Result<(), StoreError> {
    let failed = |e: sqlx::Error| unavailable(copy, words(&e));
    let mut connection = open::reader_options(copy).connect().await.map_err(failed)?;
    let found: Vec<String> = sqlx::query_scalar(sql::INTEGRITY)
        .fetch_all(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if found == ["ok"] {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        what: "backup copy",
        why: found.join("; "),
    })
}

/// The file, and the directory that names it.
fn sync(copy: &Path) -> std::io::Result<()> {
    File::open(copy)?.sync_all()?;
    match copy.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
