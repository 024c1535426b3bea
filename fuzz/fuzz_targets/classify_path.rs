//! Request lines: every spelling has one reading, the one that is forwarded, and reading it again changes nothing.
//! The first line is the method, the second the target, the rest a body that every built-in role judges.
#![no_main]

use dockwarden::model::role::{Body, Decision, Refusal, Request, built_ins, decide, path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let (method, target) = (text(), text());
    let body = Body::Whole(data.splitn(3, |byte| *byte == b'\n').nth(2).unwrap_or_default());
    let raw = target.split('?').next().unwrap_or_default();
    let normal = path::normalise(raw);
    if let Ok(normal) = &normal {
        assert_eq!(path::normalise(&path::encode(normal)).as_ref(), Ok(normal));
        let inner = normal.trim_end_matches('/');
        assert!(inner.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")));
    }
    let Ok(request) = Request::classify(method, target) else {
        return;
    };
    // What is forwarded belongs to the same route.
    let forwarded = path::encode(&normal.expect("a request with a route has a path"));
    let again = Request::classify(method, &forwarded).expect("the forwarded path has a route, too");
    assert!(std::ptr::eq(request.operation, again.operation));
    assert_eq!(decide([], &request, body), Decision::Refused(Refusal::NoRole));
    for role in built_ins() {
        let decision = role.decide(&request, body);
        assert_ne!(decision, Decision::NeedsBody, "the body is there");
        if decision == Decision::Allowed {
            assert!(role.operations().contains(request.operation));
        }
    }
    assert_eq!(decide(built_ins(), &request, body), Decision::Allowed, "admin is among them");
});
