//! Where an enrolled client lives: a directory of its own with key, certificate and what is known about
//! them. Below `~/.config/dockwarden/clients/NAME`, or below `DIR/.dockwarden` for `--cert-path DIR`.
//!
//! The files that programs read lie in `versions/N/docker/` and are reached through the one symlink
//! `current`: a renewal replaces all of them with one rename, for every docker context and every
//! `DOCKER_CERT_PATH` that points through it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::profile::{PROFILE_FILE, Profile};
use super::super::{Error, World};
use crate::base::{Id, Timestamp};
use crate::client::ServerUrl;
use crate::pki::{IdentityName, KeyAlgorithm, Serial};
use crate::sys::{Lock, Versions};

/// The files of a pair, as the docker CLI names them.
pub const FILES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

/// The directory inside a version that holds them: the docker CLI wants one of this name in a context.
pub const DOCKER: &str = "docker";

/// Where `--cert-path DIR` keeps everything but the three links, inside DIR.
const INSIDE: &str = ".dockwarden";

const STATE_FILE: &str = "state.json";
const STATE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A client's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Absolute.
    directory: PathBuf,
    /// The user's own directory with the three links, for `--cert-path`.
    cert_path: Option<PathBuf>,
}

/// What is known about a client, kept beside its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its name.
    pub name: IdentityName,
    /// Where it is enrolled.
    pub server: ServerUrl,
    /// The join token it came with.
    #[serde(default)]
    pub token: Option<Id>,
    /// The certificate in use.
    pub serial: Serial,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
    /// When to renew it: drawn once per certificate.
    pub renew_at: Timestamp,
    /// For the next key.
    pub key_algorithm: KeyAlgorithm,
    /// Docker contexts, when it has any.
    #[serde(default)]
    pub contexts: Option<ContextSettings>,
    /// The hosts it could reach when it last asked.
    #[serde(default)]
    pub hosts: Vec<KnownHost>,
}

/// How docker contexts are written for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextSettings {
    /// The docker CLI's configuration directory.
    pub docker_directory: PathBuf,
    /// The name asked for, when there is one host.
    #[serde(default)]
    pub name: Option<String>,
    /// Only these hosts; all when empty.
    #[serde(default)]
    pub only: Vec<String>,
}

/// A host and where its Docker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHost {
    /// Its name.
    pub name: String,
    /// `tcp://host:port`.
    pub endpoint: String,
}

impl Home {
    /// The home of `name` below the configuration directory.
    pub fn named(world: &World, name: &IdentityName) -> Result<Self, Error> {
        Ok(Self {
            directory: clients(world)?.join(name.as_str()),
            cert_path: None,
        })
    }

    /// The home inside a directory of the user's.
    pub fn inside(world: &World, cert_path: &Path) -> Result<Self, Error> {
        let cert_path = world.absolute(cert_path)?;
        Ok(Self {
            directory: cert_path.join(INSIDE),
            cert_path: Some(cert_path),
        })
    }

    /// The home that a profile's files lie in: its own, or a user's directory that is one or could become one.
    pub fn of_profile(world: &World, profile: &Profile, directory: &Path) -> Result<Option<Self>, Error> {
        let root = profile
            .cert
            .ancestors()
            .find(|above| world.files.exists(&above.join(STATE_FILE)));
        if let Some(root) = root {
            let cert_path = root
                .parent()
                .filter(|_| root.file_name().is_some_and(|name| name == INSIDE));
            return Ok(Some(Self {
                directory: root.to_owned(),
                cert_path: cert_path.map(Path::to_owned),
            }));
        }
        if profile.cert.parent() == Some(directory) {
            return Ok(Some(Self::inside(world, directory)?));
        }
        Ok(None)
    }

    /// Every client enrolled below the configuration directory, by name.
    pub fn all(world: &World) -> Result<Vec<Self>, Error> {
        let clients = clients(world)?;
        let names = world.files.list(&clients)?;
        let homes = names.into_iter().map(|name| Self {
            directory: clients.join(name),
            cert_path: None,
        });
        Ok(homes
            .filter(|home| world.files.exists(&home.directory.join(STATE_FILE)))
            .collect())
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory to give to programs as `DOCKER_CERT_PATH`.
    pub fn docker_cert_path(&self) -> PathBuf {
        self.cert_path
            .clone()
            .unwrap_or_else(|| self.current().join(DOCKER))
    }

    /// The link that follows the version in use; what a docker context's TLS directory points to.
    pub fn current(&self) -> PathBuf {
        self.directory.join("current")
    }

    /// Its versions.
    pub fn versions(&self, world: &World) -> Versions {
        Versions::new(world.files.clone(), &self.directory)
    }

    /// The profile that CLI commands use to act as this client.
    pub fn profile_file(&self) -> PathBuf {
        self.directory.join(PROFILE_FILE)
    }

    /// The same, read.
    pub fn profile(&self, world: &World) -> Result<Profile, Error> {
        Profile::read(world, &self.profile_file())
    }

    /// Where the key of a certificate that was asked for waits for its answer.
    pub fn next_key_file(&self) -> PathBuf {
        self.directory.join("next-key.pem")
    }

    /// Keeps two commands from renewing the same client at once.
    pub fn lock(&self, world: &World) -> Result<Lock, Error> {
        world.files.private_directory(&self.directory)?;
        Ok(world.files.lock(&self.directory.join("lock"))?)
    }

    /// What is known; `None` when nobody is enrolled here.
    pub fn state_if_any(&self, world: &World) -> Result<Option<State>, Error> {
        let path = self.directory.join(STATE_FILE);
        let Some(bytes) = world.files.read_if_any(&path, STATE_BYTES_MAX)? else {
            return Ok(None);
        };
        let state = serde_json::from_slice(&bytes).map_err(|e| {
            Error::Found(format!(
                "{} is damaged ({e})\n  Move {} away and enrol again with a new join token.",
                path.display(),
                self.directory.display()
            ))
        })?;
        Ok(Some(state))
    }

    /// What is known.
    pub fn state(&self, world: &World) -> Result<State, Error> {
        self.state_if_any(world)?.ok_or_else(|| {
            Error::Found(format!(
                "nobody is enrolled in {}\n  dockwarden client enroll --server URL --token-file FILE does that.",
                self.cert_path.as_ref().unwrap_or(&self.directory).display()
            ))
        })
    }

    /// Remembers it.
    pub fn save(&self, world: &World, state: &State) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(state).expect("the state is plain data");
        Ok(world
            .files
            .write_private(&self.directory.join(STATE_FILE), &json)?)
    }

    /// Writes the profile that points at the version in use.
    pub fn save_profile(&self, world: &World, server: &ServerUrl) -> Result<(), Error> {
        let file = |name: &str| Path::new("current").join(DOCKER).join(name);
        let profile = Profile {
            server: server.clone(),
            ca: file("ca.pem"),
            cert: file("cert.pem"),
            key: file("key.pem"),
        };
        profile.write(world, &self.profile_file())
    }

    /// Makes `DIR/{ca,cert,key}.pem` lead to the version in use. Links of ours are left, anything else is an
    /// error: it may be the only copy of a key.
    pub fn link_cert_path(&self, world: &World) -> Result<(), Error> {
        let Some(directory) = &self.cert_path else {
            return Ok(());
        };
        self.check_cert_path(world)?;
        for name in FILES {
            let (link, target) = (directory.join(name), link_target(name));
            if world.files.disk().read_link(&link).is_err() {
                world
                    .files
                    .disk()
                    .symlink(&target, &link)
                    .map_err(|e| crate::sys::FileError::new("link", &link, e))?;
            }
        }
        Ok(world.files.sync_directory(directory)?)
    }

    /// Refuses a `--cert-path` whose files are somebody else's, before anything is asked of the server.
    pub fn check_cert_path(&self, world: &World) -> Result<(), Error> {
        let Some(directory) = &self.cert_path else {
            return Ok(());
        };
        for name in FILES {
            let link = directory.join(name);
            let ours = world
                .files
                .disk()
                .read_link(&link)
                .is_ok_and(|target| target == link_target(name));
            if !ours && world.files.exists(&link) {
                return Err(Error::Found(format!(
                    "{} is there already, and dockwarden did not make it: it will not be overwritten\n  \
                     Move it away, or name another directory with --cert-path.",
                    link.display()
                )));
            }
        }
        Ok(())
    }
}

/// What `DIR/NAME` points to.
pub fn link_target(name: &str) -> PathBuf {
    Path::new(INSIDE).join("current").join(DOCKER).join(name)
}

/// `~/.config/dockwarden/clients`.
fn clients(world: &World) -> Result<PathBuf, Error> {
    Ok(world.environment.config_directory()?.join("clients"))
}

/// Where keys of enrolments in progress wait, named after their tokens.
pub fn joining_directory(world: &World, cert_path: Option<&Path>) -> Result<PathBuf, Error> {
    match cert_path {
        Some(directory) => Ok(world.absolute(directory)?.join(INSIDE).join("joining")),
        None => Ok(world.environment.config_directory()?.join("joining")),
    }
}
