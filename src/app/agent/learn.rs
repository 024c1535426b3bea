//! `learn = true`: what the gate saw clients use, kept in `STATE/learned.json` for `dockwarden role learn`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::Config;
use crate::base::SystemClock;
use crate::model::role::learn::{LEARNED_BYTES_MAX, LEARNED_FILE, Learned, Learner};
use crate::sys::{Access, FileError, Files};

/// How often what is new is written down.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// A learner that is written down.
pub struct Learning {
    learner: Arc<Learner>,
    files: Files,
    path: PathBuf,
}

/// Goes on from what was learned before; `None` where nothing is to be learned.
///
/// # Errors
/// The disk.
pub fn begin(config: &Config) -> Result<Option<Arc<Learning>>, FileError> {
    if !config.learn {
        return Ok(None);
    }
    let (files, path) = (Files::system(), config.state.join(LEARNED_FILE));
    let known = files.read_if_any(&path, LEARNED_BYTES_MAX)?;
    let known = known.map(|bytes| Learned::parse(&bytes));
    let learned = known.unwrap_or_else(|| Ok(Learned::default())).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), "what was learned cannot be read and is learned anew: {error}");
        Learned::default()
    });
    tracing::warn!(path = %path.display(), "the gate writes down what clients use (learn = true)");
    let learner = Arc::new(Learner::new(learned, Arc::new(SystemClock)));
    Ok(Some(Arc::new(Learning { learner, files, path })))
}

impl Learning {
    /// What the gate tells.
    pub fn learner(&self) -> Arc<Learner> {
        Arc::clone(&self.learner)
    }

    /// Writes down what is new, every now and then until `end`.
    pub async fn keep(self: Arc<Self>, end: CancellationToken) {
        loop {
            let over = tokio::time::timeout(KEEP_EVERY, end.cancelled()).await.is_ok();
            self.keep_now().await;
            if over {
                return;
            }
        }
    }

    /// Writes down what is new.
    pub async fn keep_now(self: &Arc<Self>) {
        let Some(learned) = self.learner.news() else {
            return;
        };
        let this = Arc::clone(self);
        let write = move || {
            let text = serde_json::to_vec(&learned).expect("maps by string are always JSON");
            this.files.write(&this.path, &text, Access::Private)
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            tracing::warn!("what was learned was not written down: {error}");
            self.learner.not_kept();
        }
    }
}
