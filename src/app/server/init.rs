//! `server init`: makes root, issuers, database and the first administrator. Refuses to overwrite.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::config::{DATA_DIR, names};
use super::layout::{Layout, ROOT};
use super::passphrase::{PassphraseArgs, read_file};
use super::{admin, compose};
use crate::base::{Clock, Random, SecretString, SystemClock, SystemRandom};
use crate::ca::{self, IssuerUrls, Root};
use crate::keys::{IssuerKey, MemoryKey, file};
use crate::model::IssuerKind;
use crate::pki::{KeyAlgorithm, San, Serial};
use crate::service::{Service, Settings};
use crate::store::sqlite::{Missing, SqliteStore};

/// The first administrator.
const ADMIN: &str = "admin";

/// Flags of `server init`.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// Where the server will keep its data
    #[arg(long, value_name = "DIR", env = "DOCKWARDEN_DATA_DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Name the server is reached by; may be given several times
    #[arg(long = "dns", value_name = "NAME")]
    pub dns: Vec<String>,
    /// Address the server is reached by; may be given several times
    #[arg(long = "ip", value_name = "ADDRESS")]
    pub ip: Vec<IpAddr>,
    /// URL of the plain HTTP listener, for CRLs and OCSP; without it certificates point nowhere
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Name of the CA, shown in its certificates
    #[arg(long, value_name = "NAME", default_value = "dockwarden")]
    pub ca_name: String,
    /// Key algorithm of root and issuers: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096
    #[arg(long, value_name = "ALGORITHM", default_value = "ecdsa-p256")]
    pub key_algorithm: KeyAlgorithm,
    /// Take over an existing root: its certificate and its key, both PEM
    #[arg(long, value_names = ["CERT", "KEY"], num_args = 2)]
    pub import_root: Vec<PathBuf>,
    /// File with the passphrase of the key that --import-root brings, when it is encrypted
    #[arg(long, value_name = "FILE", requires = "import_root")]
    pub import_passphrase_file: Option<PathBuf>,
    /// Put the root's key here instead of on the server, to be kept offline
    #[arg(long, value_name = "DIR")]
    pub offline_root: Option<PathBuf>,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// Where.
    pub layout: Layout,
    /// SHA-256 of the root certificate.
    pub root_fingerprint: [u8; 32],
    /// Where the first administrator's CLI profile points.
    pub url: String,
}

/// Runs it.
pub fn run(args: &InitArgs) -> anyhow::Result<()> {
    let layout = Layout::new(&args.data_dir);
    layout.refuse_existing()?;
    let passphrase = args.passphrase.choose()?;
    let made = make(args, &passphrase)?;
    report(args, &made);
    Ok(())
}

/// Makes everything, with this passphrase for the keys.
pub fn make(args: &InitArgs, passphrase: &SecretString) -> anyhow::Result<Made> {
    let layout = Layout::new(&args.data_dir);
    layout.refuse_existing()?;
    let sans = sans(args)?;
    let now = SystemClock.now();
    let root = root(args)?;
    layout.files().service_directory(layout.root())?;
    let _lock = layout.lock()?;
    let issuers = issuers(args, &root.root, now)?;
    write_keys(args, &layout, &root, &issuers, passphrase)?;
    let url = admin::url(&sans);
    layout.files().write_private(
        &layout.config(),
        config_text(&sans, args.public_url.as_deref()).as_bytes(),
    )?;
    let root_fingerprint = root.root.certificate().fingerprint;
    compose::runtime()?.block_on(first_admin(&layout, args, root.root, issuers, &url))?;
    Ok(Made {
        layout,
        root_fingerprint,
        url,
    })
}

fn sans(args: &InitArgs) -> anyhow::Result<Vec<San>> {
    let texts: Vec<String> = args
        .dns
        .iter()
        .cloned()
        .chain(args.ip.iter().map(ToString::to_string))
        .collect();
    if texts.is_empty() {
        bail!(
            "give the names and addresses the server is reached by: --dns ca.fleet.internal, --ip 10.0.0.1"
        );
    }
    names(&texts)
}

/// A root at work, and its key for keeping.
struct RootParts {
    root: Root,
    key: Arc<MemoryKey>,
}

fn root(args: &InitArgs) -> anyhow::Result<RootParts> {
    let now = SystemClock.now();
    let files = crate::sys::Files::system();
    if let [certificate, key] = args.import_root.as_slice() {
        let passphrase = args
            .import_passphrase_file
            .as_deref()
            .map(|path| read_file(&files, path))
            .transpose()?;
        let limit = crate::base::limits::PEM_BYTES_MAX;
        let read = |path: &Path| {
            files
                .read_text(path, limit)
                .context("the root cannot be taken over")
        };
        let text = zeroize::Zeroizing::new(read(key)?);
        let opened = file::import(text.as_bytes(), passphrase.as_ref())
            .with_context(|| format!("the root cannot be taken over: {}", key.display()))?;
        let opened = Arc::new(opened);
        let root = ca::import_root(read(certificate)?, Arc::clone(&opened) as Arc<dyn IssuerKey>, now)
            .with_context(|| format!("the root cannot be taken over: {}", certificate.display()))?;
        return Ok(RootParts { root, key: opened });
    }
    let key = Arc::new(MemoryKey::generate(args.key_algorithm)?);
    let shared = Arc::clone(&key) as Arc<dyn IssuerKey>;
    let root = ca::make_root(&args.ca_name, shared, &Serial::draw(&SystemRandom), now)?;
    Ok(RootParts { root, key })
}

/// An issuer's certificate and key.
struct IssuerParts {
    kind: IssuerKind,
    certificate: crate::pki::Certificate,
    key: Arc<MemoryKey>,
}

fn issuers(args: &InitArgs, root: &Root, now: crate::base::Timestamp) -> anyhow::Result<[IssuerParts; 2]> {
    let make = |kind| -> anyhow::Result<IssuerParts> {
        let key = Arc::new(MemoryKey::generate(args.key_algorithm)?);
        let serial = Serial::draw(&SystemRandom);
        let certificate = ca::make_issuer(root, kind, &args.ca_name, key.public_key(), &serial, now)?;
        Ok(IssuerParts {
            kind,
            certificate,
            key,
        })
    };
    Ok([make(IssuerKind::Hosts)?, make(IssuerKind::Clients)?])
}

fn write_keys(
    args: &InitArgs,
    layout: &Layout,
    root: &RootParts,
    issuers: &[IssuerParts; 2],
    passphrase: &SecretString,
) -> anyhow::Result<()> {
    let files = layout.files();
    let random: &dyn Random = &SystemRandom;
    files.private_directory(&layout.keys())?;
    files.private_directory(&layout.certificates())?;
    let root_key = match &args.offline_root {
        None => layout.key(ROOT),
        Some(elsewhere) => {
            files.private_directory(elsewhere)?;
            let path = elsewhere.join("root.key.pem");
            if files.exists(&path) {
                bail!(
                    "{} holds a root key already: it is not overwritten",
                    elsewhere.display()
                );
            }
            files.write_public(
                &elsewhere.join("root.pem"),
                root.root.certificate().pem().as_bytes(),
            )?;
            path
        }
    };
    files.write_private(&root_key, file::seal(&root.key, passphrase, random)?.as_bytes())?;
    files.write_public(
        &layout.certificate(ROOT),
        root.root.certificate().pem().as_bytes(),
    )?;
    match super::root_crl::first(&root.root, SystemClock.now())? {
        None => eprintln!(
            "dockwarden: the root's certificate does not allow CRLs (key usage cRLSign): its issuers cannot be revoked, and readers that want a CRL of every CA refuse"
        ),
        Some(crl) => {
            let here = layout.crl(ROOT);
            let elsewhere = args
                .offline_root
                .iter()
                .map(|directory| directory.join("root.crl.pem"));
            for path in elsewhere.chain([here]) {
                files.write_public(&path, crl.pem().as_bytes())?;
            }
        }
    }
    for issuer in issuers {
        let name = issuer.kind.as_str();
        files.write_private(
            &layout.key(name),
            file::seal(&issuer.key, passphrase, random)?.as_bytes(),
        )?;
        files.write_public(&layout.certificate(name), issuer.certificate.pem().as_bytes())?;
    }
    Ok(())
}

/// Makes the database and the first administrator in it.
async fn first_admin(
    layout: &Layout,
    args: &InitArgs,
    root: Root,
    issuers: [IssuerParts; 2],
    url: &str,
) -> anyhow::Result<()> {
    let urls = |kind| match &args.public_url {
        Some(url) => IssuerUrls::under(url, kind),
        None => Ok(IssuerUrls::none()),
    };
    let [hosts, clients] = issuers.map(|parts| {
        let key = parts.key as Arc<dyn IssuerKey>;
        ca::Issuer::new(parts.certificate, key, parts.kind, urls(parts.kind)?)
    });
    let authority = crate::service::Authority::new(root.certificate().clone(), hosts?, clients?)?;
    let store = SqliteStore::open(&layout.database(), Missing::Create).await?;
    let service = Service::new(
        Arc::new(store),
        Arc::new(authority),
        Settings::default(),
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
    );
    let name = ADMIN.parse().expect("a name");
    let made = admin::adopt(&service, &name, &layout.admin(), url).await;
    service.close().await;
    made
}

fn config_text(sans: &[San], public_url: Option<&str>) -> String {
    let names: Vec<String> = sans.iter().map(|san| format!("\"{san}\"")).collect();
    let public_url = match public_url {
        Some(url) => format!("public_url = \"{url}\"\n"),
        None => "# public_url = \"http://ca.example:8080\"\n".to_owned(),
    };
    format!(
        "# Written by `dockwarden server init`. deploy/server.toml in the sources explains every key; check a change with\n\
         # `dockwarden server run --check-config`.\n\
         # Names and addresses the server is reached by: its own certificate carries them.\n\
         names = [{}]\n\
         # Where hosts and clients reach the plain listener, for CRLs and OCSP. Stands in every certificate.\n\
         {public_url}",
        names.join(", ")
    )
}

fn report(args: &InitArgs, made: &Made) {
    let data = made.layout.root().display();
    let fingerprint = crate::base::encoding::hex(&made.root_fingerprint);
    println!("  ✓ certificate authority   {data}   root {fingerprint}");
    println!("  ✓ administrator           {data}/admin   {}", made.url);
    if let Some(offline) = &args.offline_root {
        println!(
            "  ! the root's key is in {}: move it off this machine; the server runs without it",
            offline.display()
        );
    }
    println!();
    println!("  Start:  dockwarden server run --data-dir {data}");
    println!("  Then:   dockwarden token create --profile host --name 'web-*.example' > join.token");
}
