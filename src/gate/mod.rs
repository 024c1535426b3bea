//! The mutual-TLS proxy in front of docker.sock.
//!
//! A connection needs a client certificate; every request on it is classified, permitted and passed to
//! dockerd over its socket, which is opened by path for each connection. Certificates are swapped through a watch
//! channel without touching a connection; a connection ends when the certificate that opened it does.
//!
//! **Invariants:** nothing reaches dockerd without a `Permit`; no byte of a tunnel before dockerd's 101; no body is
//! collected but one that a role's rules must see; what is published was verified. This module never signs, never reads
//! the CA, and keeps no state on disk.

mod access;
pub mod authz;
mod connection;
mod denial;
mod engine;
mod framing;
mod guarded;
mod headers;
mod identity;
mod listener;
mod metrics;
mod permit;
mod proxy;
mod registry;
mod roles;
mod rules;
mod shared;
mod tunnel;
mod upstream;

pub use crate::model::role::PathError;
pub use denial::Denial;
pub use framing::Refusal;
pub use identity::{GateIdentity, IdentityError};
pub use listener::{BindError, Gate, GateConfig, Listen};
pub use metrics::GateMetrics;
pub use permit::{EveryValidClient, Peer, Policy};
pub use registry::{Connection, CutReason, Registry};
pub use roles::JUDGED_BYTES_MAX;
pub use rules::{Facts, Protocol};
pub use shared::Limits;
pub use upstream::UpstreamError;
