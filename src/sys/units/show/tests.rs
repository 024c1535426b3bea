use super::*;

/// As bookworm (252), trixie (257) and forky (258) write it; the order of the lines differs between them.
const RUNNING: &str = "\
MainPID=62
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock \
$DOCKER_OPTS ; ignore_errors=no ; start_time=[Sun 2026-11-22 14:22:36 UTC] ; stop_time=[n/a] ; pid=62 ; code=(null) ; \
status=0/0 }
EnvironmentFiles=/etc/default/docker (ignore_errors=yes)
EnvironmentFiles=/etc/sysconfig/docker options (ignore_errors=no)
Id=docker.service
Triggers=
TriggeredBy=docker.socket docker-tls.socket
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/lib/systemd/system/docker.service
DropInPaths=\"/etc/systemd/system/docker.service.d/10 space.conf\" /etc/systemd/system/docker.service.d/20-x.conf
StateChangeTimestamp=Sun 2026-11-22 14:22:37 UTC
NeedDaemonReload=no
";

const SOCKETS: &str = "\
Id=docker.socket
Triggers=docker.service
LoadState=loaded
ActiveState=active
SubState=listening
Listen=/run/docker.sock (Stream)
Listen=[::]:2375 (Stream)

Id=systemd-networkd.socket
Triggers=systemd-networkd.service
ActiveState=active
Listen=route 1361 (Netlink)

";

#[test]
fn a_running_service_is_read() {
    let expected = UnitState {
        id: "docker.service".into(),
        load: "loaded".into(),
        activity: Activity::Active,
        sub: "running".into(),
        result: "success".into(),
        exit_status: None,
        main_pid: Some(62),
        restarts: 0,
        fragment: Some("/lib/systemd/system/docker.service".into()),
        drop_ins: [
            "/etc/systemd/system/docker.service.d/10 space.conf",
            "/etc/systemd/system/docker.service.d/20-x.conf",
        ]
        .map(PathBuf::from)
        .to_vec(),
        needs_reload: false,
        triggered_by: vec!["docker.socket".into(), "docker-tls.socket".into()],
        triggers: Vec::new(),
        listen: Vec::new(),
        environment_files: vec![
            ("/etc/default/docker".into(), true),
            ("/etc/sysconfig/docker options".into(), false),
        ],
        program: Some("/usr/sbin/dockerd".into()),
        command: [
            "/usr/sbin/dockerd",
            "-H",
            "fd://",
            "--containerd=/run/containerd/containerd.sock",
            "$DOCKER_OPTS",
        ]
        .map(str::to_owned)
        .to_vec(),
        changed_at: Timestamp::parse("2026-11-22T14:22:37Z"),
    };
    assert_eq!(parse(RUNNING), expected);
}

#[test]
fn each_state_of_a_service_is_told_from_the_others() {
    // Taken from real hosts: ActiveState, SubState, Result, ExecMainCode, ExecMainStatus, LoadState; then what we make
    // of it. A daemon.json that is no JSON: systemd tries again, and gives up; 252 keeps the exit code as the result
    // then, 258 says start-limit-hit.
    let rows = [
        "inactive dead success 1 0 loaded: Inactive true Some(0)",
        "activating auto-restart exit-code 1 1 loaded: Activating false Some(1)",
        "failed failed exit-code 1 1 loaded: Failed false Some(1)",
        "failed failed start-limit-hit 1 1 loaded: Failed false Some(1)",
        "failed failed signal 2 9 loaded: Failed false None",
        "inactive dead success 1 1 masked: Inactive true Some(1)",
        "inactive dead success 0 0 not-found: Inactive false None",
        "reloading reload-notify success 0 0 loaded: Active false None",
        "deactivating stop-sigterm success 0 0 loaded: Deactivating true None",
    ];
    for row in rows {
        let (said, expected) = row.split_once(": ").unwrap();
        let [active, sub, result, code, status, load] = said.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let answer = format!(
            "Id=docker.service\nLoadState={load}\nActiveState={active}\nSubState={sub}\nResult={result}\n\
             ExecMainStatus={status}\nExecMainCode={code}\nMainPID=0\n"
        );
        let unit = parse(&answer);
        let on_purpose = unit.is_stopped_on_purpose();
        assert_eq!(
            format!("{:?} {on_purpose} {:?}", unit.activity, unit.exit_status),
            expected,
            "{row}"
        );
        assert_eq!(
            (unit.sub.as_str(), unit.result.as_str(), unit.main_pid),
            (sub, result, None)
        );
    }
}

#[test]
fn sockets_are_read_one_by_one() {
    let units = parse_all(SOCKETS);
    let ids: Vec<&str> = units.iter().map(|unit| unit.id.as_str()).collect();
    assert_eq!(ids, ["docker.socket", "systemd-networkd.socket"]);
    assert_eq!(units[0].listen, ["/run/docker.sock", "[::]:2375"]);
    assert_eq!(units[0].triggers, ["docker.service"]);
    assert!(parse_all("").is_empty());
}

#[test]
fn quoted_words_keep_their_blanks() {
    let rows: [(&str, &[&str]); 5] = [
        ("", &[]),
        ("/a /b", &["/a", "/b"]),
        (r#""/a b" '/c d' /e"#, &["/a b", "/c d", "/e"]),
        (r#""/a\"b" /c\x20d"#, &["/a\"b", "/c d"]),
        (r#""/unfinished"#, &["/unfinished"]),
    ];
    for (text, expected) in rows {
        assert_eq!(quoted_words(text), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_systemd_says_does_no_harm(answer in "(?s).{0,300}") {
        let _ = parse_all(&answer);
        let _ = quoted_words(&answer);
    }
}
