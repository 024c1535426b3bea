//! What an RSA public key must be before anything is computed with it: an exact size, a usable
//! exponent, and a modulus that is not known to be weak. Costs microseconds, whatever was sent.

use super::der;

/// Why an RSA key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyError {
    /// Not an RSAPublicKey (RFC 8017 appendix A.1.1).
    #[error("its RSA public key does not parse; make a new key")]
    Malformed,
    /// Any size but 2048, 3072 and 4096.
    #[error("its RSA key has {0} bits; make one with 2048, 3072 or 4096")]
    Size(usize),
    /// Even, below 65537, or above 32 bits.
    #[error("its RSA key has an unusable public exponent; make a new key (every current tool uses 65537)")]
    Exponent,
    /// The modulus is even, has a small factor, or carries the ROCA fingerprint (CVE-2017-15361).
    #[error("its RSA key is known to be weak (small factor or ROCA); make a new key with another program")]
    Weak,
}

/// Checks an RSAPublicKey and returns the size of its modulus in bits: 2048, 3072 or 4096.
pub(super) fn check(key: &[u8]) -> Result<usize, RsaKeyError> {
    let (modulus, exponent) = parse(key).ok_or(RsaKeyError::Malformed)?;
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    if !matches!(bits, 2048 | 3072 | 4096) {
        return Err(RsaKeyError::Size(bits));
    }
    if !is_usable_exponent(exponent) {
        return Err(RsaKeyError::Exponent);
    }
    if is_weak_modulus(modulus) {
        return Err(RsaKeyError::Weak);
    }
    Ok(bits)
}

/// Modulus and exponent as magnitudes without a leading zero.
fn parse(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = der::Reader::new(der::only(der::SEQUENCE, key)?);
    let modulus = magnitude(fields.expect(der::INTEGER)?.value)?;
    let exponent = magnitude(fields.expect(der::INTEGER)?.value)?;
    fields.is_empty().then_some((modulus, exponent))
}

/// A positive INTEGER in its shortest form.
fn magnitude(value: &[u8]) -> Option<&[u8]> {
    match value {
        [0, rest @ ..] if rest.first().is_some_and(|b| *b >= 0x80) => Some(rest),
        [first, ..] if (1..0x80).contains(first) => Some(value),
        _ => None,
    }
}

fn is_usable_exponent(exponent: &[u8]) -> bool {
    // More than 32 bits would only slow down every verifier (aws-lc refuses beyond 33).
    exponent.len() <= 4 && {
        let value = exponent.iter().fold(0u32, |v, b| v << 8 | u32::from(*b));
        value >= 65537 && value % 2 == 1
    }
}

/// The odd primes below 168. Good keys are divisible by none of them, and keys of the flawed
/// library are a power of 65537 modulo every one of them (Nemec et al., CCS 2017, §2.3).
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

fn is_weak_modulus(modulus: &[u8]) -> bool {
    let even = modulus.last().is_none_or(|b| b % 2 == 0);
    let residue = |prime: u32| modulus.iter().fold(0u32, |r, b| (r << 8 | u32::from(*b)) % prime);
    even || PRIMES.iter().any(|p| residue(*p) == 0)
        || PRIMES.iter().all(|p| is_power_of_65537(residue(*p), *p))
}

/// Whether `residue` lies in the subgroup that 65537 generates modulo `prime`.
fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == residue {
            return true;
        }
        power = power * (65537 % prime) % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(magnitude: &[u8]) -> Vec<u8> {
        let pad: &[u8] = if magnitude[0] >= 0x80 { &[0] } else { &[] };
        der::write(der::INTEGER, &[pad, magnitude])
    }

    fn key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        der::write(der::SEQUENCE, &[&integer(modulus), &integer(exponent)])
    }

    const E: [u8; 3] = [1, 0, 1];

    /// `factor * PRIMES` to the size of `bytes`, plus `add`: its residue is `add` for every prime.
    fn modulus_with_residue(add: u8, bytes: usize) -> Vec<u8> {
        let mut number = vec![1u8];
        let multiply = |number: &mut Vec<u8>, by: u32| {
            let mut carry = 0u32;
            for digit in number.iter_mut().rev() {
                carry += u32::from(*digit) * by;
                *digit = carry as u8;
                carry >>= 8;
            }
            while carry > 0 {
                number.insert(0, carry as u8);
                carry >>= 8;
            }
        };
        PRIMES.iter().for_each(|p| multiply(&mut number, *p));
        multiply(&mut number, 2);
        while number.len() < bytes || number[0] < 0x80 {
            let by = if number.len() < bytes { 251 } else { 2 };
            multiply(&mut number, by);
        }
        *number.last_mut().unwrap() += add;
        number
    }

    #[test]
    fn sizes_are_exact() {
        for (bytes, bits) in [
            (64, 512),
            (128, 1024),
            (255, 2040),
            (257, 2056),
            (512 + 1, 4104),
            (2048, 16384),
        ] {
            let mut modulus = vec![0xc5u8; bytes];
            modulus[bytes - 1] = 0x11;
            assert_eq!(check(&key(&modulus, &E)), Err(RsaKeyError::Size(bits)));
        }
    }

    #[test]
    fn exponents_below_65537_or_even_or_huge_are_refused() {
        let modulus = modulus_with_residue(1, 256);
        for exponent in [
            [3].as_slice(),
            &[1, 0, 0],
            &[1, 0, 2],
            &[1, 0, 0, 0, 1],
            &[0xff; 200],
        ] {
            assert_eq!(
                check(&key(&modulus, exponent)),
                Err(RsaKeyError::Exponent),
                "{exponent:02x?}"
            );
        }
    }

    #[test]
    fn a_modulus_with_the_roca_fingerprint_is_refused() {
        // 1 is 65537^0 modulo every prime.
        let modulus = modulus_with_residue(1, 256);
        assert_eq!(modulus.len(), 256);
        assert_eq!(check(&key(&modulus, &E)), Err(RsaKeyError::Weak));
    }

    #[test]
    fn a_modulus_with_a_small_factor_is_refused() {
        let mut modulus = modulus_with_residue(0, 256);
        assert_eq!(check(&key(&modulus, &E)), Err(RsaKeyError::Weak), "even");
        *modulus.last_mut().unwrap() += 3;
        assert_eq!(
            check(&key(&modulus, &E)),
            Err(RsaKeyError::Weak),
            "divisible by 3"
        );
    }

    #[test]
    fn negative_zero_padded_and_missing_numbers_are_malformed() {
        let whole = key(&[0xc5; 256], &E);
        for cut in 0..whole.len() {
            assert_eq!(check(&whole[..cut]), Err(RsaKeyError::Malformed));
        }
        let negative = der::write(der::INTEGER, &[&[0xc5; 256]]);
        let padded = der::write(der::INTEGER, &[&[0, 0x11]]);
        for modulus in [negative, padded, der::write(der::INTEGER, &[])] {
            let key = der::write(der::SEQUENCE, &[&modulus, &integer(&E)]);
            assert_eq!(check(&key), Err(RsaKeyError::Malformed));
        }
    }
}
