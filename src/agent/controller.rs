//! The loop: a pass at the start, then whenever one is due, never less often than once a minute, until told to end.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use super::Reconciler;
use super::feed::Place;
use super::reconcile::Verdict;
use crate::base::limits::DRAIN_TIMEOUT;
use crate::sys::Files;

/// How often the files in use and the feed are looked at between two passes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The longest configuration of dockerd that is looked at between passes, bytes.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// A running controller.
pub struct Controller {
    reconciler: Reconciler,
    end: watch::Receiver<bool>,
}

/// How far the feed was followed, whether it is, and whether what it told is stale.
type FeedGlance = (Option<Place>, bool, bool);

/// What is looked at between passes: where the link to the files in use leads, what the leaf is; how far the feed was
/// followed, and whether it is; how the lists are.
#[derive(Debug, PartialEq, Eq)]
struct Glance {
    link: Option<PathBuf>,
    leaf: Option<Vec<u8>>,
    feed: Option<FeedGlance>,
    /// What dockerd is configured by in mode `daemon`: other tools write it, too.
    config: Option<Vec<u8>>,
    /// What is wrong with the lists, and how often they were written.
    lists: Option<(Option<&'static str>, u64)>,
}

impl Controller {
    /// Ends when `end` becomes true, or its sender is dropped.
    pub fn new(reconciler: Reconciler, end: watch::Receiver<bool>) -> Self {
        Self { reconciler, end }
    }

    /// Runs until told to end. `after_pass` hears of every pass.
    pub async fn run(mut self, mut after_pass: impl FnMut(&Verdict)) {
        loop {
            let mut end = self.end.clone();
            let feed = self.feed();
            // A pass that is cut off is as one that crashed: the next run continues it. It still gets a moment.
            let verdict = tokio::select! {
                verdict = self.reconciler.pass() => verdict,
                () = async { told_to_end(&mut end).await; tokio::time::sleep(DRAIN_TIMEOUT).await } => return,
            };
            after_pass(&verdict);
            if *self.end.borrow() || self.wait(&verdict, feed).await {
                return;
            }
        }
    }

    /// Until the next pass is due, the files have changed, or the feed is not as it was before the pass: what came in the
    /// middle of it may be missing from what it said. Returns whether it is time to end.
    async fn wait(&self, verdict: &Verdict, feed: Option<FeedGlance>) -> bool {
        let clock = &self.reconciler.world().clock;
        let before = Glance {
            feed,
            ..self.glance()
        };
        let mut end = self.end.clone();
        loop {
            let left = verdict.next.since(clock.now());
            if left.is_zero() {
                return false;
            }
            // Short sleeps, so that a clock that jumps is noticed.
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK_EVERY)) => {}
                () = told_to_end(&mut end) => return true,
            }
            if self.glance() != before {
                return false;
            }
        }
    }

    fn feed(&self) -> Option<FeedGlance> {
        let world = self.reconciler.world();
        let feed = world.feed.as_ref()?;
        let stale = feed.enforced().stale_since(world.clock.now()).is_some();
        Some((feed.view().place, feed.enforced().is_following(), stale))
    }

    fn glance(&self) -> Glance {
        let world = self.reconciler.world();
        let current = world.versions().current_directory();
        let files: &Files = &world.files;
        let leaf = current.join(super::pair::CERTIFICATE_FILE);
        let config = self.reconciler.watched_file();
        Glance {
            link: files.disk().read_link(&current).ok(),
            leaf: files.disk().read(&leaf, crate::base::limits::PEM_BYTES_MAX).ok(),
            feed: self.feed(),
            config: config.and_then(|path| files.disk().read(path, CONFIG_BYTES_MAX).ok()),
            lists: world.lists.as_ref().map(|lists| {
                let view = lists.view();
                (view.failure.map(|(word, _)| word), view.written)
            }),
        }
    }
}

async fn told_to_end(end: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: that ends it too.
    let _ = end.wait_for(|end| *end).await;
}
