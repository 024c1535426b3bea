//! The CA of a quickstart: made once, with a passphrase nobody has to type.

use anyhow::Context;

use super::data::Data;
use crate::app::server::config::{Config, Flags};
use crate::app::server::init::{self, InitArgs};
use crate::app::server::passphrase::{PassphraseArgs, read_file};
use crate::base::{ExposeSecret, SecretString, encoding};
use crate::cli::World;
use crate::cli::profile::{PROFILE_FILE, Profile, default_profile};
use crate::client::ServerUrl;
use crate::pki::KeyAlgorithm;
use crate::sys::FileError;

/// Makes what is missing. The CA appears under its name when it is complete, so that a run that was
/// interrupted starts it anew.
pub fn ensure(world: &World, data: &Data) -> anyhow::Result<SecretString> {
    let passphrase = passphrase(world, data)?;
    if data.server().exists() {
        return Ok(passphrase);
    }
    let new = data.root().join("server.new");
    world.files.remove_tree(&new)?;
    let args = InitArgs {
        data_dir: new.clone(),
        dns: vec!["localhost".into()],
        ip: vec![std::net::IpAddr::from([127, 0, 0, 1])],
        public_url: None,
        ca_name: "dockwarden quickstart".into(),
        key_algorithm: KeyAlgorithm::EcdsaP256,
        import_root: Vec::new(),
        import_passphrase_file: None,
        offline_root: None,
        passphrase: PassphraseArgs::default(),
    };
    init::make(&args, &passphrase)?;
    let renamed = world.files.disk().rename(&new, &data.server());
    renamed.map_err(|e| FileError::new("create", &data.server(), e))?;
    world.files.sync_directory(data.root())?;
    Ok(passphrase)
}

fn passphrase(world: &World, data: &Data) -> anyhow::Result<SecretString> {
    let path = data.passphrase();
    if !world.files.exists(&path) {
        let bytes: [u8; 32] = world.random.bytes();
        let text = SecretString::from(encoding::base32(&bytes));
        world
            .files
            .write_private(&path, format!("{}\n", text.expose_secret()).as_bytes())?;
    }
    read_file(&world.files, &path)
}

/// The server's configuration, without a plain HTTP listener.
pub fn configuration(data: &Data) -> anyhow::Result<Config> {
    Config::read(Flags {
        config: Some(data.server().join("server.toml")),
        data_dir: Some(data.server()),
        listen: Vec::new(),
        http_listen: Some("off".into()),
        log_format: None,
        log_level: None,
    })
}

/// The administrator's profile at the server's present address; the default one too, when there is none yet.
pub fn admin_profile(world: &World, data: &Data, url: &ServerUrl) -> anyhow::Result<Profile> {
    let admin = data.server().join("admin");
    let profile = Profile {
        server: url.clone(),
        ca: admin.join("ca.pem"),
        cert: admin.join("cert.pem"),
        key: admin.join("key.pem"),
    };
    let file = admin.join(PROFILE_FILE);
    profile
        .write(world, &file)
        .context("the administrator's profile")?;
    let mut marker = data.marker(world)?.unwrap_or_default();
    let default = world
        .environment
        .config_directory()
        .ok()
        .map(|d| d.join(PROFILE_FILE));
    if let Some(default) = default
        && (default_profile(world).is_none() || marker.profiles.contains(&default))
    {
        marker.profiles.insert(default.clone());
        data.mark(world, &marker)?;
        world
            .files
            .private_directory(default.parent().unwrap_or(data.root()))?;
        profile.write(world, &default)?;
    }
    Ok(profile)
}
