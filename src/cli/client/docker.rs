//! The docker CLI's context store, read and written as files: `contexts/meta/<id>/meta.json` and
//! `contexts/tls/<id>/docker/*.pem`, where the id is the SHA-256 of the context's name.
//!
//! `tls/<id>` is a link to the client's `current` version: the CLI follows it, but would overlook a link in
//! place of `docker` below it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::{Error, World};
use crate::base::encoding;
use crate::sys::FileError;

/// The largest `meta.json` that is read, bytes.
const META_BYTES_MAX: usize = 1024 * 1024;

/// The key under `Metadata` that marks a context as ours. The docker CLI keeps what it does not know.
const MARK: &str = "dockwarden";

/// A context's name: the docker CLI's own rule.
pub fn is_context_name(name: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'+' | b'-');
    name.len() >= 2
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(rest)
        && name != "default"
}

/// Who made a context, and for which host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The client.
    pub client: String,
    /// The server it is enrolled at.
    pub server: String,
    /// The host behind the context.
    pub host: String,
}

/// A context that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Its name.
    pub name: String,
    /// Ours when it has one.
    pub mark: Option<Mark>,
}

/// A context as it shall be.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Its name.
    pub name: &'a str,
    /// `tcp://host:port`.
    pub endpoint: &'a str,
    /// Whose it is.
    pub mark: &'a Mark,
    /// The directory with `docker/{ca,cert,key}.pem`.
    pub tls: &'a Path,
}

/// The context store below a docker configuration directory.
#[derive(Clone, Debug)]
pub struct ContextStore {
    contexts: PathBuf,
}

impl ContextStore {
    /// Below `~/.docker`, or whatever `DOCKER_CONFIG` says.
    pub fn new(docker_directory: &Path) -> Self {
        Self {
            contexts: docker_directory.join("contexts"),
        }
    }

    fn meta(&self, name: &str) -> PathBuf {
        self.contexts.join("meta").join(id(name))
    }

    fn tls(&self, name: &str) -> PathBuf {
        self.contexts.join("tls").join(id(name))
    }

    /// Every context that can be read. One that cannot is somebody else's, whatever it was.
    pub fn list(&self, world: &World) -> Result<Vec<Existing>, Error> {
        let directory = self.contexts.join("meta");
        let ids = world.files.list(&directory)?;
        Ok(ids
            .iter()
            .filter_map(|id| existing(world, &directory.join(id)))
            .collect())
    }

    /// Whether a context of this name, or what is left of one, is there.
    pub fn holds(&self, world: &World, name: &str) -> bool {
        world.files.exists(&self.meta(name).join("meta.json"))
    }

    /// Writes a context; says whether anything changed. The certificate first: a context without one would
    /// be tried in plain text.
    pub fn write(&self, world: &World, context: Context<'_>) -> Result<bool, Error> {
        let tls = self.tls(context.name);
        let linked = world
            .files
            .disk()
            .read_link(&tls)
            .is_ok_and(|target| target == context.tls);
        if !linked {
            self.link(world, context.tls, &tls)?;
        }
        let path = self.meta(context.name).join("meta.json");
        let meta = meta_json(context);
        let same = world
            .files
            .read_if_any(&path, META_BYTES_MAX)?
            .is_some_and(|found| found == meta);
        if !same {
            world.files.public_directory(&self.meta(context.name))?;
            world.files.write_public(&path, &meta)?;
        }
        Ok(!(linked && same))
    }

    fn link(&self, world: &World, target: &Path, tls: &Path) -> Result<(), Error> {
        let parent = self.contexts.join("tls");
        world.files.private_directory(&parent)?;
        self.unlink(world, tls)?;
        let linked = world.files.disk().symlink(target, tls);
        linked.map_err(|e| FileError::new("link", tls, e))?;
        Ok(world.files.sync_directory(&parent)?)
    }

    /// Removes a context. Its description first, so that it is never one without a certificate.
    pub fn remove(&self, world: &World, name: &str) -> Result<(), Error> {
        world.files.remove_tree(&self.meta(name))?;
        self.unlink(world, &self.tls(name))
    }

    /// Removes every context of ours whose certificate is the one in `tls`, and says which those were.
    pub fn remove_linked(&self, world: &World, tls: &Path) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for context in self.list(world)? {
            let link = world.files.disk().read_link(&self.tls(&context.name));
            if context.mark.is_some() && link.is_ok_and(|target| target == tls) {
                self.remove(world, &context.name)?;
                removed.push(context.name);
            }
        }
        Ok(removed)
    }

    /// Removes a link, or the directory that `docker context update` put in its place.
    fn unlink(&self, world: &World, tls: &Path) -> Result<(), Error> {
        if world.files.disk().read_link(tls).is_ok() {
            return Ok(world.files.remove(tls)?);
        }
        Ok(world.files.remove_tree(tls)?)
    }
}

/// The name of a context's directories.
pub fn id(name: &str) -> String {
    encoding::hex(&encoding::sha256(name.as_bytes()))
}

fn existing(world: &World, directory: &Path) -> Option<Existing> {
    let bytes = world
        .files
        .read(&directory.join("meta.json"), META_BYTES_MAX)
        .ok()?;
    let meta: Value = serde_json::from_slice(&bytes).ok()?;
    let name = meta.get("Name")?.as_str()?.to_owned();
    // A copied directory would answer to another name than its own.
    let in_place = directory
        .file_name()
        .is_some_and(|file| file == id(&name).as_str());
    in_place.then(|| Existing {
        mark: mark(&meta),
        name,
    })
}

fn mark(meta: &Value) -> Option<Mark> {
    let mark = meta.get("Metadata")?.get(MARK)?;
    let text = |key| mark.get(key)?.as_str().map(str::to_owned);
    Some(Mark {
        client: text("client")?,
        server: text("server")?,
        host: text("host")?,
    })
}

fn meta_json(context: Context<'_>) -> Vec<u8> {
    let Mark { client, server, host } = context.mark;
    let meta = json!({
        "Name": context.name,
        "Metadata": {
            "Description": format!("{host} as {client} (dockwarden)"),
            MARK: { "client": client, "server": server, "host": host },
        },
        "Endpoints": { "docker": { "Host": context.endpoint, "SkipTLSVerify": false } },
    });
    serde_json::to_vec(&meta).expect("strings are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_names_follow_dockers_rule() {
        for good in ["web-01", "a1", "web.fleet_x+1"] {
            assert!(is_context_name(good), "{good}");
        }
        for bad in ["", "a", "default", "-a", "a b", "a/b", "../x", "ü1"] {
            assert!(!is_context_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_id_is_what_docker_computes() {
        assert_eq!(
            id("t1"),
            "628b49d96dcde97a430dd4f597705899e09a968f793491e4b704cae33a40dc02"
        );
    }
}
