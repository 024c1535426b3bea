//! Roles: what a client may do to Docker. Pure: from method, target and body to a decision, with no I/O.
//!
//! A request is first given its place in the table of every route ([`operations`]); what has none is refused to
//! everybody. A role is a set of operations, perhaps with rules that its bodies are held against ([`rules`], `body`).
//! A client may have several; each is asked by itself, and one that allows is enough.

mod binding;
mod body;
mod built_in;
mod decide;
mod digest;
mod glob;
mod image;
mod in_force;
mod json;
pub mod learn;
mod operations;
pub mod path;
mod query;
mod rules;
mod spec;
mod wanted;

pub use binding::{Binding, BindingKey, StoredRole, parse_selector, selector};
pub use body::Beyond;
pub use built_in::{built_in, built_ins};
pub use decide::{Body, Decision, Refusal, Request, decide, is_form, not_learned};
pub use digest::{RolesDigest, RolesDigestError};
pub use in_force::{HostRoles, Published, RolesInForce, Verdict};
pub use json::{BODY_BYTES_MAX, DEPTH_MAX, Json, JsonError, VALUES_MAX};
pub use operations::{Class, OPERATIONS, Operation, OperationSet, find};
pub use path::PathError;
pub use rules::{BodyRules, Namespace};
pub use spec::{ROLE_CHARS_MAX, ROLE_ENTRIES_MAX, Role, RoleError, RoleName, RoleSpec};

#[cfg(test)]
mod tests;
