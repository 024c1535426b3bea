//! Files of shell assignments that a service script reads dockerd's options from: /etc/default/docker,
//! /etc/sysconfig/docker, /etc/conf.d/docker. Read as a shell reads them, as far as that is certain, and changed on
//! the very line that says so: every other byte stays.

mod shell;

use std::ops::Range;
use std::path::PathBuf;

use super::Refusal;
use super::flags::Edit;
use crate::agent::daemon::facts::OptionsFile;
use shell::{Char, Shell};

/// The variables that service scripts and units have handed to dockerd.
pub const VARIABLES: [&str; 5] = [
    "DOCKER_OPTS",
    "OPTIONS",
    "other_args",
    "DOCKER_STORAGE_OPTIONS",
    "DOCKER_NETWORK_OPTIONS",
];

/// A place in one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    /// Which file.
    file: usize,
    /// Which bytes.
    bytes: Range<usize>,
    /// Whether it stands inside quotes.
    quoted: bool,
}

/// What the files say.
pub struct Options<'a> {
    files: &'a [OptionsFile],
    /// Each word, and where it stands; nowhere when it was put together from several places.
    words: Vec<(String, Option<Source>)>,
}

impl<'a> Options<'a> {
    /// Reads the files one after the other, as a script would.
    ///
    /// # Errors
    /// When an option variable is set in a way that only running the file would tell.
    pub fn read(files: &'a [OptionsFile]) -> Result<Self, Refusal> {
        let mut shell = Shell::default();
        for (index, file) in files.iter().enumerate() {
            shell
                .source(index, &file.contents, &VARIABLES)
                .map_err(|(line, why)| Refusal::Options {
                    path: file.path.clone(),
                    line,
                    why,
                })?;
        }
        let words = VARIABLES
            .iter()
            .flat_map(|name| split(shell.value(name)))
            .collect();
        Ok(Self { files, words })
    }

    /// The words that dockerd gets from them.
    pub fn words(&self) -> Vec<String> {
        self.words.iter().map(|(word, _)| word.clone()).collect()
    }

    /// Where the first word stands, for people.
    pub fn place(&self) -> Option<PathBuf> {
        let source = self.words.iter().find_map(|(_, source)| source.as_ref())?;
        Some(self.files[source.file].path.clone())
    }

    /// The one file that changes, and its text with the change. `edit` has a slot for each word.
    ///
    /// # Errors
    /// When a word cannot be changed where it stands.
    pub fn rewrite(&self, edit: &Edit) -> Result<Option<(&'a OptionsFile, String)>, Refusal> {
        let mut patches: Vec<(usize, Range<usize>, String)> = Vec::new();
        for ((word, source), slot) in self.words.iter().zip(&edit.slots) {
            if !slot.dropped && slot.then.is_empty() {
                continue;
            }
            let source = source
                .as_ref()
                .ok_or_else(|| self.refuse(None, word, "it is put together from pieces"))?;
            patches.push((source.file, source.bytes.clone(), String::new()));
            let patch = patches.last_mut().expect("pushed the line before");
            patch.2 = self.replacement(word, source, slot.dropped, &slot.then)?;
            if patch.2.is_empty() {
                patch.1.start = self.with_space_before(source);
            }
        }
        patches.sort_by_key(|(file, bytes, _)| (*file, bytes.start));
        let Some(file) = patches.first().map(|(file, _, _)| *file) else {
            return Ok(None);
        };
        let overlap = |pair: &[(usize, Range<usize>, String)]| pair[0].1.end > pair[1].1.start;
        if patches.iter().any(|patch| patch.0 != file) || patches.windows(2).any(overlap) {
            return Err(self.refuse(
                None,
                &self.words[0].0,
                "the options that change are spread over several places",
            ));
        }
        let mut text = self.files[file].contents.clone();
        for (_, bytes, replacement) in patches.into_iter().rev() {
            text.replace_range(bytes, &replacement);
        }
        self.read_back(file, &text, edit)?;
        Ok(Some((&self.files[file], text)))
    }

    /// Whether the changed text says what it was changed to say: a word may stand glued to a variable's name.
    fn read_back(&self, file: usize, text: &str, edit: &Edit) -> Result<(), Refusal> {
        let mut files = self.files.to_vec();
        files[file].contents = text.to_owned();
        let words = self.words();
        let changed = Options::read(&files).map(|options| options.words());
        if changed.is_ok_and(|changed| changed == edit.apply(&words)) {
            return Ok(());
        }
        let at = edit
            .slots
            .iter()
            .position(|slot| slot.dropped || !slot.then.is_empty());
        let (word, source) = &self.words[at.unwrap_or_default()];
        Err(self.refuse(
            source.as_ref(),
            word,
            "what stands around it would change its meaning",
        ))
    }

    fn replacement(
        &self,
        word: &str,
        source: &Source,
        dropped: bool,
        then: &[String],
    ) -> Result<String, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+[]".contains(c);
        if let Some(odd) = then.iter().find(|new| !new.chars().all(plain)) {
            return Err(self.refuse(
                Some(source),
                odd,
                "a shell might read it otherwise: use a plain path",
            ));
        }
        // A word that stays keeps its backslashes: what stands here, not what a shell makes of it.
        let own = (!dropped).then(|| &self.files[source.file].contents[source.bytes.clone()]);
        let words: Vec<&str> = own.into_iter().chain(then.iter().map(String::as_str)).collect();
        if words.len() > 1 && !source.quoted {
            return Err(self.refuse(Some(source), word, "put the whole value into double quotes"));
        }
        Ok(words.join(" "))
    }

    fn with_space_before(&self, source: &Source) -> usize {
        let before = &self.files[source.file].contents[..source.bytes.start];
        before.len() - usize::from(before.ends_with([' ', '\t']))
    }

    fn refuse(&self, source: Option<&Source>, word: &str, why: &str) -> Refusal {
        let file = source.map_or(0, |source| source.file);
        let text = &self.files[file].contents;
        let start = source.map_or(0, |source| source.bytes.start);
        Refusal::Options {
            path: self.files[file].path.clone(),
            line: text[..start].matches('\n').count() + 1,
            why: format!("{word} cannot be changed here: {why}"),
        }
    }
}

/// Splits at spaces, as a shell does with a variable that is not quoted: quotes inside of it mean nothing.
fn split(value: &[Char]) -> Vec<(String, Option<Source>)> {
    let words = value.split(|character| character.c.is_ascii_whitespace());
    words
        .filter(|word| !word.is_empty())
        .map(|word| (word.iter().map(|character| character.c).collect(), source(word)))
        .collect()
}

/// Where a word stands, if it stands in one piece.
fn source(word: &[Char]) -> Option<Source> {
    let first = word.first()?;
    let connected = word
        .windows(2)
        .all(|pair| pair[0].file == pair[1].file && pair[0].bytes.end == pair[1].bytes.start);
    let last = word.last()?;
    connected.then_some(Source {
        file: first.file,
        bytes: first.bytes.start..last.bytes.end,
        quoted: first.quoted,
    })
}

#[cfg(test)]
mod tests;
