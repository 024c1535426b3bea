//! Saying how far this host is.

use std::time::Duration;

use tokio::sync::watch;

use super::FeedServer;
use super::disk::Place;
use crate::agent::Pair;
use crate::client;
use crate::model::FeedApplied;

/// How long to wait after an acknowledgement did not arrive.
const ACKNOWLEDGE_RETRY: Duration = Duration::from_secs(2);

/// Completes when other programs of this host refuse more than before; never where there are none.
pub(super) async fn moved(others: &mut Option<watch::Receiver<Option<Place>>>) {
    let changed = match others {
        Some(others) => others.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

/// Says how far this host is, the newest alone, whenever that has changed. Does not end by itself.
pub(super) async fn acknowledge(
    server: &dyn FeedServer,
    pair: &Pair,
    mut said: watch::Receiver<Option<FeedApplied>>,
) {
    let mut told_cut = 0;
    loop {
        let next = said.borrow_and_update().clone();
        if let Some(next) = next {
            let total = next.cut;
            let cut = total.saturating_sub(told_cut);
            match server.acknowledge(pair, &FeedApplied { cut, ..next }).await {
                Ok(()) => told_cut = total,
                Err(error) => {
                    tracing::debug!("the server was not told how far this host is: {error}");
                    tokio::time::sleep(ACKNOWLEDGE_RETRY).await;
                    if !matches!(error, client::Error::Problem { .. }) {
                        said.mark_changed();
                    }
                }
            }
        }
        if said.changed().await.is_err() {
            return;
        }
    }
}
