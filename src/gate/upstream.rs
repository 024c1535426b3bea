//! dockerd's socket: opened by path each time, because a restart of dockerd makes a new one under the old name.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;

/// How often a full backlog is tried again, and how long apart. The kernel refuses at once when it is full.
const BACKLOG_RETRIES: u32 = 10;
const BACKLOG_PAUSE: Duration = Duration::from_millis(20);

/// dockerd did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No socket there.
    #[error("dockerd is not running: there is no {path}; start it (systemctl start docker) and try again")]
    Missing {
        /// The socket.
        path: String,
    },
    /// A socket nobody listens on.
    #[error(
        "dockerd is not answering on {path}: it is stopped or restarting; look at systemctl status docker and try again"
    )]
    Refused {
        /// The socket.
        path: String,
    },
    /// Anything else.
    #[error("dockerd cannot be reached on {path} ({kind}): check the path and its permissions")]
    Unreachable {
        /// The socket.
        path: String,
        /// What the system said.
        kind: ErrorKind,
    },
    /// It went away without an answer.
    #[error("dockerd closed the connection before it answered: it was stopped or restarted; try again")]
    Broken,
    /// It upgraded to something nobody asked for.
    #[error("dockerd switched to a protocol that was not asked for: please report this")]
    WrongProtocol,
}

/// Where dockerd listens.
#[derive(Clone, Debug)]
pub struct Upstream(PathBuf);

impl Upstream {
    /// By the path of its socket.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`UpstreamError`], with what to do.
    pub async fn connect(&self) -> Result<UnixStream, UpstreamError> {
        for _ in 0..BACKLOG_RETRIES {
            match UnixStream::connect(&self.0).await {
                Err(e) if e.kind() == ErrorKind::WouldBlock => tokio::time::sleep(BACKLOG_PAUSE).await,
                other => return other.map_err(|e| self.error(e.kind())),
            }
        }
        Err(self.error(ErrorKind::WouldBlock))
    }

    fn error(&self, kind: ErrorKind) -> UpstreamError {
        let path = self.0.display().to_string();
        match kind {
            ErrorKind::NotFound => UpstreamError::Missing { path },
            ErrorKind::ConnectionRefused => UpstreamError::Refused { path },
            kind => UpstreamError::Unreachable { path, kind },
        }
    }
}
