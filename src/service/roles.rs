//! Roles and bindings: who may do what to Docker on which host. Hosts are told what concerns them on the feed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Admin, Authorized, OWN_NAME, Operator, Service, ServiceError, Viewer};
use crate::base::Id;
use crate::base::limits::{APPLIED_MISSING_MAX, BINDINGS_MAX, ROLES_MAX};
use crate::model::role::{
    Binding, HostRoles, Role, RoleError, RoleName, RoleSpec, RolesDigest, StoredRole, built_in, built_ins,
    selector,
};
use crate::model::{Identity, Labels};
use crate::pki::IdentityName;
use crate::store::{RoleChange, RoleChanged, RoleOrder, RolesApplied, StoreError};

/// Why a role was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RoleChangeError {
    /// It is no role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The name of a built-in one.
    #[error("{0} is built in and means the same everywhere: take another name")]
    BuiltIn(RoleName),
    /// There is one.
    #[error("there is a role {0} already: replace it (--replace), or take another name")]
    Exists(RoleName),
    /// There is none.
    #[error("there is no role {0}: dockwarden role ls shows all")]
    NoRole(RoleName),
    /// No such client.
    #[error("there is no client {0}: enrol it first (dockwarden client ls shows all)")]
    NoClient(IdentityName),
    /// No such binding.
    #[error(
        "{client} has no role {role} that was given for those hosts: dockwarden role inspect {role} shows who has it where"
    )]
    NoBinding {
        /// The client.
        client: IdentityName,
        /// The role.
        role: RoleName,
    },
    /// Somebody has it.
    #[error(
        "somebody has the role {0}: take it from everybody first (dockwarden role inspect {0} shows from whom)"
    )]
    InUse(RoleName),
    /// Enough.
    #[error("there are {max} {what} already, and no more are kept: remove some")]
    TooMany {
        /// How many.
        max: usize,
        /// Of what.
        what: &'static str,
    },
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for RoleChangeError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// A role as somebody may look at it.
#[derive(Clone, Debug)]
pub struct RoleSeen {
    /// The role.
    pub role: Role,
    /// Where it is kept; `None` for a built-in one.
    pub stored: Option<StoredRole>,
    /// How often it is bound.
    pub bindings: u64,
}

/// One client with one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// By somebody.
    Binding(Box<Binding>),
    /// By its join token, on every host.
    Token {
        /// The client.
        client: IdentityName,
        /// The role.
        role: String,
    },
}

impl Bound {
    fn role(&self) -> &str {
        match self {
            Self::Binding(binding) => binding.role.as_str(),
            Self::Token { role, .. } => role,
        }
    }

    fn client(&self) -> &IdentityName {
        match self {
            Self::Binding(binding) => &binding.client,
            Self::Token { client, .. } => client,
        }
    }

    fn picks(&self, host: &Labels) -> bool {
        match self {
            Self::Binding(binding) => binding.picks(host),
            Self::Token { .. } => true,
        }
    }
}

/// Which hosts enforce the roles that count now. One that was told nothing new, because nothing that changed concerns it,
/// is among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolesProgress {
    /// Hosts that count: with a valid certificate, and roles.
    pub hosts: u64,
    /// Those that enforce what counts now.
    pub applied: u64,
    /// Hosts besides, that follow the feed and look at no roles.
    pub without: u64,
    /// Those that enforce something else, by name, at most [`APPLIED_MISSING_MAX`].
    pub missing: Vec<RolesApplied>,
}

/// Everything about roles, as it was when the store had counted so many changes.
struct Snapshot {
    count: u64,
    roles: BTreeMap<String, StoredRole>,
    bound: Vec<Bound>,
    /// What hosts with these labels are told, in short.
    told: std::sync::Mutex<BTreeMap<String, RolesDigest>>,
}

/// The newest snapshot: ten thousand hosts that are told of one change read the database once.
#[derive(Default)]
pub(super) struct Roles(Mutex<Option<Arc<Snapshot>>>);

impl Service {
    /// Every role: the built-in ones, then the others by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn roles(&self, _viewer: &Authorized<Viewer>) -> Result<Vec<RoleSeen>, ServiceError> {
        let snapshot = self.role_snapshot().await?;
        let bindings = |name: &RoleName| {
            snapshot
                .bound
                .iter()
                .filter(|b| b.role() == name.as_str())
                .count() as u64
        };
        let own = built_ins().iter().map(|role| RoleSeen {
            bindings: bindings(role.name()),
            role: role.clone(),
            stored: None,
        });
        // What a former version accepted and this one does not is shown by nobody and gives nothing.
        let written = snapshot.roles.values().filter_map(|stored| {
            let role = Role::check(stored.name.clone(), stored.spec.clone()).ok()?;
            Some(RoleSeen {
                bindings: bindings(&stored.name),
                role,
                stored: Some(stored.clone()),
            })
        });
        Ok(own.chain(written).collect())
    }

    /// Who has which role where.
    ///
    /// # Errors
    /// The store's.
    pub async fn bindings(&self, _viewer: &Authorized<Viewer>) -> Result<Vec<Bound>, ServiceError> {
        Ok(self.role_snapshot().await?.bound.clone())
    }

    /// What these clients may do where: what was bound to each, and what its join token gave it.
    ///
    /// # Errors
    /// The store's.
    pub async fn bindings_of(
        &self,
        _viewer: &Authorized<Viewer>,
        clients: &[&Identity],
    ) -> Result<Vec<Bound>, ServiceError> {
        let names = clients.iter().map(|client| client.name.clone()).collect();
        let bindings = self.store.bindings_of(names).await?.into_iter();
        let from_tokens = clients.iter().filter_map(|client| {
            Some(Bound::Token {
                client: client.name.clone(),
                role: client.role.clone()?,
            })
        });
        let bindings = bindings.map(|binding| Bound::Binding(Box::new(binding)));
        let mut bound: Vec<Bound> = bindings.chain(from_tokens).collect();
        bound.sort_by(|a, b| (a.client(), a.role()).cmp(&(b.client(), b.role())));
        Ok(bound)
    }

    /// Writes a role. Says whether anything changed.
    ///
    /// # Errors
    /// [`RoleChangeError`].
    pub async fn put_role(
        &self,
        admin: &Authorized<Admin>,
        name: RoleName,
        spec: RoleSpec,
        replace: bool,
    ) -> Result<bool, RoleChangeError> {
        if built_in(&name).is_some() {
            return Err(RoleChangeError::BuiltIn(name));
        }
        let role = Role::check(name.clone(), spec)?;
        let stored = StoredRole {
            name: name.clone(),
            spec: role.spec().clone(),
            changed_at: self.clock.now(),
            changed_by: admin.actor().text(),
        };
        let change = RoleChange::Put {
            role: Box::new(stored),
            replace,
        };
        match self.change_roles(admin, change).await? {
            RoleChanged::Exists => Err(RoleChangeError::Exists(name)),
            RoleChanged::TooMany => Err(too_many(ROLES_MAX, "roles")),
            changed => Ok(changed == RoleChanged::Done),
        }
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// [`RoleChangeError`].
    pub async fn remove_role(
        &self,
        admin: &Authorized<Admin>,
        name: RoleName,
    ) -> Result<(), RoleChangeError> {
        if built_in(&name).is_some() {
            return Err(RoleChangeError::BuiltIn(name));
        }
        match self.change_roles(admin, RoleChange::Remove(name.clone())).await? {
            RoleChanged::InUse => Err(RoleChangeError::InUse(name)),
            RoleChanged::NotFound => Err(RoleChangeError::NoRole(name)),
            _ => Ok(()),
        }
    }

    /// Gives a client a role on the hosts that `hosts` picks. Says whether anything changed.
    ///
    /// # Errors
    /// [`RoleChangeError`].
    pub async fn bind_role(
        &self,
        operator: &Authorized<Operator>,
        client: IdentityName,
        role: RoleName,
        hosts: Labels,
    ) -> Result<bool, RoleChangeError> {
        let binding = self.binding(operator, &client, &role, hosts);
        match self
            .change_roles(operator, RoleChange::Bind(Box::new(binding)))
            .await?
        {
            RoleChanged::NoClient => Err(RoleChangeError::NoClient(client)),
            RoleChanged::NotFound => Err(RoleChangeError::NoRole(role)),
            RoleChanged::TooMany => Err(too_many(BINDINGS_MAX, "bindings")),
            changed => Ok(changed == RoleChanged::Done),
        }
    }

    /// Takes a role from a client. With the selector it was given with; without one that includes the role of its join
    /// token.
    ///
    /// # Errors
    /// [`RoleChangeError`].
    pub async fn unbind_role(
        &self,
        operator: &Authorized<Operator>,
        client: IdentityName,
        role: RoleName,
        hosts: Labels,
    ) -> Result<(), RoleChangeError> {
        let binding = self.binding(operator, &client, &role, hosts);
        match self
            .change_roles(operator, RoleChange::Unbind(binding.key()))
            .await?
        {
            RoleChanged::NotFound => Err(RoleChangeError::NoBinding { client, role }),
            _ => Ok(()),
        }
    }

    fn binding(
        &self,
        operator: &Authorized<Operator>,
        client: &IdentityName,
        role: &RoleName,
        hosts: Labels,
    ) -> Binding {
        Binding {
            client: client.clone(),
            role: role.clone(),
            hosts,
            created_at: self.clock.now(),
            created_by: operator.actor().text(),
        }
    }

    async fn change_roles<L: super::Level>(
        &self,
        caller: &Authorized<L>,
        change: RoleChange,
    ) -> Result<RoleChanged, RoleChangeError> {
        let order = RoleOrder {
            change,
            actor: caller.actor(),
            source: caller.source(),
            now: self.clock.now(),
        };
        Ok(self.store.change_roles(order).await?)
    }

    /// What a host enforces: who may do what there. Nothing for a host that is not known.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn host_roles(&self, host: Id) -> Result<HostRoles, ServiceError> {
        let snapshot = self.role_snapshot().await?;
        let Some(identity) = self.store.identity_by_id(host).await? else {
            return Ok(HostRoles::default());
        };
        Ok(snapshot.of_host(&identity.labels))
    }

    /// Which hosts enforce the roles that count now.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn roles_progress(&self) -> Result<RolesProgress, ServiceError> {
        let snapshot = self.role_snapshot().await?;
        let own: IdentityName = OWN_NAME.parse().expect("a name");
        let mut progress = RolesProgress::default();
        for host in self.store.roles_applied(self.clock.now(), &own).await? {
            if host.roles.is_none() && host.said_at.is_some() {
                progress.without += 1;
                continue;
            }
            progress.hosts += 1;
            if host.roles == Some(snapshot.digest_for(&host.labels)) {
                progress.applied += 1;
            } else if progress.missing.len() < APPLIED_MISSING_MAX as usize {
                progress.missing.push(host);
            }
        }
        Ok(progress)
    }

    /// Whether there is a role of this name.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn is_role(&self, name: &str) -> Result<bool, ServiceError> {
        let is_built_in = built_ins().iter().any(|role| role.name().as_str() == name);
        Ok(is_built_in || self.role_snapshot().await?.roles.contains_key(name))
    }

    async fn role_snapshot(&self) -> Result<Arc<Snapshot>, ServiceError> {
        let mut kept = self.roles.0.lock().await;
        // INVARIANT: counted before it is read: what is committed in between is read again.
        let count = *self.store.roles_watch().borrow();
        if let Some(known) = kept.as_ref().filter(|known| known.count == count) {
            return Ok(Arc::clone(known));
        }
        let roles = self.store.roles().await?.into_iter();
        let bindings = self.store.bindings().await?.into_iter();
        let tokens = self.store.token_roles().await?.into_iter();
        let tokens = tokens.map(|(client, role)| Bound::Token { client, role });
        let mut bound: Vec<Bound> = tokens
            .chain(bindings.map(|b| Bound::Binding(Box::new(b))))
            .collect();
        bound.sort_by(|a, b| (a.client(), a.role()).cmp(&(b.client(), b.role())));
        let snapshot = Arc::new(Snapshot {
            count,
            roles: roles.map(|role| (role.name.to_string(), role)).collect(),
            bound,
            told: std::sync::Mutex::default(),
        });
        *kept = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

impl Snapshot {
    fn digest_for(&self, labels: &Labels) -> RolesDigest {
        let key = selector(labels);
        let mut told = self.told.lock().expect("no panic while the lock is held");
        let digest = told.entry(key);
        *digest.or_insert_with(|| RolesDigest::of(&self.of_host(labels)))
    }

    fn of_host(&self, labels: &Labels) -> HostRoles {
        let mut clients: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for bound in self.bound.iter().filter(|bound| bound.picks(labels)) {
            let roles = clients.entry(bound.client().to_string()).or_default();
            roles.insert(bound.role().to_owned());
        }
        let used: BTreeSet<&String> = clients.values().flatten().collect();
        let roles = used.into_iter().filter_map(|name| {
            let spec = serde_json::to_value(&self.roles.get(name)?.spec);
            Some((
                name.clone(),
                spec.expect("strings, lists and flags are always JSON"),
            ))
        });
        HostRoles {
            roles: roles.collect(),
            clients,
        }
    }
}

fn too_many(max: usize, what: &'static str) -> RoleChangeError {
    RoleChangeError::TooMany { max, what }
}
