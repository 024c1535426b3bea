//! Bodies held against a role's rules. What rules do not know they refuse: a field that a later Engine brings is
//! unknown here until somebody has decided what it may do.

mod container;
mod mount;
mod service;

use super::json::Json;
use super::operations::Operation;
use super::query::{self, QueryError};
use super::wanted::{Limits, Wanted};

/// What a body or a query asks for and the rules do not list; reads on after "does not allow X with".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Beyond(pub String);

impl From<QueryError> for Beyond {
    fn from(error: QueryError) -> Self {
        Self(format!("such a query: {error}"))
    }
}

/// Whether all is inside the rules.
type Checked = Result<(), Beyond>;

/// What about an operation is held against rules.
#[derive(Clone, Copy)]
pub struct RuleCheck {
    /// The body.
    pub body: Option<fn(&Json, &dyn Limits) -> Checked>,
    /// The query.
    pub query: Option<fn(&str, &dyn Limits) -> Checked>,
}

/// What rules look at in requests for an operation.
pub fn checks(operation: &Operation) -> RuleCheck {
    let body = |check| RuleCheck {
        body: Some(check),
        query: None,
    };
    match operation.name {
        "ContainerCreate" => body(container::create),
        "ContainerUpdate" => body(container::update),
        "ContainerExec" => body(container::exec),
        "ContainerStart" => RuleCheck {
            body: Some(container::start),
            query: Some(start_query),
        },
        "VolumeCreate" => body(mount::volume),
        "ServiceCreate" | "ServiceUpdate" => body(service::spec),
        "ImageCreate" => RuleCheck {
            body: None,
            query: Some(image_query),
        },
        "ImageBuild" => RuleCheck {
            body: None,
            query: Some(build_query),
        },
        _ => RuleCheck {
            body: None,
            query: None,
        },
    }
}

/// A checkpoint may lie in any directory of the host.
fn start_query(query: &str, _rules: &dyn Limits) -> Checked {
    for key in ["checkpoint", "checkpoint-dir"] {
        if !query::value(query, key)?.is_empty() {
            return Err(Beyond("a checkpoint".to_owned()));
        }
    }
    Ok(())
}

fn image_query(query: &str, rules: &dyn Limits) -> Checked {
    if rules.list(Wanted::AnyImage) {
        return Ok(());
    }
    let (from, source) = (query::value(query, "fromImage")?, query::value(query, "fromSrc")?);
    if !source.is_empty() || from.is_empty() {
        return Err(Beyond("an image from a file".to_owned()));
    }
    let tag = query::value(query, "tag")?;
    // The Engine puts a digest behind '@' and a tag behind ':'.
    let image = match tag.as_str() {
        "" => from,
        digest if digest.contains(':') => format!("{from}@{digest}"),
        tag => format!("{from}:{tag}"),
    };
    listed(&image, rules)
}

fn build_query(query: &str, rules: &dyn Limits) -> Checked {
    let mode = query::value(query, "networkmode")?;
    container::network(&mode, rules)?;
    for key in ["securityopt", "cgroupparent"] {
        let value = query::value(query, key)?;
        if !matches!(value.as_str(), "" | "null" | "[]") {
            return Err(Beyond(format!("{key}={}", shown(&value))));
        }
    }
    Ok(())
}

/// Whether an image may be used.
fn listed(image: &str, rules: &dyn Limits) -> Checked {
    match rules.list(Wanted::Image(image)) {
        true => Ok(()),
        false => Err(Beyond(format!("image {}", shown(image)))),
    }
}

/// Text of somebody else's, for a message.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}

fn wrong_type(name: &str) -> Beyond {
    Beyond(format!("{name} of a type that the Engine does not know"))
}

/// The text of a field, or why it is none.
fn text<'a>(object: &'a Json, name: &str) -> Result<&'a str, Beyond> {
    object.get(name).text().ok_or_else(|| wrong_type(name))
}

/// The truth value of a field, or why it is none.
fn bool(object: &Json, name: &str) -> Result<bool, Beyond> {
    object.get(name).bool().ok_or_else(|| wrong_type(name))
}

/// The list in a field, or why it is none.
fn list<'a>(object: &'a Json, name: &str) -> Result<&'a [Json], Beyond> {
    object.get(name).items().ok_or_else(|| wrong_type(name))
}

/// The texts of a list in a field, or why it is none.
fn texts<'a>(object: &'a Json, name: &'a str) -> Result<Vec<&'a str>, Beyond> {
    let items = list(object, name)?.iter();
    items
        .map(|item| item.text().ok_or_else(|| wrong_type(name)))
        .collect()
}

/// Whether an object has fields of these names only, whatever their case.
fn only(object: &Json, what: &str, known: &[&[&str]]) -> Checked {
    let pairs = object.pairs().ok_or_else(|| wrong_type(what))?;
    let is_known = |key: &str| {
        let key = super::json::folded(key);
        known
            .iter()
            .any(|names| names.iter().any(|name| super::json::folded(name) == key))
    };
    match pairs
        .iter()
        .find(|(key, value)| *value != Json::Null && !is_known(key))
    {
        Some((key, _)) => Err(Beyond(format!(
            "{what}.{}, which its rules do not know",
            shown(key).trim_matches('"')
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
