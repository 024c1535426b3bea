//! The one directory of a quickstart, and the mark that says it is one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::app::server::layout::Layout;
use crate::cli::World;
use crate::sys::Lock;

/// Marks the directory as ours; without it nothing is removed and nothing is made in a directory that is not
/// empty.
const MARKER: &str = "quickstart.json";
const MARKER_BYTES_MAX: usize = 64 * 1024;

/// What is in it; `--remove` removes these and nothing else.
pub const CONTENTS: [&str; 6] = ["server", "server.new", "host", "client", "passphrase", "lock"];

/// The directory.
#[derive(Clone, Debug)]
pub struct Data {
    root: PathBuf,
    shown: PathBuf,
}

/// What was made outside of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Who made it.
    pub made_by: String,
    /// The default CLI profiles that quickstart wrote: one for each user it was run as.
    #[serde(default)]
    pub profiles: BTreeSet<PathBuf>,
}

impl Data {
    /// At a path that may not exist yet.
    pub fn at(world: &World, path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            root: world.absolute(path)?,
            shown: path.to_owned(),
        })
    }

    /// Absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// As it was given, for messages.
    pub fn shown(&self) -> std::path::Display<'_> {
        self.shown.display()
    }

    /// The server's data.
    pub fn server(&self) -> PathBuf {
        self.root.join("server")
    }

    /// The passphrase of the CA's keys.
    pub fn passphrase(&self) -> PathBuf {
        self.root.join("passphrase")
    }

    /// The host's certificates.
    pub fn host_files(&self) -> PathBuf {
        self.root.join("host").join("files")
    }

    /// What the agent remembers.
    pub fn host_state(&self) -> PathBuf {
        self.root.join("host").join("state")
    }

    /// The client's configuration directory.
    pub fn client(&self) -> PathBuf {
        self.root.join("client")
    }

    /// What was made elsewhere; `None` when the directory is not a quickstart's.
    pub fn marker(&self, world: &World) -> anyhow::Result<Option<Marker>> {
        let path = self.root.join(MARKER);
        let Some(bytes) = world.files.read_if_any(&path, MARKER_BYTES_MAX)? else {
            return Ok(None);
        };
        let marker =
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Some(marker))
    }

    /// Writes down what was made elsewhere.
    pub fn mark(&self, world: &World, marker: &Marker) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(marker)?;
        Ok(world.files.write_private(&self.root.join(MARKER), &json)?)
    }

    /// Makes the directory ours, or refuses one that is somebody else's.
    pub fn claim(&self, world: &World) -> anyhow::Result<()> {
        if self.marker(world)?.is_some() {
            return Ok(());
        }
        if !world.files.list(&self.root)?.is_empty() {
            bail!(
                "{} is not empty, and quickstart did not make it: nothing was changed\n  Choose another directory with --data-dir",
                self.shown()
            );
        }
        world.files.private_directory(&self.root)?;
        let marker = Marker {
            made_by: "dockwarden quickstart".into(),
            profiles: BTreeSet::new(),
        };
        self.mark(world, &marker)
    }

    /// Refuses while a quickstart runs here; holds others off as long as the value lives.
    pub fn refuse_running(&self) -> anyhow::Result<Option<Lock>> {
        if !self.server().exists() {
            return Ok(None);
        }
        let lock = Layout::new(self.server()).lock();
        let running = |_| {
            anyhow::anyhow!(
                "quickstart is running on {}: stop it first (Ctrl-C)",
                self.shown()
            )
        };
        lock.map(Some).map_err(running)
    }

    /// The path of the mark itself.
    pub fn marker_path(&self) -> PathBuf {
        self.root.join(MARKER)
    }
}
