//! What dockerd asks its authorization plugin. Nobody who is said to have logged in, and nobody with a certificate, is
//! taken for a user of the local socket; whatever is refused is refused in words that fit into an answer.
#![no_main]

use dockwarden::base::Timestamp;
use dockwarden::gate::authz::{Standing, decide, decide_answer};
use dockwarden::model::Enforced;
use dockwarden::model::role::RolesInForce;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What dockerd shows a client.
const MESSAGE_CHARS_MAX: usize = 1000;

fuzz_target!(|input: &[u8]| {
    let (enforced, roles) = (Enforced::nothing(), RolesInForce::not_enforced());
    let standing = Standing {
        anchors: None,
        enforced: &enforced,
        roles: &roles,
        local: true,
        host: "web-01",
        now: Timestamp::from_secs(1_795_305_600),
    };
    let answer = decide(input, &standing);
    assert_eq!(answer, decide_answer(input, &standing), "without roles both are asked the same");
    if !answer.allow {
        assert!(!answer.message.is_empty() && answer.message.chars().count() <= MESSAGE_CHARS_MAX);
        return;
    }
    // What was skipped may be what serde_json makes no value of: a lone surrogate, a number that is too large.
    let Ok(message) = serde_json::from_slice::<Value>(input) else { return };
    let says_nothing = |key: &str| match &message[key] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    for key in ["User", "UserAuthNMethod", "RequestPeerCertificates"] {
        assert!(says_nothing(key), "{key} of a local user: {message}");
    }
    let shut = Standing { local: false, ..standing };
    assert!(!decide(input, &shut).allow, "nobody else is let in while nobody is trusted");
});
