//! CLI profiles: which server, and who we are there. A TOML file with `server`, `ca`, `cert` and `key`;
//! relative paths start at the file's directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustls_pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};

use super::{Error, World};
use crate::base::limits::PEM_BYTES_MAX;
use crate::client::{Client, ServerUrl};
use crate::pki::chain::Anchors;
use crate::pki::pem;
use crate::pki::tls::{ServerTrust, TlsIdentity};

/// The name of a profile's file in its directory.
pub const PROFILE_FILE: &str = "profile.toml";

/// Where `server init` leaves the first administrator's profile.
const ADMIN_PROFILE: &str = "/var/lib/dockwarden/server/admin/profile.toml";

/// The largest profile that is read, bytes.
const PROFILE_BYTES_MAX: usize = 64 * 1024;

/// Which profile a command uses.
#[derive(Clone, Debug, Default, Args)]
pub struct Connection {
    /// Profile: a directory, a profile.toml, or the name of an enrolled client
    /// [default: ~/.config/dockwarden/profile.toml, then the administrator's that `server init` made]
    #[arg(
        long = "profile",
        id = "connection_profile",
        value_name = "PROFILE",
        env = "DOCKWARDEN_PROFILE"
    )]
    pub profile: Option<String>,
    /// Another address of the same server
    #[arg(long, value_name = "URL", env = "DOCKWARDEN_SERVER")]
    pub server: Option<ServerUrl>,
}

/// For the one command whose own `--profile` means something else.
#[derive(Clone, Debug, Default, Args)]
pub struct ConnectionWithoutProfile {
    /// CLI profile: as --profile of the other commands, also from DOCKWARDEN_PROFILE
    #[arg(long = "cli-profile", value_name = "PROFILE", env = "DOCKWARDEN_PROFILE")]
    pub cli_profile: Option<String>,
    /// Another address of the same server
    #[arg(long, value_name = "URL", env = "DOCKWARDEN_SERVER")]
    pub server: Option<ServerUrl>,
}

impl From<ConnectionWithoutProfile> for Connection {
    fn from(args: ConnectionWithoutProfile) -> Self {
        Self {
            profile: args.cli_profile,
            server: args.server,
        }
    }
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Where the server is.
    pub server: ServerUrl,
    /// The root, PEM.
    pub ca: PathBuf,
    /// Leaf and issuer, PEM.
    pub cert: PathBuf,
    /// The leaf's key, PEM.
    pub key: PathBuf,
}

impl Profile {
    /// Reads a profile and makes its paths absolute.
    pub fn read(world: &World, path: &Path) -> Result<Self, Error> {
        let text = world.files.read_text(path, PROFILE_BYTES_MAX)?;
        let mut profile: Self = toml::from_str(&text).map_err(|e| {
            Error::Found(format!(
                "the profile {} cannot be used: {}\n  It holds server, ca, cert and key, each a string.",
                path.display(),
                e.message()
            ))
        })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        for file in [&mut profile.ca, &mut profile.cert, &mut profile.key] {
            *file = directory.join(&file);
        }
        Ok(profile)
    }

    /// Writes a profile.
    pub fn write(&self, world: &World, path: &Path) -> Result<(), Error> {
        let text = toml::to_string(self).expect("a profile is a table of strings");
        Ok(world.files.write_public(path, text.as_bytes())?)
    }

    /// The root.
    pub fn anchors(&self, world: &World) -> Result<Anchors, Error> {
        let found = |e: &dyn std::fmt::Display| Error::Found(format!("{} {e}", self.ca.display()));
        let certificates =
            pem::certificates(world.files.read(&self.ca, PEM_BYTES_MAX)?).map_err(|e| found(&e))?;
        Anchors::parse(&certificates).map_err(|e| found(&format!("cannot be trusted: {e}")))
    }

    /// Chain and key.
    pub fn identity(&self, world: &World) -> Result<TlsIdentity, Error> {
        let found = |path: &Path, e: pem::PemError| Error::Found(format!("{} {e}", path.display()));
        let chain = pem::certificates(world.files.read(&self.cert, PEM_BYTES_MAX)?);
        let chain = chain.map_err(|e| found(&self.cert, e))?;
        let key: PrivateKeyDer<'static> =
            pem::private_key(world.files.read(&self.key, PEM_BYTES_MAX)?).map_err(|e| found(&self.key, e))?;
        TlsIdentity::new(chain, key)
            .map_err(|e| Error::Found(format!("{} and {}: {e}", self.cert.display(), self.key.display())))
    }

    /// A client of its server that shows its certificate.
    pub fn client(&self, world: &World) -> Result<Client, Error> {
        Ok(Client::new(
            self.server.clone(),
            ServerTrust::Anchors(self.anchors(world)?.shared()),
            Some(Arc::new(self.identity(world)?)),
            Arc::clone(&world.clock),
        ))
    }
}

impl Connection {
    /// The profile, from where it was asked for or from the usual places.
    pub fn resolve(&self, world: &World) -> Result<Profile, Error> {
        let mut profile = Profile::read(world, &self.path(world)?)?;
        if let Some(server) = &self.server {
            profile.server = server.clone();
        }
        Ok(profile)
    }

    /// A client by that profile, whose certificate is renewed first when it is due.
    pub async fn client(&self, world: &World) -> Result<Client, Error> {
        super::client::if_due(world, &self.path(world)?).await;
        self.resolve(world)?.client(world)
    }

    fn path(&self, world: &World) -> Result<PathBuf, Error> {
        match &self.profile {
            Some(named) => named_profile(world, named),
            None => default_profile(world).ok_or_else(|| {
                Error::Found(format!(
                    "there is no profile: nothing says which server to ask, and as whom.\n  \
                     On the server's machine, as root: dockwarden server init leaves one in {ADMIN_PROFILE}.\n  \
                     Elsewhere: dockwarden client enroll --server URL --token-file FILE makes one, or pass --profile."
                ))
            }),
        }
    }
}

/// The profile used when none is named; `None` when there is none yet.
pub fn default_profile(world: &World) -> Option<PathBuf> {
    let own = world
        .environment
        .config_directory()
        .ok()
        .map(|d| d.join(PROFILE_FILE));
    let places = own.into_iter().chain([PathBuf::from(ADMIN_PROFILE)]);
    places.into_iter().find(|path| world.files.exists(path))
}

fn named_profile(world: &World, named: &str) -> Result<PathBuf, Error> {
    let path = Path::new(named);
    let mut places = vec![path.join(PROFILE_FILE), path.to_owned()];
    if !named.contains('/')
        && let Ok(config) = world.environment.config_directory()
    {
        places.push(config.join("clients").join(named).join(PROFILE_FILE));
    }
    let is_file = |place: &&PathBuf| world.files.read(place, PROFILE_BYTES_MAX).is_ok();
    places.iter().find(is_file).cloned().ok_or_else(|| {
        let tried: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        Error::Found(format!(
            "there is no profile {named:?} that can be read; tried {}\n  Name a directory with a profile.toml, the file itself, or an enrolled client.",
            tried.join(", ")
        ))
    })
}
