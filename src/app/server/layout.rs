//! Where a server keeps what: `DATA/{dockwarden.db,ca/,keys/,admin/,server.toml,serving.pem}`, for its owner alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::base::limits::PEM_BYTES_MAX;
use crate::model::IssuerKind;
use crate::pki::{Certificate, pem};
use crate::sys::{Files, Lock};

/// A data directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    files: Files,
}

/// The root's part of file names.
pub const ROOT: &str = "root";

impl Layout {
    /// Of a directory that may not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            files: Files::system(),
        }
    }

    /// The disk.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("dockwarden.db")
    }

    /// Encrypted keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Certificates of root and issuers.
    pub fn certificates(&self) -> PathBuf {
        self.root.join("ca")
    }

    /// The first administrator's certificate, key and CLI profile.
    pub fn admin(&self) -> PathBuf {
        self.root.join("admin")
    }

    /// The configuration that `server init` writes.
    pub fn config(&self) -> PathBuf {
        self.root.join("server.toml")
    }

    /// The server's own certificate with its key.
    pub fn serving(&self) -> PathBuf {
        self.root.join("serving.pem")
    }

    /// The encrypted key of `root`, `hosts` or `clients`.
    pub fn key(&self, name: &str) -> PathBuf {
        self.keys().join(format!("{name}.key.pem"))
    }

    /// The certificate of `root`, `hosts` or `clients`.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.certificates().join(format!("{name}.pem"))
    }

    /// The list of what `root` revoked.
    pub fn crl(&self, name: &str) -> PathBuf {
        self.certificates().join(format!("{name}.crl.pem"))
    }

    /// Taken by whoever writes here beside the database.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        let lock = self.files.lock(&self.root.join("lock"));
        lock.with_context(|| format!("another server may be running on {}", self.root.display()))
    }

    /// Refuses a directory in which something of a server is already.
    pub fn refuse_existing(&self) -> anyhow::Result<()> {
        let ours = [
            "dockwarden.db",
            "keys",
            "ca",
            "admin",
            "server.toml",
            "serving.pem",
        ];
        let found: Vec<String> = self.files.list(&self.root)?;
        let found: Vec<&str> = ours
            .into_iter()
            .filter(|name| found.iter().any(|f| f == name))
            .collect();
        if !found.is_empty() {
            bail!(
                "{} holds a server already ({}): nothing was changed. Choose another --data-dir, or move it away first",
                self.root.display(),
                found.join(", ")
            );
        }
        Ok(())
    }

    /// Refuses a directory without a server, with what to do.
    pub fn require(&self) -> anyhow::Result<()> {
        let missing = [self.database(), self.certificates(), self.keys()]
            .into_iter()
            .find(|path| !path.exists());
        match missing {
            None => Ok(()),
            Some(path) if self.root.exists() => bail!(
                "{} does not exist: {} is not a whole server. Make one with `dockwarden server init`, or restore a backup with `dockwarden server restore`",
                path.display(),
                self.root.display()
            ),
            Some(_) => bail!(
                "{} does not exist: make a server with `dockwarden server init`, or give another --data-dir",
                self.root.display()
            ),
        }
    }

    /// Reads one CA certificate: exactly one, whole, or an error that names the file.
    pub fn read_certificate(&self, name: &str) -> anyhow::Result<Certificate> {
        let path = self.certificate(name);
        let text = self
            .files
            .read_text(&path, PEM_BYTES_MAX)
            .context("the CA is not complete")?;
        let found = pem::certificates(&text).with_context(|| format!("{} cannot be used", path.display()))?;
        let [only] = found.as_slice() else {
            bail!(
                "{} holds {} certificates, and must hold one",
                path.display(),
                found.len()
            );
        };
        Certificate::parse(only).with_context(|| format!("{} cannot be used", path.display()))
    }

    /// Reads the text of an encrypted key.
    pub fn read_key(&self, name: &str) -> anyhow::Result<String> {
        self.files
            .read_text(&self.key(name), PEM_BYTES_MAX)
            .context("the CA is not complete")
    }
}

/// The file names of the issuers.
pub fn issuer_names() -> [&'static str; 2] {
    IssuerKind::ALL.map(IssuerKind::as_str)
}
