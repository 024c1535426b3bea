//! dockwarden: keeps a fleet of Docker hosts reachable over mutual TLS.
//!
//! Modules stand in ranks; one may import only what stands left of it, and edge modules never each
//! other (`tests/it/layers.rs` fails on an import that breaks this):
//!
//! ```text
//! base < pki < model < { wire keys store sys } < { ca client } < service < { http jobs agent gate cli } < app
//! ```

pub mod base;
pub mod model;
pub mod pki;
pub mod sys;
pub mod wire;

#[cfg(feature = "server")]
pub mod ca;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod jobs;
#[cfg(feature = "server")]
pub mod keys;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod store;

#[cfg(feature = "agent")]
pub mod agent;
pub mod client;
#[cfg(feature = "agent")]
pub mod gate;

#[cfg(feature = "cli")]
pub mod cli;

pub mod app;
