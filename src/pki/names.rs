//! Names are parsed once into these types and compared in lower case; they are never joined into
//! strings and taken apart again.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a host name.
    #[error(
        "{0:?} is not a DNS name: use letters, digits and hyphens, labels of 1 to 63, at most 253 in all, no trailing dot; write other scripts as xn-- labels"
    )]
    Dns(String),
    /// Not an identity name.
    #[error(
        "{0:?} is not a name: use 1 to 64 of a-z, 0-9, '.', '_', '@' and '-', starting with a letter or digit"
    )]
    Identity(String),
    /// Not a name pattern.
    #[error(
        "{0:?} is not a name pattern: a DNS name in which a label may hold '*', such as web-*.fleet.internal"
    )]
    Pattern(String),
    /// Not an address range.
    #[error("{0:?} is not an address range: write 10.20.0.0/16 or 2001:db8::/32, host bits zero")]
    Range(String),
}

/// A host name in lower case: RFC 1123 labels, A-labels only, no wildcard, no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// An `xn--` label that does not decode is a name nobody can check by eye; other labels with
/// hyphens in places three and four are reserved (RFC 5890 §2.3.1).
fn is_plain_or_a_label(label: &str) -> bool {
    match label.as_bytes() {
        [b'x', b'n', b'-', b'-', rest @ ..] => !rest.is_empty() && rest != b"-",
        [_, _, b'-', b'-', ..] => false,
        _ => true,
    }
}

impl FromStr for DnsName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let lower = text.to_ascii_lowercase();
        let shaped = lower.len() <= 253 && lower.split('.').all(|l| is_label(l) && is_plain_or_a_label(l));
        // A last label of digits alone is an address somebody mistyped (RFC 1123 §2.1).
        let numeric = lower
            .rsplit('.')
            .next()
            .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if !shaped || numeric {
            return Err(NameError::Dns(excerpt(text)));
        }
        Ok(Self(lower))
    }
}

/// At most 80 characters of what somebody sent, so that an error cannot be made to carry a megabyte.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// One subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum San {
    /// dNSName.
    Dns(DnsName),
    /// iPAddress.
    Ip(IpAddr),
}

impl FromStr for San {
    type Err = NameError;
    /// An address when it reads as one, else a DNS name.
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse::<IpAddr>() {
            // An IPv4-mapped IPv6 address is the IPv4 one: verifiers compare them as equal.
            Ok(address) => Ok(Self::Ip(address.to_canonical())),
            Err(_) => Ok(Self::Dns(text.parse()?)),
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name.as_str()),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// The name of a host or client: the CN of its certificates. Lower case; a host's is a [`DnsName`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityName(String);

impl IdentityName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdentityName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let lower = text.to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-');
        let shaped = (1..=64).contains(&lower.len())
            && lower.bytes().all(allowed)
            && lower.as_bytes()[0].is_ascii_alphanumeric();
        if !shaped {
            return Err(NameError::Identity(excerpt(text)));
        }
        Ok(Self(lower))
    }
}

impl From<&DnsName> for IdentityName {
    /// CN holds at most 64 characters (RFC 5280 ub-common-name); a longer host name is cut at a label.
    fn from(name: &DnsName) -> Self {
        let mut text = name.as_str();
        while text.len() > 64 {
            text = text.rsplit_once('.').map_or(&text[..64], |(head, _)| head);
        }
        Self(text.to_owned())
    }
}

/// A glob over DNS names, label by label: `web-*.fleet.internal`. A `*` never crosses a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(String);

impl NamePattern {
    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` fits: the same number of labels, each matching its glob.
    pub fn matches(&self, name: &str) -> bool {
        let mut globs = self.0.split('.');
        let mut labels = name.split('.');
        loop {
            match (globs.next(), labels.next()) {
                (None, None) => return true,
                (Some(glob), Some(label)) if glob_matches(glob.as_bytes(), label.as_bytes()) => {}
                _ => return false,
            }
        }
    }
}

/// Linear-time glob with `*` only: remembers the last star and never goes back past it.
fn glob_matches(glob: &[u8], label: &[u8]) -> bool {
    let (mut g, mut l) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while l < label.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, l));
                g += 1;
            }
            Some(c) if *c == label[l] => {
                g += 1;
                l += 1;
            }
            _ => match star {
                Some((star_g, star_l)) => {
                    star = Some((star_g, star_l + 1));
                    g = star_g + 1;
                    l = star_l + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

impl FromStr for NamePattern {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let lower = text.to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'_' | b'@' | b'-');
        let shaped = lower.len() <= 253
            && lower
                .split('.')
                .all(|l| (1..=63).contains(&l.len()) && l.bytes().all(allowed));
        if !shaped {
            return Err(NameError::Pattern(excerpt(text)));
        }
        Ok(Self(lower))
    }
}

/// An address block in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    base: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Whether `address` lies inside. An IPv4-mapped IPv6 address counts as the IPv4 one.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                base.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                base.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for AddressRange {
    type Err = NameError;
    /// `10.0.0.0/8`, or a bare address for exactly that one.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError::Range(excerpt(text));
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let base: IpAddr = address.parse().map_err(|_| refuse())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), |p| p.parse::<u8>().map_err(|_| refuse()))?;
        if prefix > width {
            return Err(refuse());
        }
        let bits = match base {
            IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
            IpAddr::V6(a) => a.to_bits(),
        };
        // Host bits that are set are nearly always a typo (10.20.0.1/8), and widen what a token grants.
        if bits & u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0) != 0 {
            return Err(refuse());
        }
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

macro_rules! text_form {
    ($($name:ident $(.$field:tt)?),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.$field)
            }
        })?
    )*};
}
text_form!(DnsName.0, IdentityName.0, NamePattern.0, San, AddressRange);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_names_are_lower_case_labels_and_nothing_else() {
        for good in [
            "web-01",
            "a.b.c",
            "WEB-01.Fleet.Internal",
            "xn--bcher-kva.example",
            &"a".repeat(63),
            "1a.com",
        ] {
            let name: DnsName = good.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(name.as_str(), good.to_ascii_lowercase());
        }
        let long = format!("{}.com", "a".repeat(64));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "*.a",
            "a b",
            "bücher.de",
            "a\0b",
            "a_b",
            "-a",
            "a-",
            "ab--c",
            "xn--",
            &long,
            "10.0.0.300",
            "a,b",
            "a\nb",
            &["abc"; 70].join("."),
        ] {
            assert!(bad.parse::<DnsName>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn a_star_stays_inside_its_label() {
        let pattern: NamePattern = "web-*.Fleet.internal".parse().unwrap();
        assert!(pattern.matches("web-01.fleet.internal"));
        assert!(pattern.matches("web-.fleet.internal"));
        for other in [
            "web-01.evil.fleet.internal",
            "web.fleet.internal",
            "db-01.fleet.internal",
            "web-01.fleet.internal.evil",
            "",
            "fleet.internal",
        ] {
            assert!(!pattern.matches(other), "{other}");
        }
        assert!("*".parse::<NamePattern>().unwrap().matches("web"));
        assert!(!"*".parse::<NamePattern>().unwrap().matches("web.fleet"));
        assert!("a*b*c".parse::<NamePattern>().unwrap().matches("axxbxbyc"));
    }

    #[test]
    fn ranges_hold_their_addresses_and_refuse_host_bits() {
        let range: AddressRange = "10.20.0.0/16".parse().unwrap();
        assert!(range.contains("10.20.255.1".parse().unwrap()));
        assert!(range.contains("::ffff:10.20.1.1".parse().unwrap()));
        assert!(!range.contains("10.21.0.0".parse().unwrap()));
        assert!(!range.contains("2001:db8::1".parse().unwrap()));
        assert!(
            "0.0.0.0/0"
                .parse::<AddressRange>()
                .unwrap()
                .contains("203.0.113.9".parse().unwrap())
        );
        assert!(
            "2001:db8::/32"
                .parse::<AddressRange>()
                .unwrap()
                .contains("2001:db8:1::1".parse().unwrap())
        );
        for bad in [
            "10.20.0.1/16",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "web/8",
            "10.0.0.0/-1",
            "2001:db8::1/32",
        ] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identity_name_cannot_carry_a_path_or_a_separator() {
        for good in [
            "alice",
            "ci-deploy",
            "bob@corp.example",
            "web-01.fleet.internal",
            "ALICE",
        ] {
            assert!(good.parse::<IdentityName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "../x",
            "a/b",
            "a,b",
            "a b",
            "-a",
            ".a",
            "a\n",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<IdentityName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_glob_agrees_with_a_slow_obvious_one(glob in "[ab*]{0,8}", label in "[ab]{0,8}") {
            fn slow(g: &[u8], l: &[u8]) -> bool {
                match (g.first(), l.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => slow(&g[1..], l) || (!l.is_empty() && slow(g, &l[1..])),
                    (Some(a), Some(b)) if a == b => slow(&g[1..], &l[1..]),
                    _ => false,
                }
            }
            prop_assert_eq!(glob_matches(glob.as_bytes(), label.as_bytes()), slow(glob.as_bytes(), label.as_bytes()));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,300}") {
            let _ = text.parse::<San>();
            let _ = text.parse::<IdentityName>();
            let _ = text.parse::<NamePattern>();
            let _ = text.parse::<AddressRange>();
        }
    }
}
