//! What several suites need.

pub mod agent;
pub mod browser;
pub mod desk;
pub mod dockerd;
pub mod engine;
pub mod feed;
pub mod gate;
pub mod metrics;
pub mod peer;
pub mod pki;
pub mod programs;
pub mod server;
