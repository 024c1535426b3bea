//! Which hosts enforce what was just changed.

use std::time::Duration;

use super::super::waiting::{Count, Wait, and_more, applied_on};
use super::super::{Error, World, text};
use crate::base::Timestamp;
use crate::client::Client;
use crate::wire::{HostBehind, RolesApplied, RolesAppliedQuery, RolesRestored};

/// Waits for the hosts, and says which have not heard of it.
pub async fn report(client: &Client, wait: Wait, world: &mut World) -> Result<(), Error> {
    let ask = async |seconds| {
        let wait = Some(seconds);
        client.roles_applied(&RolesAppliedQuery { wait }).await.ok()
    };
    match wait.until_applied(world, "enforce it", ask, count).await {
        Some((applied, took)) => outcome(&applied, took, world.clock.now())
            .into_iter()
            .try_for_each(|line| world.say(line)),
        None => {
            world.note("  the server does not say which hosts have applied it");
            Ok(())
        }
    }
}

fn count(applied: &RolesApplied) -> Count {
    Count {
        applied: applied.applied,
        hosts: applied.hosts,
    }
}

fn outcome(applied: &RolesApplied, took: Duration, now: Timestamp) -> Vec<String> {
    let mut lines = vec![applied_on(count(applied), took)];
    lines.extend(applied.missing.iter().map(|host| behind(host, now)));
    lines.extend(and_more(count(applied), applied.missing.len()));
    match applied.without {
        0 => {}
        1 => lines
            .push("  1 host looks at no roles (its mode, roles = \"ignore\", or an older agent)".to_owned()),
        n => lines.push(format!(
            "  {n} hosts look at no roles (their mode, roles = \"ignore\", or older agents)"
        )),
    }
    lines
}

fn behind(host: &HostBehind, now: Timestamp) -> String {
    let name = &host.name;
    let Some(seen) = host.last_seen else {
        return format!("  {name} was never heard of");
    };
    let then = match host.denies_from {
        Some(from) if from <= now => "refuses every remote client until it is back".to_owned(),
        Some(from) => format!("goes by what it knew, and refuses every remote client from {from} on"),
        None => "goes by what it knew until it is back".to_owned(),
    };
    format!("  {name} last heard of {}: {then}", text::relative(seen, now))
}

/// What to know about roles of a server that was restored.
pub fn restored(restored: &RolesRestored, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(at) = restored.at {
        lines.push(format!(
            "this server went on from a backup {}: roles and bindings are as they stood in it",
            text::relative(at, now)
        ));
    }
    if !restored.differed.is_empty() {
        lines.push(format!(
            "enforced other roles until they heard of the restored server: {}; look through role ls and role inspect",
            restored.differed.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_enforces_something_else_is_named_with_what_becomes_of_clients() {
        let now = Timestamp::from_secs(1_000_000);
        let host = |name: &str, seen: Option<i64>, from: Option<i64>| HostBehind {
            name: name.to_owned(),
            last_seen: seen.map(Timestamp::from_secs),
            denies_from: from.map(Timestamp::from_secs),
        };
        let applied = RolesApplied {
            hosts: 45,
            applied: 40,
            without: 2,
            missing: vec![
                host("web-17", Some(1_000_000 - 3 * 3600), Some(1_000_000 + 3600)),
                host("web-18", Some(1_000_000 - 3 * 3600), Some(1_000_000 - 3600)),
                host("web-19", Some(999_990), None),
                host("web-20", None, None),
            ],
        };
        let lines = outcome(&applied, Duration::from_millis(213), now);
        let expected = [
            "  applied on 40 of 45 hosts (0.21 s)",
            "  web-17 last heard of 3 h ago: goes by what it knew, and refuses every remote client from 1970-01-12T14:46:40Z on",
            "  web-18 last heard of 3 h ago: refuses every remote client until it is back",
            "  web-19 last heard of 10 s ago: goes by what it knew until it is back",
            "  web-20 was never heard of",
            "  and 1 more",
            "  2 hosts look at no roles (their mode, roles = \"ignore\", or older agents)",
        ];
        assert_eq!(lines, expected);
    }
}
