//! What several suites need.

pub mod peer;
pub mod pki;
pub mod programs;
