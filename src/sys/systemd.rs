//! What systemd hands to a service, and what it wants to hear. All of it does nothing without systemd.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::{FileError, Files};

/// The largest credential that is read, bytes.
const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;

/// Tells systemd that the service is ready to be used.
pub fn ready() {
    notify(&[sd_notify::NotifyState::Ready]);
}

/// Tells systemd that the service is about to end.
pub fn stopping() {
    notify(&[sd_notify::NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    notify(&[sd_notify::NotifyState::Status(line)]);
}

/// Tells systemd that the service is alive.
pub fn alive() {
    notify(&[sd_notify::NotifyState::Watchdog]);
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// How often [`alive`] must be called, with half the limit as margin; `None` when nobody watches.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Credentials given with `LoadCredential=` or `SetCredential=`.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    directory: Option<PathBuf>,
}

impl Credentials {
    /// Those of this process.
    pub fn of_process() -> Self {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { directory }
    }

    /// Those in a directory.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        let directory = Some(directory.into());
        Self { directory }
    }

    /// Where a credential would be; `None` without a credentials directory, or when the name is not a plain one.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let plain = Path::new(name).file_name() == Some(name.as_ref());
        self.directory
            .as_ref()
            .filter(|_| plain)
            .map(|directory| directory.join(name))
    }

    /// The text of a credential, without the newline at its end; `None` when it was not given.
    pub fn read(&self, files: &Files, name: &str) -> Result<Option<SecretString>, FileError> {
        let Some(path) = self.path(name) else {
            return Ok(None);
        };
        match files.read_text(&path, CREDENTIAL_BYTES_MAX) {
            Ok(text) => Ok(Some(SecretString::from(text.trim_end_matches('\n')))),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ExposeSecret;

    #[test]
    fn a_credential_is_read_by_its_plain_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::system();
        files
            .write_private(&dir.path().join("token"), b"dw1_x\n")
            .unwrap();
        let credentials = Credentials::in_directory(dir.path());
        let token = credentials.read(&files, "token").unwrap().unwrap();
        assert_eq!(token.expose_secret(), "dw1_x");
        assert!(credentials.read(&files, "other").unwrap().is_none());
        assert!(credentials.path("../token").is_none());
        assert!(Credentials::default().read(&files, "token").unwrap().is_none());
    }
}
