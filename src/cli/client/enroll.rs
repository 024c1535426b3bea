//! `client enroll`: a key made here, a certificate for it, and docker contexts.
//!
//! The key is on disk before the request is sent, under the token's id: whatever gets lost, the same command
//! asks again with the same key and gets the same certificate.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use zeroize::Zeroizing;

use super::super::profile::{PROFILE_FILE, default_profile};
use super::super::{Error, World, host, text};
use super::home::{ContextSettings, Home, State, joining_directory};
use super::pair::Pair;
use super::{contexts, docker, enumerate, warn_of_docker_host};
use crate::base::limits::PEM_BYTES_MAX;
use crate::base::{Span, encoding};
use crate::client::{Client, Enrolled, ServerUrl};
use crate::model::{IdentityKind, JoinToken};
use crate::pki::tls::{Pins, ServerTrust};
use crate::pki::{IdentityName, KeyAlgorithm, LeafKey, csr};
use crate::wire::{EnrollRequest, Issued, Pending};

/// The largest token file that is read, bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// Arguments of `client enroll`.
#[derive(Clone, Debug, Args)]
pub struct Enroll {
    /// Where the server is: https://HOST:PORT
    #[arg(long, value_name = "URL", env = "DOCKWARDEN_SERVER")]
    pub server: ServerUrl,
    /// File with the join token; `-` for standard input [default: the variable DOCKWARDEN_TOKEN]
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// The join token itself; other users of this machine can see it, so prefer --token-file
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Name to ask for [default: the one the token was made for]
    #[arg(long, value_name = "NAME")]
    pub name: Option<IdentityName>,
    /// Call the docker context this (when there is one host)
    #[arg(long, value_name = "NAME", conflicts_with = "cert_path")]
    pub context: Option<String>,
    /// Contexts for these hosts only [default: all that can be reached]. May be repeated
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Put {ca,cert,key}.pem into this directory for DOCKER_CERT_PATH, and make no docker contexts
    #[arg(long, value_name = "DIR")]
    pub cert_path: Option<PathBuf>,
    /// Kind of key: ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, rsa-3072, rsa-4096
    #[arg(long, value_name = "ALGORITHM", default_value_t = KeyAlgorithm::EcdsaP256)]
    pub key_algorithm: KeyAlgorithm,
    /// When an operator has to approve: wait for that, one hour or as long as given
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1h")]
    pub wait: Option<Span>,
}

/// A client that is enrolled here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledClient {
    /// Its name.
    pub name: IdentityName,
    /// Its docker contexts.
    pub contexts: Vec<String>,
    /// Where its files are.
    pub directory: PathBuf,
    /// What `DOCKER_CERT_PATH` would be.
    pub docker_cert_path: PathBuf,
}

/// Runs `client enroll`.
pub async fn run(args: Enroll, world: &mut World) -> Result<u8, Error> {
    let token = read_token(&args, world)?;
    let token: JoinToken = token.parse()?;
    let Some((home, state)) = join(&args, &token, world).await? else {
        return Ok(1);
    };
    let client = home.profile(world)?.client(world)?;
    let role = client.whoami().await?.role;
    let as_role = role.map(|role| format!(" ({role})")).unwrap_or_default();
    let now = world.clock.now();
    world.say(format!(
        "  ✓ certificate for {}{as_role}, until {}; renewed when dockwarden is used after {}, or by itself with: {}",
        state.name,
        text::date(state.not_after, now),
        text::date(state.renew_at, now),
        renewal_hint(&args)
    ))?;
    let enrolled = finish(&args, &client, &home, state, world).await?;
    report(&args, &enrolled, world)?;
    Ok(0)
}

/// The same for a caller that already holds the token: quickstart.
///
/// # Errors
/// As the command; a request that has to wait for an operator is an error here.
pub async fn enroll(args: &Enroll, token: &JoinToken, world: &mut World) -> Result<EnrolledClient, Error> {
    let (home, state) = join(args, token, world)
        .await?
        .ok_or_else(|| Error::Found("the enrolment waits for an operator".into()))?;
    let client = home.profile(world)?.client(world)?;
    finish(args, &client, &home, state, world).await
}

/// What keeps the certificate fresh when nobody thinks of it.
fn renewal_hint(args: &Enroll) -> String {
    match &args.cert_path {
        None => "systemctl --user enable --now dockwarden-client.timer".to_owned(),
        Some(directory) => format!(
            "dockwarden client renew --watch --cert-path {}",
            super::env::quote(&directory.display().to_string())
        ),
    }
}

fn report(args: &Enroll, enrolled: &EnrolledClient, world: &mut World) -> Result<(), Error> {
    if args.cert_path.is_some() {
        world.say(format!(
            "  ✓ ca.pem, cert.pem and key.pem in {}        try: eval \"$(dockwarden client env --cert-path {})\"; docker ps",
            enrolled.docker_cert_path.display(),
            super::env::quote(&enrolled.docker_cert_path.display().to_string())
        ))?;
        return Ok(());
    }
    match enrolled.contexts.as_slice() {
        [] => world.say("  no host can be reached yet; when one can, this makes its docker context: dockwarden client contexts")?,
        names => world.say(format!(
            "  ✓ docker contexts: {}        try: docker --context {} ps",
            enumerate(names),
            names[0]
        ))?,
    }
    warn_of_docker_host(world);
    Ok(())
}

fn read_token(args: &Enroll, world: &World) -> Result<Zeroizing<String>, Error> {
    if let Some(token) = &args.token {
        world.warn("--token shows the join token to everybody on this machine (ps) and leaves it in the shell's history; --token-file does not");
        return Ok(Zeroizing::new(token.clone()));
    }
    match &args.token_file {
        Some(path) if path == Path::new("-") => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin().take(TOKEN_BYTES_MAX as u64).read_to_string(&mut text)?;
            Ok(text)
        }
        Some(path) => Ok(Zeroizing::new(world.files.read_text(path, TOKEN_BYTES_MAX)?)),
        None => world.environment.token.clone().map(Zeroizing::new).ok_or_else(|| {
            Error::Usage("there is no join token: pass --token-file FILE, or set DOCKWARDEN_TOKEN\n  On the server: dockwarden token create --profile client --name NAME > join.token".into())
        }),
    }
}

/// Until the certificate is in place. `None` when an operator has to approve first and nobody waits.
async fn join(args: &Enroll, token: &JoinToken, world: &mut World) -> Result<Option<(Home, State)>, Error> {
    if let Some(name) = args
        .context
        .as_deref()
        .filter(|name| !docker::is_context_name(name))
    {
        return Err(Error::Usage(format!(
            "--context {name:?} is not a name docker takes: two or more of a-z, A-Z, 0-9, '_', '.', '+', '-', starting with a letter or digit, not \"default\""
        )));
    }
    if let Some(directory) = &args.cert_path {
        Home::inside(world, directory)?.check_cert_path(world)?;
    }
    if let Some(joined) = joined_before(args, token, world)? {
        return Ok(Some(joined));
    }
    let joining = joining_directory(world, args.cert_path.as_deref())?;
    world.files.private_directory(&joining)?;
    let key_file = joining.join(format!("{}.pem", token.id));
    let key = kept_key(world, &key_file, args.key_algorithm)?;
    let Some(issued) = ask(args, token, &key, world).await? else {
        return Ok(None);
    };
    let pins = Pins(token.pins.clone());
    let pair = Pair::check(&issued, &key, Some(&pins), world.clock.now())?;
    let home = home_for(args, pair.peer().name(), world)?;
    let state = State {
        name: pair.peer().name().clone(),
        server: args.server.clone(),
        token: Some(token.id),
        serial: pair.peer().serial().clone(),
        not_before: pair.peer().not_before(),
        not_after: pair.peer().not_after(),
        renew_at: pair.draw_renewal(world, issued.renew_after),
        key_algorithm: args.key_algorithm,
        contexts: context_settings(args, world)?,
        hosts: Vec::new(),
    };
    let _lock = home.lock(world)?;
    pair.install(world, &home, &state)?;
    home.link_cert_path(world)?;
    world.files.remove(&key_file)?;
    Ok(Some((home, state)))
}

/// The client that this very token made here, when it did: the command was run before and got that far.
fn joined_before(args: &Enroll, token: &JoinToken, world: &World) -> Result<Option<(Home, State)>, Error> {
    let homes = match &args.cert_path {
        Some(directory) => vec![Home::inside(world, directory)?],
        None => Home::all(world)?,
    };
    for home in homes {
        let Some(mut state) = home.state_if_any(world)? else {
            continue;
        };
        let wanted = args.name.as_ref().is_none_or(|name| *name == state.name);
        if state.token == Some(token.id) && wanted && home.profile(world)?.identity(world).is_ok() {
            home.link_cert_path(world)?;
            state.contexts = context_settings(args, world)?;
            return Ok(Some((home, state)));
        }
    }
    Ok(None)
}

/// The key this token was tried with before, or a new one, on disk either way.
fn kept_key(world: &World, path: &Path, algorithm: KeyAlgorithm) -> Result<LeafKey, Error> {
    let unusable = |e: &dyn std::fmt::Display| {
        Error::Found(format!(
            "{} {e}\n  Remove it and run the same command again.",
            path.display()
        ))
    };
    if let Some(pem) = world.files.read_if_any(path, PEM_BYTES_MAX)? {
        return LeafKey::from_pem(Zeroizing::new(pem).as_slice()).map_err(|e| unusable(&e));
    }
    let key = LeafKey::generate(algorithm).map_err(|e| Error::Found(e.to_string()))?;
    world.files.write_private(path, key.to_pkcs8_pem().as_bytes())?;
    Ok(key)
}

/// Asks until there is a certificate, as long as somebody waits for it.
async fn ask(
    args: &Enroll,
    token: &JoinToken,
    key: &LeafKey,
    world: &World,
) -> Result<Option<Issued>, Error> {
    let trust = ServerTrust::Pins(Pins(token.pins.clone()));
    let client = Client::new(args.server.clone(), trust, None, Arc::clone(&world.clock));
    let request = match &args.name {
        Some(name) => csr::make(key, name, &[]),
        None => csr::make_unnamed(key),
    };
    let request = EnrollRequest {
        token: token.expose().to_string(),
        csr: request.to_pem(),
        names: Vec::new(),
        addresses: Vec::new(),
        labels: Default::default(),
        profile: Some(IdentityKind::Client),
    };
    let deadline = args.wait.map(|wait| world.clock.now() + wait.0);
    let mut told = false;
    loop {
        let pending = match client.enroll(&request).await? {
            Enrolled::Issued(issued) => return Ok(Some(*issued)),
            Enrolled::Pending(pending) => pending,
        };
        if !told {
            tell_of_pending(&pending, key, args.wait.is_some(), world);
            told = true;
        }
        let pause = Duration::from_secs(u64::from(pending.retry_after.clamp(1, 60)));
        match deadline {
            Some(deadline) if world.clock.now() + pause <= deadline => tokio::time::sleep(pause).await,
            Some(_) => {
                world.note("  nobody approved it in time; the same command goes on waiting");
                return Ok(None);
            }
            None => return Ok(None),
        }
    }
}

fn tell_of_pending(pending: &Pending, key: &LeafKey, waits: bool, world: &World) {
    let sha256 = encoding::hex(&key.public_key().spki_sha256());
    world.note(format!(
        "  … an operator has to approve this: dockwarden host approve {}",
        pending.request
    ));
    world.note(format!(
        "    they compare this key: {}  (SHA-256 {sha256})",
        host::key(&sha256, false)
    ));
    if !waits {
        world.note("    then run the same command again, or now with --wait");
    } else if std::io::stderr().is_terminal() {
        world.note("    waiting; Ctrl-C is fine, the same command continues");
    }
}

/// `clients/NAME`; `clients/NAME@HOST` when that name is taken by a client of another server.
fn home_for(args: &Enroll, name: &IdentityName, world: &World) -> Result<Home, Error> {
    if let Some(directory) = &args.cert_path {
        return Home::inside(world, directory);
    }
    let home = Home::named(world, name)?;
    match home.state_if_any(world)? {
        Some(state) if state.server != args.server => {
            let other = format!("{name}@{}", args.server.host().replace(':', "-"));
            let other: String = other.chars().take(64).collect();
            Home::named(world, &other.parse().map_err(|e| Error::Found(format!("{e}")))?)
        }
        _ => Ok(home),
    }
}

fn context_settings(args: &Enroll, world: &World) -> Result<Option<ContextSettings>, Error> {
    if args.cert_path.is_some() {
        return Ok(None);
    }
    Ok(Some(ContextSettings {
        docker_directory: world.absolute(&world.environment.docker_directory()?)?,
        name: args.context.clone(),
        only: args.hosts.clone(),
    }))
}

/// Hosts, contexts, and a default profile when there was none.
async fn finish(
    args: &Enroll,
    client: &Client,
    home: &Home,
    mut state: State,
    world: &World,
) -> Result<EnrolledClient, Error> {
    state.hosts = contexts::fetch(client, world).await?;
    home.save(world, &state)?;
    for wanted in args
        .hosts
        .iter()
        .filter(|wanted| !state.hosts.iter().any(|h| h.name == **wanted))
    {
        world.warn(format!(
            "{} cannot reach a host called {wanted:?} (yet)",
            state.name
        ));
    }
    let synced = match &state.contexts {
        Some(settings) => contexts::sync(world, home, &state, settings)?,
        None => contexts::Synced::default(),
    };
    if args.cert_path.is_none() && default_profile(world).is_none() {
        let path = world.environment.config_directory()?.join(PROFILE_FILE);
        home.profile(world)?.write(world, &path)?;
    }
    Ok(EnrolledClient {
        name: state.name,
        contexts: synced.names,
        directory: home.directory().to_owned(),
        docker_cert_path: home.docker_cert_path(),
    })
}
