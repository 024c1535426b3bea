//! `server passphrase`: encrypts the CA's keys anew.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::config::{Config, Flags};
use super::layout::{Layout, ROOT, issuer_names};
use super::passphrase::{self, PassphraseArgs};
use crate::base::{Random, SecretString, SystemRandom};
use crate::keys::file;

/// Flags of `server passphrase`.
#[derive(Clone, Debug, Args)]
pub struct ChangeArgs {
    /// Where the server's data is [default: /var/lib/dockwarden/server]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File with the new passphrase [else: a prompt]
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Changes it. All keys change in one step, or none does. A running server is not disturbed: it opened them already.
pub fn run(args: &ChangeArgs) -> anyhow::Result<()> {
    let data_dir = args.data_dir.clone();
    let config = Config::read(Flags {
        data_dir,
        ..Flags::default()
    })?;
    config.layout.require()?;
    let old = args.passphrase.get(config.passphrase_file.as_deref())?;
    let new = match &args.new_passphrase_file {
        Some(path) => passphrase::read_file(config.layout.files(), path)?,
        None => passphrase::ask_twice("Choose the new passphrase: ")?,
    };
    let changed = change(&config.layout, &old, &new)?;
    println!(
        "{changed} keys in {} have the new passphrase",
        config.layout.keys().display()
    );
    Ok(())
}

fn change(layout: &Layout, old: &SecretString, new: &SecretString) -> anyhow::Result<usize> {
    let (files, keys) = (layout.files(), layout.keys());
    let arriving = layout.root().join("keys.new");
    // What an interrupted change left. The keys in use are elsewhere.
    files.remove_tree(&arriving)?;
    files.private_directory(&arriving)?;
    let random: &dyn Random = &SystemRandom;
    let ours: Vec<String> = [ROOT]
        .into_iter()
        .chain(issuer_names())
        .map(|name| format!("{name}.key.pem"))
        .collect();
    let present = files.list(&keys)?;
    if let Some(other) = present.iter().find(|name| !ours.contains(name)) {
        bail!(
            "{} is not one of the CA's keys: move it away first",
            keys.join(other).display()
        );
    }
    for name in &present {
        let path = keys.join(name);
        let text = files.read_text(&path, crate::base::limits::PEM_BYTES_MAX)?;
        let sealed = file::change_passphrase(text, old, new, random)
            .with_context(|| format!("{}: nothing was changed", path.display()))?;
        files.write_private(&arriving.join(name), sealed.as_bytes())?;
    }
    renameat_with(CWD, &arriving, CWD, &keys, RenameFlags::EXCHANGE).with_context(|| {
        format!(
            "{} cannot be replaced in one step on this file system: nothing was changed",
            keys.display()
        )
    })?;
    files.sync_directory(layout.root())?;
    // The old ones are behind the new name now.
    files.remove_tree(&arriving)?;
    Ok(present.len())
}
