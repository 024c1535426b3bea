//! Giving a file back, for `agent uninstall`: byte for byte as it was where nobody else touched it, else with only
//! ours taken out.

use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use similar::{DiffTag, TextDiff};

use super::FileChange;
use super::daemon_json::{self, DaemonJson};
use super::flags::Endpoint;
use crate::agent::daemon::plug::NAME;

/// What becomes of a file that we wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nothing is to do: nothing of ours is in it.
    Nothing,
    /// It was ours alone: these bytes again; `None`: it is removed.
    Original(Option<Vec<u8>>),
    /// Somebody else changed it since. These bytes are theirs without ours; what could not be taken out is said.
    Merged {
        /// The bytes.
        bytes: Vec<u8>,
        /// What is left of ours and why, for people.
        left: Vec<String>,
    },
}

/// Decides what becomes of a file, from its bytes before our first change (`None`: it did not exist), those that we
/// wrote last, and those that are there now.
///
/// A key of ours that somebody else has given another value since is theirs, and stays. A TCP host that somebody
/// added since does not, where TLS goes: it would be open to everyone.
pub fn release(original: Option<&[u8]>, written_by_us: &[u8], current: Option<&[u8]>) -> Release {
    let Some(current) = current else {
        return Release::Nothing;
    };
    if original == Some(current) {
        return Release::Nothing;
    }
    let is_json = |bytes| DaemonJson::parse(Path::new("daemon.json"), Some(bytes)).is_ok();
    if original.is_none() && !is_json(written_by_us) {
        // A file that is ours as a whole. What somebody wrote into it was said to be overwritten.
        return Release::Original(None);
    }
    let merged = release_json(original, written_by_us, current)
        .unwrap_or_else(|| release_lines(original.unwrap_or_default(), written_by_us, current));
    match merged {
        // What is left says the same as the original: nobody else was here.
        Some((bytes, left)) if left.is_empty() && same(&bytes, original) => {
            Release::Original(original.map(<[u8]>::to_vec))
        }
        Some((bytes, left)) => Release::Merged { bytes, left },
        None if written_by_us == current => Release::Original(original.map(<[u8]>::to_vec)),
        None => Release::Merged {
            bytes: current.to_vec(),
            left: vec!["it is not the text that was written here: look through it by hand".to_owned()],
        },
    }
}

/// As a change of the file at `path`; `None` when nothing is to do.
pub fn as_change(path: &Path, current: Option<&[u8]>, release: &Release) -> Option<FileChange> {
    let after = match release {
        Release::Nothing => return None,
        Release::Original(bytes) => bytes.clone(),
        Release::Merged { bytes, .. } => Some(bytes.clone()),
    };
    let is_unit = path.extension().is_some_and(|extension| extension == "conf")
        && path
            .parent()
            .is_some_and(|parent| parent.extension().is_some_and(|end| end == "d"));
    (after.as_deref() != current).then(|| FileChange {
        path: path.to_owned(),
        before: current.map(<[u8]>::to_vec),
        after,
        reload_units: is_unit,
    })
}

type Merged = Option<(Vec<u8>, Vec<String>)>;

/// For JSON: each key of ours that still has the value we gave it gets the one it had, or goes. The outer `None`: it is
/// no JSON.
fn release_json(original: Option<&[u8]>, written: &[u8], current: &[u8]) -> Option<Merged> {
    let parse = |bytes: &[u8]| DaemonJson::parse(Path::new("daemon.json"), Some(bytes)).ok();
    let (before, written) = (parse(original.unwrap_or_default())?, parse(written)?);
    let Some(mut json) = parse(current) else {
        // It was JSON when we wrote it: whoever broke it has to mend it.
        return Some(None);
    };
    let mut left = Vec::new();
    let ours = daemon_json::our_keys().filter(|key| *key != daemon_json::HOSTS);
    for key in ours.filter(|key| before.raw(key) != written.raw(key)) {
        if json.raw(key) == written.raw(key) {
            restore(&before, key, &mut json);
        }
    }
    let key = daemon_json::HOSTS;
    if before.raw(key) != written.raw(key) && json.raw(key) == written.raw(key) {
        restore(&before, key, &mut json);
    } else if json.raw(key) != before.raw(key) {
        left = release_hosts(&before, &written, &mut json);
    }
    release_plugin(&before, &mut json);
    Some(json.bytes().ok().flatten().map(|bytes| (bytes, left)))
}

fn restore(before: &DaemonJson, key: &str, json: &mut DaemonJson) {
    match before.raw(key) {
        Some(value) => json.set(key, value.clone()),
        None => json.remove(key),
    }
}

/// Of the plugins only ours goes, unless it was there before us.
fn release_plugin(before: &DaemonJson, json: &mut DaemonJson) {
    let key = daemon_json::AUTHORIZATION;
    if before.list(key).iter().any(|name| name == NAME) || !json.take_out(key, NAME) {
        return;
    }
    if json.list(key).is_empty() && !before.has(key) {
        json.remove(key);
    }
}

/// Somebody else changed the list: only those that we added go, and those that we took come back. Says what else goes.
fn release_hosts(before: &DaemonJson, written: &DaemonJson, json: &mut DaemonJson) -> Vec<String> {
    let key = daemon_json::HOSTS;
    let (before, written, now) = (before.list(key), written.list(key), json.list(key));
    let open = json.get(daemon_json::TLS_VERIFY) != Some(&Value::Bool(true));
    let mut left = Vec::new();
    let mut hosts = Vec::new();
    for host in now
        .iter()
        .filter(|host| before.contains(host) || !written.contains(host))
    {
        if open && !before.contains(host) && matches!(Endpoint::parse(host), Endpoint::Tcp { .. }) {
            left.push(format!(
                "the host {host} was added since, and is taken out: without TLS it is open to everyone"
            ));
        } else {
            hosts.push(host.clone());
        }
    }
    hosts.extend(
        before
            .into_iter()
            .filter(|host| !written.contains(host) && !now.contains(host)),
    );
    if json.has(key) {
        json.set(key, Value::from(hosts));
    }
    left
}

/// For text: a merge of three. Each run of lines that we changed is changed back where it stands now, unless somebody
/// else changed it too. `None`: it is no text.
fn release_lines(original: &[u8], written: &[u8], current: &[u8]) -> Merged {
    let [original, written, current] = [lines(original)?, lines(written)?, lines(current)?];
    // By our own lines: a lone carriage return ends one for the differ, and none for a shell.
    let theirs = TextDiff::from_slices(&written, &current);
    let ours = TextDiff::from_slices(&written, &original);
    let mut now = current.clone();
    let mut left = Vec::new();
    for op in ours.ops().iter().rev().filter(|op| op.tag() != DiffTag::Equal) {
        let back = &original[op.new_range()];
        match stands_at(&theirs, op.old_range()) {
            Some(place) => {
                now.splice(place, back.iter().copied());
            }
            None => left.push(format!(
                "not put back, because what we wrote is not there any more: {}",
                back.concat().trim()
            )),
        }
    }
    left.reverse();
    Some((now.concat().into_bytes(), left))
}

fn lines(bytes: &[u8]) -> Option<Vec<&str>> {
    Some(str::from_utf8(bytes).ok()?.split_inclusive('\n').collect())
}

/// Where lines that we wrote stand now, when nobody changed them.
fn stands_at(theirs: &TextDiff<'_, '_, str>, ours: Range<usize>) -> Option<Range<usize>> {
    theirs.ops().iter().find_map(|op| {
        let (before, now) = (op.old_range(), op.new_range());
        let inside = op.tag() == DiffTag::Equal && before.start <= ours.start && ours.end <= before.end;
        inside.then(|| ours.start - before.start + now.start..ours.end - before.start + now.start)
    })
}

/// Whether the two say the same: equal bytes, or JSON with equal values.
fn same(bytes: &[u8], original: Option<&[u8]>) -> bool {
    let value = |bytes: &[u8]| {
        let json = DaemonJson::parse(Path::new("daemon.json"), Some(bytes)).ok()?;
        Some(json.into_values())
    };
    match original {
        Some(original) => {
            bytes == original || value(bytes).is_some_and(|values| value(original) == Some(values))
        }
        None => value(bytes).is_some_and(|values| values.is_empty()),
    }
}

#[cfg(test)]
mod tests;
