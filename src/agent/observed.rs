//! What was found on the host, as plain values: everything that [`checks`](super::checks) and
//! [`plan`](super::plan) look at, so that both can be tested without a disk or a network.

use std::fmt;

use super::checks::REFUSED_NAMES_RETRY;
use super::daemon::DaemonSight;
use super::desired::Desired;
use super::records::{Journal, Memory, Purpose};
use super::step::Served;
use crate::base::{Id, Timestamp};
use crate::pki::{IdentityName, San, Serial};

/// What `current/` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Current {
    /// Nothing: no link, or one that leads nowhere.
    Nothing,
    /// Files that no client would accept.
    Broken {
        /// Their version.
        version: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A certificate with its key, chained to a root; its dates are looked at by the checks.
    Pair(PairFacts),
}

/// What is wrong with a version's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A file is missing or not what it should be.
    Unreadable(String),
    /// The key is another certificate's.
    KeyMismatch,
    /// No client would accept the chain.
    ChainInvalid(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) | Self::ChainInvalid(why) => f.write_str(why),
            Self::KeyMismatch => f.write_str("key.pem does not belong to cert.pem"),
        }
    }
}

/// A usable pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFacts {
    /// Its version.
    pub version: u64,
    /// The identity's name.
    pub name: IdentityName,
    /// The leaf's serial number.
    pub serial: Serial,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, hex.
    pub spki_sha256: String,
    /// The names in the leaf.
    pub sans: Vec<San>,
    /// First second of validity.
    pub not_before: Timestamp,
    /// Last second of validity.
    pub not_after: Timestamp,
}

impl PairFacts {
    /// How much of the lifetime has passed at `now`, in hundredths: 0 to 100.
    pub fn percent_used(&self, now: Timestamp) -> u8 {
        let whole = self.not_after.since(self.not_before).as_millis().max(1);
        let used = now.since(self.not_before).as_millis() * 100 / whole;
        u8::try_from(used.min(100)).expect("at most 100")
    }
}

/// The request under way, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// What it is for.
    pub purpose: Purpose,
    /// The names in it.
    pub sans: Vec<San>,
    /// SHA-256 of its public key's SubjectPublicKeyInfo, hex.
    pub spki_sha256: String,
    /// Whether its answer is here, and can be installed.
    pub answered: bool,
    /// A complete version that was written from its answer and is not in use.
    pub staged: Option<u64>,
}

/// The join token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// There is one.
    Present(Id),
    /// There is none; says where it was looked for.
    Absent(String),
    /// There is something that is none.
    Unusable(String),
}

/// Docker on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Its version, when the socket answered.
    pub version: Option<String>,
    /// Why it did not.
    pub error: Option<String>,
}

/// Names that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedNames {
    /// The names that were asked for.
    pub sans: Vec<San>,
    /// When.
    pub at: Timestamp,
    /// What the server said.
    pub message: String,
}

/// An enrolment that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitingApproval {
    /// What the operator approves.
    pub request: Id,
    /// SHA-256 of the public key, hex: the operator sees the same.
    pub spki_sha256: String,
}

/// Why something failed: a word for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One CamelCase word.
    pub reason: &'static str,
    /// What happened, to what, why, and what to do.
    pub message: String,
}

/// What went wrong lately, in this run of the agent. Forgotten when it ends: a new run tries everything once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setbacks {
    /// Getting a certificate is not tried again before this.
    pub retry_at: Option<Timestamp>,
    /// Why the last try failed.
    pub failure: Option<Failure>,
    /// An operator has to approve first.
    pub awaiting: Option<AwaitingApproval>,
    /// The server does not allow these names.
    pub refused_names: Option<RefusedNames>,
    /// The server does not accept this certificate any more.
    pub refused_certificate: Option<Serial>,
    /// The answer to the request with this key is of no use; another key is needed.
    pub useless_key: Option<String>,
    /// The hook is not run again before this.
    pub hook_retry_at: Option<Timestamp>,
    /// Why the hook failed.
    pub hook_failure: Option<String>,
    /// Why the gate did not take the certificate in use.
    pub publish_failure: Option<String>,
    /// What could not be kept on disk.
    pub disk_failure: Option<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What is in use.
    pub current: Current,
    /// Every complete version, ascending.
    pub versions: Vec<u64>,
    /// The newest version other than the current one whose pair is usable and valid now.
    pub fallback: Option<u64>,
    /// The request under way.
    pub request: Option<RequestFacts>,
    /// What is remembered.
    pub memory: Memory,
    /// What the last run was doing when it was interrupted.
    pub interrupted: Option<Journal>,
    /// Why what is remembered could not be read; nothing is changed then.
    pub unreadable: Option<String>,
    /// The join token.
    pub token: TokenState,
    /// What the gate was given last; `None` before that, and without a gate.
    pub published: Option<Serial>,
    /// What a dial returned.
    pub served: Served,
    /// Docker.
    pub engine: Engine,
    /// Since when the wanted names are what they are.
    pub names_since: Timestamp,
    /// What went wrong lately.
    pub setbacks: Setbacks,
    /// A certificate that was issued and waits to be put in use.
    pub waiting: Option<PairFacts>,
    /// dockerd itself; `None` in other modes than `daemon`.
    pub daemon: Option<DaemonSight>,
}

impl Observed {
    /// The pair in use, when it is usable.
    pub fn pair(&self) -> Option<&PairFacts> {
        match &self.current {
            Current::Pair(pair) => Some(pair),
            Current::Nothing | Current::Broken { .. } => None,
        }
    }

    /// The version in use.
    pub fn version(&self) -> Option<u64> {
        match &self.current {
            Current::Nothing => None,
            Current::Broken { version, .. } => Some(*version),
            Current::Pair(pair) => Some(pair.version),
        }
    }

    /// Whether a change of what dockerd is told is being taken back.
    pub fn is_going_back(&self) -> bool {
        self.daemon.as_ref().is_some_and(|sight| sight.is_going_back())
    }

    /// Whether the server refused exactly the wanted names not long ago.
    pub fn names_refused(&self, desired: &Desired, now: Timestamp) -> bool {
        let missing = self.pair().is_none_or(|pair| !desired.matches(&pair.sans));
        let refused = self.setbacks.refused_names.as_ref();
        missing && refused.is_some_and(|r| r.sans == desired.sans && now < r.at + REFUSED_NAMES_RETRY)
    }
}
