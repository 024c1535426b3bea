//! X.509 as values: names, keys, requests, certificates, chains, lint rules.
//! Pure: no I/O, no clock, nothing async. Callers pass the time and the random source.

mod algorithm;
pub mod names;
mod serial;

pub use algorithm::KeyAlgorithm;
pub use names::{AddressRange, DnsName, IdentityName, NamePattern, San};
pub use serial::{Serial, SerialError};
