//! As much of a shell as a file of options needs: assignments, quotes, `$NAME`, comments, continued lines. What it does
//! not understand it skips, and says so when it could have set a variable that matters.

use std::collections::BTreeMap;
use std::ops::Range;

/// A character of a value, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Char {
    pub(super) c: char,
    /// The file that it stands in.
    pub(super) file: usize,
    /// Its bytes there, with the backslash that it may have.
    pub(super) bytes: Range<usize>,
    /// Whether it stands inside quotes.
    pub(super) quoted: bool,
}

/// Words that open a block and words that close one.
const OPEN: [&str; 6] = ["if", "for", "while", "until", "case", "{"];
const CLOSE: [&str; 4] = ["fi", "done", "esac", "}"];
/// Words that an assignment may follow.
const DECLARE: [&str; 3] = ["export", "readonly", "local"];

/// The variables so far. `None`: it was set, and only a real shell knows to what.
#[derive(Default)]
pub(super) struct Shell {
    variables: BTreeMap<String, Option<Vec<Char>>>,
}

/// The line and what was wrong in it.
type Wrong = (usize, String);

impl Shell {
    /// The value of a variable; nothing when it is not set.
    pub(super) fn value(&self, name: &str) -> &[Char] {
        self.variables
            .get(name)
            .and_then(|value| value.as_deref())
            .unwrap_or_default()
    }

    /// Reads a file. Those of `watched` must be set plainly.
    pub(super) fn source(&mut self, file: usize, text: &str, watched: &[&str]) -> Result<(), Wrong> {
        let mut reader = Reader { file, text, at: 0 };
        let mut depth = 0_usize;
        while let Some(start) = reader.next_command() {
            let line = text[..start].matches('\n').count() + 1;
            let word = reader.peek_word();
            if DECLARE.contains(&word) {
                reader.at += word.len();
                continue;
            }
            match reader.assignment() {
                Some((name, append)) if depth == 0 => {
                    let value = reader.value(&self.variables);
                    if value.is_none() && watched.contains(&name) {
                        return Err((
                            line,
                            format!(
                                "{name} is set to something that only a shell can tell: write it plainly"
                            ),
                        ));
                    }
                    self.assign(name, append, value);
                }
                _ => {
                    reader.at = start;
                    let command = reader.skip_command();
                    depth += usize::from(OPEN.contains(&word));
                    depth = depth.saturating_sub(usize::from(CLOSE.contains(&word)));
                    refuse_hidden(command, word, watched).map_err(|why| (line, why))?;
                }
            }
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, append: bool, value: Option<Vec<Char>>) {
        let before = match self.variables.get(name) {
            Some(before) if append => before.clone(),
            _ => Some(Vec::new()),
        };
        let joined = before.zip(value).map(|(mut before, value)| {
            before.extend(value);
            before
        });
        self.variables.insert(name.to_owned(), joined);
    }
}

/// A command that could set a variable that matters.
fn refuse_hidden(command: &str, word: &str, watched: &[&str]) -> Result<(), String> {
    if matches!(word, "." | "source" | "eval") {
        return Err(format!(
            "{word} brings in what is not known here: write the options into this file"
        ));
    }
    let sets = |name: &&&str| {
        command.match_indices(**name).any(|(at, _)| {
            let after = &command[at + name.len()..];
            let inside = command[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "_$\"'{".contains(c));
            !inside && (after.starts_with('=') || after.starts_with("+="))
        })
    };
    match watched.iter().find(sets) {
        Some(name) => Err(format!("{name} is set under a condition: set it plainly")),
        None => Ok(()),
    }
}

struct Reader<'a> {
    file: usize,
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes to where the next command starts.
    fn next_command(&mut self) -> Option<usize> {
        loop {
            let rest = self.rest();
            if let Some(comment) = rest.strip_prefix('#') {
                self.at = self.text.len() - comment.len() + comment.find('\n').unwrap_or(comment.len());
            } else if rest.starts_with("\\\n") {
                self.at += 2;
            } else {
                let c = rest.chars().next()?;
                if !c.is_ascii_whitespace() && c != ';' && c != '\u{feff}' {
                    return Some(self.at);
                }
                self.at += c.len_utf8();
            }
        }
    }

    fn peek_word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == ';');
        &rest[..end.unwrap_or(rest.len())]
    }

    /// Takes `NAME=` or `NAME+=`.
    fn assignment(&mut self) -> Option<(&'a str, bool)> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let name = &rest[..end];
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (append, length) = match &rest[end..] {
            after if after.starts_with("+=") => (true, 2),
            after if after.starts_with('=') => (false, 1),
            _ => return None,
        };
        self.at += end + length;
        Some((name, append))
    }

    /// Takes the value up to the first space outside of quotes. `None`: it has something that is not understood, and
    /// the rest of the command is skipped.
    fn value(&mut self, variables: &BTreeMap<String, Option<Vec<Char>>>) -> Option<Vec<Char>> {
        let mut value = Some(Vec::new());
        let mut quote = None;
        while let Some(c) = self.peek() {
            let start = self.at;
            match (c, quote) {
                ('\'', Some('\'')) | ('"', Some('"')) => quote = None,
                ('\'' | '"', None) => quote = Some(c),
                (_, Some('\'')) => push(&mut value, self.char(start, c.len_utf8(), c, true)),
                ('\\', _) => {
                    self.escaped(&mut value, quote);
                    continue;
                }
                ('$', _) => {
                    self.variable(&mut value, variables, quote.is_some());
                    continue;
                }
                ('`', _) | ('(' | ')' | '|' | '<' | '>' | '&', None) => value = None,
                (_, None) if c.is_ascii_whitespace() || c == ';' => break,
                _ => push(&mut value, self.char(start, c.len_utf8(), c, quote.is_some())),
            }
            self.at += c.len_utf8();
        }
        value.filter(|_| quote.is_none())
    }

    fn char(&self, start: usize, length: usize, c: char, quoted: bool) -> Char {
        Char {
            c,
            file: self.file,
            bytes: start..start + length,
            quoted,
        }
    }

    /// A backslash: the character after it is itself. Inside double quotes only those that would mean something.
    fn escaped(&mut self, value: &mut Option<Vec<Char>>, quote: Option<char>) {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.peek() else { return };
        if quote.is_some() && !"\"\\$`\n".contains(c) {
            push(value, self.char(start, 1, '\\', true));
            return;
        }
        self.at += c.len_utf8();
        if c != '\n' {
            push(value, self.char(start, 1 + c.len_utf8(), c, quote.is_some()));
        }
    }

    /// `$NAME` or `${NAME}`: its characters, with the places where they were written.
    fn variable(
        &mut self,
        value: &mut Option<Vec<Char>>,
        variables: &BTreeMap<String, Option<Vec<Char>>>,
        quoted: bool,
    ) {
        let start = self.at;
        self.at += 1;
        let rest = self.rest();
        let braced = rest.strip_prefix('{');
        let text = braced.unwrap_or(rest);
        let end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        let name = &text[..end];
        if name.is_empty() && braced.is_none() && !rest.starts_with(['(', '#', '@', '*', '?', '!', '-', '$'])
        {
            push(value, self.char(start, 1, '$', quoted));
            return;
        }
        let closed = braced.is_none() || text[end..].starts_with('}');
        self.at += name.len()
            + if braced.is_some() {
                1 + usize::from(closed)
            } else {
                0
            };
        match variables.get(name) {
            // $0 to $9 are what the script was called with.
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => *value = None,
            Some(Some(found)) if closed => found.iter().for_each(|character| push(value, character.clone())),
            None if closed && !name.is_empty() => {}
            _ => *value = None,
        }
    }

    /// Takes everything up to the end of the line, with continued lines and quotes that reach further.
    fn skip_command(&mut self) -> &'a str {
        let start = self.at;
        let mut quote = None;
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match (c, quote) {
                ('\\', None | Some('"')) => self.at += self.peek().map_or(0, char::len_utf8),
                ('\'' | '"', None) => quote = Some(c),
                (_, Some(open)) if open == c => quote = None,
                ('\n', None) => break,
                _ => {}
            }
        }
        &self.text[start..self.at]
    }
}

fn push(value: &mut Option<Vec<Char>>, character: Char) {
    if let Some(value) = value {
        value.push(character);
    }
}
