use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::learned::ENTRIES_MAX;
use super::*;
use crate::base::{ManualClock, Timestamp};
use crate::model::role::*;

fn t(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// One request: its operation, its target without version, its body.
#[derive(Clone, Debug)]
struct Sent {
    operation: &'static Operation,
    query: String,
    body: String,
}

impl Sent {
    fn request(&self) -> Request<'_> {
        let path = self.operation.path.replace(['{', '}', '.'], "");
        let mut request = Request::of(self.operation.method, &path, &self.query).unwrap();
        // Two routes may share a path that the placeholder's name fits.
        request.operation = self.operation;
        request
    }

    fn body(&self) -> Body<'_> {
        Body::Whole(self.body.as_bytes())
    }
}

/// Pieces of a `HostConfig`, of which some no rule can list.
const HOST: &[&str] = &[
    r#""Privileged":true"#,
    r#""PidMode":"host""#,
    r#""IpcMode":"container:db""#,
    r#""NetworkMode":"host""#,
    r#""Binds":["/srv/a:/a","/srv/b:/b:ro"]"#,
    r#""Mounts":[{"Type":"bind","Source":"/srv/a","Target":"/x","ReadOnly":true}]"#,
    r#""Binds":["data:/data"]"#,
    r#""Binds":["/srv/*:/x"]"#,
    r#""Devices":[{"PathOnHost":"/dev/fuse"}]"#,
    r#""DeviceCgroupRules":["c 1:3 r"]"#,
    r#""DeviceRequests":[{"Driver":"nvidia"}]"#,
    r#""CapAdd":["CAP_NET_ADMIN","chown"]"#,
    r#""SecurityOpt":["no-new-privileges","seccomp=unconfined"]"#,
    r#""MaskedPaths":[]"#,
    r#""Runtime":"runsc""#,
    r#""VolumeDriver":"sshfs""#,
    r#""Memory":1000"#,
    r#""CgroupParent":"/x""#,
    r#""Teleport":true"#,
];
const IMAGES: &[&str] = &[
    "alpine",
    "docker.io/library/alpine:latest",
    "r.example/a:1",
    "r.example/a@sha256:00",
    "cafe",
    "",
];

fn container() -> impl Strategy<Value = String> {
    let host = subsequence((0..HOST.len()).collect::<Vec<_>>(), 0..3);
    (select(IMAGES), host).prop_map(|(image, host)| {
        let pieces: Vec<&str> = host.into_iter().map(|i| HOST[i]).collect();
        format!(r#"{{"Image":"{image}","HostConfig":{{{}}}}}"#, pieces.join(","))
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let of = |name: &'static str| {
        OPERATIONS
            .iter()
            .find(|operation| operation.name == name)
            .unwrap()
    };
    let sent = |operation, query: &str, body: &str| Sent {
        operation,
        query: query.to_owned(),
        body: body.to_owned(),
    };
    prop_oneof![
        4 => (0..OPERATIONS.len()).prop_map(move |place| sent(&OPERATIONS[place], "", "")),
        4 => container().prop_map(move |body| sent(of("ContainerCreate"), "name=x", &body)),
        1 => select(&["{}", r#"{"Privileged":true}"#, r#"{"Odd":1}"#][..])
            .prop_map(move |body| sent(of("ContainerExec"), "", body)),
        1 => select(&["", "networkmode=host", "networkmode=container:x", "cgroupparent=x"][..])
            .prop_map(move |query| sent(of("ImageBuild"), query, "")),
        1 => select(&["fromImage=alpine&tag=latest", "fromImage=alpine&tag=sha256:00", "fromSrc=-", "a;b", ""][..])
            .prop_map(move |query| sent(of("ImageCreate"), query, "")),
        1 => select(&[r#"{"Driver":"sshfs"}"#, r#"{"DriverOpts":{"type":"none","o":"bind","device":"/srv/a"}}"#][..])
            .prop_map(move |body| sent(of("VolumeCreate"), "", body)),
    ]
}

/// Every role with one entry less than this one.
fn with_one_less(rules: &BodyRules) -> Vec<BodyRules> {
    let mut all = Vec::new();
    let mut one = |change: &dyn Fn(&mut BodyRules)| {
        let mut less = rules.clone();
        change(&mut less);
        all.push(less);
    };
    let lists: [fn(&mut BodyRules) -> &mut Vec<String>; 8] = [
        |r| &mut r.devices,
        |r| &mut r.device_requests,
        |r| &mut r.capabilities,
        |r| &mut r.security_opt,
        |r| &mut r.binds,
        |r| &mut r.volume_drivers,
        |r| &mut r.runtimes,
        |r| &mut r.images,
    ];
    for list in lists {
        for place in 0..list(&mut rules.clone()).len() {
            // A list of images that becomes empty would allow all.
            one(&|less| list(less)[place] = "/none".to_owned());
        }
    }
    for place in 0..rules.host_namespaces.len() {
        one(&|less| {
            less.host_namespaces.remove(place);
        });
    }
    if rules.privileged {
        one(&|less| less.privileged = false);
    }
    if rules.join_containers {
        one(&|less| less.join_containers = false);
    }
    all
}

fn learned(all: &[Sent]) -> Learned {
    let mut learned = Learned::default();
    for (i, sent) in all.iter().enumerate() {
        let needs = needs(&sent.request(), sent.body());
        learned.note("ci", i % 2 == 0, sent.operation.name, needs, t(i as i64));
    }
    learned
}

proptest! {
    #[test]
    fn the_role_allows_what_was_seen_and_nothing_else(all in proptest::collection::vec(sent(), 1..12)) {
        let learned = learned(&all);
        let can_be: Vec<&Sent> = all.iter().filter(|sent| needs(&sent.request(), sent.body()).is_ok()).collect();
        let drafted = learned.draft("ci", Which::default());
        if can_be.is_empty() {
            prop_assert!(matches!(drafted, Err(DraftError::NothingAllowable { .. })), "{:?}", drafted);
            return Ok(());
        }
        let spec = drafted.unwrap().role;
        let role = Role::check("r".parse().unwrap(), spec.clone()).unwrap();
        for sent in &can_be {
            prop_assert_eq!(role.decide(&sent.request(), sent.body()), Decision::Allowed, "{:?} {:?}", sent, spec);
        }
        let mut seen: Vec<&str> = can_be.iter().map(|sent| sent.operation.name).collect();
        seen.sort_unstable();
        seen.dedup();
        let mut allowed = role.operations().names();
        allowed.sort_unstable();
        allowed.dedup();
        prop_assert_eq!(allowed, seen);
        // No rule and no entry could be left out.
        for rules in with_one_less(role.rules().unwrap()) {
            let spec = RoleSpec { rules: Some(rules.clone()), ..spec.clone() };
            let refuses = match Role::check("r".parse().unwrap(), spec) {
                Ok(less) => can_be.iter().any(|sent| less.decide(&sent.request(), sent.body()) != Decision::Allowed),
                Err(_) => true,
            };
            prop_assert!(refuses, "one entry too many beside {:?}", rules);
        }
    }

    #[test]
    fn what_is_beyond_every_rule_is_refused_by_the_role_and_named(all in proptest::collection::vec(sent(), 1..12)) {
        let learned = learned(&all);
        let Ok(draft) = learned.draft("ci", Which::default()) else { return Ok(()) };
        let role = Role::check("r".parse().unwrap(), draft.role).unwrap();
        for sent in &all {
            if let Err(why) = needs(&sent.request(), sent.body()) {
                prop_assert_ne!(role.decide(&sent.request(), sent.body()), Decision::Allowed);
                let what = format!("{} with {why}", sent.operation.name);
                prop_assert!(draft.notes.iter().any(|note| note.contains(&what)), "{:?} lacks {}", draft.notes, what);
            }
        }
    }

    #[test]
    fn what_is_kept_says_the_same_when_it_is_read_again(all in proptest::collection::vec(sent(), 0..12)) {
        let learned = learned(&all);
        let text = serde_json::to_string(&learned).unwrap();
        prop_assert_eq!(Learned::parse(text.as_bytes()).unwrap(), learned);
    }
}

fn create(host: &str) -> (Request<'static>, String) {
    let request = Request::of("POST", "/containers/create", "").unwrap();
    (
        request,
        format!(r#"{{"Image":"alpine","HostConfig":{{{host}}}}}"#),
    )
}

#[test]
fn nothing_of_a_body_is_kept_but_what_a_rule_could_list() {
    let secret = r#"{"Image":"alpine","Env":["PASSWORD=hunter2"],"Cmd":["hunter2"],"Labels":{"hunter2":"x"},"User":"hunter2",
        "HostConfig":{"Binds":["/srv/app:/hunter2","hunter2:/x"],"ExtraHosts":["hunter2:1.2.3.4"]}}"#;
    let learner = Learner::new(Learned::default(), Arc::new(ManualClock::new(t(0))));
    let request = Request::of("POST", "/containers/create", "name=hunter2").unwrap();
    learner.note("ci", true, &request, Body::Whole(secret.as_bytes()));
    let kept = serde_json::to_string(&learner.news().unwrap()).unwrap();
    assert!(
        kept.contains("/srv/app") && kept.contains("alpine:latest"),
        "{kept}"
    );
    assert!(!kept.contains("hunter2"), "{kept}");
}

#[test]
fn who_asks_the_same_over_and_over_makes_nothing_to_write() {
    let clock = Arc::new(ManualClock::new(t(0)));
    let learner = Learner::new(Learned::default(), clock.clone());
    let ping = Request::of("GET", "/_ping", "").unwrap();
    learner.note("ci", true, &ping, Body::Unread);
    assert!(learner.news().is_some());
    for _ in 0..59 {
        learner.note("ci", true, &ping, Body::Unread);
        clock.advance(Duration::from_secs(1));
        assert!(learner.news().is_none());
    }
    clock.advance(Duration::from_secs(1));
    learner.note("ci", true, &ping, Body::Unread);
    assert!(learner.news().is_some());
    learner.not_kept();
    assert!(learner.news().is_some());
}

#[test]
fn what_is_kept_is_bounded_and_what_is_left_out_is_counted() {
    let mut learned = Learned::default();
    let binds = |n: usize| {
        let (request, body) = create(&format!(r#""Binds":["/srv/{n}:/x"]"#));
        needs(&request, Body::Whole(body.as_bytes()))
    };
    for n in 0..ROLE_ENTRIES_MAX + 3 {
        learned.note("ci", true, "ContainerCreate", binds(n), t(0));
    }
    assert_eq!(
        learned.clients["ci"].allowed.rules[&Rule::Binds].len(),
        ROLE_ENTRIES_MAX
    );
    assert_eq!(learned.clients["ci"].left_out, 3);
    for n in 0..2 * ENTRIES_MAX {
        learned.note(&format!("client-{n}"), true, "SystemPing", Ok(Needs::new()), t(0));
        learned.note_unknown("ci", false, &format!("GET /{n}"), t(0));
    }
    assert_eq!(learned.len(), ENTRIES_MAX);
    assert!(learned.left_out > 0);
    // What is known goes on being seen.
    assert!(learned.note("ci", true, "ContainerCreate", binds(1), t(3600)));
    let draft = learned.draft("ci", Which::default()).unwrap();
    assert!(
        draft
            .notes
            .iter()
            .any(|note| note.contains("for which there was no place")),
        "{:?}",
        draft.notes
    );
}

#[test]
fn a_time_and_what_was_refused_can_be_left_out() {
    let mut learned = Learned::default();
    learned.note("ci", true, "SystemPing", Ok(Needs::new()), t(0));
    learned.note("ci", true, "ContainerList", Ok(Needs::new()), t(7200));
    learned.note("ci", false, "ContainerKill", Ok(Needs::new()), t(7300));
    let drafted = |since, allowed_only| {
        learned
            .draft("ci", Which { since, allowed_only })
            .map(|d| d.role.allow)
    };
    assert_eq!(
        drafted(None, false).unwrap(),
        ["SystemPing", "ContainerList", "ContainerKill"]
    );
    assert_eq!(drafted(Some(t(3600)), true).unwrap(), ["ContainerList"]);
    let nothing = drafted(Some(t(9000)), false).unwrap_err().to_string();
    assert!(
        nothing.contains("since 1970-01-01T02:30:00Z") && nothing.contains("ci"),
        "{nothing}"
    );
    let nobody = learned.draft("bob", Which::default()).unwrap_err().to_string();
    assert!(nobody.contains("learned of so far: ci"), "{nobody}");
    let notes = learned.draft("ci", Which::default()).unwrap().notes;
    assert_eq!(notes, ["refused then, allowed by this role: ContainerKill"]);
}

#[test]
fn what_two_hosts_learned_makes_one_role() {
    let mut one = Learned::default();
    one.note("ci", true, "SystemPing", Ok(Needs::new()), t(0));
    let mut other = Learned::default();
    let (request, body) = create(r#""Binds":["/srv/a:/a:ro"]"#);
    other.note(
        "ci",
        true,
        "ContainerCreate",
        needs(&request, Body::Whole(body.as_bytes())),
        t(5),
    );
    one.merge(other);
    let role = one.draft("ci", Which::default()).unwrap().role;
    assert_eq!(role.allow, ["SystemPing", "ContainerCreate"]);
    assert_eq!(role.rules.unwrap().binds, ["/srv/a:ro"]);
}
