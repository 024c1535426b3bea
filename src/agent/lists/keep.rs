//! The loop: ask, check, write, tell.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::check::Told;
use super::disk::{Disk, Remembered, fingerprint};
use super::error::KeepError;
use super::shelf::{Measure, Shelf};
use super::{InUse, List, ListServer, ListsState};
use crate::agent::config::Hook;
use crate::agent::feed::{self, FeedState};
use crate::agent::observe::load;
use crate::agent::{Pair, hook};
use crate::base::{Backoff, Clock, Random, Timestamp};
use crate::pki::crl::Crl;
use crate::sys::{FileError, Files, Programs, Versions};

/// A list that is on its way is asked for again after this, at first; the wait grows up to the second.
const AWAITED_FLOOR: Duration = Duration::from_millis(10);
const AWAITED_CAP: Duration = Duration::from_secs(10);
/// The same for what failed.
const RETRY_FLOOR: Duration = Duration::from_millis(500);
const RETRY_CAP: Duration = Duration::from_secs(60);
/// How long to wait for a certificate, before it is looked for again.
const NO_CERTIFICATE_WAIT: Duration = Duration::from_millis(500);
/// How often it is looked whether the file is still what was written, and whether the host is stale.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the server is asked when nothing happens: drawn from this, seconds.
const ASK_EVERY: std::ops::Range<f64> = 200.0..300.0;
/// After the hook the next one waits at least this long: revocations that come one after the other share it.
const HOOK_PAUSE: Duration = Duration::from_millis(200);
/// Where the root's list stands among all.
const ROOT: usize = 2;
/// What is on its way for longer than this is a failure.
const AWAITED_LONG: Duration = Duration::from_secs(10);

/// What a keeper works with.
pub struct Parts {
    /// The server.
    pub server: Arc<dyn ListServer>,
    /// The disk.
    pub files: Files,
    /// Where the certificates are: the file lies beside `current`.
    pub directory: PathBuf,
    /// Where the agent keeps what it remembers; it exists.
    pub state_directory: PathBuf,
    /// What the feed has told. The follower has begun.
    pub feed: Arc<FeedState>,
    /// For who asks how the lists are.
    pub state: Arc<ListsState>,
    /// What tells the program that reads the file.
    pub hook: Option<Hook>,
    /// How long it may take.
    pub hook_timeout: Duration,
    /// Runs it.
    pub programs: Arc<dyn Programs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// Keeps the file until told to end.
pub struct Keeper {
    parts: Parts,
    versions: Versions,
    disk: Disk,
    told: Told,
    remembered: Remembered,
    shelves: [Shelf; 3],
    /// Lists that were in the file when it began, until it is known whose they are.
    found: Vec<Crl>,
    /// Which file was written, or found; `None` before.
    file: Option<String>,
    /// The lists in it.
    in_file: Vec<(List, Crl)>,
    /// Certificates that it names and the hook was not told of yet.
    fresh: usize,
    holds_back: bool,
    /// The hook has just run.
    pause: bool,
    ask_at: Option<Timestamp>,
    awaited_since: Option<Timestamp>,
}

impl Keeper {
    /// Reads what is there.
    ///
    /// # Errors
    /// The disk.
    pub fn begin(parts: Parts) -> Result<Self, FileError> {
        let disk = Disk::new(parts.files.clone(), &parts.directory, &parts.state_directory);
        let ledger = feed::directory(&parts.state_directory);
        let told = Told::new(parts.files.clone(), ledger, &parts.feed.take_begun());
        let remembered = disk.recall()?;
        let text = disk.read();
        let found = text.as_deref().map(Crl::parse_bundle).transpose();
        let found = found.unwrap_or_else(|error| {
            tracing::warn!("{}: {error}; it is written anew", disk.path().display());
            None
        });
        let file = text.as_deref().map(fingerprint);
        // Whoever was killed between writing and telling leaves a file that nobody was told of.
        let untold = remembered.told_of.is_some() && remembered.told_of != file;
        Ok(Self {
            versions: Versions::new(parts.files.clone(), &parts.directory),
            remembered,
            disk,
            told,
            shelves: List::ALL.map(Shelf::empty),
            found: found.unwrap_or_default(),
            file,
            in_file: Vec::new(),
            fresh: usize::from(untold),
            holds_back: false,
            pause: false,
            ask_at: None,
            awaited_since: None,
            parts,
        })
    }

    /// Keeps the file until `end` becomes true, or its sender is dropped.
    pub async fn run(mut self, mut end: watch::Receiver<bool>) {
        let mut news = self.parts.feed.news();
        let mut retry = Backoff::new(RETRY_FLOOR, RETRY_CAP);
        let mut awaited = Backoff::new(AWAITED_FLOOR, AWAITED_CAP);
        let mut asks = true;
        loop {
            news.mark_unchanged();
            let outcome = tokio::select! {
                outcome = self.look(asks) => outcome,
                _ = end.wait_for(|end| *end) => return,
            };
            if !outcome.as_ref().is_err_and(KeepError::is_awaited) {
                awaited.reset();
            }
            let wait = match &outcome {
                Ok(()) => LOOK_EVERY,
                Err(KeepError::NoCertificate) => NO_CERTIFICATE_WAIT,
                Err(error) if error.is_awaited() => awaited.next_delay(&*self.parts.random),
                Err(_) => retry.next_delay(&*self.parts.random),
            };
            if outcome.is_ok() {
                retry.reset();
            }
            asks = outcome.is_err();
            self.note(outcome.err());
            if std::mem::take(&mut self.pause) {
                tokio::time::sleep(HOOK_PAUSE).await;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = news.changed() => match changed {
                    Ok(()) => asks = true,
                    Err(_) => return,
                },
                _ = end.wait_for(|end| *end) => return,
            }
        }
    }

    /// One look, with the server asked; whether everything is as it should be. What is not is in the state.
    pub async fn pass(&mut self) -> bool {
        let outcome = self.look(true).await;
        let is_fine = outcome.is_ok();
        self.note(outcome.err());
        is_fine
    }

    async fn look(&mut self, asks: bool) -> Result<(), KeepError> {
        // Whatever the feed tells from here on is looked at the next time.
        let place = self.parts.feed.view().place;
        let pair = self.pair()?;
        // For this no server is needed, and to hold back everything else.
        self.open_shelf(ROOT, &pair).await?;
        let now = self.parts.clock.now();
        let is_due = self
            .ask_at
            .is_none_or(|at| now >= at || at.since(now).as_secs_f64() > ASK_EVERY.end);
        let asked = match asks || is_due {
            true => self.ask(&pair).await,
            false => Ok(()),
        };
        let stale = self
            .parts
            .feed
            .enforced()
            .stale_since(self.parts.clock.now())
            .is_some();
        self.put(stale)?;
        self.tell().await?;
        asked?;
        if !stale {
            self.parts.feed.done_elsewhere(place);
        }
        Ok(())
    }

    fn pair(&self) -> Result<Pair, KeepError> {
        let version = self.versions.current()?.ok_or(KeepError::NoCertificate)?;
        load(&self.versions, version).map_err(|_| KeepError::NoCertificate)
    }

    /// Asks for every list. One that fails keeps no other from coming, unless the server cannot be reached.
    async fn ask(&mut self, pair: &Pair) -> Result<(), KeepError> {
        let now = self.parts.clock.now();
        let mut outcome = Ok(());
        for index in 0..self.shelves.len() {
            let asked = self.ask_for(index, pair, now).await;
            let unreachable = asked.as_ref().is_err_and(KeepError::is_unreachable);
            if outcome.is_ok() {
                outcome = asked;
            }
            if unreachable {
                break;
            }
        }
        let wait = Duration::from_secs_f64(self.parts.random.between(ASK_EVERY));
        self.ask_at = Some(now + wait);
        outcome
    }

    async fn ask_for(&mut self, index: usize, pair: &Pair, now: Timestamp) -> Result<(), KeepError> {
        self.open_shelf(index, pair).await?;
        let shelf = &mut self.shelves[index];
        let revoked = self.parts.feed.enforced().revoked();
        let mut against = Measure {
            told: &mut self.told,
            revoked: &revoked,
            remembered: &self.remembered,
            now,
        };
        let asked = shelf.ask(&*self.parts.server, pair, &mut against).await;
        if let Some((issuer, crl)) = shelf.issuer.as_ref().zip(shelf.crl.as_ref())
            && self.remembered.note(issuer, crl.number)
        {
            self.disk.remember(&self.remembered)?;
        }
        asked
    }

    /// Finds out whose list it is, and goes on with the one that was in the file.
    async fn open_shelf(&mut self, index: usize, pair: &Pair) -> Result<(), KeepError> {
        let shelf = &mut self.shelves[index];
        if shelf.issuer.is_some() {
            return Ok(());
        }
        shelf.find_issuer(&*self.parts.server, pair).await?;
        if let Some(crl) = shelf.adopt(&self.found, &self.remembered) {
            self.in_file.retain(|(list, _)| *list != shelf.list);
            self.in_file.push((shelf.list, crl));
        }
        Ok(())
    }

    /// Writes the file, if it is not what it should be.
    fn put(&mut self, stale: bool) -> Result<(), FileError> {
        let taken = self
            .shelves
            .iter()
            .filter_map(|shelf| Some((shelf.list, shelf.crl.clone()?)));
        let mut wanted: Vec<(List, Crl)> = taken.collect();
        let has = |list| wanted.iter().any(|(other, _)| *other == list);
        // A file that lacks one of these lets nobody in, and a program may not even start with none.
        if !has(List::Root) || !(stale || has(List::Clients)) {
            return Ok(());
        }
        if stale {
            wanted.retain(|(list, _)| *list == List::Root);
        }
        let is_whole = self.file.as_ref().is_some_and(|known| self.disk.is_still(known));
        let fresh = self
            .shelves
            .iter()
            .map(|shelf| shelf.news(&self.in_file))
            .sum::<usize>();
        let now = self.parts.clock.now();
        let is_other = stale != self.holds_back || wanted.len() != self.in_file.len();
        if is_whole && !is_other && fresh == 0 && !runs_out(&wanted, &self.in_file, now) {
            return Ok(());
        }
        let text: String = wanted.iter().map(|(_, crl)| crl.pem()).collect();
        self.disk.write(text.as_bytes())?;
        let numbers: Vec<String> = wanted
            .iter()
            .map(|(list, crl)| format!("{} {}", list.name(), crl.number))
            .collect();
        match stale {
            true => tracing::error!(
                "the server was not heard of for too long: crl.pem holds back the lists of issuers, so nobody is let in"
            ),
            false => tracing::info!(fresh, lists = numbers.join(", "), "crl.pem was written"),
        }
        // Streams that are open end when the host goes stale, too.
        self.fresh += fresh + usize::from(stale && !self.holds_back);
        (self.holds_back, self.in_file, self.file) = (stale, wanted, Some(fingerprint(text.as_bytes())));
        self.parts.state.update(|view| view.written += 1);
        Ok(())
    }

    /// Runs the hook, if it was not told of this file.
    async fn tell(&mut self) -> Result<(), KeepError> {
        let Some(hook) = self
            .parts
            .hook
            .as_ref()
            .filter(|_| self.file != self.remembered.told_of)
        else {
            return Ok(());
        };
        if self.in_file.is_empty() {
            return Ok(());
        }
        let directory = self.versions.current_directory();
        let variables = [
            (hook::CHANGED, "revocations".to_owned()),
            (hook::DIRECTORY, directory.display().to_string()),
            (hook::LISTS, self.disk.path().display().to_string()),
            (hook::REVOKED, self.fresh.to_string()),
        ];
        let outcome = hook::run(hook, self.parts.hook_timeout, &variables, &*self.parts.programs).await;
        if !outcome.succeeded() {
            return Err(KeepError::Hook(outcome.explain()));
        }
        self.fresh = 0;
        self.remembered.told_of.clone_from(&self.file);
        self.disk.remember(&self.remembered)?;
        self.parts.state.update(|view| view.reloads += 1);
        self.pause = true;
        Ok(())
    }

    /// Says how it went: in the state at once, in the log when it is news.
    fn note(&mut self, error: Option<KeepError>) {
        let now = self.parts.clock.now();
        let is_awaited = error.as_ref().is_some_and(KeepError::is_awaited);
        let since = *self.awaited_since.get_or_insert(now);
        if !is_awaited {
            self.awaited_since = None;
        }
        let error = error
            .filter(|error| error.is_worth_a_word() && (!is_awaited || now.since(since) >= AWAITED_LONG));
        let before = self.parts.state.view().failure;
        match (&error, &before) {
            (Some(error), Some((word, _))) if *word == error.word() => tracing::debug!("crl.pem: {error}"),
            (Some(error), _) => {
                tracing::warn!("crl.pem is not as it should be, the one in use stays: {error}")
            }
            (None, Some(_)) if !is_awaited => tracing::info!("crl.pem is as it should be again"),
            (None, _) => {}
        }
        let in_use = self.in_file.iter().map(|(list, crl)| InUse {
            list: *list,
            number: crl.number,
            entries: crl.entry_count,
            next_update: crl.next_update,
        });
        self.parts.state.update(|view| {
            view.in_use = in_use.collect();
            view.holds_back = self.holds_back;
            view.failures += u64::from(error.is_some());
            if !is_awaited || error.is_some() {
                view.failure = error.map(|error| (error.word(), error.to_string()));
            }
        });
    }
}

/// Whether a newer list should come into the file though it names nobody new: every change of the file is a reload.
fn runs_out(wanted: &[(List, Crl)], in_file: &[(List, Crl)], now: Timestamp) -> bool {
    in_file.iter().any(|(list, crl)| {
        let half = crl.next_update.since(crl.this_update) / 2;
        let newer = wanted
            .iter()
            .any(|(other, next)| other == list && next.number > crl.number);
        newer && (now >= crl.this_update + half || now < crl.this_update)
    })
}
