use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Name, value and words of each flag.
fn read(line: &str) -> Vec<(String, String, Range<usize>)> {
    let flags = parse(&words(line)).unwrap();
    flags
        .into_iter()
        .map(|flag| (flag.name, flag.value, flag.words))
        .collect()
}

#[test]
fn every_way_to_write_a_flag_is_read_as_pflag_reads_it() {
    let host = |words: Range<usize>| vec![("host".to_owned(), "x".to_owned(), words)];
    for (line, range) in [
        ("-H x", 0..2),
        ("-Hx", 0..1),
        ("-H=x", 0..1),
        ("--host x", 0..2),
        ("--host=x", 0..1),
    ] {
        assert_eq!(read(line), host(range), "{line}");
    }
    let rows = [
        ("--tls", "tls", "true"),
        ("--tlsverify=false", "tlsverify", "false"),
        ("-D", "debug", "true"),
        ("-D=0", "debug", "0"),
        ("--config-file /a", "config-file", "/a"),
        ("--made-up 1", "made-up", "1"),
        ("--made-up", "made-up", "true"),
        ("--label -x", "label", "-x"),
        ("--oom-score-adjust -500", "oom-score-adjust", "-500"),
        ("--tlscert=", "tlscert", ""),
    ];
    for (line, name, value) in rows {
        let flags = read(line);
        assert_eq!(
            (flags[0].0.as_str(), flags[0].1.as_str()),
            (name, value),
            "{line}"
        );
    }
}

#[test]
fn a_cluster_ends_with_the_flag_that_takes_a_value() {
    assert_eq!(
        read("-DH x --tls"),
        [
            ("debug".into(), "true".into(), 0..1),
            ("host".into(), "x".into(), 0..2),
            ("tls".into(), "true".into(), 2..3)
        ]
    );
    assert_eq!(read("-DHx")[1], ("host".into(), "x".into(), 0..1));
    assert_eq!(read("-DH=x")[1], ("host".into(), "x".into(), 0..1));
}

#[test]
fn what_dockerd_does_not_take_is_an_error() {
    for line in [
        "word",
        "--",
        "-",
        "-H",
        "--host",
        "--tlscert",
        "-Z",
        "-tlsverify",
        "--tls x",
        "-D x",
    ] {
        assert!(parse(&words(line)).is_err(), "{line}");
    }
    let why = parse(&words("$DOCKER_OPTS --tls")).unwrap_err();
    assert!(why.contains("one assignment"), "{why}");
}

#[test]
fn a_changed_flag_keeps_the_way_it_is_written() {
    let rows = [
        ("-H a", Some("b"), "-H b"),
        ("-Ha", Some("b"), "-Hb"),
        ("-H=a", Some("b"), "-H=b"),
        ("--host a", Some("b"), "--host b"),
        ("--host=a", Some("b"), "--host=b"),
        ("-DH a --tls", Some("b"), "-DH b --tls"),
        ("-DHa", Some("b"), "-DHb"),
        ("-H b", Some("b"), "-H b"),
        ("-H a --tls", None, "--tls"),
        ("-DH a --tls", None, "-D --tls"),
        ("-DHa", None, "-D"),
        ("-Ha", None, ""),
    ];
    for (line, value, expected) in rows {
        let words = words(line);
        let flags = parse(&words).unwrap();
        let flag = flags.iter().find(|flag| flag.name == "host").unwrap();
        let mut edit = Edit::new(words.len());
        match value {
            Some(value) => edit.set(flag, value),
            None => edit.remove(flag),
        }
        assert_eq!(edit.apply(&words).join(" "), expected, "{line} with {value:?}");
        assert_eq!(edit.is_empty(), line == expected, "{line}");
    }
}

#[test]
fn flags_and_keys_of_one_setting_find_each_other() {
    let keys = |line: &str| parse(&words(line)).unwrap()[0].key().to_owned();
    assert_eq!(keys("-H x"), "hosts");
    assert_eq!(keys("--authorization-plugin=x"), "authorization-plugins");
    assert_eq!(keys("--insecure-registry x"), "insecure-registries");
    assert_eq!(keys("--tlscacert=x"), "tlscacert");
}

#[test]
fn endpoints_are_read_as_docker_reads_them() {
    let tcp = |host: &str, port| Endpoint::Tcp {
        host: host.to_owned(),
        port,
    };
    let rows = [
        (
            "unix:///var/run/docker.sock",
            Endpoint::Unix("/var/run/docker.sock".into()),
        ),
        ("fd://", Endpoint::Fd(String::new())),
        ("tcp://0.0.0.0:2376", tcp("0.0.0.0", 2376)),
        ("0.0.0.0:2376", tcp("0.0.0.0", 2376)),
        (" tcp://h", tcp("h", 2375)),
        (":2376", tcp("127.0.0.1", 2376)),
        ("tcp://[::]:2376", tcp("::", 2376)),
        ("tcp://[::1]", tcp("::1", 2375)),
        ("tcp://h:no", Endpoint::Other("tcp://h:no".into())),
        (
            "npipe:////./pipe/docker",
            Endpoint::Other("npipe:////./pipe/docker".into()),
        ),
        ("", Endpoint::Other(String::new())),
    ];
    for (text, expected) in rows {
        assert_eq!(Endpoint::parse(text), expected, "{text:?}");
    }
}

#[test]
fn two_endpoints_meet_when_the_kernel_would_refuse_the_second() {
    let rows = [
        ("tcp://0.0.0.0:2376", "0.0.0.0", true, true),
        ("tcp://[::]:2376", "0.0.0.0", true, true),
        ("tcp://127.0.0.1:2376", "0.0.0.0", false, true),
        ("tcp://0.0.0.0:2376", "10.0.0.1", false, true),
        ("tcp://10.0.0.2:2376", "10.0.0.1", false, false),
        ("tcp://[fe80::1]:2376", "0.0.0.0", false, false),
        ("tcp://name:2376", "10.0.0.1", false, true),
        ("tcp://0.0.0.0:2375", "0.0.0.0", false, false),
        ("fd://", "0.0.0.0", false, false),
    ];
    for (text, ip, covers, meets) in rows {
        let (endpoint, ip) = (Endpoint::parse(text), ip.parse().unwrap());
        assert_eq!(
            (endpoint.covers(ip, 2376), endpoint.meets(ip, 2376)),
            (covers, meets),
            "{text} and {ip}"
        );
    }
}
