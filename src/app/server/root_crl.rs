//! `server root-crl`: the list of revoked issuers. It is signed where the root's key is, which need not be the server,
//! and is good for a year; the server takes it over only as the successor of the one it has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::config::{Config, Flags};
use super::layout::{Layout, ROOT};
use super::passphrase::PassphraseArgs;
use crate::base::limits::{CRL_BYTES_MAX, PEM_BYTES_MAX};
use crate::base::{Clock, SystemClock, Timestamp};
use crate::ca::{CrlOrder, ROOT_CRL_VALIDITY, Root, SignCrlError};
use crate::keys::file;
use crate::pki::crl::{Crl, EntryBuffer, Revoked, Subjects, dropped};
use crate::pki::{Certificate, RevocationReason, pem};
use crate::sys::Files;

/// Commands of `dockwarden server root-crl`.
#[derive(Clone, Debug, Subcommand)]
pub enum RootCrlCommand {
    /// Sign the next list with the root's key; once a year, or when an issuer must be revoked.
    Sign(Box<SignArgs>),
    /// Take over a list that was signed elsewhere.
    Import(ImportArgs),
}

/// Flags of `server root-crl sign`.
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// Where the server's data is [default: /var/lib/dockwarden/server]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the root's certificate, key and last list are, when its key is not on the server
    #[arg(long, value_name = "DIR", conflicts_with = "data_dir")]
    offline_root: Option<PathBuf>,
    /// Revoke the issuer with this certificate, PEM; may be given several times
    #[arg(long, value_name = "FILE")]
    revoke: Vec<PathBuf>,
    /// Why: keyCompromise, superseded, cessationOfOperation, ...
    #[arg(long, value_name = "REASON", default_value_t, requires = "revoke")]
    reason: RevocationReason,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Flags of `server root-crl import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// Where the server's data is [default: /var/lib/dockwarden/server]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The list, PEM or DER
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs one.
pub fn run(command: &RootCrlCommand) -> anyhow::Result<()> {
    match command {
        RootCrlCommand::Sign(args) => sign(args),
        RootCrlCommand::Import(args) => import(args),
    }
}

/// The first list of a root: nobody is on it. `None` for a root that was brought along and may not sign lists.
pub fn first(root: &Root, now: Timestamp) -> anyhow::Result<Option<Crl>> {
    let order = CrlOrder::next(None, now, ROOT_CRL_VALIDITY);
    match root.sign_crl(&EntryBuffer::new(Subjects::Issuers), order) {
        Ok(crl) => Ok(Some(crl)),
        Err(SignCrlError::Lint(findings)) if findings.iter().all(|f| f.rule == "crl_issuer") => Ok(None),
        Err(other) => Err(other.into()),
    }
}

fn config(data_dir: Option<&PathBuf>) -> anyhow::Result<Config> {
    Config::read(Flags {
        data_dir: data_dir.cloned(),
        ..Flags::default()
    })
}

/// Files about a root.
struct Place {
    certificate: Certificate,
    key: PathBuf,
    crl: PathBuf,
}

fn sign(args: &SignArgs) -> anyhow::Result<()> {
    let files = Files::system();
    let (place, passphrase_file) = match &args.offline_root {
        Some(directory) => (
            Place {
                certificate: read_certificate(&files, &directory.join("root.pem"))?,
                key: directory.join("root.key.pem"),
                crl: directory.join("root.crl.pem"),
            },
            None,
        ),
        None => {
            let config = config(args.data_dir.as_ref())?;
            config.layout.require()?;
            let place = Place {
                certificate: config.layout.read_certificate(ROOT)?,
                key: config.layout.key(ROOT),
                crl: config.layout.crl(ROOT),
            };
            (place, config.passphrase_file)
        }
    };
    if !files.exists(&place.key) {
        bail!(
            "{} does not exist: the root's key is kept elsewhere. Sign where it is, with --offline-root DIR, and bring the list here with `dockwarden server root-crl import`",
            place.key.display()
        );
    }
    let previous = read_crl(&files, &place.crl, &place.certificate)?;
    let passphrase = args.passphrase.get(passphrase_file.as_deref())?;
    let key = file::open(files.read_text(&place.key, PEM_BYTES_MAX)?, &passphrase)
        .with_context(|| format!("{} cannot be opened", place.key.display()))?;
    let root = Root::new(place.certificate, Arc::new(key))?;
    let now = SystemClock.now();
    let entries = entries(&files, args, root.certificate(), previous.as_ref(), now)?;
    let order = CrlOrder::next(previous.as_ref().map(|crl| crl.number), now, ROOT_CRL_VALIDITY);
    let crl = root.sign_crl(&entries, order)?;
    if let Some(gone) = previous
        .as_ref()
        .and_then(|previous| dropped(previous, &crl).next())
    {
        bail!(
            "the next list would not hold {}, which was revoked: nothing was changed",
            gone.to_serial()
        );
    }
    files.write_public(&place.crl, crl.pem().as_bytes())?;
    report("signed", &crl, &place.crl);
    if args.offline_root.is_some() {
        println!(
            "  Next:  dockwarden server root-crl import {}   on the server",
            place.crl.display()
        );
    }
    Ok(())
}

/// What was listed before, and what is to be revoked now.
fn entries(
    files: &Files,
    args: &SignArgs,
    root: &Certificate,
    previous: Option<&Crl>,
    now: Timestamp,
) -> anyhow::Result<EntryBuffer> {
    let mut entries = EntryBuffer::new(Subjects::Issuers);
    for entry in previous.into_iter().flat_map(Crl::entries) {
        let reason = match entry.reason_code {
            // cACompromise; the encoder writes it back.
            Some(2) => Some(RevocationReason::KeyCompromise),
            _ => entry.reason(),
        };
        let serial = entry.to_serial();
        entries.insert(&Revoked {
            reason: reason
                .with_context(|| format!("{serial} is listed with a reason that is not given here"))?,
            serial,
            revoked_at: entry.revoked_at,
            // Issuers are few: they stay listed.
            not_after: Timestamp::from_secs(i64::MAX),
        });
    }
    for path in &args.revoke {
        let issuer = read_certificate(files, path)?;
        let is_below = issuer.is_ca() && !issuer.is_self_issued() && issuer.issuer == root.subject;
        if !is_below || issuer.verify_signature(&root.public_key()?).is_err() {
            bail!(
                "{} is not the certificate of an issuer under {}",
                path.display(),
                root.subject_text()
            );
        }
        let is_new = entries.insert(&Revoked {
            serial: issuer.serial.clone(),
            revoked_at: now,
            reason: args.reason,
            not_after: issuer.not_after,
        });
        let already = if is_new { "" } else { " already" };
        println!(
            "  ! {} is revoked{already}, and everything it issued with it",
            issuer.subject_text()
        );
    }
    Ok(entries)
}

fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let config = config(args.data_dir.as_ref())?;
    let layout: &Layout = &config.layout;
    layout.require()?;
    let root = layout.read_certificate(ROOT)?;
    let path = layout.crl(ROOT);
    let known = read_crl(layout.files(), &path, &root)?;
    let brought = parse(layout.files(), &args.file)?;
    let now = SystemClock.now();
    let is_new = brought
        .check_successor(&root, known.as_ref(), now)
        .with_context(|| format!("{} is not taken over", args.file.display()))?;
    if let Some(gone) = known.as_ref().and_then(|known| dropped(known, &brought).next()) {
        bail!(
            "{} does not list {}, which was revoked: it is not taken over. Sign the next list from the last one",
            args.file.display(),
            gone.to_serial()
        );
    }
    if is_new {
        layout.files().write_public(&path, brought.pem().as_bytes())?;
    }
    report(
        if is_new { "taken over" } else { "is there already" },
        &brought,
        &path,
    );
    Ok(())
}

fn report(what: &str, crl: &Crl, path: &Path) {
    println!(
        "  ✓ list of revoked issuers {what}   number {}, {} listed, good until {}   {}",
        crl.number,
        crl.entry_count,
        crl.next_update,
        path.display()
    );
}

/// The list that is there, if any: whole and the root's, or an error that names the file.
pub(super) fn read_crl(files: &Files, path: &Path, root: &Certificate) -> anyhow::Result<Option<Crl>> {
    if !files.exists(path) {
        return Ok(None);
    }
    let crl = parse(files, path)?;
    crl.verify(root)
        .with_context(|| format!("{} cannot be used", path.display()))?;
    Ok(Some(crl))
}

fn parse(files: &Files, path: &Path) -> anyhow::Result<Crl> {
    let bytes = files.read(path, CRL_BYTES_MAX)?;
    Crl::parse_pem_or_der(bytes).with_context(|| format!("{} cannot be used", path.display()))
}

fn read_certificate(files: &Files, path: &Path) -> anyhow::Result<Certificate> {
    let text = files.read_text(path, PEM_BYTES_MAX)?;
    let found = pem::certificates(&text).with_context(|| format!("{} cannot be used", path.display()))?;
    // An issuer's file may have its root behind it.
    Certificate::parse(&found[0]).with_context(|| format!("{} cannot be used", path.display()))
}
