//! dockerd with its restarts counted, for the metrics.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::arrangement::Arrangement;
use super::dockerd::{Dockerd, Restart};
use super::facts::DaemonFacts;
use crate::base::Timestamp;
use crate::base::metrics::Counters;

/// The counters: one for each outcome.
pub fn counters() -> Arc<Counters> {
    Counters::new(
        "dockwarden_agent_dockerd_restarts_total",
        "Restarts of dockerd by this agent since its start, by whether dockerd came up again.",
        &["result"],
        [vec!["up"], vec!["failed"]],
    )
}

/// Passes everything on, and counts restarts.
pub struct Counted {
    /// The one that does it.
    pub inner: Arc<dyn Dockerd>,
    /// Where they are counted: from [`counters`].
    pub restarts: Arc<Counters>,
}

#[async_trait]
impl Dockerd for Counted {
    async fn look(&self) -> DaemonFacts {
        self.inner.look().await
    }

    async fn validate(
        &self,
        facts: &DaemonFacts,
        arranged: &Arrangement,
        candidate: PathBuf,
    ) -> Result<(), String> {
        self.inner.validate(facts, arranged, candidate).await
    }

    async fn reload(&self) -> Result<(), String> {
        self.inner.reload().await
    }

    async fn reload_units(&self) -> Result<(), String> {
        self.inner.reload_units().await
    }

    async fn restart(&self, how: Restart, timeout: Duration) -> Result<(), String> {
        let result = self.inner.restart(how, timeout).await;
        self.restarts
            .count(&[if result.is_ok() { "up" } else { "failed" }]);
        result
    }

    async fn ping(&self) -> Result<(), String> {
        self.inner.ping().await
    }

    async fn canary(&self, word: &str) -> Result<(), String> {
        self.inner.canary(word).await
    }

    async fn busy(&self, facts: &DaemonFacts) -> Vec<String> {
        self.inner.busy(facts).await
    }

    async fn pause(&self, time: Duration) {
        self.inner.pause(time).await;
    }

    async fn explain(&self, since: Timestamp) -> Vec<String> {
        self.inner.explain(since).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::metrics::Metrics;

    /// One that comes up when it is told to with a time that is long enough.
    struct Slow;

    #[async_trait]
    impl Dockerd for Slow {
        async fn look(&self) -> DaemonFacts {
            unreachable!("only restarts are asked for")
        }

        async fn validate(&self, _: &DaemonFacts, _: &Arrangement, _: PathBuf) -> Result<(), String> {
            Ok(())
        }

        async fn reload(&self) -> Result<(), String> {
            Ok(())
        }

        async fn reload_units(&self) -> Result<(), String> {
            Ok(())
        }

        async fn restart(&self, _: Restart, timeout: Duration) -> Result<(), String> {
            (timeout > Duration::from_secs(1))
                .then_some(())
                .ok_or_else(|| "too slow".to_owned())
        }

        async fn ping(&self) -> Result<(), String> {
            Ok(())
        }

        async fn canary(&self, _: &str) -> Result<(), String> {
            Ok(())
        }

        async fn busy(&self, _: &DaemonFacts) -> Vec<String> {
            Vec::new()
        }

        async fn pause(&self, _: Duration) {}

        async fn explain(&self, _: Timestamp) -> Vec<String> {
            Vec::new()
        }
    }

    #[tokio::test]
    async fn restarts_are_counted_by_how_they_ended() {
        let metrics = Metrics::default();
        let dockerd = metrics.counting(Arc::new(Slow));
        for seconds in [1, 2, 3] {
            let _ = dockerd
                .restart(Restart::Running, Duration::from_secs(seconds))
                .await;
        }
        let page = metrics.registry().page();
        assert!(page.contains("restarts_total{result=\"up\"} 2\n"), "{page}");
        assert!(page.contains("restarts_total{result=\"failed\"} 1\n"), "{page}");
    }
}
