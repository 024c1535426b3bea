//! What a command can end with. Usage errors exit with 2, all others with 1.

use std::io;

use crate::client;
use crate::model::JoinTokenError;
use crate::sys::FileError;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not asked properly.
    #[error("{0}")]
    Usage(String),
    /// The server said no, or was not reached.
    #[error(transparent)]
    Server(#[from] client::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a join token.
    #[error(transparent)]
    Token(#[from] JoinTokenError),
    /// Something that was found is not as it must be; says what and what to do.
    #[error("{0}")]
    Found(String),
    /// Standard output is gone.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// The exit code that goes with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 1,
        }
    }

    /// Whether nobody reads our output any more (`... | head`): no reason to complain.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}
