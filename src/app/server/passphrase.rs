//! Where the passphrase of the CA's keys comes from: a file, the environment, a systemd credential, or a prompt.
//! Never from an argument: those are in everybody's process list.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::base::{ExposeSecret, SecretString};
use crate::sys::Files;
use crate::sys::systemd::Credentials;

/// The variable that may hold it.
const VARIABLE: &str = "DOCKWARDEN_PASSPHRASE";
/// The systemd credential that may hold it.
const CREDENTIAL: &str = "passphrase";
/// The largest passphrase file, bytes.
const BYTES_MAX: usize = 4096;

/// How a command is told the passphrase.
#[derive(Clone, Debug, Default, Args)]
pub struct PassphraseArgs {
    /// File with the passphrase of the CA's keys [else: DOCKWARDEN_PASSPHRASE, the systemd credential "passphrase", a prompt]
    #[arg(long, value_name = "FILE", env = "DOCKWARDEN_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase of keys that exist.
    pub fn get(&self, configured: Option<&Path>) -> anyhow::Result<SecretString> {
        self.get_or(configured, || prompt("Passphrase of the CA's keys: "))
    }

    /// The passphrase of keys that are about to be made.
    pub fn choose(&self) -> anyhow::Result<SecretString> {
        self.get_or(None, || ask_twice("Choose a passphrase for the CA's keys: "))
    }

    fn get_or(
        &self,
        configured: Option<&Path>,
        ask: impl FnOnce() -> anyhow::Result<SecretString>,
    ) -> anyhow::Result<SecretString> {
        let files = Files::system();
        let found = match self.passphrase_file.as_deref().or(configured) {
            Some(path) => read_file(&files, path)?,
            None => match std::env::var(VARIABLE) {
                Ok(text) => SecretString::from(text),
                Err(_) => match Credentials::of_process().read(&files, CREDENTIAL)? {
                    Some(secret) => secret,
                    None if std::io::stdin().is_terminal() => ask()?,
                    None => bail!(
                        "the CA's keys need a passphrase: give --passphrase-file FILE, the environment variable {VARIABLE}, or the systemd credential {CREDENTIAL:?} (LoadCredential=)"
                    ),
                },
            },
        };
        if found.expose_secret().is_empty() {
            bail!("the passphrase is empty: that would leave the CA's keys open to whoever reads the disk");
        }
        Ok(found)
    }
}

/// The first line of a file.
pub fn read_file(files: &Files, path: &Path) -> anyhow::Result<SecretString> {
    let text = files
        .read_text(path, BYTES_MAX)
        .context("the passphrase cannot be had")?;
    let text = zeroize::Zeroizing::new(text);
    Ok(SecretString::from(
        text.lines().next().unwrap_or_default().to_owned(),
    ))
}

/// Asks for a passphrase that does not exist yet.
pub fn ask_twice(question: &str) -> anyhow::Result<SecretString> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask at: give the passphrase in a file");
    }
    let first = prompt(question)?;
    let second = prompt("Again: ")?;
    if first.expose_secret() != second.expose_secret() {
        bail!("the two passphrases differ");
    }
    Ok(first)
}

/// Asks at the terminal, without an echo.
fn prompt(question: &str) -> anyhow::Result<SecretString> {
    eprint!("{question}");
    std::io::stderr().flush()?;
    let stdin = std::io::stdin();
    let echo = Echo::off(&stdin);
    let mut line = zeroize::Zeroizing::new(String::new());
    let read = stdin.read_line(&mut line);
    drop(echo);
    eprintln!();
    read.context("no passphrase could be read")?;
    Ok(SecretString::from(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Turns the terminal's echo back on when dropped.
struct Echo(Option<rustix::termios::Termios>);

impl Echo {
    fn off(stdin: &std::io::Stdin) -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(stdin).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            // A terminal that keeps its echo still works.
            let _ = tcsetattr(stdin, OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ =
                rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}
