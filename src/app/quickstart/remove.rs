//! `quickstart --remove`: undoes what quickstart made, and nothing else.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use super::data::{CONTENTS, Data};
use super::person;
use crate::cli::World;
use crate::cli::client::embedded;
use crate::cli::profile::Profile;

/// Runs it.
pub fn run(world: &World, data: &Data) -> anyhow::Result<ExitCode> {
    let Some(marker) = data.marker(world)? else {
        if world.files.list(data.root())?.is_empty() {
            println!("  nothing to remove: there is no {}", data.shown());
            return Ok(ExitCode::SUCCESS);
        }
        bail!("{} was not made by quickstart: nothing was removed", data.shown());
    };
    let _lock = data.refuse_running()?;
    for context in embedded::remove_contexts(&person::world(data), &person::name())? {
        println!("  removed docker context {context:?}");
    }
    for profile in marker
        .profiles
        .into_iter()
        .filter(|path| points_into(world, path, data))
    {
        world.files.remove(&profile)?;
        println!("  removed {}", profile.display());
    }
    for name in CONTENTS {
        let path = data.root().join(name);
        if path.is_dir() {
            world.files.remove_tree(&path)?
        } else {
            world.files.remove(&path)?
        }
    }
    let left: Vec<String> = world.files.list(data.root())?;
    let mark = data.marker_path();
    let strangers = left.iter().filter(|name| !mark.ends_with(name.as_str())).count();
    world.files.remove(&mark)?;
    if strangers > 0 {
        println!(
            "  removed everything of quickstart's in {}; what else is there stays",
            data.shown()
        );
    } else {
        world.files.remove_tree(data.root())?;
        println!("  removed {}", data.shown());
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a profile still leads to this quickstart: somebody may have put another in its place.
fn points_into(world: &World, profile: &Path, data: &Data) -> bool {
    Profile::read(world, profile).is_ok_and(|profile| profile.cert.starts_with(data.root()))
}
