//! Waiting until hosts have applied what was changed, with a progress bar, and saying who has not.

use std::time::Duration;

use clap::Args;

use super::World;
use crate::base::Span;

/// How long one question about who has applied it stands, seconds.
const ASK_SECONDS: u64 = 1;
/// Cells of the progress bar.
const BAR_CELLS: u64 = 20;

/// How long to wait.
#[derive(Clone, Copy, Debug, Args)]
pub struct Wait {
    /// How long to wait for hosts to apply it; 0s not at all
    #[arg(long, value_name = "TIME", default_value = "10s")]
    wait: Span,
}

/// Hosts that have applied something, of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// That have.
    pub applied: u64,
    /// Of these.
    pub hosts: u64,
}

impl Wait {
    /// Asks until all hosts have applied it, or the time is over, and gives the last answer with how long that took; `None`
    /// when there is none. `ask` gets the seconds for which the server may hold its answer back, `what` is what hosts do.
    pub async fn until_applied<T>(
        self,
        world: &World,
        what: &str,
        ask: impl AsyncFn(u64) -> Option<T>,
        count: impl Fn(&T) -> Count,
    ) -> Option<(T, Duration)> {
        let started = world.clock.now();
        let passed = || world.clock.now().since(started);
        let waiting = async {
            loop {
                let answer = ask(ASK_SECONDS).await?;
                let count = count(&answer);
                if count.applied == count.hosts {
                    return Some(answer);
                }
                world.progress(&bar(count, what, passed()));
            }
        };
        let answer = match tokio::time::timeout(self.wait.0, waiting).await {
            Ok(answer) => answer,
            Err(_) => ask(0).await,
        };
        world.progress("");
        Some((answer?, passed()))
    }
}

fn bar(count: Count, what: &str, passed: Duration) -> String {
    let cells = count.applied * BAR_CELLS / count.hosts.max(1);
    let full = "█".repeat(cells as usize);
    let rest = "░".repeat((BAR_CELLS - cells) as usize);
    format!(
        "  {full}{rest} {} of {} hosts {what} ({:.1} s)",
        count.applied,
        count.hosts,
        passed.as_secs_f64()
    )
}

/// `  applied on 41 of 42 hosts (0.21 s)`
pub fn applied_on(count: Count, took: Duration) -> String {
    let Count { applied, hosts } = count;
    format!(
        "  applied on {applied} of {hosts} hosts ({:.2} s)",
        took.as_secs_f64()
    )
}

/// `  and 3 more`, when `listed` are not all that have not applied it.
pub fn and_more(count: Count, listed: usize) -> Option<String> {
    let unnamed = count
        .hosts
        .saturating_sub(count.applied)
        .saturating_sub(listed as u64);
    (unnamed > 0).then(|| format!("  and {unnamed} more"))
}
