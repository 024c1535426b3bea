//! Ways around a role, each of which must be refused: what people have tried on proxies in front of the Engine, and what
//! the Engine's own readers invite to.

use super::super::*;

/// Role, method, target, body. `<PAD n>` in front of a body stands for that many spaces.
#[rustfmt::skip]
const ATTEMPTS: &[(&str, &str, &str, Option<&str>)] = &[
    ("viewer", "POST", "/containers%2fdb%2fstop", None),
    ("viewer", "POST", "/v1.41/containers/db%2Fstop", None),
    ("viewer", "POST", "//containers//db//stop", None),
    ("viewer", "POST", "/containers/./db/./stop", None),
    ("viewer", "POST", "/containers/json/../db/stop", None),
    ("viewer", "POST", "/images/%2e%2e/containers/db/stop", None),
    ("viewer", "POST", "/images/..%2fcontainers/db/stop", None),
    ("viewer", "POST", "/v1.41/../containers/db/stop", None),
    ("viewer", "POST", "/v1.41//containers/db/stop", None),
    ("viewer", "POST", "/v1.12/containers/db/stop", None),
    ("viewer", "POST", "/v1.41/%63ontainers/db/%73top", None),
    ("viewer", "POST", "/containers/db/stop?t=0", None),
    ("viewer", "POST", "/containers/db%2f.%2fstop", None),
    ("viewer", "POST", "/_ping/../containers/db/stop", None),
    ("viewer", "POST", "/_ping%2f..%2fcontainers%2fdb%2fstop", None),
    ("viewer", "POST", "/v1.41/containers/db/stop?x=/_ping", None),
    ("viewer", "POST", "/%2fcontainers/db/stop", None),
    ("operator", "POST", "/v1.41.0/containers/db/stop", None),
    ("operator", "POST", "/v1/containers/db/stop", None),
    ("operator", "POST", "/v..41/containers/db/stop", None),
    ("operator", "POST", "/V1.41/containers/db/stop", None),
    ("operator", "POST", "/v1.41/v1.41/containers/db/stop", None),
    ("operator", "POST", "/Containers/db/stop", None),
    ("operator", "POST", "/containers/db/STOP", None),
    ("operator", "POST", "/containers/db/stop/", None),
    ("operator", "POST", "/containers/db/stop%00", None),
    ("operator", "POST", "/containers/db/stop%0d%0a", None),
    ("operator", "POST", "/containers/db/stop%20", None),
    ("operator", "POST", "/containers/db/stop;x", None),
    ("operator", "POST", "/containers/db/stop#", None),
    ("operator", "POST", "/containers/db%252fstop", None),
    ("operator", "POST", r"/containers/db\stop", None),
    ("operator", "POST", "/containers/db/%c0%afstop", None),
    ("operator", "POST", "http://docker/containers/db/stop", None),
    ("operator", "POST", "//docker/containers/db/stop", None),
    ("operator", "POST", "*", None),
    ("operator", "POST", "containers/db/stop", None),
    ("operator", "POST", "/containers/db/stop%", None),
    ("operator", "POST", "/containers/a/b/stop", None),
    ("operator", "POST", "/libpod/containers/db/stop", None),
    ("operator", "POST", "/v5.0.0/libpod/containers/db/stop", None),
    ("operator", "post", "/containers/db/stop", None),
    ("operator", "Post", "/containers/db/stop", None),
    ("operator", "POST ", "/containers/db/stop", None),
    ("operator", "PATCH", "/containers/db/stop", None),
    ("operator", "CONNECT", "/containers/db/stop", None),
    ("operator", "TRACE", "/containers/db/stop", None),
    ("operator", "OPTIONS", "/containers/db/stop", None),
    ("operator", "HEAD", "/containers/db/stop", None),
    ("operator", "PUT", "/containers/db/stop", None),
    ("operator", "PROPFIND", "/containers/db/stop", None),
    ("viewer", "GET", "/containers/db/attach/ws?stdin=1&stream=1", None),
    ("viewer", "GET", "/v1.41/containers/db%2Fattach%2Fws?stdin=1", None),
    ("viewer", "GET", "/containers/db/archive?path=/etc/shadow", None),
    ("viewer", "HEAD", "/containers/db/archive?path=/etc/shadow", None),
    ("viewer", "GET", "/containers/db/export", None),
    ("viewer", "GET", "/images/app/get", None),
    ("viewer", "GET", "/images/get?names=app", None),
    ("viewer", "GET", "/swarm", None),
    ("viewer", "GET", "/swarm/unlockkey", None),
    ("viewer", "GET", "/configs", None),
    ("viewer", "GET", "/configs/a", None),
    ("viewer", "GET", "/secrets", None),
    ("viewer", "GET", "/secrets/a", None),
    ("viewer", "GET", "/debug/vars", None),
    ("viewer", "GET", "/debug/pprof/heap", None),
    ("viewer", "GET", "/debug/pprof/../pprof/heap", None),
    ("viewer", "GET", "/distribution/evil.example/a/json", None),
    ("viewer", "GET", "/images/search?term=a", None),
    ("viewer", "GET", "/plugins/privileges?remote=evil.example/a", None),
    ("viewer", "POST", "/containers/db/attach?stream=1&stdin=1", None),
    ("viewer", "POST", "/containers/db/exec", None),
    ("viewer", "POST", "/exec/1/start", None),
    ("viewer", "POST", "/session", None),
    ("viewer", "POST", "/grpc", None),
    ("viewer", "POST", "/build", None),
    ("viewer", "POST", "/commit?container=db", None),
    ("viewer", "PUT", "/containers/db/archive?path=/", None),
    ("viewer", "POST", "/containers/db/copy", None),
    ("viewer", "POST", "/auth", None),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"Privileged":true,"Cmd":["sh"]}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"privileged":true}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"PRIVILEGED":true}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"Privileged":false,"privileged":true}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"Privileged":false,"Privileged":true}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"Privileged":"true"}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"Privileged":1}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"\u0050rivileged":true}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"Privileged":false}{"Privileged":true}"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"[{"Privileged":true}]"#)),
    ("operator", "POST", "/containers/db/exec", Some(r#"{"HostConfig":{"Binds":["/:/h"]}}"#)),
    ("operator", "POST", "/v1.23/containers/db/start", Some(r#"{"Binds":["/:/host"],"Privileged":true}"#)),
    ("operator", "POST", "/v1.12/containers/db/start", Some(r#"{"binds":["/:/host"]}"#)),
    ("operator", "POST", "/containers/db/start?checkpoint=a&checkpoint-dir=/etc", Some(r#""#)),
    ("operator", "POST", "/containers/db/start?%63heckpoint-dir=/etc", Some(r#""#)),
    ("operator", "POST", "/containers/create", Some(r#"{"Image":"a"}"#)),
    ("operator", "DELETE", "/containers/db", None),
    ("operator", "POST", "/containers/db/update", Some(r#"{}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"privileged":true}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"PidMode":"host"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"pidmode":"host"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"PidMode":"container:db"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"IpcMode":"host"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"IpcMode":"container:db"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"UTSMode":"host"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"UsernsMode":"host"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"CgroupnsMode":"host"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"NetworkMode":"host"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"NetworkMode":"HOST"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"NetworkMode":"container:db"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"NetworkMode":"ns:/proc/1/ns/net"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Cgroup":"container:db"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"CgroupParent":"/"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/dev/x","CgroupPermissions":"rwm"}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"DeviceCgroupRules":["b 8:* rmw"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["a.example/b=c"]}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"CapAdd":["SYS_ADMIN"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"capadd":["CAP_SYS_ADMIN"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"CapAdd":["all"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"SecurityOpt":["seccomp=unconfined"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"\u017fecurityOpt":["apparmor=unconfined"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"SecurityOpt":["label=disable"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"MaskedPaths":[]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"ReadonlyPaths":[]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Runtime":"io.containerd.kata.v2"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Runtime":"/tmp/shim"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Annotations":{"a":"b"}}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Capabilities":["CAP_SYS_ADMIN"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"NewInEngine31":true}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Binds":["/:/host"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"binds":["/etc:/e:ro"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Binds":["/var/run/docker.sock:/s"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Binds":["../etc:/e"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Binds":["/srv/../etc:/e"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Binds":["data:/d","/etc:/e"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Binds":["/a:/b:rshared"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Binds":"/etc:/e"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"VolumesFrom":["db"]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"VolumeDriver":"evil"}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"bind","Source":"/","Target":"/h"}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"mounts":[{"type":"bind","source":"/","target":"/h"}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"Bind","Source":"/","Target":"/h"}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"npipe","Source":"/","Target":"/h"}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"cluster","Source":"a","Target":"/h"}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"volume","Source":"a","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"volume","Source":"a","Target":"/h","VolumeOptions":{"DriverConfig":{"Options":{"type":"overlay","device":"overlay","o":"lowerdir=/"}}}}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"volume","Source":"/etc","Target":"/h"}]}}"#)),
    ("deployer", "POST", "/containers/create", Some(r#"{"Image":"a","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/h"},{"Type":"bind","Source":"/","Target":"/h"}]}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","Privileged":true}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","Binds":["/:/host"]}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","Mounts":[{"Type":"bind","Source":"/","Target":"/h"}]}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","hostconfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","HostConfig":{},"hostConfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","HostConfig":{"Privileged":false},"HostConfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","Ho\u017ftConfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a"}{"HostConfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","NetworkingConfig":{"EndpointsConfig":{"host":{}}}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some("\u{feff}{\"Image\":\"a\",\"HostConfig\":{\"Privileged\":true}}")),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a","HostConfig":[]}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"{"Image":"a",}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"<PAD 1100000>{"Image":"a","HostConfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"<PAD 4100000>{"Image":"a","HostConfig":{"Privileged":true}}"#)),
    ("deployer", "POST", "/v1.41/containers/create?name=x", Some(r#"<PAD 4200000>{"Image":"a"}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","DriverOpts":{"type":"none","o":"bind","device":"/"}}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","driveropts":{"TYPE":"none","O":"bind","DEVICE":"/"}}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","DriverOpts":{"type":"ext4","device":"/dev/sda1"}}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","DriverOpts":{"type":"tmpfs","o":"bind","device":"etc"}}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","DriverOpts":{"type":"tmpfs","device":"../etc","o":"rbind"}}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","DriverOpts":{"type":"nfs","o":"addr=10.0.0.1","device":":/"}}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","Driver":"evil"}"#)),
    ("deployer", "POST", "/volumes/create", Some(r#"{"Name":"a","ClusterVolumeSpec":{}}"#)),
    ("deployer", "POST", "/containers/db/update", Some(r#"{"Devices":[{"PathOnHost":"/dev/sda"}]}"#)),
    ("deployer", "POST", "/containers/db/update", Some(r#"{"devices":[{"pathonhost":"/dev/sda"}]}"#)),
    ("deployer", "POST", "/containers/db/update", Some(r#"{"DeviceCgroupRules":["a *:* rwm"]}"#)),
    ("deployer", "POST", "/build", None),
    ("deployer", "POST", "/session", None),
    ("deployer", "POST", "/grpc", None),
    ("deployer", "POST", "/services/create", Some(r#"{}"#)),
    ("deployer", "POST", "/swarm/init", Some(r#"{}"#)),
    ("deployer", "POST", "/swarm/join", Some(r#"{}"#)),
    ("deployer", "POST", "/plugins/pull?remote=a", Some(r#"[]"#)),
    ("deployer", "POST", "/plugins/create?name=a", None),
    ("deployer", "POST", "/plugins/a/enable", None),
    ("deployer", "POST", "/plugins/a/set", Some(r#"[]"#)),
    ("deployer", "POST", "/containers/db/checkpoints", Some(r#"{"CheckpointID":"a","CheckpointDir":"/etc"}"#)),
    ("deployer", "POST", "/v1.41/nodes/a/update", Some(r#"{}"#)),
    ("listed", "POST", "/images/create?fromImage=evil.example/x", None),
    ("listed", "POST", "/images/create?fromImage=nginx&fromImage=evil.example/x", None),
    ("listed", "POST", "/images/create?%66romImage=evil.example/x", None),
    ("listed", "POST", "/images/create?fromSrc=http://evil.example/x&repo=nginx", None),
    ("listed", "POST", "/images/create?fromImage=nginx&fromSrc=-", None),
    ("listed", "POST", "/images/create?fromImage=nginx@sha256:00&tag=1;fromImage=x", None),
    ("listed", "POST", "/images/create?fromImage=EVIL/nginx", None),
    ("listed", "POST", "/images/create", None),
    ("listed", "POST", "/containers/create", Some(r#"{"Image":"evil.example/x"}"#)),
    ("listed", "POST", "/containers/create", Some(r#"{"Image":"sha256:0123"}"#)),
    ("listed", "POST", "/containers/create", Some(r#"{"Image":"cafe"}"#)),
    ("listed", "POST", "/containers/create", Some(r#"{"Image":""}"#)),
    ("listed", "POST", "/containers/create", Some(r#"{}"#)),
    ("listed", "POST", "/containers/create", Some(r#"{"image":"EVIL/x"}"#)),
    ("listed", "POST", "/containers/create", Some(r#"{"Image":"nginx","HostConfig":{"Mounts":[{"Type":"image","Source":"evil.example/x","Target":"/x"}]}}"#)),
    ("listed", "POST", "/services/create", Some(r#"{"TaskTemplate":{"ContainerSpec":{"Image":"nginx","Mounts":[{"Type":"bind","Source":"/","Target":"/h"}]}}}"#)),
    ("listed", "POST", "/services/create", Some(r#"{"TaskTemplate":{"ContainerSpec":{"Image":"nginx","CapabilityAdd":["ALL"]}}}"#)),
    ("listed", "POST", "/services/create", Some(r#"{"TaskTemplate":{"ContainerSpec":{"Image":"nginx","Privileges":{"Seccomp":{"Mode":"unconfined"}}}}}"#)),
    ("listed", "POST", "/services/create", Some(r#"{"TaskTemplate":{"PluginSpec":{"Name":"a"},"Runtime":"plugin"}}"#)),
    ("listed", "POST", "/services/create", Some(r#"{"TaskTemplate":{"ContainerSpec":{"Image":"nginx"},"Networks":[{"Target":"host"}]}}"#)),
    ("listed", "POST", "/services/create", Some(r#"{"Networks":[{"Target":"0123456789abcdefghijklmno"}],"TaskTemplate":{"ContainerSpec":{"Image":"nginx"}}}"#)),
];

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
