//! The authorization plugin: dockerd asks it about every request, and so a host whose dockerd serves TLS itself refuses
//! a revoked client, which dockerd alone cannot. [`decide()`] is the decision, a pure function of the bytes that dockerd
//! sends; [`Plugin`] serves it on a unix socket.
//!
//! What it cannot do: end a stream that is open already, and see gRPC that dockerd takes before it asks.
//!
//! **Invariants:** what cannot be read is refused; a client with a certificate is never taken for a local user.

mod decide;
mod message;
mod serve;

pub use decide::{Answer, Standing, decide, decide_answer};
pub use message::{CERTIFICATES_MAX, MESSAGE_BYTES_MAX, MessageError};
pub use serve::{CONNECTIONS_MAX, Plugin, Trust};
