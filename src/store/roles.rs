//! The part of the store that roles and bindings need.

use std::net::IpAddr;

use async_trait::async_trait;
use tokio::sync::watch;

use super::StoreError;
use crate::base::Timestamp;
use crate::model::Labels;
use crate::model::audit::Actor;
use crate::model::role::{Binding, BindingKey, RoleName, RolesDigest, StoredRole};
use crate::pki::IdentityName;

/// A change of roles or bindings.
#[derive(Clone, Debug)]
pub enum RoleChange {
    /// Writes a role; one that is there is only replaced when told so.
    Put {
        /// The role.
        role: Box<StoredRole>,
        /// Whether it may be there.
        replace: bool,
    },
    /// Removes a role that nobody has.
    Remove(RoleName),
    /// Gives a client a role.
    Bind(Box<Binding>),
    /// Takes a role from a client. Without a selector that includes the role it got from its join token.
    Unbind(BindingKey),
}

/// A change to commit.
#[derive(Clone, Debug)]
pub struct RoleOrder {
    /// What.
    pub change: RoleChange,
    /// Who.
    pub actor: Actor,
    /// From where.
    pub source: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// How a change ended. Only [`RoleChanged::Done`] changed anything, and left an audit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleChanged {
    /// It is so now.
    Done,
    /// It was so before.
    Unchanged,
    /// There is a role of this name.
    Exists,
    /// There is no role of this name, or no such binding.
    NotFound,
    /// There is no client of this name.
    NoClient,
    /// Somebody has this role.
    InUse,
    /// There are as many as there may be.
    TooMany,
}

/// What a host said about the roles on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolesApplied {
    /// Its name.
    pub name: IdentityName,
    /// Its labels: they decide what concerns it.
    pub labels: Labels,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// It refuses remote clients when it has not heard of the server for this long, seconds.
    pub denies_after: Option<u64>,
    /// When it said anything at all about how far it is.
    pub said_at: Option<Timestamp>,
    /// What it was told last; `None`: it does not look at roles, or has said nothing.
    pub roles: Option<RolesDigest>,
}

/// Roles and bindings. As with [`super::Store`], the write method is one transaction, answered after the commit.
#[async_trait]
pub trait RoleStore: Send + Sync + 'static {
    /// `role.put`, `role.remove`, `role.bind`, `role.unbind`.
    async fn change_roles(&self, order: RoleOrder) -> Result<RoleChanged, StoreError>;

    /// Every role that somebody wrote, by name.
    async fn roles(&self) -> Result<Vec<StoredRole>, StoreError>;
    /// Every binding, by client, role and selector.
    async fn bindings(&self) -> Result<Vec<Binding>, StoreError>;
    /// The bindings of these clients, by client, role and selector.
    async fn bindings_of(&self, clients: Vec<IdentityName>) -> Result<Vec<Binding>, StoreError>;
    /// The role of every client that got one with its join token, by name of the client.
    async fn token_roles(&self) -> Result<Vec<(IdentityName, String)>, StoreError>;
    /// What every host whose certificate is valid at `now` was told of roles, by name; but for `except`, the server itself.
    async fn roles_applied(
        &self,
        now: Timestamp,
        except: &IdentityName,
    ) -> Result<Vec<RolesApplied>, StoreError>;
    /// Counts changes of who may do what, as they are committed: what wakes those who tell hosts. The count means
    /// nothing after a restart.
    fn roles_watch(&self) -> watch::Receiver<u64>;
}
