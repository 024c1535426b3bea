use proptest::prelude::*;

use super::*;

fn settings(text: &str) -> Vec<(String, String, String, usize)> {
    let all = parse(text).into_iter();
    all.map(|setting| (setting.section, setting.key, setting.value, setting.line))
        .collect()
}

#[test]
fn lines_are_continued_and_comments_between_them_left_out() {
    let text =
        "; comment\n[Service]\n  ExecStart = /bin/a \\\n  # not this\n   -b \\\n\t-c\n\n#Key=x\nKey=\njunk\n";
    assert_eq!(
        settings(text),
        [
            (
                "Service".into(),
                "ExecStart".into(),
                "/bin/a     -b  \t-c".into(),
                3
            ),
            ("Service".into(), "Key".into(), String::new(), 9),
        ]
    );
}

#[test]
fn words_lose_their_quotes_and_keep_what_was_written() {
    let read = |text: &str, escapes| {
        words(text, escapes)
            .into_iter()
            .map(|word| word.text)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        read(r#"a "b c" 'd"e' f"g h"i"#, Escapes::C),
        ["a", "b c", "d\"e", "fg hi"]
    );
    assert_eq!(
        read(r"a\x20b \tc \101 \q \u00e4 \\", Escapes::C),
        ["a b", "\tc", "A", "\\q", "ä", "\\"]
    );
    assert_eq!(read(r#"a\ b "c\"d" \n"#, Escapes::Plain), ["a b", "c\"d", "n"]);
    assert_eq!(read("  'open", Escapes::C), ["open"]);
    let raws: Vec<_> = words(r#"a  "b c" \x20"#, Escapes::C)
        .into_iter()
        .map(|word| word.raw)
        .collect();
    assert_eq!(raws, ["a", "\"b c\"", "\\x20"]);
}

proptest! {
    #[test]
    fn a_quoted_word_is_read_back_as_it_was(text in "[ -~äß\t\n]{0,20}") {
        let quoted = quote(&text);
        let read = words(&quoted, Escapes::C);
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(read[0].text.replace("$$", "$").replace("%%", "%"), text);
        prop_assert_eq!(&read[0].raw, &quoted);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(?s).{0,60}") {
        for setting in parse(&text) {
            let read = words(&setting.value, Escapes::C);
            prop_assert!(read.iter().all(|word| !word.raw.is_empty()));
            words(&setting.value, Escapes::Plain);
        }
    }
}
