//! A role as somebody writes it down, and as it is once it was checked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::glob;
use super::operations::{Class, OPERATIONS, Operation, OperationSet};
use super::rules::BodyRules;

/// Entries in one list of a role.
pub const ROLE_ENTRIES_MAX: usize = 200;
/// Characters of one entry, and of a description.
pub const ROLE_CHARS_MAX: usize = 500;

/// A role's name: 1 to 63 of a-z, 0-9 and '-'.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoleName(String);

impl RoleName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoleName {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match (1..=63).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(RoleError::Name(text.chars().take(80).collect())),
        }
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Why something is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Its name.
    #[error("{0:?} is no name of a role: use 1 to 63 of a-z, 0-9 and '-'")]
    Name(String),
    /// The file.
    #[error("the role cannot be read: {0}")]
    Syntax(String),
    /// An entry that picks nothing.
    #[error("{entry:?} picks no operation; {hint}")]
    Nothing {
        /// The entry.
        entry: String,
        /// What would.
        hint: String,
    },
    /// A list that is too long, or an entry.
    #[error(
        "{what} is longer than a role may have: at most {ROLE_ENTRIES_MAX} entries of {ROLE_CHARS_MAX} characters"
    )]
    TooLong {
        /// Which.
        what: &'static str,
    },
    /// A rule's entry.
    #[error("{entry:?} in {list}: {why}")]
    Rule {
        /// The list.
        list: &'static str,
        /// The entry.
        entry: String,
        /// What it should be.
        why: &'static str,
    },
    /// A list of images that means nothing.
    #[error(
        "the role lists images, but also allows {operation}, by which any image can be given any name: \
         take {operation} out (deny = [{operation:?}]), or the list"
    )]
    ImagesByAnyName {
        /// What allows it.
        operation: &'static str,
    },
    /// It allows nothing.
    #[error("the role allows nothing: name operations in allow")]
    Empty,
}

/// A role as it is written: in a file, on the wire, in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RoleSpec {
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Operations: by name (`ContainerStart`), glob (`Container*`) or class (`@read`).
    pub allow: Vec<String>,
    /// Operations it does not allow after all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Limits on what is asked for: what is not listed is refused. Without rules, bodies are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<BodyRules>,
}

impl RoleSpec {
    /// Reads a file in TOML.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub fn from_toml(text: &str) -> Result<Self, RoleError> {
        toml::from_str(text).map_err(|error| RoleError::Syntax(error.to_string()))
    }
}

/// A role that was checked. [`Role::check`] is the only constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    name: RoleName,
    spec: RoleSpec,
    operations: OperationSet,
}

impl Role {
    /// Checks a role: every entry picks something, and every rule says something.
    ///
    /// # Errors
    /// [`RoleError`], with what to write instead.
    pub fn check(name: RoleName, spec: RoleSpec) -> Result<Self, RoleError> {
        if spec.description.chars().count() > ROLE_CHARS_MAX {
            return Err(RoleError::TooLong { what: "description" });
        }
        check_list("allow", &spec.allow)?;
        check_list("deny", &spec.deny)?;
        let ruled = spec.rules.is_some();
        let allowed = picked(&spec.allow, ruled)?;
        let operations = allowed.without(picked(&spec.deny, false)?);
        if operations.is_empty() {
            return Err(RoleError::Empty);
        }
        if let Some(rules) = &spec.rules {
            rules.check()?;
            check_images(rules, operations)?;
        }
        Ok(Self {
            name,
            spec,
            operations,
        })
    }

    /// Its name.
    pub fn name(&self) -> &RoleName {
        &self.name
    }

    /// As it was written.
    pub fn spec(&self) -> &RoleSpec {
        &self.spec
    }

    /// What it allows.
    pub fn operations(&self) -> OperationSet {
        self.operations
    }

    /// Its limits on bodies.
    pub fn rules(&self) -> Option<&BodyRules> {
        self.spec.rules.as_ref()
    }
}

/// Whether a list is one a role may have.
///
/// # Errors
/// [`RoleError::TooLong`].
pub(super) fn check_list(what: &'static str, list: &[String]) -> Result<(), RoleError> {
    let long = |entry: &String| entry.chars().count() > ROLE_CHARS_MAX;
    match list.len() > ROLE_ENTRIES_MAX || list.iter().any(long) {
        true => Err(RoleError::TooLong { what }),
        false => Ok(()),
    }
}

/// Classes that rules cannot look into. With rules, a glob does not reach them: they must be named.
const UNSEEN: [Class; 2] = [Class::Build, Class::Host];

fn picked(entries: &[String], ruled: bool) -> Result<OperationSet, RoleError> {
    let mut all = OperationSet::default();
    for entry in entries {
        let picks = |operation: &Operation| match entry.strip_prefix('@') {
            Some(class) => operation.class.as_str() == class,
            None if entry == operation.name => true,
            None => glob::matches(entry, operation.name) && !(ruled && UNSEEN.contains(&operation.class)),
        };
        let set = OperationSet::of(picks);
        if set.is_empty() {
            return Err(RoleError::Nothing {
                entry: entry.chars().take(80).collect(),
                hint: hint(entry),
            });
        }
        all = all.union(set);
    }
    Ok(all)
}

fn hint(entry: &str) -> String {
    if entry.starts_with('@') {
        let classes: Vec<String> = Class::ALL.iter().map(|class| format!("@{class}")).collect();
        return format!("classes are {}", classes.join(" "));
    }
    let same = OPERATIONS
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(entry));
    match same {
        Some(known) => format!("did you mean {}?", known.name),
        None => {
            "operations are named as in docs/roles.md: ContainerList, ImageCreate, Volume*, @read".to_owned()
        }
    }
}

/// Operations by which any image gets any name.
const NAMING: [&str; 6] = [
    "ImageTag",
    "ImageLoad",
    "ImageCommit",
    "ImageBuild",
    "Grpc",
    "Session",
];

/// Whether any image can be given any name by an operation.
pub(super) fn naming(operation: &str) -> bool {
    NAMING.contains(&operation)
}

fn check_images(rules: &BodyRules, operations: OperationSet) -> Result<(), RoleError> {
    if rules.images.is_empty() {
        return Ok(());
    }
    let naming = operations.iter().find(|operation| self::naming(operation.name));
    match naming {
        Some(operation) => Err(RoleError::ImagesByAnyName {
            operation: operation.name,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(text: &str) -> Result<Role, RoleError> {
        Role::check("r".parse().unwrap(), RoleSpec::from_toml(text)?)
    }

    fn names(text: &str) -> Vec<&'static str> {
        role(text).unwrap().operations().names()
    }

    #[test]
    fn operations_are_picked_by_name_glob_and_class_and_taken_back() {
        assert_eq!(names("allow = ['ContainerStart']"), ["ContainerStart"]);
        let volumes = names("allow = ['Volume*']\ndeny = ['VolumePrune', 'Volume?pdate']");
        assert_eq!(
            volumes,
            ["VolumeList", "VolumeCreate", "VolumeDelete", "VolumeInspect"]
        );
        assert!(names("allow = ['@logs']").contains(&"TaskLogs"));
        assert_eq!(
            names("allow = ['*']").len(),
            OperationSet::of(|_| true).names().len()
        );
    }

    #[test]
    fn with_rules_a_glob_does_not_reach_what_rules_cannot_look_into() {
        let ruled = names("allow = ['*']\n[rules]");
        assert!(
            ruled.contains(&"ContainerCreate")
                && !ruled.contains(&"ImageBuild")
                && !ruled.contains(&"PluginPull")
        );
        assert!(names("allow = ['ImageBuild']\n[rules]").contains(&"ImageBuild"));
        assert!(names("allow = ['@build']\n[rules]").contains(&"Grpc"));
    }

    #[test]
    fn what_says_nothing_is_refused_with_what_to_write() {
        for (text, part) in [
            ("allow = ['containerstart']", "did you mean ContainerStart?"),
            ("allow = ['@reed']", "@read"),
            ("allow = ['ContainerStart', 'Nope*']", "picks no operation"),
            ("allow = []", "allows nothing"),
            ("allow = ['@logs']\ndeny = ['@logs']", "allows nothing"),
            ("allow = ['@read']\nallow_all = true", "unknown field"),
            ("allow = ['@read']\n[rules]\nprivilege = true", "unknown field"),
            ("allow = ['@read']\n[rules]\nbinds = ['srv']", "binds"),
            (
                "allow = ['@create', '@images']\n[rules]\nimages = ['nginx']",
                "ImageCommit",
            ),
        ] {
            let refused = role(text).unwrap_err().to_string();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        for bad in ["", "A", "a b", "a/b", "../x", &"a".repeat(64)] {
            assert!(bad.parse::<RoleName>().is_err(), "{bad:?}");
        }
    }
}
