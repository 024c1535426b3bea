use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Option<String> {
    parse_file(text).remove("A")
}

#[test]
fn a_file_is_read_as_systemd_reads_it() {
    let rows = [
        ("A=b", "b"),
        ("A=b c  \n", "b c"),
        ("A = b", "b"),
        ("A=\"b  c\"", "b  c"),
        ("A='b \"c'", "b \"c"),
        ("A=\"b\" 'c'", "bc"),
        ("A=b\"c\"", "b\"c\""),
        ("A=b \\\nc", "b c"),
        ("A=\"b \\\n c\"", "b  c"),
        ("A=\"b\nc\"", "b\nc"),
        ("A=\"\\$x \\n\"", "$x \\n"),
        ("A=b\nA=c", "c"),
        ("A=b\nA=\"$A d\"", "$A d"),
        ("# A=x \\\nA=y\nA=b", "b"),
        (";A=x\n  A=b", "b"),
        ("junk\nA=b", "b"),
        ("A=", ""),
        ("A=b\r\nB=c", "b"),
        ("\u{feff}A=b", "b"),
        ("A=\"open", "open"),
    ];
    for (text, expected) in rows {
        assert_eq!(value(text).as_deref(), Some(expected), "{text:?}");
    }
    assert_eq!(value("export A=b"), None);
    assert_eq!(value("# A=b"), None);
}

#[test]
fn only_braces_expand_inside_a_word() {
    let variables = Variables::from([("A".to_owned(), "x y".to_owned())]);
    for (word, expected) in [
        ("--l=${A}", "--l=x y"),
        ("--l=$A", "--l=$A"),
        ("$$A", "$A"),
        ("${B}z", "z"),
        ("${A", "${A"),
        ("a$", "a$"),
    ] {
        assert_eq!(expand(word, &variables), expected, "{word}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "(?s)[A=\\\\'\"\n\r #;${}b ]{0,60}") {
        for value in parse_file(&text).into_values() {
            expand(&value, &Variables::new());
        }
    }
}
