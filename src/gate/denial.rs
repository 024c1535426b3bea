//! Every way the gate says no, as the Docker CLI and the SDKs print it: `{"message": "dockwarden: ..."}`.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::framing::Refusal;
use super::upstream::UpstreamError;
use crate::base::Timestamp;
use crate::model::role::PathError;
use crate::pki::chain::ChainError;

/// Why a request was not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The bytes do not frame one request.
    #[error("the request was refused: {0}")]
    Framing(Refusal),
    /// The path.
    #[error("the request was refused: {0}")]
    Path(PathError),
    /// CONNECT, TRACE, or a request target that is not a path.
    #[error("the request was refused: {0}")]
    Form(&'static str),
    /// An upgrade the Engine does not offer there.
    #[error(
        "this path cannot be upgraded to {protocol:?}: tcp is for attach and exec, websocket for attach/ws, h2c for session and grpc"
    )]
    Upgrade {
        /// What was asked for.
        protocol: String,
    },
    /// Attaching standard input without an upgrade.
    #[error(
        "attaching standard input needs the headers \"Connection: Upgrade\" and \"Upgrade: tcp\": update the client, or attach output only"
    )]
    RawHijack,
    /// The client's certificate was good at the handshake and is not any more.
    #[error("the certificate is no longer accepted here: {0}")]
    Certificate(ChainError),
    /// Nobody knows any more who was revoked.
    #[error(
        "this host has not heard of its server since {contact}, so it cannot know who was revoked, and refuses every remote client (on_stale = \"deny\"): start the server, or repair the network between them; on the host itself docker.sock works as always"
    )]
    Stale {
        /// When it heard of it last.
        contact: Timestamp,
    },
    /// What a policy said.
    #[error("{0}")]
    Policy(String),
    /// Too many connections.
    #[error("this host serves {limit} connections already: close some, or raise the gate's limit")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// dockerd is not there.
    #[error("{0}")]
    Upstream(UpstreamError),
}

impl Denial {
    /// The status that goes with it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Framing(Refusal::HeadTooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Framing(Refusal::HeadTooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Framing(_) | Self::Path(_) | Self::Form(_) | Self::Upgrade { .. } | Self::RawHijack => {
                StatusCode::BAD_REQUEST
            }
            Self::Certificate(_) | Self::Policy(_) | Self::Stale { .. } => StatusCode::FORBIDDEN,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether the connection must not be used for another request: after it, the client and the gate
    /// might disagree on where that would begin, or the client is not welcome any more.
    pub fn ends_connection(&self) -> bool {
        !matches!(self, Self::Path(_) | Self::Policy(_) | Self::Upstream(_))
    }

    /// The body: `{"message": "dockwarden: ..."}`.
    pub fn body(&self) -> Bytes {
        let message = serde_json::json!({ "message": format!("dockwarden: {self}") });
        format!("{message}\n").into()
    }

    /// As an answer through hyper.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.ends_connection() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// As the last bytes of a connection that hyper no longer drives.
    pub fn raw_response(&self) -> Vec<u8> {
        let (status, body) = (self.status(), self.body());
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
}

impl From<PathError> for Denial {
    fn from(error: PathError) -> Self {
        Self::Path(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_docker_json_both_ways() {
        let denial = Denial::Form("quotes \" and \n lines stay inside the string");
        let parsed: serde_json::Value = serde_json::from_slice(&denial.body()).unwrap();
        let message = parsed["message"].as_str().unwrap();
        assert!(message.starts_with("dockwarden: ") && message.contains('\n'));
        let raw = String::from_utf8(denial.raw_response()).unwrap();
        assert!(raw.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{raw}");
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
