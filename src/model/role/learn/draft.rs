//! A role that allows what was learned, and nothing else.

use super::learned::{Asked, Learned, Seen};
use super::needs::{Needs, Rule, rules};
use crate::base::Timestamp;
use crate::model::role::operations::OPERATIONS;
use crate::model::role::spec::{Role, RoleError, RoleName, RoleSpec, naming};

/// A role to read through before it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The role; it is one that the server takes.
    pub role: RoleSpec,
    /// What to know about it, a sentence each.
    pub notes: Vec<String>,
}

/// Why there is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// Nothing was learned.
    #[error("nothing was learned of {client}{since}; learned of so far: {known}")]
    Nothing {
        /// The client.
        client: String,
        /// ` since 2026-...`, or nothing.
        since: String,
        /// Who is known.
        known: String,
    },
    /// Everything that was seen is something that no role with rules can allow.
    #[error("{client} asked for nothing that a role with rules could allow: {notes}")]
    NothingAllowable {
        /// The client.
        client: String,
        /// What it asked for.
        notes: String,
    },
    /// It does not fit into a role.
    #[error("what was learned of {client} is no role: {error}; narrow it with --since, or write one by hand")]
    Role {
        /// The client.
        client: String,
        /// Why not.
        error: RoleError,
    },
}

/// What of it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Only what was asked for at or after this time.
    pub since: Option<Timestamp>,
    /// Only what was allowed at that time.
    pub allowed_only: bool,
}

impl Learned {
    /// The role that allows what `client` asked for.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn draft(&self, client: &str, which: Which) -> Result<Draft, DraftError> {
        let narrowed = |asked: &Asked| {
            let mut asked = asked.clone();
            if let Some(since) = which.since {
                asked.retain_since(since);
            }
            asked
        };
        let of = self.clients.get(client);
        let allowed = of.map(|of| narrowed(&of.allowed)).unwrap_or_default();
        let mut refused = of.map(|of| narrowed(&of.refused)).unwrap_or_default();
        if which.allowed_only {
            refused = Asked::default();
        }
        let mut all = allowed.clone();
        all.merge(refused.clone());
        if all == Asked::default() {
            return Err(DraftError::Nothing {
                client: client.to_owned(),
                since: which
                    .since
                    .map_or(String::new(), |since| format!(" since {since}")),
                known: known(self),
            });
        }
        let mut notes = remarks(&all, &allowed, &refused);
        let left_out = of.map_or(0, |of| of.left_out) + self.left_out;
        if left_out > 0 {
            notes.push(format!(
                "not in this role: {left_out} requests for which there was no place"
            ));
        }
        let role = role(&all, &mut notes);
        if role.allow.is_empty() {
            return Err(DraftError::NothingAllowable {
                client: client.to_owned(),
                notes: notes.join("; "),
            });
        }
        let name: RoleName = "learned".parse().expect("a role's name");
        Role::check(name, role.clone()).map_err(|error| DraftError::Role {
            client: client.to_owned(),
            error,
        })?;
        Ok(Draft { role, notes })
    }
}

fn known(learned: &Learned) -> String {
    match learned.clients.is_empty() {
        true => "nobody".to_owned(),
        false => learned.clients.keys().cloned().collect::<Vec<_>>().join(", "),
    }
}

fn role(all: &Asked, notes: &mut Vec<String>) -> RoleSpec {
    let mut allow: Vec<String> = Vec::new();
    for operation in OPERATIONS {
        if all.operations.contains_key(operation.name)
            && allow.last().is_none_or(|last| last != operation.name)
        {
            allow.push(operation.name.to_owned());
        }
    }
    let entries = all.rules.iter();
    let mut needs: Needs = entries
        .flat_map(|(rule, entries)| entries.keys().map(|entry| (*rule, entry.clone())))
        .collect();
    let any_image = (Rule::AnyImage, String::new());
    let listed = needs.iter().any(|(rule, _)| *rule == Rule::Images);
    if let Some(operation) = allow.iter().find(|name| naming(name)).filter(|_| listed) {
        notes.push(format!(
            "any image is allowed: {operation} can give any image any name"
        ));
        needs.insert(any_image);
    } else if listed && needs.contains(&any_image) {
        notes.push("any image is allowed: one was used by its id, or came from a file".to_owned());
    }
    RoleSpec {
        description: String::new(),
        allow,
        deny: Vec::new(),
        rules: Some(rules(&needs)),
    }
}

fn remarks(all: &Asked, allowed: &Asked, refused: &Asked) -> Vec<String> {
    let mut notes = Vec::new();
    let fresh = refused
        .operations
        .keys()
        .filter(|name| !allowed.operations.contains_key(*name));
    let fresh: Vec<&str> = fresh.map(String::as_str).collect();
    if !fresh.is_empty() {
        notes.push(format!(
            "refused then, allowed by this role: {}",
            fresh.join(", ")
        ));
    }
    let entries = refused.rules.iter().flat_map(|(rule, entries)| {
        let known = allowed.rules.get(rule);
        let is_new = move |entry: &&String| known.is_none_or(|known| !known.contains_key(*entry));
        entries.keys().filter(is_new).map(|entry| word(*rule, entry))
    });
    let entries: Vec<String> = entries.collect();
    if !entries.is_empty() {
        notes.push(format!(
            "seen in refused requests only, listed by this role: {}",
            entries.join(", ")
        ));
    }
    notes.extend(
        all.beyond
            .keys()
            .map(|what| format!("not allowed by this role, because no rule can list it: {what}")),
    );
    notes.extend(all.unknown.keys().map(|what| {
        format!("not allowed by any role, because it is no part of the Docker API that is known here: {what}")
    }));
    notes
}

fn word(rule: Rule, entry: &str) -> String {
    let rule = serde_json::to_value(rule).expect("a word is always JSON");
    let rule = rule.as_str().expect("a word").to_owned();
    match entry {
        "" => rule,
        entry => format!("{rule} {entry}"),
    }
}

impl Asked {
    /// Between when it was asked for; `None` when it is empty.
    pub fn span(&self) -> Option<Seen> {
        let all = self.operations.values();
        all.copied().reduce(|a, b| Seen {
            first: a.first.min(b.first),
            last: a.last.max(b.last),
        })
    }
}
