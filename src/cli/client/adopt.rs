//! Taking over a plain directory of `{ca,cert,key}.pem` with a `profile.toml`, such as the one that
//! `server init` makes for the first administrator: the files become links into versions, so that renewing
//! replaces them together.

use std::path::Path;

use super::super::profile::{PROFILE_FILE, Profile};
use super::super::{Error, World};
use super::home::{DOCKER, FILES, Home, State, link_target};
use crate::base::limits::PEM_BYTES_MAX;
use crate::pki::Certificate;
use crate::pki::chain::{self, Purpose};
use crate::pki::pem;
use crate::sys::versions::VersionFile;
use crate::sys::{Access, FileError};

/// Takes the directory over when it holds plain files; nothing happens when it is ours already. Can be
/// repeated after an interruption: each file is replaced by a link to a copy of itself.
pub fn if_plain(world: &World, directory: &Path) -> Result<(), Error> {
    let home = Home::inside(world, directory)?;
    if home.state_if_any(world)?.is_none() {
        describe(world, directory, &home)?;
    }
    let directory = world.absolute(directory)?;
    for name in FILES {
        let (file, target) = (directory.join(name), link_target(name));
        if world.files.disk().read_link(&file).is_ok() {
            continue;
        }
        let temporary = directory.join(format!(".{name}.link.dw-tmp"));
        world.files.remove(&temporary)?;
        let linked = world
            .files
            .disk()
            .symlink(&target, &temporary)
            .and_then(|()| world.files.disk().rename(&temporary, &file));
        linked.map_err(|e| FileError::new("link", &file, e))?;
    }
    Ok(world.files.sync_directory(&directory)?)
}

/// Copies the files into a first version and writes down what they are.
fn describe(world: &World, directory: &Path, home: &Home) -> Result<(), Error> {
    let profile = Profile::read(world, &directory.join(PROFILE_FILE)).map_err(|e| {
        Error::Found(format!(
            "{} is not a directory of dockwarden's: {e}\n  It needs ca.pem, cert.pem, key.pem, and a profile.toml that says which server made them.",
            directory.display()
        ))
    })?;
    let unusable = |e: &dyn std::fmt::Display| Error::Found(format!("{}: {e}", profile.cert.display()));
    let cert = world.files.read(&profile.cert, PEM_BYTES_MAX)?;
    let chain = pem::certificates(&cert).map_err(|e| unusable(&e))?;
    let leaf = Certificate::parse(&chain[0]).map_err(|e| unusable(&e))?;
    let key_algorithm = leaf
        .key_algorithm()
        .ok_or_else(|| unusable(&"a kind of key that is not issued here"))?;
    profile.identity(world)?;
    let peer = chain::verify(
        &chain,
        &profile.anchors(world)?,
        Purpose::Client,
        world.clock.now(),
    );
    let peer = peer.map_err(|e| unusable(&e))?;
    world.files.private_directory(home.directory())?;
    let contents = [
        world.files.read(&profile.ca, PEM_BYTES_MAX)?,
        cert,
        world.files.read(&profile.key, PEM_BYTES_MAX)?,
    ];
    let names = FILES.map(|file| format!("{DOCKER}/{file}"));
    let access = [Access::Public, Access::Public, Access::Private];
    let files: Vec<VersionFile<'_>> = names
        .iter()
        .zip(&contents)
        .zip(access)
        .map(|((name, contents), access)| VersionFile {
            name,
            contents,
            access,
        })
        .collect();
    let versions = home.versions(world);
    let version = versions.write(&files)?;
    versions.activate(version)?;
    home.save_profile(world, &profile.server)?;
    let lifetime = peer.not_after().since(peer.not_before());
    home.save(
        world,
        &State {
            name: peer.name().clone(),
            server: profile.server,
            token: None,
            serial: peer.serial().clone(),
            not_before: peer.not_before(),
            not_after: peer.not_after(),
            renew_at: peer.not_before() + lifetime.mul_f64(2.0 / 3.0),
            key_algorithm,
            contexts: None,
            hosts: Vec::new(),
        },
    )
}
