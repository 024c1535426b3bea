use super::*;
use crate::agent::daemon::arrangement::flags;

fn unit(fragment: &str, drop_ins: &[(&str, &str)]) -> Unit {
    let file = |path: String, contents: &str| UnitFile {
        path: PathBuf::from(path),
        contents: contents.to_owned(),
    };
    let drop_ins = drop_ins.iter();
    Unit {
        fragment: file("/lib/docker.service".into(), fragment),
        drop_ins: drop_ins
            .map(|(name, text)| file(format!("/etc/d/{name}"), text))
            .collect(),
        drop_in_directory: PathBuf::from("/etc/d"),
        sockets: Vec::new(),
        needs_reload: false,
    }
}

fn read(unit: &Unit, options: &[(&str, &str)]) -> Result<ExecStart, Refusal> {
    let options: Vec<OptionsFile> = options
        .iter()
        .map(|(path, text)| OptionsFile {
            path: PathBuf::from(path),
            contents: (*text).to_owned(),
        })
        .collect();
    let specifiers = Specifiers {
        unit: "docker@x.service",
        scope: &Scope::System,
    };
    ExecStart::of(unit, &options, &specifiers)
}

fn line(text: &str) -> ExecStart {
    read(&unit(&format!("[Service]\n{text}\n"), &[]), &[]).unwrap()
}

#[test]
fn the_last_line_after_every_reset_counts_and_ours_never_does() {
    let fragment = "[Service]\nExecStart=/a 1\n[Other]\nExecStart=/b\n";
    let resets = ("10.conf", "[Service]\nExecStart=\nExecStart=/c 2\n");
    let ours = (DROP_IN_NAME, "[Service]\nExecStart=\nExecStart=/d 3\n");
    let exec = read(&unit(fragment, &[resets, ours]), &[]).unwrap();
    assert_eq!(
        (exec.program.as_str(), exec.words()),
        ("/c", vec!["2".to_owned()])
    );
    assert_eq!(exec.path, Path::new("/etc/d/10.conf"));
}

#[test]
fn anything_but_one_command_is_refused() {
    let rows = [
        ("", "no ExecStart="),
        ("[Service]\nExecStart=/a\nExecStart=/b", "second ExecStart="),
        ("[Service]\nExecStart=/a ; /b", "more than one command"),
        ("[Service]\nExecStart=/a %Q", "%Q"),
        ("[Service]\nEnvironmentFile=/etc/*\nExecStart=/a", "pattern"),
    ];
    for (fragment, expected) in rows {
        let refusal = read(&unit(fragment, &[]), &[]).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{fragment}: {refusal}");
    }
}

#[test]
fn variables_become_words_only_where_systemd_makes_them() {
    let exec = line(
        "Environment=\"A=1 '2 3'\" B=x\nExecStart=/a $A \"$A\" pre$A ${B}${B} $MISSING ${MISSING} $$B \\; %% %n %i",
    );
    let expected = [
        "1",
        "2 3",
        "1",
        "2 3",
        "pre$A",
        "xx",
        "",
        "$B",
        ";",
        "%",
        "docker@x.service",
        "x",
    ];
    assert_eq!(exec.words(), expected);
    assert_eq!(line("Environment=A=1\nExecStart=:/a $A").words(), ["$A"]);
}

#[test]
fn files_win_over_settings_and_an_empty_setting_resets() {
    let fragment = "[Service]\nEnvironment=A=1 B=1\nEnvironmentFile=-/none\nEnvironmentFile=/f\nUnsetEnvironment=C\n\
                    ExecStart=/a ${A} ${B} ${C}\n";
    let options = [("/f", "A=2\nC=3\n"), ("/g", "A=9\n")];
    assert_eq!(
        read(&unit(fragment, &[]), &options).unwrap().words(),
        ["2", "1", ""]
    );
    let reset = ("1.conf", "[Service]\nEnvironment=\nEnvironmentFile=\n");
    assert_eq!(
        read(&unit(fragment, &[reset]), &options).unwrap().words(),
        ["", "", ""]
    );
}

#[test]
fn prefixes_belong_to_the_program() {
    for (text, program) in [
        ("ExecStart=-/a b", "/a"),
        ("ExecStart=+-/a b", "/a"),
        ("ExecStart=!!/a b", "/a"),
        ("ExecStart=@/a name b", "/a"),
    ] {
        let exec = line(text);
        assert_eq!(
            (exec.program.as_str(), exec.words()),
            (program, vec!["b".to_owned()]),
            "{text}"
        );
        let same = exec.rewrite(&Edit::new(1));
        assert_eq!(format!("ExecStart={same}"), text);
    }
}

#[test]
fn a_rewritten_line_keeps_the_words_that_need_not_change() {
    let rows = [
        (
            "/a -H fd:// $O",
            "--debug",
            "/a -H fd:// $O",
            "/a -H fd:// -H new $O",
        ),
        (
            "/a -H fd:// \"$O\" '--l=x y'",
            "",
            "/a -H fd:// \"$O\" '--l=x y'",
            "/a -H fd:// -H new \"$O\" '--l=x y'",
        ),
        ("/a $O", "-H fd:// --label='x y'", "/a $O", "/a $O -H new"),
        ("/a $O -D", "--label=1 -H fd://", "/a $O -D", "/a $O -H new -D"),
    ];
    for (command, options, same, added) in rows {
        let exec = line(&format!("Environment=\"O={options}\"\nExecStart={command}"));
        let words = exec.words();
        assert_eq!(exec.rewrite(&Edit::new(words.len())), same);
        let flags = flags::parse(&words).unwrap();
        let host = flags.iter().find(|flag| flag.name == "host").unwrap();
        let mut edit = Edit::new(words.len());
        edit.insert_after(host, ["-H".to_owned(), "new".to_owned()]);
        assert_eq!(exec.rewrite(&edit), added);
    }
}

#[test]
fn a_variable_that_holds_a_changed_flag_is_written_out() {
    let exec = line("Environment=\"O=--label='a $b %%' --tlscert=/x -D\"\nExecStart=/a -H fd:// $O $P");
    let words = exec.words();
    let flags = flags::parse(&words).unwrap();
    let mut edit = Edit::new(words.len());
    edit.set(&flags[2], "/new");
    let rewritten = exec.rewrite(&edit);
    assert_eq!(rewritten, "/a -H fd:// \"--label=a $$b %%\" --tlscert=/new -D $P");
    let again = line(&format!("ExecStart={rewritten}"));
    assert_eq!(again.words(), edit.apply(&words));
}
