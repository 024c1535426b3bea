//! Role files, and bodies held against them. The file comes first, a line of `---` ends it, then comes the body of a
//! `POST /containers/create`. What is accepted writes itself back the same; a role with fewer rules never allows more.
#![no_main]

use dockwarden::model::role::{Body, Decision, Request, Role, RoleSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (file, body) = text.split_once("\n---\n").unwrap_or((text, ""));
    let Ok(spec) = RoleSpec::from_toml(file) else {
        return;
    };
    let name = "fuzzed".parse().expect("a name");
    let Ok(role) = Role::check(name, spec) else {
        return;
    };
    let written = toml::to_string(role.spec()).expect("a role can be written");
    assert_eq!(&RoleSpec::from_toml(&written).expect("what was written can be read"), role.spec());
    let create = Request::classify("POST", "/containers/create").expect("a route");
    let body = Body::Whole(body.as_bytes());
    let decision = role.decide(&create, body);
    assert_ne!(decision, Decision::NeedsBody);
    let strictest = RoleSpec {
        rules: Some(Default::default()),
        ..role.spec().clone()
    };
    if let Ok(strictest) = Role::check(role.name().clone(), strictest)
        && strictest.decide(&create, body) == Decision::Allowed
        && role.rules().is_none_or(|rules| rules.images.is_empty())
    {
        assert_eq!(decision, Decision::Allowed, "rules that list more allow no less");
    }
});
