//! Hosts and clients. Certificates belong to an identity, not the other way round.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{Id, Timestamp, limits::LABELS_MAX};
use crate::pki::{AddressRange, IdentityName, NamePattern, San};

/// The two kinds of identity; also the two profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum IdentityKind {
    /// A Docker host: serverAuth leafs.
    Host,
    /// A person or a CI job: clientAuth leafs.
    Client,
}

impl IdentityKind {
    /// The word used in configuration, in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Client => "client",
        }
    }
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IdentityKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "host" => Ok(Self::Host),
            "client" => Ok(Self::Client),
            _ => Err(format!("unknown profile {text:?}: use host or client")),
        }
    }
}

/// What an identity may do to the server. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Permission {
    /// Reads everything.
    Viewer,
    /// Approves, revokes, makes tokens.
    Operator,
    /// Everything, including other people's permissions.
    Admin,
}

impl Permission {
    /// The word used in configuration, in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Permission {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            _ => Err(format!(
                "unknown permission {text:?}: use viewer, operator or admin"
            )),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which names and addresses an identity may have in its certificates. It keeps the rules of the
/// token it joined with; a renewal moves only inside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// Globs per DNS label. Empty: no name at all.
    pub names: Vec<NamePattern>,
    /// Address blocks. Empty: no address but loopback.
    pub addresses: Vec<AddressRange>,
}

impl NameRules {
    /// The names in `sans` that the rules do not allow, each checked by itself. For hosts, `localhost`
    /// and loopback addresses are always allowed: they reach only the machine they are used on.
    pub fn refused<'a>(&self, kind: IdentityKind, sans: &'a [San]) -> Vec<&'a San> {
        sans.iter().filter(|san| !self.allows(kind, san)).collect()
    }

    /// Whether the rules allow this identity name.
    pub fn allows_name(&self, name: &IdentityName) -> bool {
        self.names.iter().any(|pattern| pattern.matches(name.as_str()))
    }

    fn allows(&self, kind: IdentityKind, san: &San) -> bool {
        match san {
            San::Dns(name) => {
                (kind == IdentityKind::Host && name.as_str() == "localhost")
                    || self.names.iter().any(|pattern| pattern.matches(name.as_str()))
            }
            San::Ip(address) => {
                (kind == IdentityKind::Host && address.is_loopback() && is_usual_loopback(*address))
                    || self.addresses.iter().any(|range| range.contains(*address))
            }
        }
    }
}

/// 127.0.0.1 and ::1, not the other sixteen million: those may be somebody's service names.
fn is_usual_loopback(address: IpAddr) -> bool {
    address == IpAddr::from([127, 0, 0, 1]) || address == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
}

/// Key-value labels, as Docker and Kubernetes have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

/// Why labels were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// Too many.
    #[error("more than {LABELS_MAX} labels")]
    TooMany,
    /// One has the wrong shape.
    #[error(
        "label {0:?} is not KEY=VALUE with 1 to 63 of a-z, A-Z, 0-9, '.', '_', '-', '/' in the key and at most 63 in the value"
    )]
    Shape(String),
}

impl Labels {
    /// Checks keys, values and their number.
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self, LabelsError> {
        if pairs.len() > LABELS_MAX {
            return Err(LabelsError::TooMany);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
        for (key, value) in &pairs {
            let shaped = (1..=63).contains(&key.len())
                && value.len() <= 63
                && key.bytes().all(allowed)
                && value.bytes().all(allowed);
            if !shaped {
                return Err(LabelsError::Shape(
                    format!("{key}={value}").chars().take(80).collect(),
                ));
            }
        }
        Ok(Self(pairs))
    }

    /// From `KEY=VALUE` arguments.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, LabelsError> {
        let split = |pair: &str| match pair.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(LabelsError::Shape(pair.chars().take(80).collect())),
        };
        Self::new(pairs.into_iter().map(split).collect::<Result<_, _>>()?)
    }

    /// The pairs, ordered by key.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(BTreeMap::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A host or a client that the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Stays the same for its life.
    pub id: Id,
    /// Host or client.
    pub kind: IdentityKind,
    /// Unique among identities of its kind.
    pub name: IdentityName,
    /// What its certificates may name.
    pub rules: NameRules,
    /// For people and, later, role bindings.
    pub labels: Labels,
    /// What it may do to Docker (clients; enforced by the gate).
    pub role: Option<String>,
    /// What it may do to the server (clients). `None`: only its own affairs.
    pub permission: Option<Permission>,
    /// When it first joined.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> NameRules {
        NameRules {
            names: vec!["web-*.fleet.internal".parse().unwrap()],
            addresses: vec!["10.20.0.0/16".parse().unwrap()],
        }
    }

    proptest! {
        /// One bad name is found wherever it stands (Boulder's 2020 CAA bug checked one name N times).
        #[test]
        fn one_bad_name_is_refused_at_every_position(good in 0usize..20, position in 0usize..20, bad in 0usize..4) {
            let bad: San = ["db-1.fleet.internal", "10.21.0.1", "127.0.0.2", "2001:db8::1"][bad].parse().unwrap();
            let mut sans: Vec<San> = (0..good)
                .map(|n| if n % 2 == 0 { format!("web-{n}.fleet.internal") } else { format!("10.20.0.{n}") }.parse().unwrap())
                .collect();
            sans.insert(position.min(good), bad.clone());
            prop_assert_eq!(rules().refused(IdentityKind::Host, &sans), vec![&bad]);
        }
    }

    #[test]
    fn loopback_is_always_a_hosts_own_and_never_a_clients() {
        let sans: Vec<San> = ["localhost", "127.0.0.1", "::1"]
            .map(|s| s.parse().unwrap())
            .to_vec();
        assert!(NameRules::default().refused(IdentityKind::Host, &sans).is_empty());
        assert_eq!(NameRules::default().refused(IdentityKind::Client, &sans).len(), 3);
    }

    #[test]
    fn labels_are_bounded_and_plain() {
        assert!(Labels::from_pairs(["tier=web", "zone="]).is_ok());
        for bad in ["tier", "=web", "a b=c", "a=b\n"] {
            assert!(Labels::from_pairs([bad]).is_err(), "{bad:?}");
        }
        let many = |n| Labels::new((0..n).map(|i| (format!("k{i}"), String::new())).collect());
        assert!(many(LABELS_MAX).is_ok());
        assert_eq!(many(LABELS_MAX + 1), Err(LabelsError::TooMany));
    }
}
