//! The checks: each a pure function from what was found to findings. One that does not apply says nothing; one that
//! found nothing wrong says so.

mod agent;
mod certificate;
mod client;
mod clock;
mod config_file;
mod disk;
mod engine;
mod environment;
mod in_words;
mod local_access;
mod plugin;
mod ports;
mod served;
mod settings;
mod vulnerabilities;

#[cfg(test)]
pub(super) mod fixture;

use super::{Examined, Finding};

/// A check.
pub(super) type Check = fn(&Examined) -> Vec<Finding>;

/// All of them, in the order in which they are told.
pub(super) const ALL: &[Check] = &[
    ports::open_ports,
    ports::socket_activation,
    served::served,
    certificate::certificate,
    certificate::key_file,
    settings::conflicts,
    settings::hosts,
    settings::not_in_force,
    config_file::form,
    config_file::owner,
    environment::environment,
    engine::live_restore,
    engine::running,
    vulnerabilities::vulnerabilities,
    plugin::plugin,
    local_access::members,
    local_access::socket,
    agent::running,
    agent::conditions,
    agent::files,
    clock::clock,
    disk::disks,
    disk::unseen,
    client::variables,
    client::contexts,
];
