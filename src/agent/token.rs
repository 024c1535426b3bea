//! Finding the join token: a flag, the environment, a systemd credential, a file; the first that is there.

use std::path::PathBuf;

use super::observed::TokenState;
use crate::base::{ExposeSecret, SecretString};
use crate::model::JoinToken;
use crate::sys::Files;
use crate::sys::systemd::Credentials;

/// The systemd credential's name.
pub const CREDENTIAL: &str = "dockwarden-token";
/// The environment variable's name.
pub const VARIABLE: &str = "DOCKWARDEN_TOKEN";
/// The largest token file that is read, bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// Where a token may come from.
#[derive(Clone, Debug, Default)]
pub struct TokenSource {
    /// Given on the command line or in the environment.
    pub given: Option<SecretString>,
    /// systemd's credentials.
    pub credentials: Credentials,
    /// A file.
    pub file: Option<PathBuf>,
}

/// What was found.
#[derive(Debug)]
pub enum FoundToken {
    /// A token.
    Token(JoinToken),
    /// None, and where it was looked for.
    Absent(String),
    /// Something that is none, and why.
    Unusable(String),
}

impl TokenSource {
    /// Looks in every place, in order; what is there but damaged is an error, not skipped.
    pub fn find(&self, files: &Files) -> FoundToken {
        if let Some(text) = &self.given {
            return parse(&format!("{VARIABLE} or --token"), text);
        }
        match self.credentials.read(files, CREDENTIAL) {
            Ok(Some(text)) => return parse(&format!("the systemd credential {CREDENTIAL}"), &text),
            Ok(None) => {}
            Err(error) => return FoundToken::Unusable(error.to_string()),
        }
        let Some(path) = &self.file else {
            return FoundToken::Absent(format!(
                "no join token: set token_file in the configuration, {VARIABLE}, or the systemd credential {CREDENTIAL} \
                 (make one on the server: dockwarden token create --profile host)"
            ));
        };
        match files.read_text(path, TOKEN_BYTES_MAX) {
            Ok(text) => parse(&path.display().to_string(), &SecretString::from(text)),
            Err(error) if error.is_missing() => FoundToken::Absent(format!(
                "no join token: {} does not exist (make one on the server: dockwarden token create --profile host)",
                path.display()
            )),
            Err(error) => FoundToken::Unusable(error.to_string()),
        }
    }
}

fn parse(place: &str, text: &SecretString) -> FoundToken {
    match text.expose_secret().parse() {
        Ok(token) => FoundToken::Token(token),
        Err(error) => FoundToken::Unusable(format!("{place}: {error}")),
    }
}

impl From<&FoundToken> for TokenState {
    fn from(found: &FoundToken) -> Self {
        match found {
            FoundToken::Token(token) => Self::Present(token.id),
            FoundToken::Absent(why) => Self::Absent(why.clone()),
            FoundToken::Unusable(why) => Self::Unusable(why.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededRandom;

    fn token(seed: u64) -> JoinToken {
        JoinToken::draw(&SeededRandom::new(seed), vec![[1; 32]])
    }

    fn found(source: &TokenSource) -> TokenState {
        TokenState::from(&source.find(&Files::system()))
    }

    #[test]
    fn the_first_place_that_has_a_token_wins() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, token: &JoinToken| {
            Files::system()
                .write_private(&dir.path().join(name), token.expose().as_bytes())
                .unwrap();
        };
        let mut source = TokenSource {
            credentials: Credentials::in_directory(dir.path()),
            file: Some(dir.path().join("join.token")),
            given: None,
        };
        assert!(
            matches!(found(&source), TokenState::Absent(why) if why.contains("join.token does not exist"))
        );
        put("join.token", &token(1));
        assert_eq!(found(&source), TokenState::Present(token(1).id));
        put(CREDENTIAL, &token(2));
        assert_eq!(found(&source), TokenState::Present(token(2).id));
        source.given = Some(SecretString::from(token(3).expose().to_string()));
        assert_eq!(found(&source), TokenState::Present(token(3).id));
    }

    #[test]
    fn a_damaged_token_is_reported_without_showing_it() {
        let text = token(1).expose();
        let source = TokenSource {
            given: Some(SecretString::from(text[..text.len() - 4].to_owned())),
            ..TokenSource::default()
        };
        let TokenState::Unusable(why) = found(&source) else {
            panic!("must be refused");
        };
        assert!(why.contains("damaged") && !why.contains(&text[5..20]), "{why}");
    }
}
