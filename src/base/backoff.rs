//! How long to wait before trying again: exponential, full jitter, floor and cap.
//! ("Full jitter": uniform between the floor and the exponential bound, so that a fleet that
//! failed together does not come back together.)

use std::time::Duration;

use super::random::Random;

/// A retry schedule. Never gives up: the caller decides what is worth retrying.
#[derive(Clone, Debug)]
pub struct Backoff {
    floor: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Waits between `floor` and `cap`; a cap below the floor counts as the floor.
    pub fn new(floor: Duration, cap: Duration) -> Self {
        Self {
            floor,
            cap: cap.max(floor),
            attempt: 0,
        }
    }

    /// DESIGN §8's renewal retries: floor 5 s, cap min(10 min, what is left of the certificate / 20).
    pub fn for_renewal(remaining: Duration) -> Self {
        Self::new(
            Duration::from_secs(5),
            Duration::from_secs(600).min(remaining / 20),
        )
    }

    /// How many delays were drawn since the last success.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The next delay: uniform in `[floor, min(cap, floor * 2^attempt * 2)]`.
    pub fn next_delay(&mut self, random: &dyn Random) -> Duration {
        let factor = 1u32
            .checked_shl(self.attempt.saturating_add(1))
            .unwrap_or(u32::MAX);
        let bound = self.floor.saturating_mul(factor.max(1)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1).min(31);
        self.floor + bound.saturating_sub(self.floor).mul_f64(random.unit())
    }

    /// Back to the first delay.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededRandom;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_delay_lies_between_floor_and_cap(floor in 0u64..10_000, cap in 0u64..1_000_000, n in 1usize..80, seed: u64) {
            let (floor, cap) = (Duration::from_millis(floor), Duration::from_millis(cap));
            let mut backoff = Backoff::new(floor, cap);
            let random = SeededRandom::new(seed);
            for _ in 0..n {
                let delay = backoff.next_delay(&random);
                prop_assert!(delay >= floor && delay <= cap.max(floor), "{delay:?}");
            }
        }
    }

    #[test]
    fn a_certificate_about_to_expire_is_retried_at_the_floor() {
        let mut backoff = Backoff::for_renewal(Duration::from_secs(40));
        for _ in 0..50 {
            assert_eq!(backoff.next_delay(&SeededRandom::new(3)), Duration::from_secs(5));
        }
    }
}
