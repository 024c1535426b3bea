//! Running a step. A `match` without choices: what is to be done was decided by the plan, and what a failure means is
//! decided by the caller.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::daemon;
use super::daemon::arrangement::Refusal;
use super::observe::{LoadError, join, load};
use super::pair::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, Pair, PairError};
use super::records::{Answer, Joined, Memory, Purpose, RenewalPoint, Request};
use super::step::{Served, Step};
use super::token::FoundToken;
use super::{World, hook, records};
use crate::base::{SecretString, Timestamp, encoding};
use crate::client::{self, Enrolled};
use crate::model::{IdentityKind, JoinToken, Mode};
use crate::pki::chain::Anchors;
use crate::pki::{IdentityName, LeafKey, PrivateKeyError, San, csr};
use crate::sys::{Access, FileError, VersionFile};
use crate::wire::{EnrollRequest, Issued, Pending, RenewRequest};

/// How long a program may take to serve what its hook told it to load: many reload after the hook has returned.
const SERVED_WITHIN: Duration = Duration::from_secs(5);
/// How soon it is looked at again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The bounds of the renewal point, as fractions of what is left of the certificate when it arrives.
const RENEWAL_WINDOW: std::ops::Range<f64> = 0.60..0.75;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was received, or is there, is not usable.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The server said no, or nothing.
    #[error(transparent)]
    Server(#[from] client::Error),
    /// An operator has to approve.
    #[error("an operator has to approve this host: dockwarden host approve {} (key SHA-256 {})", .0.request, .0.spki_sha256)]
    Pending(Pending),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
    /// The token went away.
    #[error("{0}")]
    Token(String),
    /// The gate.
    #[error("the gate does not take the certificate: {0}")]
    Front(String),
    /// The hook.
    #[error("the hook {0}")]
    Hook(String),
    /// What the step needs is not there: somebody else changed the files in between.
    #[error("{0} is gone; the next pass finds out what to do")]
    Gone(&'static str),
    /// Another version came out than was planned, for the same reason.
    #[error("version {written} was written where {planned} was planned; the next pass continues with it")]
    OtherVersion {
        /// What was planned.
        planned: u64,
        /// What came out.
        written: u64,
    },
    /// The dial.
    #[error("{0}")]
    NotServed(String),
    /// Nothing can be told to this dockerd.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// dockerd itself says that it would not start.
    #[error("dockerd would not start with this, so it was not restarted: {0}")]
    Invalid(String),
    /// dockerd cannot be made to ask us.
    #[error("the authorization plugin: {0}")]
    Plugin(String),
    /// dockerd, or who starts it.
    #[error("{0}")]
    Dockerd(String),
    /// A file is not what it was when the plan was made.
    #[error("{} was changed by something else meanwhile; the next pass looks at it again", .0.display())]
    ChangedMeanwhile(PathBuf),
}

impl From<LoadError> for StepError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::File(error) => Self::File(error),
            LoadError::Pair(error) => Self::Pair(error),
        }
    }
}

/// Runs one step.
pub(super) async fn execute(world: &World, step: &Step) -> Result<(), StepError> {
    match step {
        Step::MakeRequest { purpose, name, sans } => make_request(world, *purpose, name, sans),
        Step::Enroll { .. } => enroll(world).await,
        Step::Renew { .. } => renew(world).await,
        Step::WriteVersion { version } => write_version(world, *version),
        Step::RemoveVersion { version } => Ok(world.versions().remove(*version)?),
        Step::Swap { to, .. } => swap(world, *to),
        Step::DrawRenewal => draw_renewal(world),
        Step::Publish => publish(world),
        Step::RunHook { version } => run_hook(world, *version).await,
        Step::CleanUp => clean_up(world),
        Step::ForgetRequest => Ok(world.records().forget_request()?),
        Step::Dial { address } => dial(world, *address).await,
        Step::Daemon(step) => daemon::execute::execute(world, step).await,
    }
}

fn make_request(world: &World, purpose: Purpose, name: &IdentityName, sans: &[San]) -> Result<(), StepError> {
    let key = LeafKey::generate(world.config.key_algorithm)?;
    let csr = csr::make(&key, name, sans);
    let records = world.records();
    records.forget_request()?;
    records.keep_request(&Request {
        purpose,
        sans: sans.to_vec(),
        spki_sha256: encoding::hex(&key.public_key().spki_sha256()),
        csr: csr.to_pem(),
        key: SecretString::from(key.to_pkcs8_pem().to_string()),
        made_at: world.clock.now(),
    })?;
    Ok(())
}

async fn enroll(world: &World) -> Result<(), StepError> {
    let request = world.records().request()?.ok_or(StepError::Gone("the request"))?;
    let token = match world.token.find(&world.files) {
        FoundToken::Token(token) => token,
        FoundToken::Absent(why) | FoundToken::Unusable(why) => return Err(StepError::Token(why)),
    };
    let body = EnrollRequest {
        token: token.expose().to_string(),
        csr: request.csr.clone(),
        names: Vec::new(),
        addresses: Vec::new(),
        labels: world.config.labels.pairs().clone(),
        profile: Some(IdentityKind::Host),
    };
    match world.server.enroll(&token, &body).await? {
        Enrolled::Pending(pending) => Err(StepError::Pending(pending)),
        Enrolled::Issued(issued) => {
            let pinned = |anchors: &Anchors| anchors.pins().any(|pin| token.pins.contains(&pin));
            accept(world, &request, *issued, Some(&token), pinned)
        }
    }
}

async fn renew(world: &World) -> Result<(), StepError> {
    let request = world.records().request()?.ok_or(StepError::Gone("the request"))?;
    let current = current_pair(world)?;
    let csr = request.csr.clone();
    let issued = world.server.renew(&current, &RenewRequest { csr }).await?;
    let trusted: Vec<[u8; 32]> = current.anchors().pins().collect();
    let known = |anchors: &Anchors| anchors.pins().any(|pin| trusted.contains(&pin));
    accept(world, &request, issued, None, known)
}

/// Checks an answer by the peer's rules, and keeps it. Nothing that fails is kept.
fn accept(
    world: &World,
    request: &Request,
    issued: Issued,
    token: Option<&JoinToken>,
    trusted: impl Fn(&Anchors) -> bool,
) -> Result<(), StepError> {
    let now = world.clock.now();
    let answer = Answer {
        received_at: now,
        spki_sha256: request.spki_sha256.clone(),
        token: token.map(|token| token.id),
        issued,
    };
    let pair = join(request, &answer)?;
    if !trusted(pair.anchors()) {
        return Err(PairError::StrangeCa.into());
    }
    pair.verify(&request.sans, now)?;
    Ok(world.records().keep_answer(&answer)?)
}

fn kept_answer(world: &World) -> Result<(Request, Answer), StepError> {
    let records = world.records();
    let request = records.request()?.ok_or(StepError::Gone("the request"))?;
    let answer = records.answer()?.ok_or(StepError::Gone("the answer"))?;
    Ok((request, answer))
}

fn write_version(world: &World, planned: u64) -> Result<(), StepError> {
    use crate::base::ExposeSecret;
    let (request, answer) = kept_answer(world)?;
    join(&request, &answer)?.verify(&request.sans, world.clock.now())?;
    let file = |name, contents, access| VersionFile {
        name,
        contents,
        access,
    };
    let written = world.versions().write(&[
        file(CA_FILE, answer.issued.ca.as_bytes(), Access::PublicReadOnly),
        file(
            CERTIFICATE_FILE,
            answer.issued.chain.as_bytes(),
            Access::PublicReadOnly,
        ),
        file(
            KEY_FILE,
            request.key.expose_secret().as_bytes(),
            Access::PrivateReadOnly,
        ),
    ])?;
    if written == planned {
        Ok(())
    } else {
        Err(StepError::OtherVersion { planned, written })
    }
}

/// Reads back what is on the disk and checks it by the peer's rules; only then swaps.
fn swap(world: &World, to: u64) -> Result<(), StepError> {
    let versions = world.versions();
    load(&versions, to)?.verify(&[], world.clock.now())?;
    Ok(versions.activate(to)?)
}

pub(super) fn current_pair(world: &World) -> Result<Pair, StepError> {
    let versions = world.versions();
    let version = versions.current()?.ok_or(StepError::Gone("the certificate"))?;
    Ok(load(&versions, version)?)
}

/// Draws the renewal point of the certificate in use, and remembers what came with it.
fn draw_renewal(world: &World) -> Result<(), StepError> {
    let pair = current_pair(world)?;
    let records = world.records();
    let answer = records
        .answer()?
        .filter(|answer| answer.issued.serial == pair.leaf.serial);
    let before = records.memory()?;
    let (not_before, not_after) = (pair.leaf.not_before, pair.leaf.not_after);
    let memory = Memory {
        renewal: Some(RenewalPoint {
            serial: pair.leaf.serial.clone(),
            at: match &answer {
                // notBefore is backdated, so the lifetime counts from the moment the certificate came.
                Some(answer) => draw(world, answer.received_at, not_after).min(answer.issued.renew_after),
                None => draw(world, not_before, not_after),
            },
        }),
        joined: answer.as_ref().and_then(joined).or(before.joined),
        crl_url: answer.map_or(before.crl_url, |answer| answer.issued.crl_url),
        hook_ran_for: before.hook_ran_for,
    };
    Ok(records.keep_memory(&memory)?)
}

fn joined(answer: &Answer) -> Option<Joined> {
    Some(Joined {
        token: answer.token?,
        uses: answer.issued.token_uses,
        at: answer.received_at,
    })
}

/// Uniform in 60 to 75 % of the time from `from` to `to`.
fn draw(world: &World, from: Timestamp, to: Timestamp) -> Timestamp {
    from + to.since(from).mul_f64(world.random.between(RENEWAL_WINDOW))
}

fn publish(world: &World) -> Result<(), StepError> {
    let front = world.front.as_ref().ok_or(StepError::Gone("the gate"))?;
    front.publish(&current_pair(world)?).map_err(StepError::Front)
}

async fn run_hook(world: &World, version: u64) -> Result<(), StepError> {
    let hook = world.config.hook.as_ref().ok_or(StepError::Gone("the hook"))?;
    let directory = world.versions().current_directory();
    let variables = [
        (hook::CHANGED, "certificate".to_owned()),
        (hook::DIRECTORY, directory.display().to_string()),
        ("DOCKWARDEN_VERSION", version.to_string()),
    ];
    let outcome = hook::run(hook, world.config.hook_timeout, &variables, &*world.programs).await;
    if !outcome.succeeded() {
        return Err(StepError::Hook(outcome.explain()));
    }
    remember(world, |memory| memory.hook_ran_for = Some(version))
}

/// Changes one of the facts.
pub(super) fn remember(world: &World, change: impl FnOnce(&mut Memory)) -> Result<(), StepError> {
    let records: records::Records = world.records();
    let mut memory = records.memory()?;
    change(&mut memory);
    Ok(records.keep_memory(&memory)?)
}

fn clean_up(world: &World) -> Result<(), StepError> {
    world.records().forget_request()?;
    Ok(world.versions().prune()?)
}

async fn dial(world: &World, address: SocketAddr) -> Result<(), StepError> {
    let look = async || compare(world, &world.probe.served(address).await);
    let until_served = async {
        while look().await.is_err() {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    };
    // The gate serves what it was handed by the time that it says so; there is nothing to wait for.
    if world.config.mode != Mode::Gate {
        // In time or not: the last look decides.
        let _ = tokio::time::timeout(SERVED_WITHIN, until_served).await;
    }
    look().await
}

fn compare(world: &World, served: &Served) -> Result<(), StepError> {
    let pair = current_pair(world)?;
    match served {
        Served::Certificate(seen) if seen.serial == *pair.serial() => Ok(()),
        Served::Certificate(seen) => Err(StepError::NotServed(format!(
            "{} is served instead of {}: {}",
            seen.serial.short(),
            pair.serial().short(),
            why_other(world.config.mode)
        ))),
        Served::Failed(why) => Err(StepError::NotServed(why.clone())),
        Served::NotDialled => Ok(()),
    }
}

/// Why a dial may return another certificate than the one in use.
pub(super) fn why_other(mode: Mode) -> &'static str {
    match mode {
        Mode::Gate => "does something else listen there?",
        Mode::Files | Mode::Daemon => {
            "the program there has not loaded what is in current/; see that it reads it from there, and that the hook reloads it"
        }
    }
}
