//! Roles and bindings.

use super::super::events;
use super::super::op::Answer;
use super::super::roles::{RoleChange, RoleChanged, RoleOrder};
use super::State;
use crate::base::Id;
use crate::base::limits::{BINDINGS_MAX, ROLES_MAX};
use crate::model::IdentityKind;
use crate::model::role::{Binding, BindingKey, RoleName, StoredRole, built_in};

impl State {
    pub(super) fn change_roles(&mut self, order: &RoleOrder) -> Answer {
        let changed = match &order.change {
            RoleChange::Put { role, replace } => self.put_role_if(role, *replace),
            RoleChange::Remove(name) => self.remove_role(name),
            RoleChange::Bind(binding) => self.bind(binding),
            RoleChange::Unbind(key) => self.unbind(key),
        };
        if changed == RoleChanged::Done {
            self.record(&events::role_changed(order));
            self.changes.roles.push(order.change.clone());
        }
        Answer::Roles(changed)
    }

    fn put_role_if(&mut self, role: &StoredRole, replace: bool) -> RoleChanged {
        match self.roles.get(&role.name) {
            Some(known) if known.spec == role.spec => return RoleChanged::Unchanged,
            Some(_) if !replace => return RoleChanged::Exists,
            None if self.roles.len() >= ROLES_MAX => return RoleChanged::TooMany,
            _ => {}
        }
        self.put_role(role.clone());
        RoleChanged::Done
    }

    fn remove_role(&mut self, name: &RoleName) -> RoleChanged {
        if !self.roles.contains_key(name) {
            return RoleChanged::NotFound;
        }
        let bound = self.bindings.keys().any(|key| key.role == *name);
        let from_token = self
            .identities
            .values()
            .any(|identity| identity.role.as_deref() == Some(name.as_str()));
        if bound || from_token {
            return RoleChanged::InUse;
        }
        self.roles.remove(name);
        RoleChanged::Done
    }

    fn bind(&mut self, binding: &Binding) -> RoleChanged {
        if self
            .identity_named(IdentityKind::Client, &binding.client)
            .is_none()
        {
            return RoleChanged::NoClient;
        }
        if built_in(&binding.role).is_none() && !self.roles.contains_key(&binding.role) {
            return RoleChanged::NotFound;
        }
        let key = binding.key();
        if self.bindings.contains_key(&key) {
            return RoleChanged::Unchanged;
        }
        if self.bindings.len() >= BINDINGS_MAX {
            return RoleChanged::TooMany;
        }
        self.put_binding(binding.clone());
        RoleChanged::Done
    }

    fn unbind(&mut self, key: &BindingKey) -> RoleChanged {
        let removed = self.bindings.remove(key).is_some();
        let token = key.hosts.is_empty() && self.take_token_role(key).is_some();
        match removed || token {
            true => RoleChanged::Done,
            false => RoleChanged::NotFound,
        }
    }

    fn take_token_role(&mut self, key: &BindingKey) -> Option<Id> {
        let client = self.identity_named(IdentityKind::Client, &key.client)?;
        let id = client.id;
        let identity = self.identities.get_mut(&id)?;
        if identity.role.as_deref() != Some(key.role.as_str()) {
            return None;
        }
        identity.role = None;
        self.changes.identities.touch(id);
        Some(id)
    }

    /// Knows this role.
    pub fn put_role(&mut self, role: StoredRole) {
        self.roles.insert(role.name.clone(), role);
    }

    /// Knows this binding.
    pub fn put_binding(&mut self, binding: Binding) {
        self.bindings.insert(binding.key(), binding);
    }

    /// Roles, by name.
    pub fn roles(&self) -> impl Iterator<Item = &StoredRole> {
        self.roles.values()
    }

    /// Bindings, by client, role and selector.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values()
    }

    /// Whether what was changed changes who may do what somewhere.
    pub fn changes_roles(&self) -> bool {
        let identities = &self.changes.identities;
        let has_role = |id| self.identity(id).is_some_and(|identity| identity.role.is_some());
        !self.changes.roles.is_empty()
            || identities.changed_rows().next().is_some()
            || identities.new_rows().any(has_role)
    }
}
