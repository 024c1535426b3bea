//! Which identity and which names an application asks for, and whether it may have them: pure decisions.

use std::net::IpAddr;

use crate::base::limits::SANS_MAX;
use crate::model::{IdentityKind, NameRules};
use crate::pki::names::NameError;
use crate::pki::{DnsName, IdentityName, San};

/// Why names were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// Nobody could check it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not an address.
    #[error("{0:?} is not an IP address: write it like 10.20.3.7 or 2001:db8::7, without a prefix length")]
    Address(String),
    /// Nothing says who is asking.
    #[error("the request names nobody: give the CSR a common name, or send \"names\"")]
    Nobody,
    /// More names than fit.
    #[error("{0} names and addresses are asked for; at most {SANS_MAX} fit in a certificate")]
    TooMany(usize),
    /// Outside of what the token or the identity allows.
    #[error("not allowed: {}. Allowed here are {allowed}. {fix}", .refused.join(", "))]
    NotAllowed {
        /// The names and addresses that were refused, each by itself.
        refused: Vec<String>,
        /// What would have been allowed.
        allowed: String,
        /// What to do.
        fix: &'static str,
    },
}

/// What an application asks for, beside its CSR.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes<'a> {
    pub(super) common_name: Option<&'a IdentityName>,
    pub(super) csr_sans: &'a [San],
    pub(super) names: &'a [String],
    pub(super) addresses: &'a [String],
}

/// Who is asking, and for which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: IdentityName,
    pub(super) sans: Vec<San>,
}

/// Reads the wishes. The identity is the CSR's common name, else the first of `names`, else the CSR's first
/// DNS name, else the only name the rules allow.
pub(super) fn wanted(
    kind: IdentityKind,
    wishes: Wishes<'_>,
    rules: &NameRules,
) -> Result<Wanted, NamesError> {
    let asked = wishes.csr_sans.len() + wishes.names.len() + wishes.addresses.len();
    if asked > SANS_MAX {
        return Err(NamesError::TooMany(asked));
    }
    let mut wanted = match kind {
        IdentityKind::Host => host(wishes, rules)?,
        IdentityKind::Client => client(wishes, rules)?,
    };
    for address in wishes.addresses {
        let parsed = address.parse::<IpAddr>();
        let excerpt = || NamesError::Address(address.chars().take(80).collect());
        push(
            &mut wanted.sans,
            San::Ip(parsed.map_err(|_| excerpt())?.to_canonical()),
        );
    }
    if wanted.sans.len() > SANS_MAX {
        return Err(NamesError::TooMany(wanted.sans.len()));
    }
    Ok(wanted)
}

/// A host: its own name is always among its names.
fn host(wishes: Wishes<'_>, rules: &NameRules) -> Result<Wanted, NamesError> {
    let names = wishes
        .names
        .iter()
        .map(|n| n.parse())
        .collect::<Result<Vec<DnsName>, _>>()?;
    let first_dns = wishes.csr_sans.iter().find_map(|san| match san {
        San::Dns(name) => Some(name.clone()),
        San::Ip(_) => None,
    });
    let own: DnsName = match wishes.common_name {
        Some(name) => name.as_str().parse()?,
        None => match names.first().cloned().or(first_dns) {
            Some(name) => name,
            None => only_name(rules).ok_or(NamesError::Nobody)?.parse()?,
        },
    };
    let name = IdentityName::from(&own);
    let mut sans = vec![San::Dns(own)];
    for san in wishes
        .csr_sans
        .iter()
        .cloned()
        .chain(names.into_iter().map(San::Dns))
    {
        push(&mut sans, san);
    }
    Ok(Wanted { name, sans })
}

/// A client: its name is the CN and no DNS name.
fn client(wishes: Wishes<'_>, rules: &NameRules) -> Result<Wanted, NamesError> {
    let (name, others): (IdentityName, &[String]) = match (wishes.common_name, wishes.names) {
        (Some(name), names) => (name.clone(), names),
        (None, [first, others @ ..]) => (first.parse()?, others),
        (None, []) => (only_name(rules).ok_or(NamesError::Nobody)?.parse()?, &[]),
    };
    let mut sans = wishes.csr_sans.to_vec();
    for other in others
        .iter()
        .filter(|other| !other.eq_ignore_ascii_case(name.as_str()))
    {
        push(&mut sans, San::Dns(other.parse()?));
    }
    Ok(Wanted { name, sans })
}

/// The one name the rules allow, when they are one name without a star.
fn only_name(rules: &NameRules) -> Option<&str> {
    match rules.names.as_slice() {
        [one] if !one.as_str().contains('*') => Some(one.as_str()),
        _ => None,
    }
}

fn push(sans: &mut Vec<San>, san: San) {
    if !sans.contains(&san) {
        sans.push(san);
    }
}

/// Names that rules with a star do not give away: the server's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved<'a> {
    /// The identity name of the server; nobody else ever gets it.
    pub(super) identity: &'a str,
    /// Names the server is reached by. A host that holds one could answer in the server's place, so a rule
    /// has to spell it out.
    pub(super) names: &'a [San],
}

impl Reserved<'_> {
    fn holds(&self, san: &San, rules: &NameRules) -> bool {
        let San::Dns(name) = san else { return false };
        let spelled_out = || {
            rules
                .names
                .iter()
                .any(|pattern| pattern.as_str() == name.as_str())
        };
        name.as_str() == self.identity
            || (name.as_str() != "localhost" && self.names.contains(san) && !spelled_out())
    }
}

/// Checks the identity's name and each SAN by itself.
pub(super) fn check(
    kind: IdentityKind,
    wanted: &Wanted,
    rules: &NameRules,
    reserved: Reserved<'_>,
    fix: &'static str,
) -> Result<(), NamesError> {
    let mut refused: Vec<String> = rules
        .refused(kind, &wanted.sans)
        .into_iter()
        .map(ToString::to_string)
        .collect();
    refused.extend(
        wanted
            .sans
            .iter()
            .filter(|san| reserved.holds(san, rules))
            .map(ToString::to_string),
    );
    // A host's name is among its SANs (or is one of them cut to 64 characters), and was checked there.
    let client_refused = kind == IdentityKind::Client && !rules.allows_name(&wanted.name);
    if client_refused || wanted.name.as_str() == reserved.identity {
        refused.push(wanted.name.to_string());
    }
    refused.sort_unstable();
    refused.dedup();
    if refused.is_empty() {
        return Ok(());
    }
    Err(NamesError::NotAllowed {
        refused,
        allowed: describe(rules),
        fix,
    })
}

/// The rules in words.
fn describe(rules: &NameRules) -> String {
    let list = |items: Vec<String>, none: &str| match items.is_empty() {
        true => none.to_owned(),
        false => items.join(", "),
    };
    let names = list(rules.names.iter().map(ToString::to_string).collect(), "none");
    let addresses = list(
        rules.addresses.iter().map(ToString::to_string).collect(),
        "none but loopback",
    );
    format!("names: {names}; addresses: {addresses}")
}

#[cfg(test)]
mod tests;
