//! What every [`IssuerKey`] must do. Each implementation runs it over a key of its own.

use super::IssuerKey;
use crate::pki::{KeyAlgorithm, SignatureAlgorithm};

/// The AlgorithmIdentifier a CA of this algorithm writes into what it signs.
fn identifier(algorithm: KeyAlgorithm) -> &'static [u8] {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
        KeyAlgorithm::EcdsaP384 => &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
        _ => &[
            0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0,
        ],
    }
}

/// Panics with what is broken.
pub(super) fn run(key: &dyn IssuerKey) {
    let algorithm = SignatureAlgorithm::from_der(identifier(key.algorithm())).unwrap();
    let long = vec![0x5a; 1 << 20];
    for message in [b"".as_slice(), b"message", &long] {
        let signature = key.sign(message).unwrap();
        algorithm
            .verify(key.public_key(), message, &signature)
            .expect("its signature verifies");
        let other = [message, b"x"].concat();
        assert!(
            algorithm.verify(key.public_key(), &other, &signature).is_err(),
            "only for that message"
        );
    }
    std::thread::scope(|scope| {
        for thread in 0u8..4 {
            scope.spawn(move || {
                for round in 0u8..8 {
                    let message = [thread, round];
                    let signature = key.sign(&message).unwrap();
                    algorithm
                        .verify(key.public_key(), &message, &signature)
                        .expect("signs from many threads");
                }
            });
        }
    });
    let debug = format!("{key:?}");
    assert!(debug.len() < 100, "Debug shows more than the algorithm: {debug}");
}
