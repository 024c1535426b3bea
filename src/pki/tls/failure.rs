//! Why a handshake came to nothing, in one word of a short list: for metrics, where a sentence would be a series.

use std::io::{self, ErrorKind};

use crate::pki::chain::ChainError;

/// The words.
pub const HANDSHAKE_FAILURES: [&str; 11] = [
    "no_certificate",
    "expired",
    "not_yet_valid",
    "revoked",
    "untrusted",
    "wrong_purpose",
    "bad_certificate",
    "refused_by_peer",
    "closed",
    "timeout",
    "protocol",
];

/// What a handshake is said to have failed by that ended with `error`, after the verifier refused the peer for `refused` if it
/// did. `timeout` is for the caller: no error comes of it.
pub fn handshake_failure(refused: Option<&ChainError>, error: &io::Error) -> &'static str {
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match (refused, tls) {
        (Some(why), _) => refusal(why),
        (None, Some(rustls::Error::NoCertificatesPresented)) => "no_certificate",
        (None, Some(rustls::Error::AlertReceived(_))) => "refused_by_peer",
        (None, Some(_)) => "protocol",
        (None, None) if is_an_end(error.kind()) => "closed",
        (None, None) => "protocol",
    }
}

fn is_an_end(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
    )
}

fn refusal(why: &ChainError) -> &'static str {
    match why {
        ChainError::Empty => "no_certificate",
        ChainError::Expired { .. } => "expired",
        ChainError::NotYetValid { .. } => "not_yet_valid",
        ChainError::Revoked { .. } => "revoked",
        ChainError::AnchorDates { .. }
        | ChainError::SelfSigned { .. }
        | ChainError::UnknownIssuer { .. }
        | ChainError::BadSignature { .. } => "untrusted",
        ChainError::WrongPurpose { .. } | ChainError::IssuerPurpose { .. } => "wrong_purpose",
        _ => "bad_certificate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_word_of_the_list() {
        let expired = ChainError::Expired {
            name: "alice".to_owned(),
            not_after: crate::base::Timestamp::EPOCH,
            now: crate::base::Timestamp::EPOCH,
        };
        let tls = |error| io::Error::new(ErrorKind::InvalidData, error);
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        for (refused, error, word) in [
            (Some(&expired), tls(rustls::Error::DecryptError), "expired"),
            (
                Some(&ChainError::Empty),
                ErrorKind::UnexpectedEof.into(),
                "no_certificate",
            ),
            (
                Some(&ChainError::TooLong(9)),
                ErrorKind::Other.into(),
                "bad_certificate",
            ),
            (
                None,
                tls(rustls::Error::NoCertificatesPresented),
                "no_certificate",
            ),
            (None, tls(alert), "refused_by_peer"),
            (None, tls(rustls::Error::DecryptError), "protocol"),
            (None, ErrorKind::UnexpectedEof.into(), "closed"),
            (None, ErrorKind::ConnectionReset.into(), "closed"),
            (None, ErrorKind::InvalidInput.into(), "protocol"),
        ] {
            let found = handshake_failure(refused, &error);
            assert_eq!(found, word, "{refused:?} {error}");
            assert!(HANDSHAKE_FAILURES.contains(&found));
        }
    }
}
