//! What systemd would run, from a unit's file and its drop-ins: the last `ExecStart=` after every reset, its variables
//! and specifiers replaced as systemd replaces them. And the same line with other flags, where every word that need
//! not change is kept as it is written.

use std::path::{Path, PathBuf};

use super::environment::{self, Variables};
use super::flags::Edit;
use super::unit_file::{self, Escapes, Setting, Word};
use super::{DROP_IN_NAME, Refusal};
use crate::agent::daemon::facts::{OptionsFile, Scope, Unit, UnitFile};

/// What a unit runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecStart {
    /// The file that the line stands in.
    pub path: PathBuf,
    /// The program as written, with systemd's prefixes.
    program_raw: Vec<String>,
    /// The program.
    pub program: String,
    /// The words after it, as written.
    raws: Vec<String>,
    /// What they become, each with the index of the written word it comes from: `$OPTIONS` may be many, or none.
    words: Vec<(usize, String)>,
    /// The service's environment.
    pub variables: Variables,
}

/// What a unit's specifiers stand for.
pub struct Specifiers<'a> {
    /// The unit's name.
    pub unit: &'a str,
    /// Whose it is.
    pub scope: &'a Scope,
}

impl Specifiers<'_> {
    /// Replaces `%n` and its like.
    fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            let specifier = characters.next();
            match specifier.and_then(|c| self.value(c)) {
                Some(value) => expanded.push_str(&value),
                None => {
                    let name = specifier.map_or(String::new(), String::from);
                    return Err(format!(
                        "%{name} in {text:?} is not understood: write what it stands for"
                    ));
                }
            }
        }
        Ok(expanded)
    }

    fn value(&self, specifier: char) -> Option<String> {
        let stem = self.unit.rsplit_once('.').map_or(self.unit, |(stem, _)| stem);
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let system = |path: &str| (*self.scope == Scope::System).then(|| path.to_owned());
        match specifier {
            '%' => Some("%".to_owned()),
            'n' => Some(self.unit.to_owned()),
            'N' => Some(stem.to_owned()),
            'p' => Some(prefix.to_owned()),
            'i' => Some(instance.to_owned()),
            't' => match self.scope {
                Scope::System => Some("/run".to_owned()),
                Scope::User {
                    runtime_directory, ..
                } => runtime_directory.to_str().map(str::to_owned),
            },
            'S' => system("/var/lib"),
            'C' => system("/var/cache"),
            'L' => system("/var/log"),
            'E' => system("/etc"),
            _ => None,
        }
    }
}

impl ExecStart {
    /// Reads what the unit would run without the drop-in that is ours.
    ///
    /// # Errors
    /// When there is not exactly one command, or it has something that is not understood.
    pub fn of(unit: &Unit, options: &[OptionsFile], specifiers: &Specifiers<'_>) -> Result<Self, Refusal> {
        let foreign = unit.drop_ins.iter().filter(|file| !is_ours(&file.path));
        let service = Service::fold(std::iter::once(&unit.fragment).chain(foreign));
        let refuse = |path: &Path, why: String| Refusal::Unit {
            path: path.to_owned(),
            why,
        };
        let (path, line) = match service.commands.as_slice() {
            [] => {
                return Err(refuse(
                    &unit.fragment.path,
                    "no ExecStart= is left in it".to_owned(),
                ));
            }
            [one] => one,
            [.., (path, _)] => {
                let why = "it adds a second ExecStart=: put an empty ExecStart= before it".to_owned();
                return Err(refuse(path, why));
            }
        };
        let variables = service
            .variables(options, specifiers)
            .map_err(|why| refuse(&unit.fragment.path, why))?;
        Self::parse(path, line, variables, specifiers).map_err(|why| refuse(path, why))
    }

    fn parse(
        path: &Path,
        line: &str,
        variables: Variables,
        specifiers: &Specifiers<'_>,
    ) -> Result<Self, String> {
        let mut written = unit_file::words(line, Escapes::C);
        if written.iter().any(|word| word.raw == ";") {
            return Err("ExecStart= has more than one command".to_owned());
        }
        let first = written.first().ok_or("ExecStart= is empty")?;
        let bare = first.text.trim_start_matches(['-', '@', ':', '+', '!', '|']);
        let prefixes = &first.text[..first.text.len() - bare.len()];
        let program = specifiers.expand(bare)?;
        let literal = prefixes.contains(':');
        // Behind `@`, the second word is the name that the program is told it has.
        let program_words = if prefixes.contains('@') { 2 } else { 1 };
        if written.len() < program_words {
            return Err("ExecStart= is incomplete".to_owned());
        }
        let arguments = written.split_off(program_words);
        let mut words = Vec::new();
        for (index, word) in arguments.iter().enumerate() {
            let text = specifiers.expand(if word.raw == "\\;" { ";" } else { &word.text })?;
            let expanded = if literal {
                vec![text]
            } else {
                expand_word(&text, &variables)
            };
            words.extend(expanded.into_iter().map(|text| (index, text)));
        }
        Ok(Self {
            path: path.to_owned(),
            program_raw: raws(written),
            program,
            raws: raws(arguments),
            words,
            variables,
        })
    }

    /// What the program is told.
    pub fn words(&self) -> Vec<String> {
        self.words.iter().map(|(_, word)| word.clone()).collect()
    }

    /// The line with this change. A written word that holds a changed one is written out; any other stays as it is.
    pub fn rewrite(&self, edit: &Edit) -> String {
        let mut line = self.program_raw.clone();
        let mut later = Vec::new();
        for (index, raw) in self.raws.iter().enumerate() {
            let own: Vec<usize> = (0..self.words.len())
                .filter(|at| self.words[*at].0 == index)
                .collect();
            let touched = own.iter().any(|at| edit.slots[*at].dropped);
            if !touched {
                line.push(raw.clone());
            }
            for at in &own {
                let slot = &edit.slots[*at];
                if touched && !slot.dropped {
                    line.push(self.quoted(&self.words[*at].1));
                }
                // New words in the middle of an untouched variable go to the end of the line.
                let here = touched || own.last() == Some(at);
                let target = if here { &mut line } else { &mut later };
                target.extend(slot.then.iter().map(|word| self.quoted(word)));
            }
        }
        line.append(&mut later);
        line.join(" ")
    }

    /// Behind the prefix `:` a dollar is only a dollar.
    fn quoted(&self, word: &str) -> String {
        let quoted = unit_file::quote(word);
        let program = self.program_raw.first().map_or("", String::as_str);
        let prefixes = program.split('/').next().unwrap_or_default();
        if prefixes.contains(':') {
            quoted.replace("$$", "$")
        } else {
            quoted
        }
    }
}

/// Whether it is the drop-in that we write.
pub fn is_ours(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == DROP_IN_NAME)
}

fn raws(words: Vec<Word>) -> Vec<String> {
    words.into_iter().map(|word| word.raw).collect()
}

/// A word that is one variable becomes that variable's words; in any other, `${NAME}` is replaced.
fn expand_word(text: &str, variables: &Variables) -> Vec<String> {
    match text.strip_prefix('$') {
        Some(name) if !name.starts_with(['{', '$']) && !name.is_empty() => {
            let value = variables.get(name).map_or("", String::as_str);
            let words = unit_file::words(value, Escapes::Plain);
            words.into_iter().map(|word| word.text).collect()
        }
        _ => vec![environment::expand(text, variables)],
    }
}

/// The settings that matter, after every reset.
#[derive(Default)]
struct Service {
    commands: Vec<(PathBuf, String)>,
    environment: Vec<String>,
    files: Vec<String>,
    unset: Vec<String>,
}

impl Service {
    fn fold<'a>(files: impl Iterator<Item = &'a UnitFile>) -> Self {
        let mut service = Self::default();
        for file in files {
            let settings = unit_file::parse(&file.contents);
            for setting in settings
                .into_iter()
                .filter(|setting| setting.section == "Service")
            {
                service.take(&file.path, setting);
            }
        }
        service
    }

    fn take(&mut self, path: &Path, setting: Setting) {
        let list = match setting.key.as_str() {
            "ExecStart" if setting.value.is_empty() => return self.commands.clear(),
            "ExecStart" => return self.commands.push((path.to_owned(), setting.value)),
            "Environment" => &mut self.environment,
            "EnvironmentFile" => &mut self.files,
            "UnsetEnvironment" => &mut self.unset,
            _ => return,
        };
        if setting.value.is_empty() {
            list.clear();
        } else {
            list.push(setting.value);
        }
    }

    /// Files win over `Environment=`, later ones over earlier ones.
    fn variables(&self, options: &[OptionsFile], specifiers: &Specifiers<'_>) -> Result<Variables, String> {
        let mut variables = Variables::new();
        for word in self
            .environment
            .iter()
            .flat_map(|line| unit_file::words(line, Escapes::C))
        {
            let text = specifiers.expand(&word.text)?;
            if let Some((name, value)) = text.split_once('=') {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        for file in &self.files {
            let path = specifiers.expand(file.strip_prefix('-').unwrap_or(file))?;
            if path.contains(['*', '?', '[']) {
                return Err(format!(
                    "EnvironmentFile={file} is a pattern: name the files one by one"
                ));
            }
            if let Some(found) = options.iter().find(|found| found.path == Path::new(&path)) {
                variables.extend(environment::parse_file(&found.contents));
            }
        }
        for word in self
            .unset
            .iter()
            .flat_map(|line| unit_file::words(line, Escapes::C))
        {
            match word.text.split_once('=') {
                Some((name, value)) if variables.get(name).is_some_and(|own| own == value) => {
                    variables.remove(name);
                }
                Some(_) => {}
                None => drop(variables.remove(&word.text)),
            }
        }
        Ok(variables)
    }
}

#[cfg(test)]
mod tests;
