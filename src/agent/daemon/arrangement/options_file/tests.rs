use proptest::prelude::*;

use super::*;
use crate::agent::daemon::arrangement::flags::{self, Slot};

fn file(text: &str) -> Vec<OptionsFile> {
    vec![OptionsFile {
        path: PathBuf::from("/etc/default/docker"),
        contents: text.to_owned(),
    }]
}

fn words(text: &str) -> Vec<String> {
    Options::read(&file(text)).unwrap().words()
}

/// The text with another value for one flag, or without it.
fn changed(text: &str, name: &str, value: Option<&str>, added: &[&str]) -> Result<String, Refusal> {
    let files = file(text);
    let options = Options::read(&files)?;
    let words = options.words();
    let flags = flags::parse(&words).unwrap();
    let flag = flags.iter().find(|flag| flag.name == name).unwrap();
    let mut edit = Edit::new(words.len());
    match value {
        Some(value) => edit.set(flag, value),
        None => edit.remove(flag),
    }
    edit.insert_after(flag, added.iter().map(|word| (*word).to_owned()));
    Ok(options.rewrite(&edit)?.map_or(text.to_owned(), |(_, text)| text))
}

#[test]
fn values_are_put_together_as_a_shell_does() {
    let rows: [(&str, &[&str]); 13] = [
        ("DOCKER_OPTS=\"-H x  --tls\"\n", &["-H", "x", "--tls"]),
        ("DOCKER_OPTS='-H x'", &["-H", "x"]),
        ("DOCKER_OPTS=--tls\n", &["--tls"]),
        ("export DOCKER_OPTS=\"--tls\"; A=1", &["--tls"]),
        (
            "DOCKER_OPTS=\"--tls\"\nDOCKER_OPTS=\"$DOCKER_OPTS -D\"",
            &["--tls", "-D"],
        ),
        ("DOCKER_OPTS=\"--tls\"\nDOCKER_OPTS+=\" -D\"", &["--tls", "-D"]),
        ("DOCKER_OPTS=\"--tls \\\n  -D\"", &["--tls", "-D"]),
        ("OPTIONS=\"--tls\n-D\"", &["--tls", "-D"]),
        (
            "D=/etc\nother_args=\"--tlscert=${D}/c.pem\"",
            &["--tlscert=/etc/c.pem"],
        ),
        ("DOCKER_OPTS=\"--label='a b'\"", &["--label='a", "b'"]),
        ("# DOCKER_OPTS=\"--tls\"\nDOCKER_OPTS=", &[]),
        ("DOCKER_OPTS=\"$NOTHING\"", &[]),
        (
            "X=$(hostname)\nif true; then\n  Y=1\nfi\nDOCKER_OPTS=\"-D\"",
            &["-D"],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(words(text), expected, "{text}");
    }
}

#[test]
fn what_only_a_shell_could_tell_is_refused_with_its_line() {
    let rows = [
        ("A=1\nDOCKER_OPTS=\"-H $(hostname)\"", ":2: ", "only a shell"),
        ("DOCKER_OPTS=`x`", ":1: ", "only a shell"),
        ("DOCKER_OPTS=\"${X:-y}\"", ":1: ", "only a shell"),
        ("X=$(y)\nDOCKER_OPTS=$X", ":2: ", "only a shell"),
        ("DOCKER_OPTS=\"open", ":1: ", "only a shell"),
        ("if x; then\nDOCKER_OPTS=a\nfi", ":2: ", "under a condition"),
        ("if x; then DOCKER_OPTS=a; fi", ":1: ", "under a condition"),
        ("[ x ] && OPTIONS+=a", ":1: ", "under a condition"),
        ("\n. /etc/other", ":2: ", "brings in"),
    ];
    for (text, line, expected) in rows {
        let Err(refusal) = Options::read(&file(text)).map(|_| ()) else {
            panic!("{text} was accepted")
        };
        let refusal = refusal.to_string();
        assert!(
            refusal.contains(line) && refusal.contains(expected),
            "{text:?}: {refusal}"
        );
    }
    assert!(Options::read(&file("if [ -z \"$DOCKER_OPTS\" ]; then\n  X=1\nfi\n")).is_ok());
}

#[test]
fn a_value_changes_where_it_stands_and_nothing_else_does() {
    let chain = "# a comment\r\nDOCKER_OPTS=\"$DOCKER_OPTS --tlsverify\"\nDOCKER_OPTS=\"$DOCKER_OPTS \\\n --tlscert=/old\"\n\
                 DOCKER_OPTS=\"$DOCKER_OPTS -H tcp://0.0.0.0:2376\"\nOTHER=1";
    assert_eq!(
        changed(chain, "tlscert", Some("/new"), &[]).unwrap(),
        chain.replace("/old", "/new")
    );
    assert_eq!(
        changed(chain, "host", Some("tcp://x"), &[]).unwrap(),
        chain.replace("tcp://0.0.0.0:2376", "tcp://x")
    );
    assert_eq!(
        changed(chain, "host", Some("tcp://0.0.0.0:2376"), &[]).unwrap(),
        chain
    );
    assert_eq!(
        changed(chain, "tlsverify", None, &[]).unwrap(),
        chain.replace(" --tlsverify", "")
    );
    let added = changed(chain, "tlscert", Some("/new"), &["--tlskey=/k"]).unwrap();
    assert_eq!(
        added,
        chain.replace("--tlscert=/old", "--tlscert=/new --tlskey=/k")
    );
}

#[test]
fn what_cannot_be_written_there_is_refused() {
    let rows = [
        (
            "DOCKER_OPTS=--tlscert=/a",
            "/b",
            &["--tlskey=/k"][..],
            "double quotes",
        ),
        ("DOCKER_OPTS='--tlscert=/a'", "/b $c", &[], "plain path"),
        (
            "D=/etc\nDOCKER_OPTS=\"--tlscert=$D/a\"",
            "/b",
            &[],
            "put together",
        ),
        ("A=\"--tlscert=/a\"\nDOCKER_OPTS=\"$A $A\"", "/b", &[], ""),
        ("DOCKER_OPTS=\"$1 --tlscert=/a\"", "/b", &[], "only a shell"),
        ("DOCKER_OPTS=\"--tlscert $NOTHING/a\"", "b", &[], "around it"),
    ];
    for (text, value, added, expected) in rows {
        match changed(text, "tlscert", Some(value), added) {
            Err(refusal) => assert!(refusal.to_string().contains(expected), "{text}: {refusal}"),
            Ok(after) => assert_eq!(after, "A=\"--tlscert=/b\"\nDOCKER_OPTS=\"$A $A\""),
        }
    }
    assert_eq!(
        changed("DOCKER_OPTS=--tlscert=/a", "tlscert", Some("/b"), &[]).unwrap(),
        "DOCKER_OPTS=--tlscert=/b"
    );
}

#[test]
fn a_word_that_stays_keeps_its_backslashes() {
    let text = "DOCKER_OPTS=\"--label=a\\\\\\\\b -D\"\n";
    assert_eq!(
        changed(text, "label", Some("a\\\\b"), &["--tls"]).unwrap(),
        text.replace(" -D", " --tls -D")
    );
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "(?s)(DOCKER_OPTS=|\\+=|[ab$\"'{}()\\\\ \n#;=-]){0,30}") {
        if let Ok(options) = Options::read(&file(&text)) {
            let slots = vec![Slot { dropped: true, then: vec!["x".to_owned()] }; options.words().len()];
            let _ = options.rewrite(&Edit { slots });
        }
    }

    #[test]
    fn a_changed_file_reads_as_the_changed_words(
        lines in prop::collection::vec(prop::collection::vec("--[a-c]{1,3}=([a-z]|\\\\\\\\|\\\\\"){1,4}", 1..4), 1..4),
        at in any::<prop::sample::Index>(),
        chained: bool,
        dropped: bool,
    ) {
        let text: String = lines.iter().map(|line| {
            format!("DOCKER_OPTS=\"{}{}\"\n# kept\n", if chained { "$DOCKER_OPTS " } else { "" }, line.join(" "))
        }).collect();
        let files = file(&text);
        let options = Options::read(&files).unwrap();
        let words = options.words();
        let mut edit = Edit::new(words.len());
        let at = at.index(words.len());
        edit.slots[at] = Slot { dropped, then: vec!["--new=1".to_owned(), "--more".to_owned()] };
        let (_, after) = options.rewrite(&edit).unwrap().unwrap();
        let files = file(&after);
        prop_assert_eq!(Options::read(&files).unwrap().words(), edit.apply(&words));
        prop_assert_eq!(after.matches("# kept").count(), lines.len());
    }
}
