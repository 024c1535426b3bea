//! Reads the crate's own source the way the structure tests need it: without comments and literals, as words.

use std::path::{Path, PathBuf};

/// One file of the crate.
pub struct SourceFile {
    /// Relative to the repository, with forward slashes: `src/pki/names.rs`.
    pub path: String,
    /// As it is on disk.
    pub text: String,
    /// The same length and lines with comments, strings and character literals blanked out.
    pub code: String,
}

impl SourceFile {
    /// Wraps text that need not be on disk.
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank_out(text),
        }
    }

    /// The line, counted from 1, of a byte offset.
    pub fn line_of(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    /// Every word and every other visible character of the code, with its offset.
    pub fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.code)
    }
}

/// A word (identifier, keyword, number) or one other character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    pub offset: usize,
}

/// Every `.rs` file below `directory` of the repository, in the order of its path.
pub fn rust_files(directory: &str) -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(directory), &mut paths);
    paths.sort();
    paths.iter().map(|path| load(root, path)).collect()
}

fn collect(directory: &Path, into: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory).expect("the checkout has this directory");
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn load(root: &Path, path: &Path) -> SourceFile {
    let text = std::fs::read_to_string(path).expect("source files are UTF-8");
    let relative = path.strip_prefix(root).expect("found below the root");
    SourceFile::new(&relative.to_string_lossy().replace('\\', "/"), &text)
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = code.char_indices().peekable();
    while let Some((offset, character)) = rest.next() {
        if character.is_whitespace() {
            continue;
        }
        let mut end = offset + character.len_utf8();
        if is_word(character) {
            while let Some((next, _)) = rest.next_if(|(_, next)| is_word(*next)) {
                end = next + code[next..].chars().next().map_or(1, char::len_utf8);
            }
        }
        found.push(Token {
            text: &code[offset..end],
            offset,
        });
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Replaces comments, strings and character literals by spaces; keeps every line break and every offset.
fn blank_out(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in &mut kept[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = if end > at { end } else { word_end(bytes, at) };
    }
    String::from_utf8(kept).expect("only whole literals were blanked")
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => find(bytes, at, b"\n").unwrap_or(bytes.len()),
        [b'/', b'*', ..] => block_comment_end(bytes, at),
        [b'"', ..] => string_end(bytes, at + 1),
        [b'b' | b'c', b'"', ..] => string_end(bytes, at + 2),
        [b'r', b'"' | b'#', ..] => raw_string_end(bytes, at, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] => raw_string_end(bytes, at, 2),
        [b'b', b'\'', ..] => char_end(bytes, at + 1),
        [b'\'', ..] => char_end(bytes, at),
        _ => at,
    }
}

/// Past the whole word at `at`, so that the `r` of `for"` starts no raw string; one byte for anything else.
fn word_end(bytes: &[u8], at: usize) -> usize {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let length = bytes[at..].iter().take_while(|byte| word(byte)).count();
    at + length.max(1)
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    bytes[from..]
        .windows(needle.len())
        .position(|window| window == needle)
        .map(|at| from + at)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `prefix` is the length of `r`, `br` or `cr`. A raw identifier (`r#type`) is no string.
fn raw_string_end(bytes: &[u8], start: usize, prefix: usize) -> usize {
    let hashes = bytes[start + prefix..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = start + prefix + hashes;
    if bytes.get(open) != Some(&b'"') {
        return start;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    find(bytes, open + 1, &close).map_or(bytes.len(), |at| at + close.len())
}

/// `'a'`, `'\n'` and `'é'` are literals, the `'a` of a lifetime is none.
fn char_end(bytes: &[u8], quote: usize) -> usize {
    match bytes[quote + 1..] {
        [b'\\', _, ..] => find(bytes, quote + 3, b"'").map_or(bytes.len(), |at| at + 1),
        [first, ..] if !first.is_ascii() => find(bytes, quote + 1, b"'").map_or(bytes.len(), |at| at + 1),
        [_, b'\'', ..] => quote + 3,
        _ => quote,
    }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_are_kept() {
    let rows = [
        ("let a = 1; // use crate::x\nb", "let a = 1;                \nb"),
        ("/* a /* b */ c */d", "                 d"),
        ("\"crate::x\\\" y\" z", "               z"),
        ("r#\"crate \" x\"# z", "               z"),
        ("r#type + 'a' + '\\'' + &'a str", "r#type +     +      + &'a str"),
        ("for\"x\"", "for   "),
        ("b'\"' + b\"x\" + br\"y\"", "     +      +      "),
    ];
    for (text, expected) in rows {
        assert_eq!(blank_out(text), expected, "of {text:?}");
    }
}

#[test]
fn tokens_carry_their_offsets() {
    let file = SourceFile::new("x.rs", "use crate::a;\nfn é() {}");
    let words: Vec<_> = file.tokens().iter().map(|token| token.text).collect();
    assert_eq!(
        words,
        ["use", "crate", ":", ":", "a", ";", "fn", "é", "(", ")", "{", "}"]
    );
    assert_eq!(file.line_of(file.tokens()[6].offset), 2);
}
