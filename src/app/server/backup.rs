//! `server backup` and `server restore`: a directory with the database, the CA's certificates, its encrypted keys and
//! a manifest of hashes. Never holds a key that is not encrypted, so neither the first administrator's nor the
//! server's own certificate is in it; the latter is issued anew.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::compose;
use super::config::{Config, Flags};
use super::layout::{Layout, ROOT, issuer_names};
use crate::base::encoding::hex;
use crate::base::{Clock, SystemClock, Timestamp};
use crate::model::audit::{Actor, Event};
use crate::store::sqlite::{self, Missing, SqliteStore};
use crate::store::{FeedStore, Store};
use crate::sys::Files;

/// The manifest's name. It is written last: a backup without one is not whole.
pub const MANIFEST: &str = "manifest.json";
/// The form of the manifest that this program writes and reads.
const FORMAT: u32 = 1;
/// The largest manifest, bytes.
const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// The database's name in a backup and in a data directory.
const DATABASE: &str = "dockwarden.db";

/// Flags of `server backup` and `server restore`.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// The backup's directory
    directory: PathBuf,
    /// Where the server's data is [default: /var/lib/dockwarden/server]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file [default: DATA_DIR/server.toml]
    #[arg(long, value_name = "FILE", env = "DOCKWARDEN_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    dockwarden: String,
    created_at: Timestamp,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: String,
}

impl BackupArgs {
    fn layout(&self) -> anyhow::Result<Layout> {
        let (config, data_dir) = (self.config.clone(), self.data_dir.clone());
        Ok(Config::read(Flags {
            config,
            data_dir,
            ..Flags::default()
        })?
        .layout)
    }

    fn empty_directory(&self, files: &Files) -> anyhow::Result<()> {
        files.private_directory(&self.directory)?;
        if !files.list(&self.directory)?.is_empty() {
            bail!(
                "{} is not empty: a backup goes into a directory of its own",
                self.directory.display()
            );
        }
        Ok(())
    }
}

/// What a backup may hold beside the database: the only names that are ever read from a manifest.
fn small_files() -> Vec<String> {
    let names = || [ROOT].into_iter().chain(issuer_names());
    let certificates = names().map(|name| format!("ca/{name}.pem"));
    let keys = names().map(|name| format!("keys/{name}.key.pem"));
    certificates
        .chain(keys)
        .chain([format!("ca/{ROOT}.crl.pem")])
        .chain(["server.toml".to_owned()])
        .collect()
}

/// Makes a backup, while the server runs or not.
pub fn backup(args: &BackupArgs) -> anyhow::Result<()> {
    let layout = args.layout()?;
    layout.require()?;
    args.empty_directory(layout.files())?;
    let made = make(&layout, &args.directory, SystemClock.now());
    let files = compose::runtime()?.block_on(made)?;
    println!(
        "backup of {} made in {} ({files} files)",
        layout.root().display(),
        args.directory.display(),
    );
    Ok(())
}

/// Makes a backup in a directory that is empty or not there. Gives how many files it has.
pub async fn make(layout: &Layout, directory: &Path, now: Timestamp) -> anyhow::Result<usize> {
    layout.files().private_directory(directory)?;
    sqlite::backup(&layout.database(), &directory.join(DATABASE)).await?;
    let (layout, directory) = (layout.clone(), directory.to_owned());
    // A large database takes its time to read.
    let complete = tokio::task::spawn_blocking(move || complete(&layout, &directory, now));
    complete.await.context("the thread that copies broke off")?
}

/// The files beside the database, and the manifest of all.
fn complete(layout: &Layout, directory: &Path, created_at: Timestamp) -> anyhow::Result<usize> {
    let copy = directory.join(DATABASE);
    let mut files = BTreeMap::from([(DATABASE.to_owned(), measure(&copy)?)]);
    for name in small_files() {
        let (from, to) = (layout.root().join(&name), directory.join(&name));
        // The root's key may be offline, and a configuration elsewhere.
        if from.exists() {
            layout
                .files()
                .private_directory(to.parent().unwrap_or(directory))?;
            files.insert(name, copy_file(&from, &to)?);
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        dockwarden: env!("CARGO_PKG_VERSION").to_owned(),
        created_at,
        files,
    };
    let text = serde_json::to_string_pretty(&manifest)?;
    layout
        .files()
        .write_private(&directory.join(MANIFEST), text.as_bytes())?;
    Ok(manifest.files.len())
}

/// Puts a backup back into a data directory that holds no server.
pub fn restore(args: &BackupArgs) -> anyhow::Result<()> {
    let layout = Layout::new(
        args.data_dir
            .clone()
            .unwrap_or_else(|| super::config::DATA_DIR.into()),
    );
    layout.refuse_existing()?;
    let manifest = check(&args.directory, layout.files())?;
    layout.files().service_directory(layout.root())?;
    let _lock = layout.lock()?;
    for name in manifest.files.keys().filter(|name| *name != DATABASE) {
        let to = layout.root().join(name);
        layout
            .files()
            .private_directory(to.parent().unwrap_or(layout.root()))?;
        copy_file(&args.directory.join(name), &to)?;
    }
    // Last, and under its name only when it is whole: without it the directory is no server.
    let arriving = layout.root().join("dockwarden.db.restoring");
    let copied = copy_file(&args.directory.join(DATABASE), &arriving)?;
    if manifest.files.get(DATABASE) != Some(&copied) {
        bail!("the database changed while it was copied: restore it again");
    }
    std::fs::rename(&arriving, layout.database()).context("the database could not be put in place")?;
    layout.files().sync_directory(layout.root())?;
    compose::runtime()?.block_on(note(&layout, &manifest))?;
    println!(
        "restored {} from the backup of {}",
        layout.root().display(),
        manifest.created_at
    );
    println!(
        "  Certificates issued after it are not known to this server: their holders have to enrol again."
    );
    println!(
        "  What was revoked after it is asked back from the hosts. Until all of them were heard, no CRL is published\n  \
           (dockwarden crl settle ends the waiting) and /readyz says degraded."
    );
    Ok(())
}

/// Reads the manifest and checks that everything in it is there and as it was.
fn check(directory: &Path, files: &Files) -> anyhow::Result<Manifest> {
    let path = directory.join(MANIFEST);
    let text = files
        .read_text(&path, MANIFEST_BYTES_MAX)
        .context("this is not a whole backup")?;
    let manifest: Manifest =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
    if manifest.format != FORMAT {
        bail!(
            "the backup has format {}, this program reads {FORMAT}: use dockwarden {}",
            manifest.format,
            manifest.dockwarden
        );
    }
    let known = small_files();
    for (name, expected) in &manifest.files {
        if name != DATABASE && !known.contains(name) {
            bail!("the manifest names {name:?}, which is no part of a backup: it was changed");
        }
        let found = measure(&directory.join(name)).with_context(|| format!("the backup lacks {name}"))?;
        if found != *expected {
            bail!(
                "{name} in the backup is not what the manifest says: it was damaged or changed; use another backup"
            );
        }
    }
    let needed = known
        .iter()
        .filter(|name| *name != "server.toml" && !name.contains(ROOT));
    if let Some(missing) = needed
        .map(String::as_str)
        .chain([DATABASE])
        .find(|n| !manifest.files.contains_key(*n))
    {
        bail!("the backup lacks {missing}: it is not whole");
    }
    Ok(manifest)
}

/// Opens the restored database, which checks its schema, and writes down where it came from.
async fn note(layout: &Layout, manifest: &Manifest) -> anyhow::Result<()> {
    let store = SqliteStore::open(&layout.database(), Missing::Refuse).await?;
    let event = Event {
        at: SystemClock.now(),
        actor: Actor::System,
        action: "server.restore",
        subject: format!("backup of {}", manifest.created_at),
        outcome: "ok".to_owned(),
        source: None,
        detail: BTreeMap::new(),
    };
    // What was revoked after the backup is lost until hosts give it back: numbers go on beyond all that were given out.
    let done = async {
        store.append_audit(event).await?;
        store.restored(Actor::System, SystemClock.now()).await
    };
    let done = done.await;
    store.close().await;
    Ok(done.map(drop)?)
}

/// Copies a file for its owner alone, durably, and measures it on the way.
fn copy_file(from: &Path, to: &Path) -> anyhow::Result<Entry> {
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .with_context(|| format!("{} cannot be written", to.display()))?;
    let entry = digest(from, |chunk| target.write_all(chunk))?;
    target
        .sync_all()
        .with_context(|| format!("{} cannot be made durable", to.display()))?;
    if let Some(parent) = to.parent() {
        Files::system().sync_directory(parent)?;
    }
    Ok(entry)
}

fn measure(path: &Path) -> anyhow::Result<Entry> {
    digest(path, |_| Ok(()))
}

fn digest(path: &Path, mut each: impl FnMut(&[u8]) -> std::io::Result<()>) -> anyhow::Result<Entry> {
    let mut file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = file
            .read(&mut buffer)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        if read == 0 {
            return Ok(Entry {
                bytes,
                sha256: hex(context.finish().as_ref()),
            });
        }
        context.update(&buffer[..read]);
        each(&buffer[..read]).with_context(|| format!("a copy of {} cannot be written", path.display()))?;
        bytes += read as u64;
    }
}
