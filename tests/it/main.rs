//! The one integration binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent_crashes;
mod agent_daemon;
mod agent_daemon_chaos;
mod agent_daemon_crashes;
mod agent_daemon_failures;
mod agent_daemon_plugin;
mod agent_feed;
mod agent_life;
mod agent_lists;
mod agent_probe;
mod cli_admin;
mod cli_client;
mod cli_quickstart;
mod cli_revoke;
mod client;
mod daemon_look;
mod dashboard;
mod dashboard_sign_in;
mod deploy_samples;
mod doctor;
mod foreign_readers;
mod gate_access;
mod gate_authz;
mod gate_authz_engine;
mod gate_bypass;
mod gate_engine;
mod gate_learn;
mod gate_requests;
mod gate_revoked;
mod gate_roles;
mod gate_streams;
mod layers;
mod pki_chain;
mod pki_limbo;
mod pki_tls;
#[cfg(feature = "server")]
mod revocation_readers;
mod server_access;
mod server_alerts;
mod server_command;
mod server_crl;
mod server_enroll;
mod server_feed;
mod server_http;
mod server_jobs;
mod server_log;
mod server_metrics;
mod server_revoke;
mod server_roles;
mod server_year;
mod source;
#[cfg(feature = "server")]
mod store_crash;
mod support;
mod tidy;
