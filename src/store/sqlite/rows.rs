//! From rows to values, and from values to arguments. What cannot be read is reported as corrupt, never
//! guessed.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Decode, Sqlite, Type};

use super::super::feed::HostProgress;
use super::super::state::Row;
use super::super::{HostStatus, StoreError};
use crate::base::{Id, Timestamp};
use crate::model::audit::Record;
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::{Approval, Certificate, Change, ChangeKind, Identity, NameRules, Revocation, Token};
use crate::pki::{RevocationReason, Serial};

/// Reads the columns of one row from left to right.
pub struct Columns<'r> {
    row: &'r SqliteRow,
    at: usize,
    what: &'static str,
}

type Read<T> = Result<T, StoreError>;

impl<'r> Columns<'r> {
    /// Starts at column `at`; `what` is named in errors.
    pub fn new(row: &'r SqliteRow, at: usize, what: &'static str) -> Self {
        Self { row, at, what }
    }

    fn corrupt(&self, why: impl Display) -> StoreError {
        StoreError::Corrupt {
            what: self.what,
            why: format!("column {}: {why}", self.at),
        }
    }

    /// The next column as it is.
    pub fn raw<T>(&mut self) -> Read<T>
    where
        T: for<'a> Decode<'a, Sqlite> + Type<Sqlite>,
    {
        self.at += 1;
        self.row
            .try_get::<T, usize>(self.at - 1)
            .map_err(|e| self.corrupt(e))
    }

    fn bytes<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes: Vec<u8> = self.raw()?;
        let found = bytes.len();
        bytes
            .try_into()
            .map_err(|_| self.corrupt(format!("{found} bytes where {N} belong")))
    }

    /// A hash.
    pub fn hash(&mut self) -> Read<[u8; 32]> {
        self.bytes()
    }

    /// An id.
    pub fn id(&mut self) -> Read<Id> {
        self.bytes().map(Id::from_bytes)
    }

    fn optional_id(&mut self) -> Read<Option<Id>> {
        let bytes: Option<Vec<u8>> = self.raw()?;
        let id = bytes.map(|bytes| bytes.try_into().map(Id::from_bytes));
        id.transpose().map_err(|_| self.corrupt("not an id"))
    }

    /// A serial.
    pub fn serial(&mut self) -> Read<Serial> {
        let bytes: Vec<u8> = self.raw()?;
        Serial::from_bytes(&bytes).map_err(|e| self.corrupt(e))
    }

    fn optional_serial(&mut self) -> Read<Option<Serial>> {
        let bytes: Option<Vec<u8>> = self.raw()?;
        let serial = bytes.map(|bytes| Serial::from_bytes(&bytes));
        serial.transpose().map_err(|e| self.corrupt(e))
    }

    /// A time.
    pub fn time(&mut self) -> Read<Timestamp> {
        self.raw().map(Timestamp::from_millis)
    }

    /// A time, or none.
    pub fn optional_time(&mut self) -> Read<Option<Timestamp>> {
        Ok(self.raw::<Option<i64>>()?.map(Timestamp::from_millis))
    }

    /// A number that is never negative.
    pub fn count<T: TryFrom<i64>>(&mut self) -> Read<T> {
        let number: i64 = self.raw()?;
        T::try_from(number).map_err(|_| self.corrupt(format!("{number} is out of range")))
    }

    /// A number that is never negative, or none.
    pub fn optional_count(&mut self) -> Read<Option<u64>> {
        let number: Option<i64> = self.raw()?;
        let number = number.map(u64::try_from).transpose();
        number.map_err(|_| self.corrupt("a negative number"))
    }

    /// A word of ours.
    pub fn text<T: FromStr<Err: Display>>(&mut self) -> Read<T> {
        let text: String = self.raw()?;
        text.parse().map_err(|e| self.corrupt(e))
    }

    /// A word of ours, or none.
    pub fn optional_text<T: FromStr<Err: Display>>(&mut self) -> Read<Option<T>> {
        let text: Option<String> = self.raw()?;
        let value = text.map(|text| text.parse());
        value.transpose().map_err(|e| self.corrupt(e))
    }

    /// A value kept as JSON.
    pub fn json<T: DeserializeOwned>(&mut self) -> Read<T> {
        let text: String = self.raw()?;
        serde_json::from_str(&text).map_err(|e| self.corrupt(e))
    }

    fn is_null(&self) -> Read<bool> {
        let value: SqliteValueRef<'_> = self.row.try_get_raw(self.at).map_err(|e| self.corrupt(e))?;
        Ok(sqlx::ValueRef::is_null(&value))
    }
}

/// Values kept as JSON text.
pub fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, numbers, lists and maps by string are always JSON")
}

/// `N` counts.
pub fn counts<const N: usize>(row: &SqliteRow) -> Read<[u64; N]> {
    let mut columns = Columns::new(row, 0, "count");
    let mut counts = [0; N];
    for count in &mut counts {
        *count = columns.count()?;
    }
    Ok(counts)
}

/// A token, from `token_columns`.
pub fn token(row: &SqliteRow) -> Read<Token> {
    let mut columns = Columns::new(row, 0, "token");
    let c = &mut columns;
    Ok(Token {
        id: c.id()?,
        secret_sha256: c.hash()?,
        kind: c.text()?,
        rules: NameRules {
            names: c.json()?,
            addresses: c.json()?,
        },
        sources: c.json()?,
        uses_max: c.count()?,
        uses_left: c.count()?,
        expires_at: c.time()?,
        labels: c.json()?,
        role: c.raw()?,
        permission: c.optional_text()?,
        approval: approval(&c.raw::<String>()?).ok_or_else(|| c.corrupt("unknown approval"))?,
        replace: c.raw()?,
        created_at: c.time()?,
        created_by: c.raw()?,
        reason: c.raw()?,
        deleted_at: c.optional_time()?,
    })
}

/// The word for an approval mode in the database.
pub fn approval_text(approval: Approval) -> &'static str {
    match approval {
        Approval::Auto => "auto",
        Approval::Manual => "manual",
    }
}

fn approval(text: &str) -> Option<Approval> {
    [Approval::Auto, Approval::Manual]
        .into_iter()
        .find(|approval| approval_text(*approval) == text)
}

/// An identity, from `identity_columns`.
pub fn identity(row: &SqliteRow) -> Read<Identity> {
    numbered_identity(row).map(|(_, identity)| identity)
}

/// An identity with its number, from `identity_columns`.
pub fn numbered_identity(row: &SqliteRow) -> Read<(Row, Identity)> {
    let mut c = Columns::new(row, 0, "identity");
    let number = c.raw()?;
    let identity = Identity {
        id: c.id()?,
        kind: c.text()?,
        name: c.text()?,
        rules: NameRules {
            names: c.json()?,
            addresses: c.json()?,
        },
        labels: c.json()?,
        role: c.raw()?,
        permission: c.optional_text()?,
        created_at: c.time()?,
    };
    Ok((number, identity))
}

/// A certificate with its number, from `certificate_columns` starting at column `at`.
pub fn certificate(row: &SqliteRow, at: usize) -> Read<(Row, Certificate)> {
    let mut c = Columns::new(row, at, "certificate");
    let number = c.raw()?;
    let certificate = Certificate {
        serial: c.serial()?,
        issuer: c.text()?,
        identity: c.id()?,
        name: c.text()?,
        kind: c.text()?,
        sans: c.json()?,
        not_before: c.time()?,
        not_after: c.time()?,
        issued_at: c.time()?,
        renew_after: c.time()?,
        spki_sha256: c.hash()?,
        token: c.optional_id()?,
        renewed_from: c.optional_serial()?,
        superseded_by: c.optional_serial()?,
        revoked_at: c.optional_time()?,
        der: c.raw()?,
    };
    Ok((number, certificate))
}

/// The certificate of an outer join.
pub fn optional_certificate(row: &SqliteRow, at: usize) -> Read<Option<Certificate>> {
    if Columns::new(row, at, "certificate").is_null()? {
        return Ok(None);
    }
    certificate(row, at).map(|(_, certificate)| Some(certificate))
}

/// The report of an outer join.
pub fn optional_status(row: &SqliteRow, at: usize, identity: Id) -> Read<Option<HostStatus>> {
    let mut c = Columns::new(row, at, "host report");
    if c.is_null()? {
        return Ok(None);
    }
    Ok(Some(HostStatus {
        identity,
        reported_at: c.time()?,
        source: c.optional_text()?,
        report: c.json()?,
    }))
}

/// A request, from `request_columns`.
pub fn request(row: &SqliteRow) -> Read<PendingRequest> {
    let mut c = Columns::new(row, 0, "request");
    let mut request = PendingRequest {
        id: c.id()?,
        token: c.id()?,
        spki_sha256: c.hash()?,
        kind: c.text()?,
        name: c.text()?,
        sans: c.json()?,
        source: c.optional_text()?,
        created_at: c.time()?,
        state: RequestState::parse(&c.raw::<String>()?).ok_or_else(|| c.corrupt("unknown state"))?,
        decided: None,
    };
    let (by, at): (Option<String>, _) = (c.raw()?, c.optional_time()?);
    request.decided = by.zip(at);
    Ok(request)
}

/// A change, from `feed_columns`.
pub fn change(row: &SqliteRow) -> Read<Change> {
    let mut c = Columns::new(row, 0, "change of the feed");
    let (number, previous, at, kind) = (c.count()?, c.count()?, c.time()?, c.raw::<String>()?);
    let kind = match kind.as_str() {
        "revoked" => ChangeKind::Revoked(Box::new(Revocation {
            feed: number,
            revoked_at: at,
            serial: c.serial()?,
            issuer: c.text()?,
            name: c.text()?,
            not_after: c.time()?,
            reason: reason(&mut c)?,
            identity: c.optional_id()?,
            by: c.raw()?,
        })),
        "restored" => ChangeKind::Restored,
        other => return Err(c.corrupt(format!("unknown kind {other:?}"))),
    };
    Ok(Change {
        number,
        previous,
        at,
        kind,
    })
}

fn reason(columns: &mut Columns<'_>) -> Read<RevocationReason> {
    let code = columns.count()?;
    RevocationReason::from_code(code).ok_or_else(|| columns.corrupt(format!("unknown reason {code}")))
}

/// A revocation, from `feed_columns`.
pub fn revocation(row: &SqliteRow) -> Read<Revocation> {
    match change(row)?.kind {
        ChangeKind::Revoked(revocation) => Ok(*revocation),
        other => Err(StoreError::Corrupt {
            what: "revocation",
            why: format!("a serial beside {other:?}"),
        }),
    }
}

/// How far a host is: name, number, two times at which it was heard of, and its patience.
pub fn progress(row: &SqliteRow) -> Read<HostProgress> {
    let mut c = Columns::new(row, 0, "progress of a host");
    let (name, applied) = (c.text()?, c.optional_count()?);
    let (said, reported) = (c.optional_time()?, c.optional_time()?);
    Ok(HostProgress {
        name,
        applied,
        last_seen: said.max(reported),
        denies_after: c.optional_count()?,
        refuses: c.count::<u64>()? != 0,
    })
}

/// An audit record.
pub fn record(row: &SqliteRow) -> Read<Record> {
    let mut c = Columns::new(row, 0, "audit record");
    Ok(Record {
        seq: c.count()?,
        at: c.time()?,
        actor: c.raw()?,
        action: c.raw()?,
        subject: c.raw()?,
        outcome: c.raw()?,
        source: c.raw()?,
        detail: c.raw()?,
        hash: c.hash()?,
    })
}
