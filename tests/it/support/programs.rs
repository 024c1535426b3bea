//! Other people's programs, as judges of what we write. One that is not installed fails the test: a
//! judge that is skipped has not agreed.

use std::path::PathBuf;
use std::process::{Output, Stdio};

/// A directory for one test, gone afterwards. Programs run in it.
pub struct Bench(tempfile::TempDir);

/// What a program said.
pub struct Said {
    pub ok: bool,
    pub stdout: Vec<u8>,
    /// Standard output and standard error, for messages.
    pub text: String,
}

impl Bench {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "scratch files of a test need no durability"
    )]
    pub fn put(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Runs `line`, split at spaces, without a shell.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests start the programs that judge our output"
    )]
    pub fn try_run(&self, line: &str) -> Said {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a program");
        let Output {
            status,
            stdout,
            stderr,
        } = std::process::Command::new(program)
            .args(words)
            .current_dir(self.0.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| {
                panic!("{program} does not run ({e}): install it (Debian: openssl, gnutls-bin, systemd)")
            });
        let text = [stdout.as_slice(), &stderr].map(String::from_utf8_lossy).concat();
        Said {
            ok: status.success(),
            stdout,
            text,
        }
    }

    /// Runs what must succeed.
    pub fn run(&self, line: &str) -> Said {
        let said = self.try_run(line);
        assert!(said.ok, "{line}\n{}", said.text);
        said
    }

    /// Runs what must fail, and returns what it said.
    pub fn refuse(&self, line: &str) -> String {
        let said = self.try_run(line);
        assert!(!said.ok, "succeeded: {line}\n{}", said.text);
        said.text
    }
}
