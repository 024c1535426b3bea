//! The agent's configuration: read, merged, and turned into one that can be relied on.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::daemon::config::{DaemonConfig, DaemonConfigError, RawDaemon};
use crate::base::Span;
use crate::client::{ServerUrl, UrlError};
use crate::model::{Labels, LabelsError, Mode};
use crate::pki::{DnsName, KeyAlgorithm};

/// Where the configuration is looked for.
pub const CONFIG_PATH: &str = "/etc/dockwarden/agent.toml";
/// Where the gate listens.
const LISTEN: &str = "0.0.0.0:2376";
/// Where Docker is.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where the certificate and its key go.
const FILES: &str = "/etc/docker/dockwarden";
/// Where the agent keeps what it remembers.
const STATE: &str = "/var/lib/dockwarden/agent";
/// How long the gate goes on without the server: as long as a CRL is good.
const MAX_STALENESS: Duration = Duration::from_secs(24 * 3600);
/// How long a hook may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// `"auto"`, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names<T> {
    /// Whatever the machine says.
    Auto,
    /// These and no others.
    List(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Names<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor(PhantomData))
    }
}

/// By hand, so that a bad name in a list is reported as what it is.
struct NamesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamesVisitor<T> {
    type Value = Names<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"auto\", or a list")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Names<T>, E> {
        match word {
            "auto" => Ok(Names::Auto),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Names::List)
    }
}

/// What becomes of remote clients when nobody can know any more who was revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStale {
    /// They are refused until the server is heard of again.
    #[default]
    Deny,
    /// They are let in on what was known last.
    Allow,
}

/// What the gate makes of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Roles {
    /// A client may do what its roles allow.
    #[default]
    Enforce,
    /// Every client with a valid certificate may do everything.
    Ignore,
}

/// What runs after the files have changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a shell line, or a list: program and arguments"
)]
pub enum Hook {
    /// A line for `/bin/sh`.
    Shell(String),
    /// A program and its arguments, without a shell.
    Program(Vec<String>),
}

/// The configuration as it is written; every layer (flags, environment, file) is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The server's address, `https://...`.
    pub server: Option<String>,
    /// Where the join token is.
    pub token_file: Option<PathBuf>,
    /// Names in the certificate.
    pub names: Option<Names<DnsName>>,
    /// Addresses in the certificate.
    pub addresses: Option<Names<IpAddr>>,
    /// Names besides those.
    pub extra_names: Option<Vec<DnsName>>,
    /// Labels to join with; those of the token win.
    pub labels: Option<BTreeMap<String, String>>,
    /// `gate`, `daemon` or `files`.
    pub mode: Option<Mode>,
    /// Where the gate, or in mode `daemon` dockerd itself, listens.
    pub listen: Option<SocketAddr>,
    /// Where Docker is.
    pub docker_socket: Option<PathBuf>,
    /// Where certificate and key go.
    pub files: Option<PathBuf>,
    /// Where the agent keeps what it remembers.
    pub state: Option<PathBuf>,
    /// What runs after the files have changed (mode `files`).
    pub hook: Option<Hook>,
    /// How long it may take.
    pub hook_timeout: Option<Span>,
    /// What is dialled to see which certificate is served (mode `files`).
    pub dial: Option<SocketAddr>,
    /// Where clients reach Docker, when that is not where the gate listens: `tcp://host:port`.
    pub endpoints: Option<Vec<String>>,
    /// The kind of key that is made.
    pub key_algorithm: Option<KeyAlgorithm>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// What becomes of remote clients when the server was not heard of for `max_staleness`.
    pub on_stale: Option<OnStale>,
    /// What the gate makes of roles.
    pub roles: Option<Roles>,
    /// Whether the gate writes down what clients use (mode `gate`).
    pub learn: Option<bool>,
    /// How long the gate goes on without having heard of the server.
    pub max_staleness: Option<Span>,
    /// dockerd itself (mode `daemon`).
    pub daemon: Option<RawDaemon>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{}", .0.to_string().trim_end())]
    Toml(#[from] toml::de::Error),
    /// Nobody said where the server is.
    #[error("server is not set: write server = \"https://HOST:8443\" in {CONFIG_PATH}, or pass --server")]
    NoServer,
    /// The server's address.
    #[error("server: {0}")]
    Server(#[from] UrlError),
    /// The labels.
    #[error("labels: {0}")]
    Labels(#[from] LabelsError),
    /// A setting of another mode.
    #[error("{key} only means something with mode = \"{mode}\": remove it, or change the mode")]
    OtherMode {
        /// The setting.
        key: &'static str,
        /// The mode it belongs to.
        mode: Mode,
    },
    /// The table of mode `daemon`.
    #[error("daemon.{0}")]
    Daemon(#[from] DaemonConfigError),
    /// Not a place where a client could reach Docker.
    #[error("endpoints: {0:?} is not tcp://HOST:PORT")]
    Endpoint(String),
    /// A relative path.
    #[error("{key}: {path:?} is not an absolute path")]
    Relative {
        /// The setting.
        key: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// An empty hook.
    #[error("hook is empty: name a program, or remove it")]
    EmptyHook,
    /// A hook that may take no time, or more than an hour.
    #[error("hook_timeout must be between 1s and 1h")]
    HookTimeout,
    /// A patience shorter than a restart of the server, or longer than anybody would wait with a revocation.
    #[error(
        "max_staleness must be between 1m and 30d; to let clients in for ever, write on_stale = \"allow\""
    )]
    MaxStaleness,
}

/// A configuration that was checked. [`RawConfig::check`] is its only constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server.
    pub server: ServerUrl,
    /// Where the join token is.
    pub token_file: Option<PathBuf>,
    /// Names in the certificate.
    pub names: Names<DnsName>,
    /// Addresses in the certificate.
    pub addresses: Names<IpAddr>,
    /// Names besides those.
    pub extra_names: Vec<DnsName>,
    /// Labels to join with.
    pub labels: Labels,
    /// `gate`, `daemon` or `files`.
    pub mode: Mode,
    /// Where the gate, or in mode `daemon` dockerd itself, listens.
    pub listen: SocketAddr,
    /// Where Docker is.
    pub docker_socket: PathBuf,
    /// Where certificate and key go.
    pub files: PathBuf,
    /// Where the agent keeps what it remembers.
    pub state: PathBuf,
    /// What runs after the files have changed.
    pub hook: Option<Hook>,
    /// How long it may take.
    pub hook_timeout: Duration,
    /// What is dialled in mode `files`.
    pub dial: Option<SocketAddr>,
    /// Where clients reach Docker; empty: where the gate listens.
    pub endpoints: Vec<String>,
    /// The kind of key that is made.
    pub key_algorithm: KeyAlgorithm,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// How long remote clients are let in without the server having been heard of; `None`: for ever.
    pub patience: Option<Duration>,
    /// What the gate makes of roles.
    pub roles: Roles,
    /// Whether the gate writes down what clients use.
    pub learn: bool,
    /// dockerd itself; there in mode `daemon` and in no other.
    pub daemon: Option<DaemonConfig>,
}

impl RawConfig {
    /// Reads TOML. Unknown keys are errors.
    pub fn parse(toml: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(toml)?)
    }

    /// This layer, completed from `below` where it says nothing.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            server: self.server.or(below.server),
            token_file: self.token_file.or(below.token_file),
            names: self.names.or(below.names),
            addresses: self.addresses.or(below.addresses),
            extra_names: self.extra_names.or(below.extra_names),
            labels: self.labels.or(below.labels),
            mode: self.mode.or(below.mode),
            listen: self.listen.or(below.listen),
            docker_socket: self.docker_socket.or(below.docker_socket),
            files: self.files.or(below.files),
            state: self.state.or(below.state),
            hook: self.hook.or(below.hook),
            hook_timeout: self.hook_timeout.or(below.hook_timeout),
            dial: self.dial.or(below.dial),
            endpoints: self.endpoints.or(below.endpoints),
            key_algorithm: self.key_algorithm.or(below.key_algorithm),
            metrics: self.metrics.or(below.metrics),
            on_stale: self.on_stale.or(below.on_stale),
            roles: self.roles.or(below.roles),
            learn: self.learn.or(below.learn),
            max_staleness: self.max_staleness.or(below.max_staleness),
            daemon: self.daemon.or(below.daemon),
        }
    }

    /// Fills in the defaults and refuses what cannot work.
    pub fn check(self) -> Result<Config, ConfigError> {
        let mode = self.mode.unwrap_or_default();
        refuse_other_modes(mode, &self)?;
        let daemon = match mode {
            Mode::Daemon => Some(self.daemon.unwrap_or_default().check()?),
            Mode::Gate | Mode::Files => None,
        };
        let endpoints = self.endpoints.unwrap_or_default();
        if let Some(endpoint) = endpoints.iter().find(|endpoint| !is_endpoint(endpoint)) {
            return Err(ConfigError::Endpoint(endpoint.clone()));
        }
        let hook_timeout = self.hook_timeout.map_or(HOOK_TIMEOUT, |span| span.0);
        if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&hook_timeout) {
            return Err(ConfigError::HookTimeout);
        }
        let max_staleness = self.max_staleness.map_or(MAX_STALENESS, |span| span.0);
        if !(Duration::from_secs(60)..=Duration::from_secs(30 * 86_400)).contains(&max_staleness) {
            return Err(ConfigError::MaxStaleness);
        }
        let patience = match self.on_stale.unwrap_or_default() {
            OnStale::Deny => Some(max_staleness),
            OnStale::Allow => None,
        };
        Ok(Config {
            server: self.server.ok_or(ConfigError::NoServer)?.parse()?,
            token_file: self.token_file,
            names: self.names.unwrap_or(Names::Auto),
            addresses: self.addresses.unwrap_or(Names::Auto),
            extra_names: self.extra_names.unwrap_or_default(),
            labels: Labels::new(self.labels.unwrap_or_default())?,
            mode,
            listen: self
                .listen
                .unwrap_or_else(|| LISTEN.parse().expect("an address and a port")),
            docker_socket: absolute("docker_socket", self.docker_socket, DOCKER_SOCKET)?,
            files: absolute("files", self.files, FILES)?,
            state: absolute("state", self.state, STATE)?,
            hook: self.hook,
            hook_timeout,
            dial: self.dial,
            endpoints,
            key_algorithm: self.key_algorithm.unwrap_or(KeyAlgorithm::EcdsaP256),
            metrics: self.metrics,
            patience,
            roles: self.roles.unwrap_or_default(),
            learn: self.learn.unwrap_or_default(),
            daemon,
        })
    }
}

impl Config {
    /// Reads TOML alone, without flags or environment.
    pub fn parse(toml: &str) -> Result<Self, ConfigError> {
        RawConfig::parse(toml)?.check()
    }
}

fn refuse_other_modes(mode: Mode, raw: &RawConfig) -> Result<(), ConfigError> {
    let empty = match &raw.hook {
        Some(Hook::Shell(line)) => line.trim().is_empty(),
        Some(Hook::Program(words)) => words.first().is_none_or(|program| program.trim().is_empty()),
        None => false,
    };
    let strangers = [
        ("hook", Mode::Files, raw.hook.is_some()),
        ("dial", Mode::Files, raw.dial.is_some()),
        ("learn", Mode::Gate, raw.learn == Some(true)),
        ("[daemon]", Mode::Daemon, raw.daemon.is_some()),
    ];
    match strangers.into_iter().find(|(_, home, set)| *set && *home != mode) {
        Some((key, mode, _)) => Err(ConfigError::OtherMode { key, mode }),
        None if empty => Err(ConfigError::EmptyHook),
        None => Ok(()),
    }
}

fn absolute(key: &'static str, path: Option<PathBuf>, default: &str) -> Result<PathBuf, ConfigError> {
    match path.unwrap_or_else(|| default.into()) {
        path if path.is_absolute() => Ok(path),
        path => Err(ConfigError::Relative { key, path }),
    }
}

fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')) else {
        return false;
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_is_fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok() || host.parse::<DnsName>().is_ok(),
    };
    host_is_fine && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SERVER: &str = "server = 'https://ca.fleet.internal:8443'\n";

    #[test]
    fn the_smallest_configuration_names_the_server() {
        let config = Config::parse(SERVER).unwrap();
        assert_eq!(config.listen.port(), 2376);
        assert_eq!((config.mode, config.names), (Mode::Gate, Names::Auto));
        assert!(matches!(Config::parse(""), Err(ConfigError::NoServer)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        let rows = [
            ("serverr = 'x'", "unknown field `serverr`"),
            ("server = 'http://ca:8443'", "plain HTTP"),
            ("[daemon]", "[daemon] only means something with mode = \"daemon\""),
            (
                "mode = 'files'\nlearn = true",
                "learn only means something with mode = \"gate\"",
            ),
            (
                "mode = 'daemon'\nhook = 'x'",
                "only means something with mode = \"files\"",
            ),
            ("mode = 'proxy'", "unknown variant"),
            ("hook = 'x'", "only means something with mode"),
            ("dial = '127.0.0.1:443'", "only means something with mode"),
            ("mode = 'files'\nhook = ' '", "hook is empty"),
            ("mode = 'files'\nhook = []", "hook is empty"),
            ("hook_timeout = '0s'", "between 1s and 1h"),
            ("max_staleness = '59s'", "between 1m and 30d"),
            ("max_staleness = '31d'", "between 1m and 30d"),
            ("on_stale = 'perhaps'", "unknown variant"),
            ("roles = 'sometimes'", "unknown variant"),
            ("endpoints = ['web-01:2376']", "tcp://HOST:PORT"),
            ("endpoints = ['tcp://a b:1']", "tcp://HOST:PORT"),
            ("names = 'all'", "expected \"auto\", or a list"),
            ("names = ['*.fleet.internal']", "is not a DNS name"),
            ("listen = 'all'", "listen"),
            ("state = 'relative'", "not an absolute path"),
            ("labels = { 'a b' = 'c' }", "KEY=VALUE"),
        ];
        for (toml, expected) in rows {
            let toml = if toml.starts_with("server =") {
                toml.to_owned()
            } else {
                format!("{SERVER}{toml}")
            };
            let error = Config::parse(&toml).unwrap_err().to_string();
            assert!(error.contains(expected), "{toml}\n{error}");
        }
    }

    #[test]
    fn a_gate_goes_on_for_a_day_without_the_server_unless_told_otherwise() {
        let patience = |toml: &str| Config::parse(&format!("{SERVER}{toml}")).unwrap().patience;
        assert_eq!(patience(""), Some(Duration::from_secs(86_400)));
        assert_eq!(patience("max_staleness = '1m'"), Some(Duration::from_secs(60)));
        assert_eq!(patience("on_stale = 'allow'\nmax_staleness = '1h'"), None);
    }

    #[test]
    fn an_error_in_the_file_says_on_which_line() {
        let error = Config::parse(&format!("{SERVER}\nlisten = 7\n"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn the_upper_layer_wins_where_it_says_something() {
        let flags = RawConfig {
            mode: Some(Mode::Files),
            ..RawConfig::default()
        };
        let file = RawConfig::parse(&format!("{SERVER}mode = 'gate'\nstate = '/s'")).unwrap();
        let config = flags.over(file).check().unwrap();
        assert_eq!((config.mode, config.state), (Mode::Files, PathBuf::from("/s")));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(toml in "(?s).{0,200}") {
            let _ = Config::parse(&toml);
        }
    }
}
