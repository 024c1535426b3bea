//! What a host was told of roles, in short: by it server and host find out whether they mean the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::in_force::HostRoles;
use crate::base::encoding;

/// The first half of the SHA-256 of [`HostRoles`] as JSON. Says which roles count on a host, not who said so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolesDigest([u8; 16]);

impl RolesDigest {
    /// Of a host that looks at roles and was never told any.
    pub const NOTHING: Self = Self([0; 16]);

    /// Of roles.
    pub fn of(roles: &HostRoles) -> Self {
        Self::of_json(&serde_json::to_vec(roles).expect("maps by string are always JSON"))
    }

    /// Of the same as JSON.
    pub fn of_json(json: &[u8]) -> Self {
        let hash = encoding::sha256(json);
        Self(hash[..16].try_into().expect("a SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for RolesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::hex(&self.0))
    }
}

impl fmt::Debug for RolesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no [`RolesDigest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest of roles: expected 32 hex digits")]
pub struct RolesDigestError;

impl FromStr for RolesDigest {
    type Err = RolesDigestError;
    fn from_str(text: &str) -> Result<Self, RolesDigestError> {
        let bytes = encoding::hex_decode(text).ok_or(RolesDigestError)?;
        bytes.try_into().map(Self).map_err(|_| RolesDigestError)
    }
}

impl Serialize for RolesDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RolesDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server hashes and what a host hashes after it has read it must be the same.
    #[test]
    fn who_reads_roles_gets_the_digest_of_who_wrote_them() {
        let text = r#"{"clients":{"bob":["viewer","a"],"alice":["z"]},
            "roles":{"z":{"rules":{"privileged":true,"binds":["/b","/a"]},"allow":["@read"]},"a":{"allow":["@logs"]}}}"#;
        let roles: HostRoles = serde_json::from_str(text).unwrap();
        let sent = serde_json::to_vec(&roles).unwrap();
        let read: HostRoles = serde_json::from_slice(&sent).unwrap();
        assert_eq!(RolesDigest::of(&read), RolesDigest::of_json(&sent));
        let other = RolesDigest::of(&HostRoles::default());
        assert!(other != RolesDigest::of(&roles) && other != RolesDigest::NOTHING);
        assert_eq!(other.to_string().parse(), Ok(other));
        assert!("12".parse::<RolesDigest>().is_err());
    }
}
