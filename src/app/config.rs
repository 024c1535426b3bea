//! Reading configuration: a TOML file, and over it the environment. (Flags go over both; each command puts its
//! own on top.) Unknown keys are errors that name file and line.

use std::path::Path;

use anyhow::Context;
#[cfg(feature = "server")]
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::sys::Files;

/// The largest configuration file that is read, bytes.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// An environment variable that sets a key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// `DOCKWARDEN_...`
    pub name: &'static str,
    /// The dotted key, such as `profiles.host.lifetime`.
    pub key: &'static str,
}

/// Reads `file` if there is one, and the variables over it.
pub fn read<T: DeserializeOwned>(
    files: &Files,
    file: Option<&Path>,
    variables: &[Variable],
    lookup: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<T> {
    let mut table = Table::new();
    if let Some(path) = file {
        let text = files.read_text(path, CONFIG_BYTES_MAX)?;
        // First with its text at hand: only then errors know their line.
        parse::<T>(&text, &path.display().to_string())?;
        table = toml::from_str(&text).context("was read a moment ago")?;
    }
    for variable in variables {
        if let Some(text) = lookup(variable.name).filter(|text| !text.is_empty()) {
            set(&mut table, variable.key, text);
            let alone = || Value::Table(table.clone()).try_into::<T>();
            alone().map_err(|e: toml::de::Error| {
                anyhow::anyhow!(
                    "the environment variable {} cannot be used: {}",
                    variable.name,
                    e.message()
                )
            })?;
        }
    }
    Ok(Value::Table(table).try_into()?)
}

fn parse<T: DeserializeOwned>(text: &str, name: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|e| {
        let before = e.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..before].iter().filter(|b| **b == b'\n').count() + 1;
        anyhow::anyhow!("{name}:{line}: {}", e.message().trim())
    })
}

fn set(table: &mut Table, key: &str, text: String) {
    let (path, last) = key
        .rsplit_once('.')
        .map_or((None, key), |(path, last)| (Some(path), last));
    let mut inner = table;
    for part in path.into_iter().flat_map(|path| path.split('.')) {
        let entry = inner.entry(part).or_insert_with(|| Value::Table(Table::new()));
        match entry {
            Value::Table(next) => inner = next,
            // The file had something else there, and was refused for it already.
            _ => return,
        }
    }
    inner.insert(last.to_owned(), Value::String(text));
}

/// A list, or one string with commas: what a variable can hold.
#[cfg(feature = "server")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

#[cfg(feature = "server")]
impl<'de> Deserialize<'de> for List {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a string or a list of strings")]
        enum Form {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::One(text) => text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|p| !p.is_empty())
                .collect(),
            Form::Many(list) => list,
        }))
    }
}

/// The value of an environment variable; an error when it is not UTF-8.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
#[cfg(feature = "server")]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Raw {
        name: Option<String>,
        listen: List,
        inner: Inner,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        lifetime: Option<crate::base::Span>,
    }

    const VARIABLES: &[Variable] = &[
        Variable {
            name: "DOCKWARDEN_NAME",
            key: "name",
        },
        Variable {
            name: "DOCKWARDEN_LISTEN",
            key: "listen",
        },
        Variable {
            name: "DOCKWARDEN_INNER_LIFETIME",
            key: "inner.lifetime",
        },
    ];

    fn read_text(text: &str, environment: &[(&str, &str)]) -> Result<Raw, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.toml");
        let files = Files::system();
        files.write_public(&path, text.as_bytes()).unwrap();
        let lookup = |name: &str| {
            environment
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let result = read(&files, Some(&path), VARIABLES, lookup);
        result.map_err(|e| format!("{e:#}").replace(&format!("{}/", directory.path().display()), ""))
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let text = "name = \"file\"\nlisten = [\"a\", \"b\"]\n[inner]\nlifetime = \"1h\"\n";
        let file = read_text(text, &[]).unwrap();
        assert_eq!((file.name.as_deref(), file.listen.0.len()), (Some("file"), 2));
        let over = read_text(
            text,
            &[
                ("DOCKWARDEN_LISTEN", "c, d,e"),
                ("DOCKWARDEN_INNER_LIFETIME", "2h"),
            ],
        )
        .unwrap();
        assert_eq!(
            (over.name.as_deref(), over.listen.0.as_slice()),
            (Some("file"), ["c", "d", "e"].map(str::to_owned).as_slice())
        );
        assert_eq!(over.inner.lifetime.unwrap().to_string(), "2h");
        assert_eq!(read_text("", &[("DOCKWARDEN_NAME", "")]).unwrap(), Raw::default());
    }

    #[test]
    fn an_error_names_the_line_or_the_variable() {
        let cases = [
            (
                "name = \"a\"\n\nbogus = 1\n",
                &[][..],
                "test.toml:3: unknown field `bogus`",
            ),
            (
                "name = \"a\"\n[inner]\nlifetime = \"x\"\n",
                &[],
                "test.toml:3: \"x\" is not a duration",
            ),
            ("name = \n", &[], "test.toml:1:"),
            (
                "",
                &[("DOCKWARDEN_INNER_LIFETIME", "soon")],
                "DOCKWARDEN_INNER_LIFETIME",
            ),
        ];
        for (text, environment, expected) in cases {
            let error = read_text(text, environment).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
