//! The steps a plan is made of. Each can be repeated, says what it does in words, and knows what takes it back.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::daemon::step::DaemonStep;
use super::records::Purpose;
use crate::base::Timestamp;
use crate::model::SeenCertificate;
use crate::pki::{IdentityName, San, Serial};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Make a key and a request from it, and keep both.
    MakeRequest {
        /// What it is for.
        purpose: Purpose,
        /// Common name.
        name: IdentityName,
        /// Names and addresses.
        sans: Vec<San>,
    },
    /// Send the kept request with the join token, keep the answer.
    Enroll {
        /// Where to.
        server: String,
    },
    /// Send the kept request with the certificate in use, keep the answer.
    Renew {
        /// Where to.
        server: String,
    },
    /// Check the kept answer as a client would, and write it with its key as a new version.
    WriteVersion {
        /// The version it becomes.
        version: u64,
    },
    /// Remove a version that is not in use.
    RemoveVersion {
        /// Which.
        version: u64,
    },
    /// Check a version once more, and make it the one in use.
    Swap {
        /// The one in use before.
        from: Option<u64>,
        /// The one in use after.
        to: u64,
    },
    /// Draw when the certificate in use is renewed.
    DrawRenewal,
    /// Hand the certificate in use to the gate.
    Publish,
    /// Run the hook for the version in use.
    RunHook {
        /// Which version that is.
        version: u64,
    },
    /// Forget the request that was answered and the oldest versions.
    CleanUp,
    /// Forget a request that nobody needs any more.
    ForgetRequest,
    /// Dial the port and compare the serial number with the one in use.
    Dial {
        /// Where.
        address: SocketAddr,
    },
    /// Something with dockerd itself.
    Daemon(DaemonStep),
}

/// What is done about a failed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The rest of the plan waits for the next one.
    Stop,
    /// The next step is run all the same: it does not depend on this one.
    GoOn,
    /// The steps of this plan are taken back, last one first.
    RollBack,
}

/// A step with what is done when it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// What to do.
    pub step: Step,
    /// What to do when that fails.
    pub on_failure: OnFailure,
}

impl Step {
    /// What takes the step back; `None` when there is nothing to take back, or no way to.
    pub fn undo(&self) -> Option<Step> {
        match self {
            Self::Swap { from: Some(from), to } => Some(Self::Swap {
                from: Some(*to),
                to: *from,
            }),
            Self::WriteVersion { version } => Some(Self::RemoveVersion { version: *version }),
            Self::MakeRequest { .. } | Self::Enroll { .. } | Self::Renew { .. } => Some(Self::ForgetRequest),
            Self::Swap { from: None, .. }
            | Self::RemoveVersion { .. }
            | Self::DrawRenewal
            | Self::Publish
            | Self::RunHook { .. }
            | Self::CleanUp
            | Self::ForgetRequest
            | Self::Dial { .. }
            // What takes these back is a plan of its own, made from what is remembered of the change.
            | Self::Daemon(_) => None,
        }
    }

    /// Whether the step asks the server for a certificate.
    pub fn asks_for_certificate(&self) -> bool {
        matches!(self, Self::Enroll { .. } | Self::Renew { .. })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeRequest { sans, .. } => {
                write!(f, "make a key and a request for {}", join(sans))
            }
            Self::Enroll { server } => write!(f, "enrol at {server} with the join token"),
            Self::Renew { server } => write!(f, "renew at {server}"),
            Self::WriteVersion { version } => write!(f, "write version {version} and check it"),
            Self::RemoveVersion { version } => write!(f, "remove version {version}"),
            Self::Swap { to, .. } => write!(f, "swap to version {to}"),
            Self::DrawRenewal => f.write_str("draw the time of the next renewal"),
            Self::Publish => f.write_str("hand it to the gate, which serves it without a restart"),
            Self::RunHook { version } => write!(f, "run the hook for version {version}"),
            Self::CleanUp => f.write_str("forget the request and the oldest versions"),
            Self::ForgetRequest => f.write_str("forget a request that is not needed any more"),
            Self::Daemon(step) => step.fmt(f),
            Self::Dial { address } => write!(f, "dial :{} and compare the serial", address.port()),
        }
    }
}

/// `a, b, c`.
pub(super) fn join<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A certificate as a dial saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedCertificate {
    /// The leaf's serial number.
    pub serial: Serial,
    /// The leaf's last second of validity.
    pub not_after: Timestamp,
    /// The leaf's issuer: a Name, DER.
    pub issuer: Vec<u8>,
    /// SHA-256 of every certificate that was sent, leaf first.
    pub chain: Vec<[u8; 32]>,
    /// Whether the server asked for a client certificate. dockerd asks when it verifies, and only then.
    pub asks_for_client: bool,
    /// The issuers it said it takes clients of: Names, DER; none when it did not say.
    pub client_issuers: Vec<Vec<u8>>,
}

impl ServedCertificate {
    /// What the server is told of it.
    pub fn seen(&self) -> SeenCertificate {
        SeenCertificate {
            serial: self.serial.clone(),
            not_after: self.not_after,
        }
    }
}

impl From<SeenCertificate> for ServedCertificate {
    /// With nothing known but the leaf: for stand-ins.
    fn from(seen: SeenCertificate) -> Self {
        Self {
            serial: seen.serial,
            not_after: seen.not_after,
            issuer: Vec::new(),
            chain: Vec::new(),
            asks_for_client: false,
            client_issuers: Vec::new(),
        }
    }
}

/// What a dial returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// Nothing was dialled: there is no port to dial.
    NotDialled,
    /// This certificate.
    Certificate(ServedCertificate),
    /// No certificate, for this reason.
    Failed(String),
}

impl Served {
    /// Whether whoever has no certificate is refused.
    pub fn is_guarded(&self) -> bool {
        matches!(self, Self::Certificate(seen) if seen.asks_for_client)
    }

    /// The serial number that is served.
    pub fn serial(&self) -> Option<&Serial> {
        match self {
            Self::Certificate(seen) => Some(&seen.serial),
            Self::NotDialled | Self::Failed(_) => None,
        }
    }
}
