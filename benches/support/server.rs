//! A server of the bench's own: new database on disk, certificate and administrator as `server init` makes them.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use dockwarden::model::{Approval, IdentityKind};
use dockwarden::wire::{CreatedToken, TokenRequest};

use super::http::{Target, post};
use super::{Running, run};

/// Where a server lives.
pub struct Place {
    scratch: PathBuf,
    data: PathBuf,
    passphrase: String,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Place {
    /// Makes the CA and the database.
    pub fn init(scratch: &Path) -> anyhow::Result<Self> {
        let passphrase = text(&scratch.join("passphrase"))?;
        std::fs::copy("/proc/sys/kernel/random/uuid", &passphrase)?;
        let data = scratch.join("server");
        run(
            scratch,
            &[
                "server",
                "init",
                "--data-dir",
                &text(&data)?,
                "--dns",
                "localhost",
                "--passphrase-file",
                &passphrase,
            ],
        )?;
        Ok(Self {
            scratch: scratch.to_owned(),
            data,
            passphrase,
            address: free_address()?,
        })
    }

    /// Starts the server and waits until it is ready.
    pub fn start(&self) -> anyhow::Result<Running> {
        let (data, listen) = (text(&self.data)?, self.address.to_string());
        let arguments = [
            "server",
            "run",
            "--data-dir",
            &data,
            "--passphrase-file",
            &self.passphrase,
            "--listen",
            &listen,
        ];
        Running::start(
            &self.scratch,
            "server",
            &[&arguments[..], &["--http-listen", "off"]].concat(),
        )
    }

    /// The root, PEM.
    pub fn ca(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.data.join("ca/root.pem"))?)
    }

    /// The administrator's directory: `cert.pem`, `key.pem`.
    pub fn admin(&self) -> PathBuf {
        self.data.join("admin")
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.data.join("dockwarden.db")
    }

    /// Has the administrator make a join token for hosts.
    pub async fn token(&self, pattern: &str, uses: u32) -> anyhow::Result<String> {
        self.token_for(IdentityKind::Host, pattern, uses).await
    }

    /// Has the administrator make a join token.
    pub async fn token_for(&self, profile: IdentityKind, pattern: &str, uses: u32) -> anyhow::Result<String> {
        let cidrs = match profile {
            IdentityKind::Host => vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
            IdentityKind::Client => Vec::new(),
        };
        let request = TokenRequest {
            profile,
            names: vec![pattern.to_owned()],
            cidrs,
            sources: Vec::new(),
            uses: Some(uses),
            expires_in: None,
            labels: Default::default(),
            role: None,
            permission: None,
            approval: Approval::Auto,
            replace: false,
            reason: "bench".to_owned(),
        };
        let admin = Target::new(self.address, &self.ca()?, Some(&self.admin()))?;
        let (status, body) = admin
            .call(&post("/v1/tokens", &serde_json::to_string(&request)?))
            .await?;
        ensure!(
            status == 201,
            "no token ({status}): {}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice::<CreatedToken>(&body)?.token)
    }
}

/// Free a moment ago; nothing else of a bench takes one.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A path as an argument.
pub fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a UTF-8 path")?.to_owned())
}
