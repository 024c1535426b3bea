//! Roles and bindings in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::watch;

use super::super::StoreError;
use super::super::op::{Answer, Op};
use super::super::roles::{RoleChange, RoleChanged, RoleOrder, RoleStore, RolesApplied};
use super::super::state::State;
use super::SqliteStore;
use super::failure::Failure;
use super::rows::{self, Columns, json};
use super::sql;
use crate::base::Timestamp;
use crate::model::role::{Binding, StoredRole, parse_selector};
use crate::pki::IdentityName;

#[async_trait]
impl RoleStore for SqliteStore {
    async fn change_roles(&self, order: RoleOrder) -> Result<RoleChanged, StoreError> {
        self.run(Op::Roles(Box::new(order))).await.map(Answer::roles)
    }

    async fn roles(&self) -> Result<Vec<StoredRole>, StoreError> {
        let rows = self.reader().all(sqlx::query(sql::ROLES)).await?;
        rows.iter().map(role).collect()
    }

    async fn bindings(&self) -> Result<Vec<Binding>, StoreError> {
        let rows = self.reader().all(sqlx::query(sql::BINDINGS)).await?;
        rows.iter().map(binding).collect()
    }

    async fn bindings_of(&self, clients: Vec<IdentityName>) -> Result<Vec<Binding>, StoreError> {
        let names: BTreeSet<IdentityName> = clients.into_iter().collect();
        let query = sqlx::query(sql::BINDINGS_OF).bind(json(&names));
        self.reader().all(query).await?.iter().map(binding).collect()
    }

    async fn token_roles(&self) -> Result<Vec<(IdentityName, String)>, StoreError> {
        let rows = self.reader().all(sqlx::query(sql::TOKEN_ROLES)).await?;
        let read = |row| {
            let mut columns = Columns::new(row, 0, "role of a client");
            Ok((columns.text()?, columns.raw()?))
        };
        rows.iter().map(read).collect()
    }

    async fn roles_applied(
        &self,
        now: Timestamp,
        except: &IdentityName,
    ) -> Result<Vec<RolesApplied>, StoreError> {
        // The first parameter is that of its sisters.
        let query = sqlx::query(sql::ROLES_APPLIED)
            .bind(0)
            .bind(except.as_str().to_owned())
            .bind(now.as_millis());
        self.reader().all(query).await?.iter().map(applied).collect()
    }

    fn roles_watch(&self) -> watch::Receiver<u64> {
        self.writer.roles()
    }
}

fn role(row: &sqlx::sqlite::SqliteRow) -> Result<StoredRole, StoreError> {
    let mut columns = Columns::new(row, 0, "role");
    Ok(StoredRole {
        name: columns.text()?,
        spec: columns.json()?,
        changed_at: columns.time()?,
        changed_by: columns.raw()?,
    })
}

fn binding(row: &sqlx::sqlite::SqliteRow) -> Result<Binding, StoreError> {
    let mut columns = Columns::new(row, 0, "binding");
    let (client, role) = (columns.text()?, columns.text()?);
    let hosts: String = columns.raw()?;
    Ok(Binding {
        client,
        role,
        hosts: parse_selector(&hosts).map_err(|error| StoreError::Corrupt {
            what: "binding",
            why: error.to_string(),
        })?,
        created_at: columns.time()?,
        created_by: columns.raw()?,
    })
}

fn applied(row: &sqlx::sqlite::SqliteRow) -> Result<RolesApplied, StoreError> {
    let mut columns = Columns::new(row, 0, "roles of a host");
    let (name, labels) = (columns.text()?, columns.json()?);
    let (said_at, reported) = (columns.optional_time()?, columns.optional_time()?);
    Ok(RolesApplied {
        name,
        labels,
        last_seen: said_at.max(reported),
        denies_after: columns.optional_count()?,
        said_at,
        roles: columns.optional_text()?,
    })
}

/// Loads all roles and bindings, and for a role that is to be removed somebody who has it.
pub async fn load(
    connection: &mut SqliteConnection,
    removed: &BTreeSet<String>,
    state: &mut State,
) -> Result<(), Failure> {
    for row in sqlx::query(sql::ROLES).fetch_all(&mut *connection).await? {
        state.put_role(role(&row)?);
    }
    for row in sqlx::query(sql::BINDINGS).fetch_all(&mut *connection).await? {
        state.put_binding(binding(&row)?);
    }
    for name in removed {
        let holder = sqlx::query(sql::ROLE_HOLDER).bind(name.clone());
        if let Some(row) = holder.fetch_optional(&mut *connection).await? {
            let (number, identity) = rows::numbered_identity(&row)?;
            if state.identity(identity.id).is_none() {
                state.put_identity(number, identity);
            }
        }
    }
    Ok(())
}

/// Writes down what changed, in order.
pub async fn save(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    for change in &state.changes.roles {
        let query = match change {
            RoleChange::Put { role, .. } => sqlx::query(sql::PUT_ROLE)
                .bind(role.name.as_str().to_owned())
                .bind(json(&role.spec))
                .bind(role.changed_at.as_millis())
                .bind(role.changed_by.clone()),
            RoleChange::Remove(name) => sqlx::query(sql::REMOVE_ROLE).bind(name.as_str().to_owned()),
            RoleChange::Bind(binding) => {
                let key = binding.key();
                sqlx::query(sql::BIND)
                    .bind(key.client.as_str().to_owned())
                    .bind(key.role.as_str().to_owned())
                    .bind(key.hosts)
                    .bind(binding.created_at.as_millis())
                    .bind(binding.created_by.clone())
            }
            RoleChange::Unbind(key) => sqlx::query(sql::UNBIND)
                .bind(key.client.as_str().to_owned())
                .bind(key.role.as_str().to_owned())
                .bind(key.hosts.clone()),
        };
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
