//! The syntax of systemd's unit files: sections, settings, comments, lines continued with a backslash; and the words
//! of a value with their quotes and escapes. Knows no setting's meaning.

/// A setting, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The section, without brackets.
    pub section: String,
    /// Its name.
    pub key: String,
    /// Its value; lines that were continued are joined with a space.
    pub value: String,
    /// The line that it starts on, from 1.
    pub line: usize,
}

/// Reads a unit file. A line that is neither a section, a setting nor a comment is skipped, as systemd does.
pub fn parse(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut section = String::new();
    for (line, text) in logical_lines(text) {
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = text.split_once('=') {
            settings.push(Setting {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                line,
            });
        }
    }
    settings
}

/// Lines without comments, joined where a backslash ends one. Comments between such lines are left out.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, raw) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let trimmed = raw.trim_start();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let (part, more) = match raw.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (raw, false),
        };
        match lines.last_mut().filter(|_| continued) {
            Some((_, line)) => {
                line.push(' ');
                line.push_str(part);
            }
            None if raw.trim().is_empty() => continue,
            None => lines.push((index + 1, part.to_owned())),
        }
        continued = more;
    }
    for (_, line) in &mut lines {
        *line = line.trim().to_owned();
    }
    lines
}

/// A word of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As written, with quotes and escapes.
    pub raw: String,
    /// As meant. Variables and specifiers are not replaced yet.
    pub text: String,
}

/// How a backslash is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// As in C: `\n`, `\x20`, `\s` for a space. One that is unknown stays as it is.
    C,
    /// The character after it is itself.
    Plain,
}

/// Splits a value into words at spaces outside of quotes. A quote that is not closed reaches to the end.
pub fn words(value: &str, escapes: Escapes) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let (text, length) = word(rest, escapes);
        words.push(Word {
            raw: rest[..length].to_owned(),
            text,
        });
        rest = rest[length..].trim_start();
    }
    words
}

/// The first word, and how many bytes of `input` it takes.
fn word(input: &str, escapes: Escapes) -> (String, usize) {
    let mut text = String::new();
    let mut quote = None;
    let mut rest = input;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match (c, quote) {
            ('\\', _) => {
                let (piece, length) = escape(after, escapes);
                text.push_str(&piece);
                rest = &after[length..];
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if open == c => quote = None,
            (_, None) if c.is_ascii_whitespace() => break,
            _ => text.push(c),
        }
        rest = after;
    }
    (text, input.len() - rest.len())
}

/// What stands for a backslash and what follows it, and how many bytes of `after` that takes.
fn escape(after: &str, escapes: Escapes) -> (String, usize) {
    let Some(c) = after.chars().next() else {
        return ("\\".to_owned(), 0);
    };
    let one = c.len_utf8();
    if escapes == Escapes::Plain {
        return (c.to_string(), one);
    }
    let simple = match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        's' => ' ',
        '\\' | '"' | '\'' => c,
        'x' => return numbered(after, 1, 2, 16),
        'u' => return numbered(after, 1, 4, 16),
        'U' => return numbered(after, 1, 8, 16),
        '0'..='7' => return numbered(after, 0, 3, 8),
        _ => return (format!("\\{c}"), one),
    };
    (simple.to_string(), one)
}

/// A character by number: `digits` digits behind `skip` letters. What is no such number stays as it is.
fn numbered(after: &str, skip: usize, digits: usize, radix: u32) -> (String, usize) {
    let number = after.get(skip..skip + digits);
    let number = number.filter(|text| text.chars().all(|c| c.is_digit(radix)));
    let character = number
        .and_then(|text| u32::from_str_radix(text, radix).ok())
        .and_then(char::from_u32)
        .filter(|c| *c != '\0');
    match character {
        Some(c) => (c.to_string(), skip + digits),
        None => ("\\".to_owned(), 0),
    }
}

/// Writes a word so that systemd reads exactly it from a command line: nothing in it is expanded.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+~[]".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '$' => quoted.push_str("$$"),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
