//! `client renew`: a new key and a new certificate, put in place with one rename.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use zeroize::Zeroizing;

use super::super::profile::{PROFILE_FILE, Profile};
use super::super::{Error, World, text};
use super::home::{Home, State};
use super::pair::Pair;
use super::{Which, adopt, contexts};
use crate::base::limits::PEM_BYTES_MAX;
use crate::base::{Backoff, Timestamp};
use crate::client;
use crate::pki::{LeafKey, csr, pem};
use crate::wire::RenewRequest;

/// The longest sleep between two looks at the clock: it may be set, and laptops are put to sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Arguments of `client renew`.
#[derive(Debug, Args)]
pub struct Renew {
    #[command(flatten)]
    which: Which,
    /// Now, even when it is not due
    #[arg(long)]
    force: bool,
    /// Stay and renew whenever one is due
    #[arg(long)]
    watch: bool,
}

/// Runs `client renew`.
pub async fn run(args: Renew, world: &mut World) -> Result<u8, Error> {
    if let Some(directory) = &args.which.cert_path {
        adopt::if_plain(world, directory)?;
    }
    let homes = args.which.homes(world)?;
    if args.watch {
        return watch(&homes, args.force, world).await;
    }
    let mut failed = 0;
    for home in &homes {
        if let Err(e) = once(home, args.force, world).await {
            failed += 1;
            world.note(format!("dockwarden: {}", explained(&e, home)));
        }
    }
    Ok(u8::from(failed > 0))
}

async fn once(home: &Home, force: bool, world: &mut World) -> Result<(), Error> {
    let before = home.state(world)?;
    let now = world.clock.now();
    if !force && now < before.renew_at {
        world.say(format!(
            "  {}: not due before {}, good until {} (--force renews now)",
            before.name,
            text::date(before.renew_at, now),
            text::date(before.not_after, now)
        ))?;
        return Ok(());
    }
    let state = renew(home, world).await?;
    world.say(format!(
        "  ✓ {}: certificate {} until {}, replaces {}",
        state.name,
        state.serial.short(),
        text::date(state.not_after, now),
        before.serial.short()
    ))
}

/// Renews when it is due; nothing happens otherwise.
pub async fn when_due(world: &World, home: &Home) -> Result<(), Error> {
    if world.clock.now() < home.state(world)?.renew_at {
        return Ok(());
    }
    renew(home, world).await.map(drop)
}

/// Renews now. The new key is on disk before it is sent: a lost answer is asked for again with it.
async fn renew(home: &Home, world: &World) -> Result<State, Error> {
    let _lock = home.lock(world)?;
    let mut state = home.state(world)?;
    let profile = home.profile(world)?;
    let key = next_key(home, &profile, &state, world)?;
    let client = profile.client(world)?;
    let request = RenewRequest {
        csr: csr::make(&key, &state.name, &[]).to_pem(),
    };
    let issued = client.renew(&request).await?;
    let pair = Pair::check(&issued, &key, None, world.clock.now())?;
    if *pair.peer().name() != state.name {
        return Err(Error::Found(format!(
            "the server renewed {} into a certificate for {}: it was not put in place",
            state.name,
            pair.peer().name()
        )));
    }
    state.serial = pair.peer().serial().clone();
    (state.not_before, state.not_after) = (pair.peer().not_before(), pair.peer().not_after());
    state.renew_at = pair.draw_renewal(world, issued.renew_after);
    pair.install(world, home, &state)?;
    world.files.remove(&home.next_key_file())?;
    refresh_contexts(home, &mut state, world).await;
    Ok(state)
}

/// The key of an interrupted renewal, unless that one got as far as being in use; else a new one.
fn next_key(home: &Home, profile: &Profile, state: &State, world: &World) -> Result<LeafKey, Error> {
    let path = home.next_key_file();
    let kept = world.files.read_if_any(&path, PEM_BYTES_MAX)?;
    let kept = kept.and_then(|pem| LeafKey::from_pem(Zeroizing::new(pem).as_slice()).ok());
    if let Some(key) = kept
        && !is_in_use(&key, profile, world)
    {
        return Ok(key);
    }
    let key = LeafKey::generate(state.key_algorithm).map_err(|e| Error::Found(e.to_string()))?;
    world.files.write_private(&path, key.to_pkcs8_pem().as_bytes())?;
    Ok(key)
}

fn is_in_use(key: &LeafKey, profile: &Profile, world: &World) -> bool {
    let current = world
        .files
        .read(&profile.key, PEM_BYTES_MAX)
        .ok()
        .map(Zeroizing::new);
    let current = current.and_then(|pem| LeafKey::from_pem(pem.as_slice()).ok());
    current.is_some_and(|current| current.public_key() == key.public_key())
}

/// Hosts come and go between renewals. Not being able to ask is no reason to call the renewal failed.
async fn refresh_contexts(home: &Home, state: &mut State, world: &World) {
    let Some(settings) = state.contexts.clone() else {
        return;
    };
    let refreshed = async {
        let client = home.profile(world)?.client(world)?;
        state.hosts = contexts::fetch(&client, world).await?;
        home.save(world, state)?;
        contexts::sync(world, home, state, &settings).map(drop)
    };
    if let Err(e) = refreshed.await {
        world.warn(format!(
            "the docker contexts of {} were not brought up to date: {e}",
            home.directory().display()
        ));
    }
}

async fn watch(homes: &[Home], force: bool, world: &mut World) -> Result<u8, Error> {
    let stop = stopped()?;
    tokio::pin!(stop);
    let mut watched: Vec<Watched<'_>> = homes
        .iter()
        .map(|home| {
            Ok(Watched {
                home,
                next: first_try(&home.state(world)?, force, world),
                backoff: None,
            })
        })
        .collect::<Result<_, Error>>()?;
    loop {
        let now = world.clock.now();
        for watched in watched.iter_mut().filter(|w| w.next <= now) {
            watched.renew(world).await;
        }
        let now = world.clock.now();
        let next = watched
            .iter()
            .map(|w| w.next.since(now))
            .min()
            .unwrap_or(LOOK_EVERY);
        tokio::select! {
            () = tokio::time::sleep(next.min(LOOK_EVERY)) => {}
            () = &mut stop => return Ok(0),
        }
    }
}

fn first_try(state: &State, force: bool, world: &World) -> Timestamp {
    if force { world.clock.now() } else { state.renew_at }
}

/// One client under `--watch`.
struct Watched<'a> {
    home: &'a Home,
    next: Timestamp,
    backoff: Option<Backoff>,
}

impl Watched<'_> {
    async fn renew(&mut self, world: &mut World) {
        let now = world.clock.now();
        match renew(self.home, world).await {
            Ok(state) => {
                (self.next, self.backoff) = (state.renew_at, None);
                world.note(format!(
                    "{}: certificate {} until {}, next renewal {}",
                    state.name,
                    state.serial.short(),
                    text::date(state.not_after, now),
                    text::date(state.renew_at, now)
                ));
            }
            Err(e) => {
                let remaining = self
                    .home
                    .state(world)
                    .map_or(Duration::ZERO, |s| s.not_after.since(now));
                let backoff = self
                    .backoff
                    .get_or_insert_with(|| Backoff::for_renewal(remaining));
                let delay = backoff.next_delay(&*world.random);
                self.next = now + delay;
                world.warn(format!(
                    "{}\n  Next try in {}.",
                    explained(&e, self.home),
                    text::span(delay)
                ));
            }
        }
    }
}

fn explained(error: &Error, home: &Home) -> String {
    match error {
        Error::Server(client::Error::CertificateRefused { .. }) => format!(
            "{error}\n  {} holds it; dockwarden client enroll --server URL --token-file FILE makes a new one.",
            home.directory().display()
        ),
        other => other.to_string(),
    }
}

async fn stopped_by(mut terminate: tokio::signal::unix::Signal) {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn stopped() -> Result<impl Future<Output = ()>, Error> {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(stopped_by(terminate))
}

/// Renews the client behind a profile that is being used, when it is due. Whatever goes wrong is told and
/// left for the next time: the certificate in use is still good.
pub async fn if_due(world: &World, profile_file: &Path) {
    let Some(directory) = profile_file.parent() else {
        return;
    };
    let home = match due_home(world, directory, profile_file) {
        Ok(Some(home)) => home,
        Ok(None) => return,
        Err(e) => return world.warn(format!("a certificate that is due was not renewed: {e}")),
    };
    match renew(&home, world).await {
        Ok(state) => world.note(format!(
            "dockwarden: renewed the certificate of {} until {}",
            state.name,
            text::date(state.not_after, world.clock.now())
        )),
        Err(e) => world.warn(format!("a certificate that is due was not renewed: {e}")),
    }
}

/// The home whose certificate is due, if it is: its own profile, a copy of it, or a plain directory.
fn due_home(world: &World, directory: &Path, profile_file: &Path) -> Result<Option<Home>, Error> {
    let now = world.clock.now();
    let profile = Profile::read(world, profile_file)?;
    let Some(home) = Home::of_profile(world, &profile, directory)? else {
        return Ok(None);
    };
    match home.state_if_any(world)? {
        Some(state) => Ok((now >= state.renew_at && now < state.not_after).then_some(home)),
        None => {
            let chain = pem::certificates(world.files.read(&profile.cert, PEM_BYTES_MAX)?).ok();
            let leaf = chain.and_then(|chain| crate::pki::Certificate::parse(&chain[0]).ok());
            let due = leaf.is_some_and(|leaf| {
                let lifetime = leaf.not_after.since(leaf.not_before);
                (leaf.not_before + lifetime.mul_f64(2.0 / 3.0)..leaf.not_after).contains(&now)
            });
            if due && directory.join(PROFILE_FILE) == profile_file {
                adopt::if_plain(world, directory)?;
                return Ok(Some(home));
            }
            Ok(None)
        }
    }
}
