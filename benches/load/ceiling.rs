//! What the crypto alone allows: one P-256 verification (of the request) and one P-256 signature (of the certificate),
//! on every processor at once and on one alone.

use std::thread;
use std::time::Duration;

use dockwarden::keys::{IssuerKey, MemoryKey};
use dockwarden::pki::{KeyAlgorithm, SignatureAlgorithm};

use crate::support::clock;

/// ecdsa-with-SHA256.
const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const TIME: Duration = Duration::from_secs(2);

/// Pairs of operations per second.
pub struct Ceiling {
    /// On one processor, the others idle.
    pub one: f64,
    /// On all together.
    pub all: f64,
}

/// Measures for two seconds each.
pub fn measure(processors: usize) -> Ceiling {
    let one = pairs_per_second();
    let threads: Vec<_> = (0..processors).map(|_| thread::spawn(pairs_per_second)).collect();
    let all = threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .sum();
    Ceiling { one, all }
}

fn pairs_per_second() -> f64 {
    let key = MemoryKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let algorithm = SignatureAlgorithm::from_der(&ECDSA_SHA256).expect("known");
    let (request, certificate) = ([7; 250], [8; 600]);
    let signature = key.sign(&request).expect("signs");
    let mut pairs = 0_u32;
    let began = clock();
    while began.elapsed() < TIME {
        algorithm
            .verify(key.public_key(), &request, &signature)
            .expect("verifies");
        key.sign(&certificate).expect("signs");
        pairs += 1;
    }
    f64::from(pairs) / began.elapsed().as_secs_f64()
}
