//! `server.toml`: what the operator wrote ([`Raw`]), and what it means once it was checked ([`Config`]).

mod alerts;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;

pub use self::alerts::{ChannelPlan, NamedChannel};
use super::layout::Layout;
use super::upkeep::BackupPlan;
use crate::app::config::{self, List, Variable};
use crate::app::logging::LogFormat;
use crate::base::Span;
use crate::model::{IdentityKind, Profile};
use crate::pki::{KeyAlgorithm, San};
use crate::service::Settings;

/// Where a server's data is unless something else is said.
pub const DATA_DIR: &str = "/var/lib/dockwarden/server";

/// The longest time after its expiry in which a certificate may renew itself.
const RENEW_GRACE_MAX: std::time::Duration = std::time::Duration::from_secs(90 * 86_400);

const LISTEN: &str = "[::]:8443";
const HTTP_LISTEN: &str = "[::]:8080";

/// As written; every key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    data_dir: Option<PathBuf>,
    listen: List,
    http_listen: Option<String>,
    names: List,
    public_url: Option<String>,
    passphrase_file: Option<PathBuf>,
    log_format: Option<LogFormat>,
    log_level: Option<String>,
    profiles: RawProfiles,
    schedule: upkeep::RawSchedule,
    retention: upkeep::RawRetention,
    backup: upkeep::RawBackup,
    alerts: alerts::RawAlerts,
    notify: Vec<alerts::RawChannel>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawProfiles {
    host: RawProfile,
    client: RawProfile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawProfile {
    lifetime: Option<Span>,
    backdate: Option<Span>,
    renew_grace: Option<Span>,
    key_algorithms: List,
}

/// The variables that go over the file.
const VARIABLES: &[Variable] = &[
    Variable {
        name: "DOCKWARDEN_LISTEN",
        key: "listen",
    },
    Variable {
        name: "DOCKWARDEN_HTTP_LISTEN",
        key: "http_listen",
    },
    Variable {
        name: "DOCKWARDEN_NAMES",
        key: "names",
    },
    Variable {
        name: "DOCKWARDEN_PUBLIC_URL",
        key: "public_url",
    },
    Variable {
        name: "DOCKWARDEN_LOG_FORMAT",
        key: "log_format",
    },
    Variable {
        name: "DOCKWARDEN_LOG_LEVEL",
        key: "log_level",
    },
    Variable {
        name: "DOCKWARDEN_HOST_LIFETIME",
        key: "profiles.host.lifetime",
    },
    Variable {
        name: "DOCKWARDEN_HOST_BACKDATE",
        key: "profiles.host.backdate",
    },
    Variable {
        name: "DOCKWARDEN_HOST_RENEW_GRACE",
        key: "profiles.host.renew_grace",
    },
    Variable {
        name: "DOCKWARDEN_HOST_KEY_ALGORITHMS",
        key: "profiles.host.key_algorithms",
    },
    Variable {
        name: "DOCKWARDEN_CLIENT_LIFETIME",
        key: "profiles.client.lifetime",
    },
    Variable {
        name: "DOCKWARDEN_CLIENT_BACKDATE",
        key: "profiles.client.backdate",
    },
    Variable {
        name: "DOCKWARDEN_CLIENT_RENEW_GRACE",
        key: "profiles.client.renew_grace",
    },
    Variable {
        name: "DOCKWARDEN_CLIENT_KEY_ALGORITHMS",
        key: "profiles.client.key_algorithms",
    },
];

/// What flags say; they go over everything.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Vec<String>,
    /// `--http-listen`
    pub http_listen: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--log-level`
    pub log_level: Option<String>,
}

/// A configuration that can work.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the data is.
    pub layout: Layout,
    /// HTTPS.
    pub listen: Vec<SocketAddr>,
    /// Plain HTTP; `None` when it is off.
    pub http_listen: Option<SocketAddr>,
    /// Profiles, and the server's names.
    pub settings: Settings,
    /// Where the schedule keeps backups, if it makes any.
    pub backups: Option<BackupPlan>,
    /// Where notifications go.
    pub channels: Vec<NamedChannel>,
    /// Where relying parties reach the plain listener.
    pub public_url: Option<String>,
    /// The passphrase file, when no flag or variable says where it is.
    pub passphrase_file: Option<PathBuf>,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

impl Config {
    /// Reads TOML alone.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let raw: Raw = toml::from_str(text)?;
        let data_dir = raw.data_dir.clone().unwrap_or_else(|| DATA_DIR.into());
        raw.check(Flags::default(), data_dir)
    }

    /// Reads the file that is named, or the one in the data directory if there is one; checks everything.
    pub fn read(flags: Flags) -> anyhow::Result<Self> {
        let variable = config::environment("DOCKWARDEN_DATA_DIR").map(PathBuf::from);
        let asked = flags.data_dir.clone().or(variable);
        let files = crate::sys::Files::system();
        let file = flags.config.clone().or_else(|| {
            let usual = Layout::new(asked.clone().unwrap_or_else(|| DATA_DIR.into())).config();
            files.exists(&usual).then_some(usual)
        });
        let raw: Raw = config::read(&files, file.as_deref(), VARIABLES, config::environment)?;
        let data_dir = asked.or(raw.data_dir.clone()).unwrap_or_else(|| DATA_DIR.into());
        raw.check(flags, data_dir)
    }
}

impl Raw {
    fn check(self, flags: Flags, data_dir: PathBuf) -> anyhow::Result<Config> {
        let listen = if flags.listen.is_empty() {
            self.listen.0
        } else {
            flags.listen
        };
        let listen = if listen.is_empty() {
            vec![LISTEN.to_owned()]
        } else {
            listen
        };
        let listen: anyhow::Result<Vec<_>> = listen.iter().map(|text| address("listen", text)).collect();
        let http = flags
            .http_listen
            .or(self.http_listen)
            .unwrap_or_else(|| HTTP_LISTEN.to_owned());
        let http_listen = if http == "off" {
            None
        } else {
            Some(address("http_listen", &http)?)
        };
        let mut settings = Settings {
            host: self.profiles.host.check(IdentityKind::Host)?,
            client: self.profiles.client.check(IdentityKind::Client)?,
            names: names(&self.names.0)?,
            plans: self.schedule.check()?,
            ..Settings::default()
        };
        settings.retention = self.retention.check(&settings)?;
        let (alerts, channels) = self.alerts.check(&self.notify)?;
        settings.alerts = alerts;
        Ok(Config {
            layout: Layout::new(data_dir),
            listen: listen?,
            http_listen,
            settings,
            backups: self.backup.check()?,
            channels,
            public_url: self.public_url.filter(|url| !url.is_empty()),
            passphrase_file: self.passphrase_file,
            log_format: flags.log_format.or(self.log_format).unwrap_or_default(),
            log_level: flags
                .log_level
                .or(self.log_level)
                .unwrap_or_else(|| "info".to_owned()),
        })
    }
}

/// Names and addresses the server is reached by.
pub fn names(texts: &[String]) -> anyhow::Result<Vec<San>> {
    let mut names: Vec<San> = Vec::new();
    for text in texts {
        let san: San = text
            .parse()
            .with_context(|| format!("the server cannot be named {text:?}"))?;
        if !names.contains(&san) {
            names.push(san);
        }
    }
    Ok(names)
}

fn address(key: &str, text: &str) -> anyhow::Result<SocketAddr> {
    // ":8443" is what people write who come from Go and Docker.
    let whole = if text.starts_with(':') {
        format!("[::]{text}")
    } else {
        text.to_owned()
    };
    match whole.parse() {
        Ok(address) => Ok(address),
        Err(_) => {
            bail!("{key} {text:?} is not ADDRESS:PORT: write 0.0.0.0:8443, [::]:8443 or 127.0.0.1:8443")
        }
    }
}

impl RawProfile {
    fn check(self, kind: IdentityKind) -> anyhow::Result<Profile> {
        let mut profile = Profile::default_for(kind);
        let over = |slot: &mut std::time::Duration, value: Option<Span>| {
            if let Some(Span(value)) = value {
                *slot = value;
            }
        };
        over(&mut profile.lifetime, self.lifetime);
        over(&mut profile.backdate, self.backdate);
        over(&mut profile.renew_grace, self.renew_grace);
        if !self.key_algorithms.0.is_empty() {
            let parsed: Result<Vec<KeyAlgorithm>, _> =
                self.key_algorithms.0.iter().map(|a| a.parse()).collect();
            profile.key_algorithms = parsed.with_context(|| format!("profiles.{kind}.key_algorithms"))?;
        }
        if profile.renew_grace > RENEW_GRACE_MAX {
            bail!(
                "profiles.{kind}.renew_grace is more than 90d: an expired key would stay good for too long"
            );
        }
        Ok(profile.validate()?)
    }
}

#[cfg(test)]
mod tests;
