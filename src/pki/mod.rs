//! X.509 as values: names, keys, requests, certificates, chains, lint rules.
//! Pure: no I/O, no clock, nothing async. Callers pass the time and the random source.

mod algorithm;
pub mod cert;
pub mod chain;
pub mod crl;
pub mod csr;
mod dates;
pub(crate) mod der;
mod leaf_key;
pub mod lint;
pub mod names;
pub mod ocsp;
pub mod pem;
pub(crate) mod private_key;
mod public_key;
pub(crate) mod rcgen_form;
mod reason;
mod revoked_set;
mod rsa;
mod serial;
mod signature;
pub mod tls;

pub use algorithm::KeyAlgorithm;
pub use cert::{Certificate, CertificateError};
pub use crl::{Crl, CrlError};
pub use csr::{CsrDer, CsrError, VerifiedCsr};
pub use leaf_key::LeafKey;
pub use names::{AddressRange, DnsName, IdentityName, NamePattern, San};
pub use pem::PemError;
pub use private_key::PrivateKeyError;
pub use public_key::{PublicKey, PublicKeyError};
pub use reason::{ReasonError, RevocationReason};
pub use revoked_set::{Journal, KnownRevocations, Record, Recovered, RevocationFileError, RevokedSet};
pub use rsa::RsaKeyError;
pub use serial::{Serial, SerialError};
pub use signature::{SignatureAlgorithm, SignatureError};
