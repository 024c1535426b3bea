//! The variables that systemd gives a service: `Environment=` and the files that `EnvironmentFile=` names.
//!
//! Such a file looks like shell and is not: `A="$A more"` is the text `$A more`, the last assignment of a name wins,
//! and `export A=b` assigns nothing.

use std::collections::BTreeMap;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Reads an environment file as systemd does.
pub fn parse_file(text: &str) -> Variables {
    let mut variables = Variables::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return variables;
        }
        if rest.starts_with(['#', ';']) {
            rest = after_comment(rest);
            continue;
        }
        let line_end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let Some(equals) = rest[..line_end].find('=') else {
            rest = &rest[line_end..];
            continue;
        };
        let key = rest[..equals].trim_end();
        let (value, after) = value(&rest[equals + 1..]);
        if is_name(key) {
            variables.insert(key.to_owned(), value);
        }
        rest = after;
    }
}

/// Skips a comment; a backslash at its end continues it.
fn after_comment(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == '\n' && !escaped {
            return &text[at..];
        }
        escaped = c == '\\' && !escaped;
    }
    ""
}

/// A name that a variable can have.
pub fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the value, or between its quoted parts.
    Before,
    /// In an unquoted value, where quotes are plain characters.
    Bare,
    Single,
    Double,
}

/// The value, and what follows its line.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut bare_end = 0;
    let mut state = State::Before;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match (state, c) {
            (State::Before | State::Bare, '\n' | '\r') => {
                return (ended(value, state, bare_end), &text[at..]);
            }
            (State::Before, '\'') => state = State::Single,
            (State::Before, '"') => state = State::Double,
            (State::Single, '\'') | (State::Double, '"') => state = State::Before,
            (State::Before | State::Bare, '\\') => {
                state = State::Bare;
                if let Some((_, escaped)) = characters.next().filter(|(_, c)| *c != '\n') {
                    value.push(escaped);
                }
                bare_end = value.len();
            }
            (State::Double, '\\') => match characters.next() {
                Some((_, escaped @ ('"' | '\\' | '`' | '$'))) => value.push(escaped),
                Some((_, '\n')) | None => {}
                Some((_, other)) => value.extend(['\\', other]),
            },
            (State::Before, c) if c.is_whitespace() => {}
            (State::Single | State::Double, c) => value.push(c),
            (State::Before | State::Bare, c) => {
                state = State::Bare;
                value.push(c);
                if !c.is_whitespace() {
                    bare_end = value.len();
                }
            }
        }
    }
    (ended(value, state, bare_end), "")
}

/// Spaces at the end of an unquoted value do not belong to it.
fn ended(mut value: String, state: State, bare_end: usize) -> String {
    if state == State::Bare {
        value.truncate(bare_end);
    }
    value
}

/// Replaces `${NAME}` inside a word, and `$$` by `$`. `$NAME` inside a word stays: systemd replaces it only where it is
/// the whole word. What is not set is empty.
pub fn expand(word: &str, variables: &Variables) -> String {
    let mut expanded = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        match braced {
            Some((name, after)) => {
                expanded.push_str(variables.get(name).map_or("", String::as_str));
                rest = after;
            }
            None => expanded.push('$'),
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests;
