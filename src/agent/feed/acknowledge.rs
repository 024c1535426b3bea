//! Saying how far this host is: after the server told everybody, not all at once.

use std::time::Duration;

use tokio::sync::watch;

use super::FeedServer;
use super::disk::Place;
use crate::agent::Pair;
use crate::base::Random;
use crate::base::limits::FEED_SPREAD_MAX;
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

/// A random part of what the server wants, so that a fleet does not speak all at once.
pub(super) fn spread(spread_ms: u64, random: &dyn Random) -> Duration {
    Duration::from_millis(spread_ms)
        .min(FEED_SPREAD_MAX)
        .mul_f64(random.unit())
}

/// Says how far this host is, the newest alone, whenever that has changed, after `wait`. Does not end by itself.
pub(super) async fn acknowledge(
    server: &dyn FeedServer,
    pair: &Pair,
    mut said: watch::Receiver<Option<FeedApplied>>,
    wait: impl Fn() -> Duration,
) {
    let mut told_cut = 0;
    loop {
        let wait = wait();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededRandom;

    #[test]
    fn a_fleet_spreads_what_it_says_and_no_server_makes_it_wait_for_long() {
        let random = SeededRandom::new(1);
        assert_eq!(spread(0, &random), Duration::ZERO);
        let waits: Vec<_> = (0..1000).map(|_| spread(2000, &random)).collect();
        assert!(waits.iter().all(|wait| *wait < Duration::from_secs(2)));
        let late = waits
            .iter()
            .filter(|wait| **wait > Duration::from_secs(1))
            .count();
        assert!((400..600).contains(&late), "{late}");
        assert!((0..100).all(|_| spread(u64::MAX, &random) <= FEED_SPREAD_MAX));
    }
}
