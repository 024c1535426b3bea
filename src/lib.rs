//! dockwarden: keeps a fleet of Docker hosts reachable over mutual TLS.
//!
//! Modules stand in ranks; one may import only what stands left of it, and edge modules never each
//! other (`tests/it/layers.rs` fails on an import that breaks this):
//!
//! ```text
//! base < pki < model < { wire keys store sys } < { ca client } < service < { http jobs agent gate cli } < app
//! ```

pub mod base;
pub mod pki;
