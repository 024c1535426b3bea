//! What can go wrong between here and the server, each with what to do about it.

use std::time::Duration;

use rustls::AlertDescription;

use super::ServerUrl;
use crate::base::encoding;
use crate::pki::tls::PinMismatch;
use crate::wire::{Code, Problem};

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: no such name, nobody listening, no route.
    #[error("cannot reach the server at {server}: {reason}\n  {advice}")]
    Connect {
        /// Who was dialled.
        server: ServerUrl,
        /// What the system said, with the address tried last.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// It took too long. The server may have done what it was asked: ask again, all calls that change
    /// something are made to be repeated.
    #[error("the server at {server} did not answer within {} s while {doing}\n  Is it overloaded, or does something on the way drop packets? Try again.", after.as_secs())]
    Timeout {
        /// Who.
        server: ServerUrl,
        /// connecting, or waiting for an answer.
        doing: &'static str,
        /// The limit that was passed.
        after: Duration,
    },
    /// The TLS handshake failed; nothing was sent.
    #[error("no trusted connection to {server}: {reason}")]
    Tls {
        /// Who.
        server: ServerUrl,
        /// Why, and what to do.
        reason: String,
    },
    /// The server's chain does not end in a pinned root; nothing was sent.
    #[error("{}", pin_mismatch(server, mismatch))]
    PinMismatch {
        /// Who was dialled.
        server: ServerUrl,
        /// What was presented and what was expected.
        mismatch: Box<PinMismatch>,
    },
    /// The server does not accept the certificate that was shown (in TLS 1.3 this comes with the first
    /// read after the handshake).
    #[error("the server at {server} refused our certificate: {}", alert_words(*alert))]
    CertificateRefused {
        /// Who.
        server: ServerUrl,
        /// The TLS alert it sent.
        alert: AlertDescription,
    },
    /// The connection ended without an answer. The server may have done what it was asked: ask again.
    #[error(
        "the server at {server} closed the connection before answering ({reason})\n  It may be restarting: try again. If that repeats, its log says why."
    )]
    Closed {
        /// Who.
        server: ServerUrl,
        /// How it ended.
        reason: String,
    },
    /// The server said no, and why.
    #[error("{}", problem_words(server, .problem))]
    Problem {
        /// Who.
        server: ServerUrl,
        /// Its explanation.
        problem: Box<Problem>,
        /// From `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// What came back is not an answer of a dockwarden server.
    #[error(
        "{server} does not answer like a dockwarden server: {what}\n  Is this the right address, and is there a proxy in between?"
    )]
    Protocol {
        /// Who.
        server: ServerUrl,
        /// What came.
        what: String,
    },
}

impl Error {
    /// The server's code, when it answered with a problem document.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem { problem, .. } => Some(problem.code),
            _ => None,
        }
    }

    /// Whether the same call can succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Closed { .. } | Self::Protocol { .. } => true,
            Self::Problem { problem, .. } => {
                matches!(
                    problem.code,
                    Code::RateLimited | Code::Internal | Code::Unavailable
                )
            }
            Self::Tls { .. } | Self::PinMismatch { .. } | Self::CertificateRefused { .. } => false,
        }
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn too_large(server: &ServerUrl, bytes_max: usize) -> Self {
        Self::Protocol {
            server: server.clone(),
            what: format!("the answer is longer than {bytes_max} bytes"),
        }
    }
}

/// The text a person sees when somebody else answers in the server's place.
fn pin_mismatch(server: &ServerUrl, mismatch: &PinMismatch) -> String {
    let short = |pin: &[u8; 32]| format!("{}…", encoding::hex(&pin[..8]));
    let ends = match &mismatch.presented {
        Some(ca) => format!("{}  (CN={})", short(&ca.spki_sha256), ca.name),
        None => "nothing that can be read".to_owned(),
    };
    let expected: Vec<String> = mismatch.pins.iter().map(short).collect();
    format!(
        "the server at {server} is not the one this token was made for.\n  its chain ends in  {ends}\n  \
         the token expects  {}\n  The join token was not sent. Is there a TLS-inspecting proxy in between? \
         See docs/troubleshooting.md#pin.",
        expected.join(" or ")
    )
}

fn alert_words(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateExpired => {
            "it has expired (or one of the two clocks is wrong)\n  Renewing is not possible any more: enrol again with a new join token.".into()
        }
        A::CertificateRevoked => {
            "it is revoked\n  Ask an operator why; enrolling again needs a new join token.".into()
        }
        // A CA of the same name with another key: its signature does not verify.
        A::UnknownCA | A::DecryptError => {
            "another CA issued it\n  Is this the server it was enrolled at? Enrol again if the server was set up anew.".into()
        }
        A::CertificateRequired => "it wants one and none was shown\n  Use a profile with a certificate.".into(),
        other => format!("TLS alert {other:?}\n  The server's log says why; enrolling again helps in most cases."),
    }
}

fn problem_words(server: &ServerUrl, problem: &Problem) -> String {
    let code = serde_json::to_value(problem.code).ok();
    let code = code.as_ref().and_then(|v| v.as_str()).unwrap_or_default();
    format!("{} ({server} says {} {code})", problem.detail, problem.status)
}
