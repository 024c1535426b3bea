//! How often one address may fail to enrol: a leaky bucket per source (GCRA), on our own clock. Successes
//! cost nothing, and a valid token is never held up by a neighbour's failures.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use crate::base::Timestamp;
use crate::base::limits::{ENROLL_FAILURE_REFILL, ENROLL_FAILURES_BURST, FAILURE_SOURCES_MAX};

/// When each source's bucket will be empty again.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Timestamp>>);

impl Failures {
    /// Counts a failure of `source` at `now`; an error says how long to wait when there were too many.
    pub(super) fn count(&self, source: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        let key = bucket(source);
        let mut sources = self.0.lock().expect("no panic while the lock is held");
        if sources.len() >= FAILURE_SOURCES_MAX && !sources.contains_key(&key) {
            sources.retain(|_, empty_at| *empty_at > now);
            // Still full: that many addresses fail at once only in an attack, and all of them wait.
            if sources.len() >= FAILURE_SOURCES_MAX {
                return Err(ENROLL_FAILURE_REFILL);
            }
        }
        let empty_at = sources.get(&key).copied().unwrap_or(now).max(now);
        let full = ENROLL_FAILURE_REFILL * (ENROLL_FAILURES_BURST - 1);
        let filled = empty_at.since(now);
        if filled > full {
            return Err(filled - full);
        }
        sources.insert(key, empty_at + ENROLL_FAILURE_REFILL);
        Ok(())
    }
}

/// One bucket per IPv4 address or IPv6 /64: whoever has one address of a /64 has them all.
fn bucket(source: Option<IpAddr>) -> IpAddr {
    match source.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(v6)) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        Some(v4) => v4,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_burst_passes_and_the_next_failure_waits_for_a_refill() {
        let failures = Failures::default();
        let now = Timestamp::from_secs(NOW);
        for n in 0..ENROLL_FAILURES_BURST {
            assert_eq!(failures.count(address("192.0.2.1"), now), Ok(()), "{n}");
        }
        let wait = failures.count(address("192.0.2.1"), now).unwrap_err();
        assert_eq!(wait, ENROLL_FAILURE_REFILL);
        assert!(
            failures
                .count(address("192.0.2.1"), now + wait - Duration::from_millis(1))
                .is_err()
        );
        assert_eq!(failures.count(address("192.0.2.1"), now + wait), Ok(()));
        assert_eq!(failures.count(address("192.0.2.2"), now), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_bucket() {
        let failures = Failures::default();
        let now = Timestamp::from_secs(NOW);
        for n in 0..ENROLL_FAILURES_BURST {
            failures.count(address(&format!("2001:db8::{n:x}")), now).unwrap();
        }
        assert!(failures.count(address("2001:db8::ffff"), now).is_err());
        assert!(failures.count(address("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn the_number_of_sources_is_bounded_and_frees_itself() {
        let failures = Failures::default();
        let now = Timestamp::from_secs(NOW);
        for n in 0..u32::try_from(FAILURE_SOURCES_MAX).unwrap() {
            failures.count(Some(IpAddr::V4(n.into())), now).unwrap();
        }
        assert!(failures.count(address("203.0.113.9"), now).is_err());
        assert!(
            failures
                .count(address("203.0.113.9"), now + ENROLL_FAILURE_REFILL)
                .is_ok()
        );
    }
}
