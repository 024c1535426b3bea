//! What several suites need.

pub mod pki;
