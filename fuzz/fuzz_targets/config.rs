//! Configuration files of server and agent: any text is accepted or refused with a message of bounded length.
#![no_main]

use dockwarden::agent::Config;
use dockwarden::app::check_server_config;
use libfuzzer_sys::fuzz_target;

/// What a person reads.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

fuzz_target!(|text: &str| {
    let server = check_server_config(text).map_err(|error| format!("{error:#}"));
    let agent = Config::parse(text).map(drop).map_err(|error| error.to_string());
    for message in [server, agent].into_iter().filter_map(Result::err) {
        assert!(!message.is_empty());
        assert!(message.len() <= MESSAGE_BYTES_MAX + 2 * text.len(), "{message}");
    }
});
