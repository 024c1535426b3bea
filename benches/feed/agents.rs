//! An agent as far as the server sees it: the agent's own client, its waits between attempts, its acknowledgements. It
//! enforces nothing and keeps nothing on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use dockwarden::agent::feed::{RETRY_CAP, RETRY_FLOOR};
use dockwarden::base::{Backoff, Id, Random, SystemRandom};
use dockwarden::client::{Client, FeedEvent};
use dockwarden::model::{FeedApplied, Position};
use tokio::sync::{mpsc, watch};

use super::support::clock;

/// How long an agent waits after an acknowledgement that did not arrive.
const ACKNOWLEDGE_RETRY: Duration = Duration::from_secs(2);

/// What an agent has to say to the bench.
#[derive(Debug)]
pub enum Said {
    /// It follows, and knows everything up to here.
    Following(Instant),
    /// A number of the feed has come.
    Came(u64, Instant),
    /// It lost the feed, or did not get it.
    Failed(String),
}

/// An agent.
pub struct Agent {
    /// What it talks with.
    pub client: Arc<Client>,
    /// Where it says what happens.
    pub said: mpsc::UnboundedSender<Said>,
    /// Whether it says to the server how far it is.
    pub acknowledges: bool,
}

impl Agent {
    /// Follows without end.
    pub async fn run(self) {
        let mut backoff = Backoff::new(RETRY_FLOOR, RETRY_CAP);
        let mut position = None;
        loop {
            let ((applied, news), spread_ms) = (watch::channel(None), AtomicU64::new(0));
            let mut heard = false;
            let ended = tokio::select! {
                ended = self.follow(&mut position, &applied, &spread_ms, &mut heard) => ended,
                () = self.acknowledge(news, &spread_ms) => Ok(()),
            };
            if heard {
                backoff.reset();
            }
            if let Err(error) = ended {
                // The bench is at its end when nobody listens.
                let _ = self.said.send(Said::Failed(error.to_string()));
            }
            tokio::time::sleep(backoff.next_delay(&SystemRandom)).await;
        }
    }

    async fn follow(
        &self,
        position: &mut Option<Position>,
        applied: &watch::Sender<Option<FeedApplied>>,
        spread_ms: &AtomicU64,
        heard: &mut bool,
    ) -> anyhow::Result<()> {
        let mut feed = self.client.follow(position.as_ref()).await?;
        let FeedEvent::Hello(hello) = feed.next().await? else {
            bail!("something before hello");
        };
        let known = |position: &Option<Position>| position.as_ref().is_some_and(|p| p.number >= hello.head);
        let mut following = known(position);
        if following {
            let _ = self.said.send(Said::Following(clock()));
        }
        loop {
            match feed.next().await? {
                FeedEvent::Change(change) => {
                    let _ = self.said.send(Said::Came(change.number, clock()));
                    *position = Some(Position {
                        number: change.number,
                        seal: change.seal,
                    });
                    applied.send_replace(self.applied(hello.feed, position));
                }
                FeedEvent::Snapshot(part) if part.last => {
                    let number = part.at;
                    *position = part.seal.map(|seal| Position { number, seal });
                    following |= number == 0 && self.said.send(Said::Following(clock())).is_ok();
                }
                FeedEvent::Heartbeat(heartbeat) => spread_ms.store(heartbeat.spread_ms, Ordering::Relaxed),
                FeedEvent::Lost(_) => bail!("the server has lost something"),
                _ => {}
            }
            *heard = true;
            if !following && known(position) {
                following = true;
                let _ = self.said.send(Said::Following(clock()));
            }
        }
    }

    fn applied(&self, feed: Id, position: &Option<Position>) -> Option<FeedApplied> {
        let position = position.as_ref().filter(|_| self.acknowledges)?;
        Some(FeedApplied {
            feed,
            number: position.number,
            seal: Some(position.seal),
            cut: 0,
            denies_after: Some(3600),
            refuses: true,
            roles: None,
        })
    }

    /// The newest alone, and when the server wants it, as the agent does it.
    async fn acknowledge(&self, mut news: watch::Receiver<Option<FeedApplied>>, spread_ms: &AtomicU64) {
        while news.changed().await.is_ok() {
            let wait = Duration::from_millis(spread_ms.load(Ordering::Relaxed));
            let random: &dyn Random = &SystemRandom;
            tokio::time::sleep(wait.mul_f64(random.unit())).await;
            let Some(applied) = news.borrow_and_update().clone() else {
                continue;
            };
            if let Err(error) = self.client.put_applied(&applied).await {
                let _ = self.said.send(Said::Failed(format!("acknowledging: {error}")));
                tokio::time::sleep(ACKNOWLEDGE_RETRY).await;
                news.mark_changed();
            }
        }
    }
}
