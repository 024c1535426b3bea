//! Who may do what on this host: put in force as it is told, and kept for when the server is away.

use std::collections::BTreeSet;

use super::disk::Kept;
use super::{Cut, FeedState};
use crate::model::role::HostRoles;
use crate::sys::FileError;

/// Goes on with what was kept.
///
/// # Errors
/// The disk.
pub(super) fn begin(state: &FeedState, kept: &Kept) -> Result<(), FileError> {
    if state.roles().is_enforced()
        && let Some(roles) = kept.roles()?
    {
        put_in_force(state, &roles);
    }
    Ok(())
}

/// What came counts, what it took away is cut, and it is kept, in this order. When the disk does not take it, it counts
/// all the same, and the server says it again after a restart.
pub(super) fn take(state: &FeedState, cut: &dyn Cut, kept: &Kept, roles: &HostRoles) {
    if !state.roles().is_enforced() {
        return;
    }
    let lost = put_in_force(state, roles);
    let cut = cut.cut_clients(&lost);
    tracing::info!(
        clients = roles.clients.len(),
        lost = lost.len(),
        cut,
        "the server has said who may do what here"
    );
    if let Err(error) = kept.keep_roles(roles) {
        tracing::warn!("the roles were not kept: {error}");
    }
}

/// Puts roles in force; who lost one.
fn put_in_force(state: &FeedState, roles: &HostRoles) -> BTreeSet<String> {
    let published = state.roles().publish(roles);
    for (role, why) in published.unread {
        tracing::error!(
            role,
            "a role cannot be read and allows nothing: {why}; is this agent older than the server?"
        );
    }
    published.lost
}
