//! What changed of the feed.

use sqlx::SqliteConnection;

use super::super::super::state::State;
use super::super::failure::Failure;
use super::super::sql;
use super::statements::{Values, insert, one, update};
use crate::model::role::RolesDigest;
use crate::model::{Change, ChangeKind};

/// Writes every change of the feed.
pub async fn save(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    let changes = &state.changes;
    insert(connection, sql::INSERT_FEED, 11, &changes.feed, change_row).await?;
    let applied: Vec<_> = changes
        .applied
        .iter()
        .filter_map(|id| applied_row(state, *id))
        .collect();
    update(connection, sql::PUT_APPLIED, &applied, "a host is gone").await?;
    for issuer in &changes.crls {
        if let Some(slot) = state.crl(*issuer) {
            let mut values = Values::default();
            values
                .add(issuer.as_str())?
                .add(slot.number as i64)?
                .add(slot.feed as i64)?;
            one(
                connection,
                sql::PUT_CRL,
                values,
                "a greater CRL number was given out meanwhile",
            )
            .await?;
        }
    }
    if let Some(origin) = state.origin().filter(|_| changes.origin) {
        let mut values = Values::default();
        values
            .add(origin.feed.as_bytes().as_slice())?
            .add(origin.key.as_bytes().as_slice())?;
        one(connection, sql::PUT_ORIGIN, values, "the feed has a name already").await?;
    }
    for (number, at, settler) in &changes.settled {
        let mut values = Values::default();
        values.add(*number as i64)?.add(at.as_millis())?.add(settler)?;
        one(connection, sql::SETTLE, values, "it was settled meanwhile").await?;
    }
    Ok(())
}

fn change_row(change: &Change, row: &mut Values) -> Result<(), Failure> {
    row.add(change.number as i64)?.add(change.previous as i64)?;
    row.add(change.at.as_millis())?;
    let ChangeKind::Revoked(revocation) = &change.kind else {
        row.add("restored")?;
        return (0..7).try_for_each(|_| row.add(None::<i64>).map(drop));
    };
    row.add("revoked")?.add(revocation.serial.as_bytes())?;
    row.add(revocation.issuer.as_str())?
        .add(revocation.name.as_str())?;
    row.add(revocation.not_after.as_millis())?
        .add(i64::from(revocation.reason.code()))?;
    row.add(revocation.identity.as_ref().map(|id| id.as_bytes().as_slice()))?;
    row.add(&revocation.by).map(drop)
}

/// Host, number, connections cut, patience, time, whether it refuses, what it was told of roles.
type AppliedRow = (i64, u64, u64, Option<u64>, i64, bool, Option<RolesDigest>);

fn applied_row(state: &State, id: crate::base::Id) -> Option<AppliedRow> {
    let said = state.acknowledgement(id)?;
    let applied = &said.applied;
    let number = state.number_of(id)?;
    Some((
        number,
        applied.number,
        applied.cut,
        applied.denies_after,
        said.at.as_millis(),
        applied.refuses,
        applied.roles,
    ))
}
