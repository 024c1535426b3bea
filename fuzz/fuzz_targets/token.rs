//! Join tokens: what is read must write itself back the same, so that one token has one text form.
#![no_main]

use dockwarden::model::JoinToken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = text.parse::<JoinToken>() {
        assert_eq!(token.expose().as_str(), text.trim());
    }
});
