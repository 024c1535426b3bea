//! What only the SQLite store does: files, schema, durability, groups in which something fails.

mod files;
mod groups;
mod plans;
mod schema;
mod upgrade;

use std::path::PathBuf;

use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

use super::{Missing, SqliteStore, open};

/// A database in a directory that goes away with it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("dockwarden.db")
    }

    async fn create(&self) -> SqliteStore {
        SqliteStore::open(&self.database(), Missing::Create)
            .await
            .unwrap()
    }

    /// Somebody else's connection to the same file.
    async fn other(&self) -> SqliteConnection {
        open::writer_options(&self.database()).connect().await.unwrap()
    }
}

async fn execute(connection: &mut SqliteConnection, text: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(text).execute(connection).await.map(drop)
}
