//! Ways around a role, each of which must be refused: what people have tried on proxies in front of the Engine, and what
//! the Engine's own readers invite to.

use super::super::*;

/// Role, method, target, body. `<PAD n>` in front of a body stands for that many spaces.
const ATTEMPTS: &[(&str, &str, &str, Option<&str>)] = include!("bypass_attempts.in");

/// `nginx` of Docker Hub and nothing else, services included.
fn listed() -> Role {
    let text = "allow = ['ImageCreate', 'ContainerCreate', 'ServiceCreate']\n[rules]\nimages = ['docker.io/library/*', 'nginx']";
    Role::check("listed".parse().unwrap(), RoleSpec::from_toml(text).unwrap()).unwrap()
}

fn padded(body: &str) -> Vec<u8> {
    let Some((pad, rest)) = body.strip_prefix("<PAD ").and_then(|rest| rest.split_once('>')) else {
        return body.as_bytes().to_vec();
    };
    [vec![b' '; pad.parse().unwrap()], rest.as_bytes().to_vec()].concat()
}

fn attempt(role: &Role, method: &str, target: &str, body: Option<&str>) -> Decision {
    let request = match Request::classify(method, target) {
        Ok(request) => request,
        Err(refusal) => return Decision::Refused(refusal),
    };
    let body = padded(body.unwrap_or_default());
    match role.decide(&request, Body::Unread) {
        Decision::NeedsBody if body.len() > BODY_BYTES_MAX => role.decide(&request, Body::TooLong),
        Decision::NeedsBody => role.decide(&request, Body::Whole(&body)),
        decided => decided,
    }
}

#[test]
fn every_way_around_a_role_is_refused() {
    assert!(ATTEMPTS.len() >= 100);
    let listed = listed();
    let passed: Vec<_> = ATTEMPTS
        .iter()
        .filter(|(name, method, target, body)| {
            let role = match *name {
                "listed" => &listed,
                name => super::role(name),
            };
            !matches!(attempt(role, method, target, *body), Decision::Refused(_))
        })
        .collect();
    assert!(passed.is_empty(), "{} passed: {passed:#?}", passed.len());
}

/// The same roles, asked for what they are for: a table that refuses everything would pass the test above.
#[rustfmt::skip]
const WANTED: &[(&str, &str, &str, &str)] = &[
    ("viewer", "GET", "/v1.41/containers/json?all=1", ""),
    ("viewer", "GET", "/containers/db%2fjson", ""),
    ("viewer", "GET", "/v1.41/containers/db/logs?follow=1&stdout=1", ""),
    ("viewer", "POST", "/v1.41/containers/db/wait?condition=removed", ""),
    ("operator", "POST", "/containers/db/stop", ""),
    ("operator", "POST", "/v1.41/containers/db/start", ""),
    ("operator", "POST", "/v1.41/containers/db/start", "{}"),
    ("operator", "POST", "/containers/db/exec", r#"{"AttachStdin":true,"Cmd":["sh"],"Privileged":false}"#),
    ("deployer", "POST", "/containers/create?name=x", r#"{"Image":"a","HostConfig":{"Binds":["data:/d","/anonymous"],"NetworkMode":"app","Privileged":false,"Memory":1,"MaskedPaths":null,"SecurityOpt":["no-new-privileges"]}}"#),
    ("deployer", "POST", "/containers/create", r#"<PAD 1100000>{"Image":"a"}"#),
    ("deployer", "POST", "/volumes/create", r#"{"Name":"a","Driver":"local","DriverOpts":{"type":"tmpfs","device":"tmpfs","o":"size=1m,uid=1"},"Labels":{}}"#),
    ("deployer", "POST", "/containers/db/update", r#"{"Memory":1,"RestartPolicy":{"Name":"always"}}"#),
    ("deployer", "POST", "/images/create?fromImage=evil.example/x", ""),
    ("listed", "POST", "/images/create?fromImage=nginx&tag=1.27", ""),
    ("listed", "POST", "/images/create?fromImage=nginx&tag=sha256:00", ""),
    ("listed", "POST", "/containers/create", r#"{"Image":"nginx:1.27"}"#),
    ("listed", "POST", "/services/create", r#"{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx","Privileges":{"NoNewPrivileges":true}},"Networks":[{"Target":"app"}]}}"#),
    ("admin", "POST", "/plugins/pull?remote=a", "[]"),
    ("admin", "POST", "/containers/create", r#"{"HostConfig":{"Privileged":true}}"#),
];

#[test]
fn what_roles_are_for_is_allowed() {
    let listed = listed();
    for (name, method, target, body) in WANTED {
        let role = match *name {
            "listed" => &listed,
            name => super::role(name),
        };
        assert_eq!(
            attempt(role, method, target, Some(*body)),
            Decision::Allowed,
            "{name} {method} {target} {body}"
        );
    }
}
