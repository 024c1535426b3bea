//! Roles and bindings in memory.

use async_trait::async_trait;
use tokio::sync::watch;

use super::super::StoreError;
use super::super::op::{Answer, Op};
use super::super::roles::{RoleChanged, RoleOrder, RoleStore, RolesApplied};
use super::MemoryStore;
use crate::base::Timestamp;
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

    async fn bindings_of(&self, clients: Vec<IdentityName>) -> Result<Vec<Binding>, StoreError> {
        let inner = self.lock();
        let bound = inner.state.bindings();
        let of_these = bound.filter(|binding| clients.contains(&binding.client));
        Ok(of_these.cloned().collect())
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

    async fn roles_applied(
        &self,
        now: Timestamp,
        except: &IdentityName,
    ) -> Result<Vec<RolesApplied>, StoreError> {
        let inner = self.lock();
        let hosts = inner.state.identities().filter(|identity| {
            identity.kind == IdentityKind::Host
                && identity.name != *except
                && inner.state.live(identity.id, now).next().is_some()
        });
        let mut all: Vec<RolesApplied> = hosts
            .map(|host| {
                let said = inner.state.acknowledgement(host.id);
                let said_at = said.map(|said| said.at);
                let reported = inner.state.report(host.id).map(|report| report.reported_at);
                RolesApplied {
                    name: host.name.clone(),
                    labels: host.labels.clone(),
                    last_seen: said_at.max(reported),
                    denies_after: said.and_then(|said| said.applied.denies_after),
                    said_at,
                    roles: said.and_then(|said| said.applied.roles),
                }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn roles_watch(&self) -> watch::Receiver<u64> {
        self.roles.subscribe()
    }
}
