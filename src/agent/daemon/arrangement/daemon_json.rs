//! `daemon.json`, read as strictly as dockerd reads it, and changed like a surgeon: what is not ours keeps its bytes.
//!
//! What dockerd does, tried out on 20.10 and read in the source of 29: it knows keys in exactly one spelling
//! (`"Hosts"` is fatal), takes the last of two equal keys, dies of comments and trailing commas, treats an empty file as
//! `{}`, and (from 23.0 on) reads a file that starts with a byte order mark, UTF-16 included. All of it is kept here.

mod encoding;

use std::path::{Path, PathBuf};

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstObject, CstObjectProp, CstRootNode};
use serde_json::{Map, Value};

use super::Refusal;
use encoding::Encoding;

/// Where dockerd listens.
pub const HOSTS: &str = "hosts";
/// Whether containers outlive dockerd.
pub const LIVE_RESTORE: &str = "live-restore";
/// Who is asked about every request.
pub const AUTHORIZATION: &str = "authorization-plugins";
/// TLS at all.
pub const TLS: &str = "tls";
/// TLS, and clients must show a certificate.
pub const TLS_VERIFY: &str = "tlsverify";
/// Who may have signed them.
pub const TLS_CA: &str = "tlscacert";
/// The certificate that is served.
pub const TLS_CERT: &str = "tlscert";
/// Its key.
pub const TLS_KEY: &str = "tlskey";

/// The keys that we write, and what dockerd wants there.
const OURS: [(&str, Type); 7] = [
    (HOSTS, Type::Texts),
    (LIVE_RESTORE, Type::Bool),
    (TLS, Type::Bool),
    (TLS_VERIFY, Type::Bool),
    (TLS_CA, Type::Text),
    (TLS_CERT, Type::Text),
    (TLS_KEY, Type::Text),
];

/// Maps that are the value of one setting. The keys of any other map count as settings of their own when dockerd
/// compares the file with its flags.
const PLAIN_MAPS: [&str; 7] = [
    "builder",
    "cluster-store-opts",
    "default-network-opts",
    "default-ulimits",
    "features",
    "log-opts",
    "runtimes",
];

#[derive(Clone, Copy)]
enum Type {
    Bool,
    Text,
    Texts,
}

impl Type {
    fn holds(self, value: &Value) -> bool {
        match self {
            _ if value.is_null() => true,
            Self::Bool => value.is_boolean(),
            Self::Text => value.is_string(),
            Self::Texts => value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Text => "a string",
            Self::Texts => "a list of strings",
        }
    }
}

/// The names of the keys that we write.
pub fn our_keys() -> impl Iterator<Item = &'static str> {
    OURS.iter().map(|(key, _)| *key)
}

/// A configuration file, parsed.
pub struct DaemonJson {
    path: PathBuf,
    encoding: Encoding,
    /// `None` for a file that is missing or empty: there is nothing to keep.
    tree: Option<CstRootNode>,
    values: Map<String, Value>,
    original: Option<Vec<u8>>,
}

impl DaemonJson {
    /// Reads the file at `path`; `None` when it does not exist.
    ///
    /// # Errors
    /// What dockerd would refuse in it: not JSON, a key of ours in another spelling or with a value of another type.
    pub fn parse(path: &Path, contents: Option<&[u8]>) -> Result<Self, Refusal> {
        let refuse = |line, column, why: String| Refusal::Json {
            path: path.to_owned(),
            line,
            column,
            why,
        };
        let (encoding, text) =
            Encoding::decode(contents.unwrap_or_default()).map_err(|why| refuse(1, 1, why.to_owned()))?;
        let original = contents.map(<[u8]>::to_vec);
        let mut file = Self {
            path: path.to_owned(),
            encoding,
            tree: None,
            values: Map::new(),
            original,
        };
        if text.trim().is_empty() {
            return Ok(file);
        }
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| refuse(error.line(), error.column(), json_reason(&error)))?;
        let Value::Object(values) = value else {
            return Err(refuse(1, 1, "dockerd wants an object, { ... }, here".to_owned()));
        };
        // INVARIANT: what serde_json takes is strict JSON, a part of what the tree's parser takes.
        let tree = CstRootNode::parse(&text, &ParseOptions::default()).map_err(|error| {
            refuse(
                error.line_display(),
                error.column_display(),
                error.kind().to_string(),
            )
        })?;
        file.tree = Some(tree);
        file.values = values;
        file.check_keys()?;
        Ok(file)
    }

    fn check_keys(&self) -> Result<(), Refusal> {
        let refuse = |key: &str, why: String| {
            Err(Refusal::Key {
                path: self.path.clone(),
                key: key.to_owned(),
                why,
            })
        };
        for (key, value) in &self.values {
            let Some((ours, kind)) = OURS.iter().find(|(ours, _)| ours.eq_ignore_ascii_case(key)) else {
                let inner = value.as_object().filter(|_| !PLAIN_MAPS.contains(&key.as_str()));
                if let Some(hidden) = inner.and_then(|map| our_keys().find(|ours| map.contains_key(*ours))) {
                    return refuse(
                        hidden,
                        format!("dockerd takes the one inside {key:?} for a setting: move it out"),
                    );
                }
                continue;
            };
            if ours != key {
                return refuse(key, format!("dockerd knows it only as {ours:?}"));
            }
            if !kind.holds(value) {
                return refuse(key, format!("dockerd wants {} here", kind.name()));
            }
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value that counts: with two equal keys, the last one's. `null` is no value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// The value that stands there, `null` included.
    pub fn raw(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// All values.
    pub fn into_values(self) -> Map<String, Value> {
        self.values
    }

    /// Whether the key stands there at all: with a flag of the same meaning, even a `null` is fatal.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The keys that dockerd compares with its flags.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        self.values.iter().flat_map(|(key, value)| {
            let inner = value.as_object().filter(|_| !PLAIN_MAPS.contains(&key.as_str()));
            let own = inner.is_none().then_some(key.as_str());
            own.into_iter()
                .chain(inner.into_iter().flat_map(|map| map.keys().map(String::as_str)))
        })
    }

    /// The strings of a list; empty when there is none.
    pub fn list(&self, key: &str) -> Vec<String> {
        let texts = self.get(key).and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Writes a value. Nothing changes when it stands there already.
    pub fn set(&mut self, key: &str, value: Value) {
        if self.values.get(key) == Some(&value) {
            return;
        }
        let object = self.object();
        match (last_property(&object, key), value.as_array()) {
            (Some(property), Some(list)) => match property.array_value() {
                Some(array) => write_list(&array, list),
                None => property.set_value(input(&value)),
            },
            (Some(property), None) => property.set_value(input(&value)),
            (None, _) => drop(object.append(key, input(&value))),
        }
        self.values.insert(key.to_owned(), value);
    }

    /// Puts a string at the head of a list; those in it stay as they are.
    pub fn put_first(&mut self, key: &str, text: &str) {
        let mut list = self.list(key);
        list.insert(0, text.to_owned());
        let object = self.object();
        match last_property(&object, key).and_then(|property| property.array_value()) {
            Some(array) => {
                array.insert(0, CstInputValue::String(text.to_owned()));
                self.values.insert(key.to_owned(), list.into());
            }
            None => self.set(key, list.into()),
        }
    }

    /// Takes a string out of a list, every time it stands there. False when it does not.
    pub fn take_out(&mut self, key: &str, text: &str) -> bool {
        let mut list = self.list(key);
        let before = list.len();
        list.retain(|entry| entry != text);
        let found = list.len() < before;
        if found {
            self.set(key, list.into());
        }
        found
    }

    /// Takes a key away, every time it stands there.
    pub fn remove(&mut self, key: &str) {
        if self.values.remove(key).is_none() {
            return;
        }
        let object = self.object();
        while let Some(property) = last_property(&object, key) {
            property.remove();
        }
    }

    fn object(&mut self) -> CstObject {
        let tree = self.tree.get_or_insert_with(|| {
            CstRootNode::parse("{\n}\n", &ParseOptions::default()).expect("an empty object is JSON")
        });
        tree.object_value().expect("the root was checked to be an object")
    }

    /// The bytes now. What nothing was done to is returned as it was; `None` when it did not exist.
    ///
    /// # Errors
    /// When what would be written does not read back as what was meant.
    pub fn bytes(&self) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(tree) = &self.tree else {
            return Ok(self.original.clone());
        };
        let text = tree.to_string();
        // INVARIANT: dockerd will read exactly the values that were meant, and everything else as before.
        let reads_back =
            serde_json::from_str::<Value>(&text).is_ok_and(|value| value.as_object() == Some(&self.values));
        if !reads_back {
            return Err(Refusal::Json {
                path: self.path.clone(),
                line: 1,
                column: 1,
                why: "it is written in a way that could not be changed safely: write it plainly".to_owned(),
            });
        }
        Ok(Some(self.encoding.encode(&text)))
    }
}

/// The error without its position, which is said elsewhere.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason);
    format!("{reason} (dockerd reads plain JSON: no comments, no trailing commas)")
}

fn last_property(object: &CstObject, key: &str) -> Option<CstObjectProp> {
    let mut properties = object.properties().into_iter().rev();
    properties.find(|property| property.decoded_name().as_deref() == Some(key))
}

/// Makes the list hold these strings; those that are there already keep their place and their layout.
fn write_list(array: &CstArray, wanted: &[Value]) {
    let mut missing: Vec<&Value> = wanted.iter().collect();
    for element in array.elements() {
        let text = element.as_string_lit().and_then(|text| text.decoded_value().ok());
        match missing.iter().position(|value| value.as_str() == text.as_deref()) {
            Some(at) => drop(missing.remove(at)),
            None => element.remove(),
        }
    }
    for value in missing {
        array.append(input(value));
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(on) => CstInputValue::Bool(*on),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(list) => CstInputValue::Array(list.iter().map(input).collect()),
        Value::Object(map) => CstInputValue::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), input(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests;
