//! What the agent remembers between runs, each record one small JSON file in the state directory, replaced
//! atomically: the request under way with its key, the answer to it, the journal, and a few facts.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::daemon::attempt::DaemonMemory;
use super::daemon::originals::Originals;
use super::step::Step;
use crate::base::{ExposeSecret, Id, SecretString, Timestamp, limits};
use crate::model::HostReport;
use crate::pki::{San, Serial};
use crate::sys::{Access, FileError, Files, Lock};
use crate::wire::Issued;

/// The largest record that is read, bytes.
const RECORD_BYTES_MAX: usize = limits::PEM_BYTES_MAX;

/// How a certificate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// With the join token.
    Enroll,
    /// With the certificate in use.
    Renew,
}

/// A key with the request made from it. Written before the request is sent, and sent again, unchanged, until it is
/// answered: the server gives the same certificate to the same key, however often the answer was lost.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What for.
    pub purpose: Purpose,
    /// The names in it.
    pub sans: Vec<San>,
    /// SHA-256 of the public key's SubjectPublicKeyInfo, hex.
    pub spki_sha256: String,
    /// The request, PEM.
    pub csr: String,
    /// The private key, PEM.
    #[serde(serialize_with = "expose", deserialize_with = "conceal")]
    pub key: SecretString,
    /// When it was made.
    pub made_at: Timestamp,
}

fn expose<S: serde::Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn conceal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("purpose", &self.purpose)
            .field("spki_sha256", &self.spki_sha256)
            .finish_non_exhaustive()
    }
}

/// The server's answer, with the time it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// When it came.
    pub received_at: Timestamp,
    /// The public key it is for: SHA-256 of the SubjectPublicKeyInfo, hex.
    pub spki_sha256: String,
    /// The token that was spent on it, for an enrolment.
    pub token: Option<Id>,
    /// The answer.
    pub issued: Issued,
}

/// When the certificate with this serial number is renewed: drawn once, then only ever moved earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewalPoint {
    /// Which certificate.
    pub serial: Serial,
    /// When.
    pub at: Timestamp,
}

/// How this host joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joined {
    /// The token's id.
    pub token: Id,
    /// Uses of it that were left, and that it was made for.
    pub uses: Option<(u32, u32)>,
    /// When.
    pub at: Timestamp,
}

/// Facts that outlive a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// How this host joined.
    pub joined: Option<Joined>,
    /// When it renews.
    pub renewal: Option<RenewalPoint>,
    /// The version that the hook has run for with success.
    pub hook_ran_for: Option<u64>,
    /// Where the issuer's CRL is.
    pub crl_url: Option<String>,
}

/// The step under way, written before it runs; what is found here after a start was interrupted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Why the plan was made, in words.
    pub because: Vec<String>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Which one is under way, from 0.
    pub at: usize,
    /// Since when.
    pub since: Timestamp,
}

/// `status.json`: what `agent status` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The host's name: its certificate's common name, or the one it will ask for.
    pub name: String,
    /// The server.
    pub server: String,
    /// Whether the last call to the server was answered; `None` before the first.
    pub connected: Option<bool>,
    /// When this was written.
    pub updated_at: Timestamp,
    /// What comes next and when, in words.
    pub next: Option<String>,
    /// What the server was told, or will be.
    pub report: HostReport,
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct Records {
    files: Files,
    directory: PathBuf,
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// The contents.
    #[error("{} is damaged ({reason}): remove it, the agent makes a new one", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The note that somebody has unplugged the plugin by hand.
const UNPLUGGED: &str = "unplugged.json";

impl Records {
    /// The records in `directory`, which need not exist yet.
    pub fn new(files: Files, directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self { files, directory }
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the directory, takes the lock that keeps a second agent out, and removes what a killed one left.
    pub fn open(&self) -> Result<Lock, FileError> {
        self.files.service_directory(&self.directory)?;
        let lock = self.files.lock(&self.directory.join("lock"))?;
        self.files.clean_temporaries(&self.directory)?;
        Ok(lock)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RecordError> {
        let path = self.directory.join(name);
        let Some(bytes) = self.files.read_if_any(&path, RECORD_BYTES_MAX)? else {
            return Ok(None);
        };
        // serde_json's messages hold no contents but the offending word; a damaged key record must not leak either.
        let damaged = |e: serde_json::Error| RecordError::Damaged {
            reason: format!("line {}, column {}", e.line(), e.column()),
            path,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    fn write(&self, name: &str, record: &impl Serialize, access: Access) -> Result<(), FileError> {
        let bytes = serde_json::to_vec_pretty(record).expect("records are plain data");
        self.files.write(&self.directory.join(name), &bytes, access)
    }

    /// The request under way. A damaged one counts as none: its key is lost with it.
    pub fn request(&self) -> Result<Option<Request>, FileError> {
        undamaged(self.read("request.json"))
    }

    /// Keeps a request, readable by its owner alone.
    pub fn keep_request(&self, request: &Request) -> Result<(), FileError> {
        self.write("request.json", request, Access::Private)
    }

    /// The answer to the request under way. A damaged one counts as none: the server gives it again.
    pub fn answer(&self) -> Result<Option<Answer>, FileError> {
        undamaged(self.read("answer.json"))
    }

    /// Keeps an answer.
    pub fn keep_answer(&self, answer: &Answer) -> Result<(), FileError> {
        self.write("answer.json", answer, Access::Private)
    }

    /// Forgets the answer and the request; in this order, so that no answer is left without its key.
    pub fn forget_request(&self) -> Result<(), FileError> {
        self.files.remove(&self.directory.join("answer.json"))?;
        self.files.remove(&self.directory.join("request.json"))
    }

    /// The facts. A damaged file counts as an empty one: all of it is found out again.
    pub fn memory(&self) -> Result<Memory, FileError> {
        Ok(undamaged(self.read("memory.json"))?.unwrap_or_default())
    }

    /// Keeps the facts.
    pub fn keep_memory(&self, memory: &Memory) -> Result<(), FileError> {
        self.write("memory.json", memory, Access::Private)
    }

    /// The interrupted step, if the last run was interrupted.
    pub fn journal(&self) -> Result<Option<Journal>, FileError> {
        undamaged(self.read("journal.json"))
    }

    /// Notes the step that is about to run.
    pub fn keep_journal(&self, journal: &Journal) -> Result<(), FileError> {
        self.write("journal.json", journal, Access::Private)
    }

    /// Everything that was begun is done.
    pub fn close_journal(&self) -> Result<(), FileError> {
        self.files.remove(&self.directory.join("journal.json"))
    }

    /// What is remembered of dockerd. A damaged file counts as an empty one.
    pub fn daemon(&self) -> Result<DaemonMemory, FileError> {
        Ok(undamaged(self.read("daemon.json"))?.unwrap_or_default())
    }

    /// Keeps what is remembered of dockerd.
    pub fn keep_daemon(&self, memory: &DaemonMemory) -> Result<(), FileError> {
        self.write("daemon.json", memory, Access::Private)
    }

    /// Since when dockerd is not to ask the plugin, because somebody has said so with [`Records::keep_unplugged`].
    pub fn unplugged(&self) -> Result<Option<Timestamp>, FileError> {
        undamaged(self.read(UNPLUGGED))
    }

    /// Notes that dockerd is not to ask the plugin. Beside a running agent, which heeds it.
    pub fn keep_unplugged(&self, since: Timestamp) -> Result<(), FileError> {
        self.files.service_directory(&self.directory)?;
        self.write(UNPLUGGED, &since, Access::Private)
    }

    /// Forgets that.
    pub fn forget_unplugged(&self) -> Result<(), FileError> {
        self.files.remove(&self.directory.join(UNPLUGGED))
    }

    /// The files of others as they were before we changed them.
    pub fn originals(&self) -> Result<Originals, FileError> {
        Ok(undamaged(self.read("originals.json"))?.unwrap_or_default())
    }

    /// Keeps the files of others as they were.
    pub fn keep_originals(&self, originals: &Originals) -> Result<(), FileError> {
        self.write("originals.json", originals, Access::Private)
    }

    /// What the agent last said of itself; `None` when none ever ran here.
    pub fn status(&self) -> Result<Option<Status>, RecordError> {
        self.read("status.json")
    }

    /// Says something new. Readable by everybody who may enter the directory.
    pub fn keep_status(&self, status: &Status) -> Result<(), FileError> {
        self.write("status.json", status, Access::Public)
    }

    /// Removes everything.
    pub fn remove_all(&self) -> Result<(), FileError> {
        self.files.remove_tree(&self.directory)
    }
}

fn undamaged<T>(read: Result<Option<T>, RecordError>) -> Result<Option<T>, FileError> {
    match read {
        Ok(record) => Ok(record),
        Err(RecordError::File(error)) => Err(error),
        Err(damaged @ RecordError::Damaged { .. }) => {
            tracing::warn!("{damaged}");
            Ok(None)
        }
    }
}
