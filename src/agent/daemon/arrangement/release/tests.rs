use std::path::PathBuf;

use super::*;
use crate::agent::daemon::arrangement::tests::{
    CONFIG, DEBIAN, applied, systemd, wanted, with_config, with_options,
};
use crate::agent::daemon::arrangement::{DROP_IN_NAME, arrange};

const WITH_HOSTS: &str = "[Service]\nExecStart=/usr/bin/dockerd\n";

/// What `original` becomes when dockwarden takes it over.
fn taken_over(original: Option<&str>) -> Vec<u8> {
    let mut facts = systemd(WITH_HOSTS);
    facts.config_file.contents = original.map(|text| text.as_bytes().to_vec());
    arrange(&facts, &wanted()).unwrap().config
}

fn merged(release: Release) -> (String, Vec<String>) {
    let Release::Merged { bytes, left } = release else {
        panic!("{release:?}")
    };
    (String::from_utf8(bytes).unwrap(), left)
}

#[test]
fn what_nobody_else_touched_is_byte_identical_again() {
    let originals = [
        None,
        Some(""),
        Some("{}"),
        Some("{\"debug\":true}"),
        Some("{\n\t\"hosts\": [\"tcp://0.0.0.0:2375\", \"unix:///run/docker.sock\"],\r\n\"tls\":false}\n\n"),
        Some(
            "{\"tlsverify\": true, \"tlscert\": \"/a\", \"tlskey\": \"/b\", \"tlscacert\": \"/c\", \"hosts\": [\"0.0.0.0:2376\"]}",
        ),
    ];
    for original in originals {
        let written = taken_over(original);
        let bytes = original.map(str::as_bytes);
        assert_eq!(
            release(bytes, &written, Some(&written)),
            Release::Original(bytes.map(<[u8]>::to_vec)),
            "{original:?}"
        );
        assert_eq!(release(bytes, &written, bytes), Release::Nothing);
        assert_eq!(release(bytes, &written, None), Release::Nothing);
    }
}

#[test]
fn a_key_of_somebody_else_stays_and_only_ours_go() {
    let original = "{\n  \"debug\": true\n}\n";
    let written = String::from_utf8(taken_over(Some(original))).unwrap();
    let current = written.replace("\"debug\": true", "\"debug\": true,\n  \"ipv6\": true");
    let (text, left) = merged(release(
        Some(original.as_bytes()),
        written.as_bytes(),
        Some(current.as_bytes()),
    ));
    assert_eq!(text, "{\n  \"debug\": true,\n  \"ipv6\": true\n}\n");
    assert_eq!(left, Vec::<String>::new());
    // The same when their change came before our last write.
    let (again, _) = merged(release(
        Some(original.as_bytes()),
        current.as_bytes(),
        Some(current.as_bytes()),
    ));
    assert_eq!(again, text);
}

#[test]
fn a_value_of_ours_that_somebody_changed_is_theirs() {
    let written = String::from_utf8(taken_over(Some("{}"))).unwrap();
    let current = written.replace("/etc/docker/dockwarden/current/ca.pem", "/theirs.pem");
    let (text, _) = merged(release(Some(b"{}"), written.as_bytes(), Some(current.as_bytes())));
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        serde_json::json!({"tlscacert": "/theirs.pem"})
    );
}

#[test]
fn a_port_that_was_added_meanwhile_is_not_left_open() {
    let written = String::from_utf8(taken_over(Some("{}"))).unwrap();
    let current = written.replace(
        "\"tcp://0.0.0.0:2376\"",
        "\"tcp://0.0.0.0:2376\", \"tcp://0.0.0.0:4000\", \"unix:///x\"",
    );
    let (text, left) = merged(release(Some(b"{}"), written.as_bytes(), Some(current.as_bytes())));
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        serde_json::json!({"hosts": ["unix:///x"]})
    );
    assert!(left[0].contains("tcp://0.0.0.0:4000"), "{left:?}");
}

#[test]
fn a_file_that_somebody_broke_is_left_for_them() {
    let written = taken_over(Some("{}"));
    let (text, left) = merged(release(Some(b"{}"), &written, Some(b"{ broken")));
    assert_eq!(text, "{ broken");
    assert_eq!(left.len(), 1);
}

#[test]
fn a_drop_in_goes_whoever_wrote_into_it() {
    let facts = systemd(DEBIAN);
    let arrangement = arrange(&facts, &wanted()).unwrap();
    let written = arrangement.changes[0].after.clone().unwrap();
    assert_eq!(release(None, &written, Some(&written)), Release::Original(None));
    assert_eq!(
        release(None, &written, Some(b"[Service]\nExecStart=\nExecStart=/x")),
        Release::Original(None)
    );
    let path = Path::new("/etc/systemd/system/docker.service.d").join(DROP_IN_NAME);
    let change = as_change(&path, Some(&written), &Release::Original(None)).unwrap();
    assert!(change.reload_units && change.after.is_none());
    assert!(
        !as_change(Path::new(CONFIG), Some(b"x"), &Release::Original(None))
            .unwrap()
            .reload_units
    );
    assert_eq!(as_change(&path, Some(&written), &Release::Nothing), None);
}

#[test]
fn an_options_file_gets_its_lines_back_between_those_of_others() {
    let original = "# mine\nDOCKER_OPTS=\"-H tcp://127.0.0.1:2376 --tlscert=/a --tlskey=/b\"\n# end\n";
    let written = original
        .replace("tcp://127.0.0.1:2376", "tcp://0.0.0.0:2376")
        .replace("/a", "/x")
        .replace("/b", "/y");
    let bytes = |text: &str| text.as_bytes().to_vec();
    assert_eq!(
        release(
            Some(original.as_bytes()),
            written.as_bytes(),
            Some(written.as_bytes())
        ),
        Release::Original(Some(bytes(original)))
    );
    let current = format!("# new\n{written}A=1\n");
    let (text, left) = merged(release(
        Some(original.as_bytes()),
        written.as_bytes(),
        Some(current.as_bytes()),
    ));
    assert_eq!((text, left), (format!("# new\n{original}A=1\n"), Vec::new()));
    let current = "DOCKER_OPTS=\"--debug\"\n";
    let (text, left) = merged(release(
        Some(original.as_bytes()),
        written.as_bytes(),
        Some(current.as_bytes()),
    ));
    assert_eq!(text, current);
    assert!(left[0].contains("--tlscert=/a"), "{left:?}");
}

#[test]
fn everything_that_was_arranged_is_given_back() {
    let facts = with_config(systemd(DEBIAN), "{ \"debug\": true, \"tls\": false }");
    let facts = with_options(
        facts,
        "/etc/default/docker",
        "DOCKER_OPTS=\"--tlscert=/a --tlskey=/b\"\n",
    );
    let arrangement = arrange(&facts, &wanted()).unwrap();
    let undone: Vec<FileChange> = arrangement
        .changes
        .iter()
        .rev()
        .filter_map(|change| {
            let written = change.after.as_deref().unwrap();
            let given_back = release(change.before.as_deref(), written, Some(written));
            as_change(&PathBuf::from(&change.path), Some(written), &given_back)
        })
        .collect();
    assert_eq!(undone.len(), 2);
    assert_eq!(
        applied(applied(facts.clone(), &arrangement.changes), &undone),
        facts
    );
}

#[test]
fn a_lone_carriage_return_ends_no_line() {
    let original = b"A=1\rB\nDOCKER_OPTS=\"-D\"\nC=2\r\n";
    let ours = b"A=1\rB\nDOCKER_OPTS=\"-D --tlsverify\"\nC=2\r\n";
    let now = b"# theirs\nA=1\rB\nDOCKER_OPTS=\"-D --tlsverify\"\nC=2\r\n";
    let released = release(Some(original), ours, Some(now));
    let expected = b"# theirs\nA=1\rB\nDOCKER_OPTS=\"-D\"\nC=2\r\n".to_vec();
    assert!(
        matches!(&released, Release::Merged { bytes, left } if *bytes == expected && left.is_empty()),
        "{released:?}"
    );
}

#[test]
fn lines_that_repeat_come_back_where_they_were() {
    let original = "DOCKER_OPTS=\"-D \\\n --tlscert /a \\\n --label x \\\n --tlscert /b\"\n";
    let ours = original.replace(" --tlscert /a \\\n", " \\\n");
    let now = format!("OTHER=\" \\\n \\\n\"\n{ours} \\\n");
    let (text, left) = merged(release(
        Some(original.as_bytes()),
        ours.as_bytes(),
        Some(now.as_bytes()),
    ));
    assert_eq!(text, format!("OTHER=\" \\\n \\\n\"\n{original} \\\n"));
    assert_eq!(left, Vec::<String>::new());
    // A line that we took out comes back where its neighbours still are.
    let ours = original.replace(" --tlscert /a \\\n", "");
    assert_eq!(
        release(Some(original.as_bytes()), ours.as_bytes(), Some(ours.as_bytes())),
        Release::Original(Some(original.as_bytes().to_vec()))
    );
}
