//! Opening a database: who may read the file, which schema it has, and whether the settings that
//! durability rests on have really been taken.

use std::fs::{OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::super::StoreError;
use super::failure::{Failure, unavailable, words};

/// Schema changes, in order, inside the program.
pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 256;
/// Pages of log after which a commit also writes them back into the database file (64 MiB). A page that
/// many commits changed is written back once.
const CHECKPOINT_PAGES: &str = "16384";
/// The log file is cut down to this after it was written back, bytes.
const LOG_BYTES_KEPT: &str = "67108864";
/// Page cache of the writer, KiB (negative means KiB to SQLite).
const CACHE_KIB: &str = "-16384";
/// Owner only: the file holds token hashes and who may do what.
const MODE: u32 = 0o600;

/// Whether a database that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It must be there.
    Refuse,
    /// Make it: `server init`.
    Create,
}

/// The database file, absolute (SQLite would read a relative `file:...` as a URI).
pub fn place(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|e| unavailable(path, e.to_string()))
}

/// Makes the file if it should, and takes it away from everybody but its owner. SQLite gives the files
/// beside it the same mode.
pub fn prepare_file(path: &Path, missing: Missing) -> Result<(), StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(unavailable(path, "it is not a file")),
        Ok(_) => restrict(path),
        Err(e) if e.kind() == ErrorKind::NotFound && missing == Missing::Create => create_private(path),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(unavailable(
            path,
            "there is no such file: check --data-dir, make a server with `dockwarden server init`, or restore a backup",
        )),
        Err(e) => Err(unavailable(path, e.to_string())),
    }
}

/// Makes an empty file that only its owner may open. It must not exist.
pub fn create_private(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)
        .map(drop)
        .map_err(|e| unavailable(path, format!("it cannot be created: {e}")))
}

fn restrict(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::set_permissions(&file, Permissions::from_mode(MODE)) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(unavailable(path, format!("its mode cannot be set to 0600: {e}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How the writer opens it.
pub fn writer_options(path: &Path) -> SqliteConnectOptions {
    common_options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES_KEPT)
        .pragma("cache_size", CACHE_KIB)
        // A multi-row statement keeps what it overwrites until it has succeeded: not in a file.
        .pragma("temp_store", "MEMORY")
}

/// How readers open it.
pub fn reader_options(path: &Path) -> SqliteConnectOptions {
    common_options(path).read_only(true)
}

fn common_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging()
}

/// Opens the writing connection, brings the schema up to date, and checks the settings.
pub async fn connect_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    let failed = |e: sqlx::Error| unavailable(path, words(&e));
    let mut connection = writer_options(path).connect().await.map_err(failed)?;
    // One transaction around all migrations: two programs that start together do not collide, and what
    // fails half-way has never been.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    check_schema(path, &mut transaction).await?;
    MIGRATIONS
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|e| migration_error(path, e))?;
    transaction.commit().await.map_err(failed)?;
    check_settings(&mut connection)
        .await
        .map_err(|failure| failure.into_error(path))?;
    Ok(connection)
}

/// The newest schema this program knows.
pub fn known_version() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

async fn check_schema(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let failed = |e: sqlx::Error| unavailable(path, words(&e));
    let table = "SELECT count(*), COALESCE(sum(name = '_sqlx_migrations'), 0) FROM sqlite_schema WHERE type = 'table'";
    let (tables, ours): (i64, i64) = sqlx::query_as(table)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if tables == 0 {
        return Ok(());
    }
    if ours == 0 {
        return Err(unavailable(
            path,
            "it is another program's database: is the path right?",
        ));
    }
    let version = "SELECT COALESCE(max(version), 0), COALESCE(sum(NOT success), 0) FROM _sqlx_migrations";
    let (found, half): (i64, i64) = sqlx::query_as(version)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    let known = known_version();
    let refused = |advice| StoreError::Schema { found, known, advice };
    if half > 0 {
        return Err(refused(
            "an upgrade of it stopped half-way, restore the backup made before it",
        ));
    }
    if found > known {
        return Err(refused(
            "a newer dockwarden has written it, use that one or restore an older backup",
        ));
    }
    Ok(())
}

fn migration_error(path: &Path, error: MigrateError) -> StoreError {
    let refused = |found, advice| StoreError::Schema {
        found,
        known: known_version(),
        advice,
    };
    match error {
        MigrateError::VersionMismatch(found) | MigrateError::VersionMissing(found) => refused(
            found,
            "it was made by a program that is neither this one nor an older release of it",
        ),
        MigrateError::Dirty(found) => refused(found, "an upgrade of it stopped half-way, restore a backup"),
        other => unavailable(path, format!("its schema was not brought up to date: {other}")),
    }
}

/// The settings that durability and integrity rest on, as the connection reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `wal`
    pub journal_mode: String,
    /// 2 is FULL.
    pub synchronous: i64,
    /// 1 is on.
    pub foreign_keys: i64,
}

/// Reads them back from a connection.
pub async fn settings(connection: &mut SqliteConnection) -> Result<Settings, sqlx::Error> {
    let mut pragma = async |text: &'static str| sqlx::query(text).fetch_one(&mut *connection).await;
    use sqlx::Row as _;
    Ok(Settings {
        journal_mode: pragma("PRAGMA journal_mode").await?.try_get(0)?,
        synchronous: pragma("PRAGMA synchronous").await?.try_get(0)?,
        foreign_keys: pragma("PRAGMA foreign_keys").await?.try_get(0)?,
    })
}

/// Refuses a connection on which the settings have not been taken: some file systems silently keep
/// another journal mode.
pub async fn check_settings(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let found = settings(connection).await?;
    if found.journal_mode == "wal" && found.synchronous == 2 && found.foreign_keys == 1 {
        return Ok(());
    }
    Err(Failure::Connection(format!(
        "its file system does not allow a write-ahead log ({found:?}): put it on a local disk"
    )))
}
