//! The files that are not ours, as they were before we changed them for the first time: what `agent uninstall` puts
//! back. And the one function that changes such a file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::change::{Bytes, Change};
use crate::agent::World;
use crate::agent::execute::StepError;
use crate::base::limits;
use crate::sys::{FileError, Ownership};

/// A file as it was before our first change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Original {
    /// Which file.
    pub path: PathBuf,
    /// What was in it; `None`: it did not exist.
    pub contents: Option<Bytes>,
    /// Its mode and owner.
    pub ownership: Option<Ownership>,
    /// What we wrote last; `None`: we removed it.
    pub ours: Option<Bytes>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Originals {
    /// The files, in the order of their first changes.
    pub files: Vec<Original>,
    /// Directories that we made, outermost first.
    pub directories: Vec<PathBuf>,
}

impl Originals {
    /// Of this file.
    pub fn of(&self, path: &Path) -> Option<&Original> {
        self.files.iter().find(|original| original.path == path)
    }

    fn note(&mut self, change: &Change, ownership: Option<Ownership>) {
        match self
            .files
            .iter_mut()
            .find(|original| original.path == change.path)
        {
            Some(known) => {
                known.ours.clone_from(&change.after);
            }
            None => self.files.push(Original {
                path: change.path.clone(),
                contents: change.before.clone(),
                ownership,
                ours: change.after.clone(),
            }),
        }
    }
}

/// Notes what is written into a file on the way to giving it back.
pub(super) fn note_passing(world: &World, change: &Change) -> Result<(), FileError> {
    let records = world.records();
    let mut originals = records.originals()?;
    originals.note(change, None);
    records.keep_originals(&originals)
}

/// Reads a file that may be absent.
pub(super) fn read(world: &World, path: &Path) -> Result<Option<Bytes>, FileError> {
    let contents = world.files.read_if_any(path, limits::PEM_BYTES_MAX)?;
    Ok(contents.map(Bytes))
}

/// Makes a change: keeps the original first, replaces the file in one step, has systemd read it where that is said.
/// Can be repeated. A file that is neither as planned nor changed already was changed by somebody else meanwhile, and
/// is left alone.
pub(super) async fn apply(world: &World, change: &Change) -> Result<(), StepError> {
    let found = read(world, &change.path)?;
    if found != change.after {
        if found != change.before {
            return Err(StepError::ChangedMeanwhile(change.path.clone()));
        }
        keep(world, change)?;
        write(world, change)?;
    }
    if change.reload_units {
        let daemon = world.dockerd()?;
        daemon.reload_units().await.map_err(StepError::Dockerd)?;
    }
    Ok(())
}

/// Notes what the file was, and which directories are about to be made for it.
fn keep(world: &World, change: &Change) -> Result<(), StepError> {
    let records = world.records();
    let before = records.originals()?;
    let mut originals = before.clone();
    originals.note(change, world.files.ownership(&change.path)?);
    let missing = change.path.ancestors().skip(1).take_while(|directory| {
        world
            .files
            .ownership(directory)
            .is_ok_and(|found| found.is_none())
    });
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing.retain(|directory| !originals.directories.contains(directory));
    originals.directories.extend(missing);
    if originals != before {
        records.keep_originals(&originals)?;
    }
    Ok(())
}

/// Writes a change, whatever is there now; the file keeps its owner and mode.
pub(super) fn write(world: &World, change: &Change) -> Result<(), FileError> {
    let files = &world.files;
    let Some(directory) = change.path.parent() else {
        return files.remove(&change.path);
    };
    match &change.after {
        None => files.remove(&change.path),
        Some(Bytes(contents)) => {
            files.public_directory(directory)?;
            files.clean_temporaries(directory)?;
            let known = world.records().originals().ok();
            let known = known.and_then(|all| all.of(&change.path)?.ownership);
            let ownership = files.ownership(&change.path)?.or(known);
            files.replace(&change.path, contents, ownership.unwrap_or(Ownership::PUBLIC))
        }
    }
}

/// Removes the directories that we made, where nothing is in them any more.
pub(super) fn remove_directories(world: &World) -> Result<(), FileError> {
    for directory in world.records().originals()?.directories.iter().rev() {
        world.files.clean_temporaries(directory)?;
        world.files.remove_if_empty(directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: Option<&str>, after: Option<&str>) -> Change {
        let bytes = |text: &str| Bytes(text.as_bytes().to_vec());
        Change {
            path: "/etc/docker/daemon.json".into(),
            before: before.map(bytes),
            after: after.map(bytes),
            reload_units: false,
        }
    }

    #[test]
    fn the_first_change_keeps_the_original_and_later_ones_leave_it() {
        let mut originals = Originals::default();
        originals.note(&change(Some("a"), Some("b")), Some(Ownership::PUBLIC));
        originals.note(&change(Some("b"), Some("c")), None);
        let kept = originals.of(Path::new("/etc/docker/daemon.json")).unwrap();
        assert_eq!(kept.contents, Some(Bytes(b"a".to_vec())));
        assert_eq!(kept.ours, Some(Bytes(b"c".to_vec())));
    }
}
