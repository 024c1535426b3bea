//! Mode `daemon`: dockerd serves the certificate itself. What is found of it ([`facts`]), what it should be told
//! ([`arrangement`]), and how it gets there without a moment in which it could not be started.

pub mod arrangement;
pub mod attempt;
pub mod change;
pub(super) mod conditions;
pub mod config;
pub mod counted;
mod dockerd;
pub mod engine;
pub(super) mod execute;
pub mod facts;
pub mod known_keys;
pub mod leaving;
pub mod look;
mod mending;
pub(super) mod observe;
pub(super) mod originals;
pub(super) mod plan;
pub mod plug;
mod real;
pub mod sight;
pub mod step;

pub use dockerd::{Dockerd, Restart};
pub use real::RealDockerd;
pub use sight::DaemonSight;
