//! The one source of randomness. Tests pass a [`SeededRandom`] to get the same bytes every time.

use std::ops::Range;
use std::sync::Mutex;

use aws_lc_rs::rand::SecureRandom;

/// Where random bytes come from.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Random {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Uniform in `[0, 1)`, with 53 bits.
    pub fn unit(&self) -> f64 {
        let bits = u64::from_be_bytes(self.bytes()) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `range`; its start when the range is empty.
    pub fn between(&self, range: Range<f64>) -> f64 {
        range.start + self.unit() * (range.end - range.start).max(0.0)
    }
}

/// The operating system's generator, through aws-lc-rs.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks for real randomness"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        aws_lc_rs::rand::SystemRandom::new()
            .fill(buffer)
            .expect("the operating system's generator does not fail once seeded");
    }
}

/// Deterministic bytes for tests: SHA-256 in counter mode over a seed. Never for keys that matter.
#[derive(Debug)]
pub struct SeededRandom {
    seed: u64,
    counter: Mutex<u64>,
}

impl SeededRandom {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: Mutex::new(0),
        }
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut counter = self.counter.lock().expect("no panic while the lock is held");
        for chunk in buffer.chunks_mut(32) {
            let mut block = self.seed.to_be_bytes().to_vec();
            block.extend_from_slice(&counter.to_be_bytes());
            *counter += 1;
            chunk.copy_from_slice(&super::encoding::sha256(&block)[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let draw = |seed| -> [u8; 40] { (&SeededRandom::new(seed) as &dyn Random).bytes() };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn between_stays_inside_its_range() {
        let random: &dyn Random = &SeededRandom::new(7);
        for _ in 0..1000 {
            let value = random.between(0.6..0.75);
            assert!((0.6..0.75).contains(&value), "{value}");
        }
        assert_eq!(random.between(3.0..1.0), 3.0);
    }
}
