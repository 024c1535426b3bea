//! Roles and bindings in memory.

use async_trait::async_trait;
use tokio::sync::watch;

use super::super::StoreError;
use super::super::op::{Answer, Op};
use super::super::roles::{RoleChanged, RoleOrder, RoleStore};
use super::MemoryStore;
use crate::model::IdentityKind;
use crate::model::role::{Binding, StoredRole};
use crate::pki::IdentityName;

#[async_trait]
impl RoleStore for MemoryStore {
    async fn change_roles(&self, order: RoleOrder) -> Result<RoleChanged, StoreError> {
        self.run(&Op::Roles(Box::new(order))).map(Answer::roles)
    }

    async fn roles(&self) -> Result<Vec<StoredRole>, StoreError> {
        Ok(self.lock().state.roles().cloned().collect())
    }

    async fn bindings(&self) -> Result<Vec<Binding>, StoreError> {
        Ok(self.lock().state.bindings().cloned().collect())
    }

    async fn token_roles(&self) -> Result<Vec<(IdentityName, String)>, StoreError> {
        let inner = self.lock();
        let clients = inner
            .state
            .identities()
            .filter(|identity| identity.kind == IdentityKind::Client);
        let with_role = clients.filter_map(|client| Some((client.name.clone(), client.role.clone()?)));
        Ok(with_role.collect())
    }

    fn roles_watch(&self) -> watch::Receiver<u64> {
        self.roles.subscribe()
    }
}
