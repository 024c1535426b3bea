//! Issuing: verify, approve, prepare (lint), sign. Never touches the store, HTTP or the runtime.
//!
//! A request becomes a certificate through five types, each made by one function and by nothing else:
//! [`CsrDer`](crate::pki::CsrDer) → [`VerifiedCsr`](crate::pki::VerifiedCsr) ([`verify`]) →
//! [`ApprovedRequest`] ([`approve`]) → [`PreparedCert`] ([`prepare`]) → [`IssuedCert`] ([`sign`]).
//! So nothing is signed that was not granted, and nothing is signed that was not linted.

pub mod ceremony;
mod crl;
mod encoder;
mod import;
mod issuer;
mod ocsp;
mod pipeline;

pub use ceremony::{CeremonyError, Root, make_issuer, make_root};
pub use crl::{CRL_BACKDATE, CRL_VALIDITY, CrlOrder, ROOT_CRL_VALIDITY, SignCrlError};
pub use encoder::EncodeError;
pub use import::{ImportError, import_root};
pub use issuer::{Issuer, IssuerError, IssuerUrls};
pub use ocsp::{
    OCSP_BACKDATE, OCSP_KEPT_MAX, OCSP_SIGNER_LIFETIME, OCSP_VALIDITY, OcspAnswer, OcspSignError, Responder,
    Signing,
};
pub use pipeline::{ApprovedRequest, Grant, IssueError, IssuedCert, PreparedCert, approve, prepare, sign};

pub use crate::pki::csr::verify;
