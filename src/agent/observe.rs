//! Gathering what is there. Reads, dials, changes nothing, decides nothing.

use super::World;
use super::daemon::observe::Recall;
use super::daemon::{self, DaemonSight};
use super::desired::Desired;
use super::observed::{Current, Engine, Flaw, Observed, PairFacts, RequestFacts, Setbacks, TokenState};
use super::pair::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, Pair, PairError};
use super::records::{Answer, Journal, Memory, Request};
use super::step::Served;
use crate::base::{ExposeSecret, Timestamp, encoding, limits};
use crate::sys::{FileError, Versions};

/// Why a version's files are no pair.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Pair(#[from] PairError),
}

/// Reads a version's pair.
pub(super) fn load(versions: &Versions, version: u64) -> Result<Pair, LoadError> {
    let read = |name| versions.read(version, name, limits::PEM_BYTES_MAX);
    Ok(Pair::parse(
        &read(CA_FILE)?,
        &read(CERTIFICATE_FILE)?,
        &read(KEY_FILE)?,
    )?)
}

/// Pairs a kept answer with the kept key.
pub(super) fn join(request: &Request, answer: &Answer) -> Result<Pair, PairError> {
    let key = request.key.expose_secret().as_bytes();
    let issued = &answer.issued;
    match Pair::parse(issued.ca.as_bytes(), issued.chain.as_bytes(), key) {
        Err(PairError::KeyMismatch) => Err(PairError::StrangeKey),
        other => other,
    }
}

/// What the state directory holds.
#[derive(Default)]
struct Kept {
    request: Option<RequestFacts>,
    memory: Memory,
    interrupted: Option<Journal>,
}

/// Looks at everything. `since` is when the wanted names became what they are.
pub(super) async fn observe(
    world: &World,
    desired: &Desired,
    since: Timestamp,
    setbacks: &Setbacks,
    recall: &Recall,
) -> Observed {
    let now = world.clock.now();
    let versions = world.versions();
    let all = versions.list().unwrap_or_default();
    let current = current(&versions, now);
    let (engine, served, daemon) = outside(world, desired, &current, recall).await;
    let in_use = match &current {
        Current::Nothing => None,
        Current::Broken { version, .. } => Some(*version),
        Current::Pair(pair) => Some(pair.version),
    };
    let usable = |version: u64| load(&versions, version).is_ok_and(|pair| pair.verify(&[], now).is_ok());
    let fallback = match current {
        Current::Pair(_) => None,
        _ => all
            .iter()
            .rev()
            .copied()
            .find(|v| Some(*v) != in_use && usable(*v)),
    };
    let (kept, unreadable) = match kept(world, &versions, &all, in_use, now) {
        Ok(kept) => (kept, None),
        Err(error) => (Kept::default(), Some(error.to_string())),
    };
    let (daemon, unreadable) = match daemon {
        Ok(daemon) => (daemon, unreadable),
        Err(error) => (None, unreadable.or(Some(error.to_string()))),
    };
    let staged = kept.request.as_ref().and_then(|request| request.staged);
    let waiting = staged.and_then(|version| facts(version, &load(&versions, version).ok()?).ok());
    Observed {
        current,
        versions: all,
        fallback,
        request: kept.request,
        memory: kept.memory,
        interrupted: kept.interrupted,
        unreadable,
        token: TokenState::from(&world.token.find(&world.files)),
        published: world.front.as_ref().and_then(|front| front.published()),
        served,
        engine,
        names_since: since,
        setbacks: setbacks.clone(),
        waiting,
        daemon,
    }
}

/// Docker, what a dial returns, and in mode `daemon` dockerd itself.
async fn outside(
    world: &World,
    desired: &Desired,
    current: &Current,
    recall: &Recall,
) -> (Engine, Served, Result<Option<DaemonSight>, FileError>) {
    let Some(dockerd) = &world.dockerd else {
        let engine = world.probe.engine(&world.config.docker_socket);
        let (engine, served) = tokio::join!(engine, served(world, desired));
        return (engine, served, Ok(None));
    };
    let serial = match current {
        Current::Pair(pair) => Some(&pair.serial),
        Current::Nothing | Current::Broken { .. } => None,
    };
    let found = daemon::observe::observe(world, &**dockerd, desired, serial, recall).await;
    let (sight, served) = match found {
        Ok((sight, served)) => (Ok(Some(sight)), served),
        Err(error) => (Err(error), Served::NotDialled),
    };
    let engine = match &sight {
        Ok(Some(sight)) => Engine {
            version: sight.facts.engine.version.clone(),
            error: sight.facts.engine.error.clone(),
        },
        _ => Engine::default(),
    };
    (engine, served, sight)
}

async fn served(world: &World, desired: &Desired) -> Served {
    match desired.dial {
        Some(address) => world.probe.served(address).await,
        None => Served::NotDialled,
    }
}

fn current(versions: &Versions, now: Timestamp) -> Current {
    let version = match versions.current() {
        Ok(Some(version)) => version,
        Ok(None) => return Current::Nothing,
        Err(error) => {
            let flaw = Flaw::Unreadable(error.to_string());
            return Current::Broken { version: 0, flaw };
        }
    };
    match load(versions, version) {
        Ok(pair) => match pair.verify_chain(now).and_then(|()| facts(version, &pair)) {
            Ok(facts) => Current::Pair(facts),
            Err(error) => Current::Broken {
                version,
                flaw: Flaw::ChainInvalid(error.to_string()),
            },
        },
        Err(LoadError::Pair(PairError::KeyMismatch)) => Current::Broken {
            version,
            flaw: Flaw::KeyMismatch,
        },
        // The link leads to a version that is gone: as good as no link.
        Err(LoadError::File(error))
            if error.is_missing() && !versions.list().is_ok_and(|l| l.contains(&version)) =>
        {
            Current::Nothing
        }
        Err(error) => Current::Broken {
            version,
            flaw: Flaw::Unreadable(error.to_string()),
        },
    }
}

fn facts(version: u64, pair: &Pair) -> Result<PairFacts, PairError> {
    let leaf = &pair.leaf;
    let name = leaf.common_name.as_deref().and_then(|name| name.parse().ok());
    Ok(PairFacts {
        version,
        name: name.ok_or(PairError::NoName)?,
        serial: leaf.serial.clone(),
        spki_sha256: encoding::hex(&leaf.spki_sha256),
        sans: leaf.sans.clone(),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
    })
}

fn kept(
    world: &World,
    versions: &Versions,
    all: &[u64],
    in_use: Option<u64>,
    now: Timestamp,
) -> Result<Kept, FileError> {
    let records = world.records();
    let request = match records.request()? {
        Some(request) => Some(RequestFacts {
            answered: is_answered(&request, records.answer()?.as_ref(), now),
            staged: staged(versions, all, in_use, &request, now),
            purpose: request.purpose,
            sans: request.sans,
            spki_sha256: request.spki_sha256,
        }),
        None => None,
    };
    Ok(Kept {
        request,
        memory: records.memory()?,
        interrupted: records.journal()?,
    })
}

fn is_answered(request: &Request, answer: Option<&Answer>, now: Timestamp) -> bool {
    let answer = answer.filter(|answer| answer.spki_sha256 == request.spki_sha256);
    let pair = answer.and_then(|answer| join(request, answer).ok());
    pair.is_some_and(|pair| pair.verify(&request.sans, now).is_ok())
}

/// A version that holds the request's key with a usable certificate, newer than the one in use.
fn staged(
    versions: &Versions,
    all: &[u64],
    in_use: Option<u64>,
    request: &Request,
    now: Timestamp,
) -> Option<u64> {
    let newer = all
        .iter()
        .rev()
        .copied()
        .take_while(|version| in_use.is_none_or(|current| *version > current));
    newer.into_iter().find(|version| {
        let pair = load(versions, *version).ok();
        pair.is_some_and(|pair| {
            encoding::hex(&pair.leaf.spki_sha256) == request.spki_sha256
                && pair.verify(&request.sans, now).is_ok()
        })
    })
}
