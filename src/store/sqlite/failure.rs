//! What a database error means for the operations of a group and for the connection.

use std::path::Path;

use super::super::StoreError;

/// Why a transaction did not commit.
#[derive(Debug)]
pub enum Failure {
    /// One of the operations is to blame: alone, the others may do well.
    Operation(StoreError),
    /// Somebody else holds the database. The connection is good.
    Busy(String),
    /// The connection may not be used again: after an I/O error nobody knows what it believes to be on
    /// disk.
    Connection(String),
}

/// SQLite's result codes (<https://sqlite.org/rescode.html>), the primary ones.
mod code {
    pub const ERROR: i32 = 1;
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const READONLY: i32 = 8;
    pub const IOERR: i32 = 10;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const TOOBIG: i32 = 18;
    pub const CONSTRAINT: i32 = 19;
    pub const MISMATCH: i32 = 20;
    pub const NOTADB: i32 = 26;
}

impl Failure {
    /// Arguments that cannot be encoded.
    pub fn arguments(error: sqlx::error::BoxDynError) -> Self {
        Self::Operation(StoreError::Rejected(error.to_string()))
    }

    /// A conditional update that found its condition untrue.
    pub fn condition(what: &str) -> Self {
        Self::Operation(StoreError::Rejected(what.to_owned()))
    }

    /// What the caller is told.
    pub fn into_error(self, place: &Path) -> StoreError {
        match self {
            Self::Operation(error) => error,
            Self::Busy(why) | Self::Connection(why) => unavailable(place, why),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Operation(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return Self::Connection(error.to_string());
        };
        let message = database.message();
        match primary_code(&error) {
            Some(code::CONSTRAINT) => Self::Operation(constraint(message)),
            Some(code::ERROR | code::TOOBIG | code::MISMATCH) => {
                Self::Operation(StoreError::Rejected(message.to_owned()))
            }
            Some(code::BUSY | code::LOCKED) => Self::Busy(
                "another process has been writing to it for too long: is a second server or a backup tool using it?"
                    .to_owned(),
            ),
            _ => Self::Connection(words(&error)),
        }
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// A database error with what to do about it.
pub fn words(error: &sqlx::Error) -> String {
    let advice = match primary_code(error) {
        Some(code::FULL) => "the disk is full: make room, then ask again; nothing else needs to be done",
        Some(code::READONLY) => {
            "it may not be written: check the owner and mode of the file and its directory"
        }
        Some(code::CANTOPEN) => "it cannot be opened: check the owner and mode of the file and its directory",
        Some(code::IOERR) => "the disk failed to read or write: look at the kernel's log",
        Some(code::CORRUPT) => "it is damaged: restore a backup",
        Some(code::NOTADB) => "it is not a SQLite database: is the path right?",
        _ => return error.to_string(),
    };
    format!("{advice} ({error})")
}

fn constraint(message: &str) -> StoreError {
    const UNIQUE: [(&str, &str); 8] = [
        ("feed.number", "a change with this number"),
        ("feed.serial", "a revocation of this certificate"),
        ("certificate.serial", "a certificate with this serial"),
        ("certificate.id", "a certificate with this number"),
        ("token.id", "a token with this id"),
        ("identity.id", "an identity with this id"),
        ("identity.number", "an identity with this number"),
        ("request.id", "a request with this id"),
    ];
    let column = message.strip_prefix("UNIQUE constraint failed: ");
    match UNIQUE.iter().find(|(name, _)| column == Some(*name)) {
        Some((_, what)) => StoreError::Duplicate(what),
        None => StoreError::Rejected(message.to_owned()),
    }
}

/// The database at `place` cannot be used.
pub fn unavailable(place: &Path, why: impl Into<String>) -> StoreError {
    StoreError::Unavailable {
        place: place.display().to_string(),
        why: why.into(),
    }
}
