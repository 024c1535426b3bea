//! `server admin`: an administrator's certificate, made at the server's console. Whoever can open the CA's keys needs
//! no join token: the first one comes this way, and the one after everybody lost theirs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use super::compose;
use super::config::{Config, Flags};
use super::passphrase::PassphraseArgs;
use crate::base::{SystemClock, SystemRandom};
use crate::model::{IssuerKind, Permission};
use crate::pki::{IdentityName, KeyAlgorithm, LeafKey, San, csr, pem};
use crate::service::Service;
use crate::store::sqlite::{Missing, SqliteStore};
use crate::sys::Files;

/// Flags of `server admin`.
#[derive(Clone, Debug, Args)]
pub struct AdminArgs {
    /// New directory for ca.pem, cert.pem, key.pem and profile.toml
    directory: PathBuf,
    /// The administrator's name
    #[arg(long, default_value = "admin")]
    name: IdentityName,
    /// Where the server's data is [default: /var/lib/dockwarden/server]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Makes one, while the server runs or not.
pub fn run(args: &AdminArgs) -> anyhow::Result<()> {
    let config = Config::read(Flags {
        data_dir: args.data_dir.clone(),
        ..Flags::default()
    })?;
    config.layout.require()?;
    if config.layout.files().exists(&args.directory) {
        bail!(
            "{} exists already: it is not overwritten",
            args.directory.display()
        );
    }
    let passphrase = args.passphrase.get(config.passphrase_file.as_deref())?;
    let authority = compose::authority(&config.layout, &passphrase, config.public_url.as_deref())?;
    compose::runtime()?.block_on(async {
        let store = SqliteStore::open(&config.layout.database(), Missing::Refuse).await?;
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let service = Service::new(
            Arc::new(store),
            Arc::new(authority),
            config.settings.clone(),
            clock,
            random,
        );
        let made = adopt(
            &service,
            &args.name,
            &args.directory,
            &url(&config.settings.names),
        )
        .await;
        service.close().await;
        made
    })?;
    println!("  ✓ administrator {} in {}", args.name, args.directory.display());
    Ok(())
}

/// Makes an administrator, with a CLI profile beside the certificate.
pub async fn adopt(
    service: &Service,
    name: &IdentityName,
    directory: &Path,
    url: &str,
) -> anyhow::Result<()> {
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256)?;
    let csr = csr::verify(csr::make(&key, name, &[]), &[KeyAlgorithm::EcdsaP256])?;
    let certificate = service
        .adopt_client(name.clone(), Permission::Admin, &csr)
        .await?;
    let leaf = pem::encode_certificate(&certificate.der);
    let chain = leaf + service.authority().issuer(IssuerKind::Clients).pem();
    let files = Files::system();
    files.private_directory(directory)?;
    files.write_public(
        &directory.join("ca.pem"),
        service.authority().root_pem().as_bytes(),
    )?;
    files.write_public(&directory.join("cert.pem"), chain.as_bytes())?;
    files.write_private(&directory.join("key.pem"), key.to_pkcs8_pem().as_bytes())?;
    let profile = format!("server = \"{url}\"\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
    Ok(files.write_public(&directory.join("profile.toml"), profile.as_bytes())?)
}

/// Where the server is reached: its first name, on the usual port.
pub fn url(names: &[San]) -> String {
    match names.first() {
        Some(San::Ip(std::net::IpAddr::V6(address))) => format!("https://[{address}]:8443"),
        Some(first) => format!("https://{first}:8443"),
        None => "https://localhost:8443".to_owned(),
    }
}
