//! Who has which role where, as the server keeps it.

use super::spec::{RoleName, RoleSpec};
use crate::base::Timestamp;
use crate::model::Labels;
use crate::pki::IdentityName;

/// A role that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRole {
    /// Its name; never that of a built-in one.
    pub name: RoleName,
    /// As it was written.
    pub spec: RoleSpec,
    /// When it was written last.
    pub changed_at: Timestamp,
    /// By whom, as [`crate::model::audit::Actor::text`].
    pub changed_by: String,
}

/// A client has a role on the hosts that a selector picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The client.
    pub client: IdentityName,
    /// The role.
    pub role: RoleName,
    /// A host must have all of these labels; none: every host.
    pub hosts: Labels,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom, as [`crate::model::audit::Actor::text`].
    pub created_by: String,
}

impl Binding {
    /// Whether it counts on a host with these labels.
    pub fn picks(&self, host: &Labels) -> bool {
        let has = |(key, value): (&String, &String)| host.pairs().get(key) == Some(value);
        self.hosts.pairs().iter().all(has)
    }

    /// Which of all bindings it is.
    pub fn key(&self) -> BindingKey {
        BindingKey {
            client: self.client.clone(),
            role: self.role.clone(),
            hosts: selector(&self.hosts),
        }
    }
}

/// Which binding: there is one of each client, role and selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindingKey {
    /// The client.
    pub client: IdentityName,
    /// The role.
    pub role: RoleName,
    /// The selector, [`selector`].
    pub hosts: String,
}

/// A selector as text, `tier=web,zone=a`; empty for every host.
pub fn selector(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .pairs()
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// A selector from its text.
///
/// # Errors
/// What is wrong with it.
pub fn parse_selector(text: &str) -> Result<Labels, crate::model::LabelsError> {
    Labels::from_pairs(text.split(',').filter(|pair| !pair.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_picks_hosts_with_all_of_its_labels() {
        let host = Labels::from_pairs(["tier=web", "zone=a"]).unwrap();
        for (text, picks) in [
            ("", true),
            ("tier=web", true),
            ("zone=a,tier=web", true),
            ("tier=db", false),
            ("tier=web,rack=1", false),
            ("rack=", false),
        ] {
            let binding = Binding {
                client: "alice".parse().unwrap(),
                role: "viewer".parse().unwrap(),
                hosts: parse_selector(text).unwrap(),
                created_at: Timestamp::from_secs(1),
                created_by: "system".to_owned(),
            };
            assert_eq!(binding.picks(&host), picks, "{text}");
            assert_eq!(parse_selector(&selector(&binding.hosts)).unwrap(), binding.hosts);
        }
        assert!(parse_selector("tier").is_err());
    }
}
