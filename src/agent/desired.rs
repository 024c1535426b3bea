//! What the host should be: from the configuration and what the machine says about itself. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::config::{Config, Names};
use crate::base::Windows;
use crate::base::limits::SANS_MAX;
use crate::client::ServerUrl;
use crate::model::Mode;
use crate::pki::{DnsName, IdentityName, San};
use crate::sys::HostFacts;

/// What the host should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The name it joins under; `None` when it has no name but localhost.
    pub name: Option<IdentityName>,
    /// What its certificate names: the machine's names, its addresses, then loopback. At most [`SANS_MAX`].
    pub sans: Vec<San>,
    /// The server.
    pub server: ServerUrl,
    /// How it exposes Docker.
    pub mode: Mode,
    /// Where a dial must return the certificate in use; `None`: there is nothing to dial.
    pub dial: Option<SocketAddr>,
    /// Whether a hook runs for every new version.
    pub hook: bool,
    /// Where clients reach Docker.
    pub endpoints: Vec<String>,
    /// The generation of this state.
    pub generation: u64,
    /// What dockerd itself is to do: mode `daemon`.
    pub daemon: Option<DaemonDesired>,
}

/// What dockerd itself is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonDesired {
    /// Where it listens for clients.
    pub listen: SocketAddr,
    /// When it may be restarted for reasons that can wait.
    pub windows: Windows,
    /// The longest that a restart waits for pulls and builds to end.
    pub idle_timeout: Duration,
    /// The longest that a restart may take until the certificate is served.
    pub restart_timeout: Duration,
    /// Whether somebody asked for it now: nothing is waited for.
    pub now: bool,
}

impl Desired {
    /// From the configuration and the machine's facts.
    pub fn derive(config: &Config, facts: &HostFacts, generation: u64) -> Self {
        let names = names(config, facts);
        let addresses = addresses(config, facts);
        let own = names.iter().find(|name| name.as_str() != "localhost");
        let mut sans: Vec<San> = Vec::new();
        let all = names
            .iter()
            .cloned()
            .map(San::Dns)
            .chain(addresses.iter().copied().map(San::Ip));
        for san in all {
            if !sans.contains(&san) && sans.len() < SANS_MAX {
                sans.push(san);
            }
        }
        Self {
            name: own.map(IdentityName::from),
            server: config.server.clone(),
            mode: config.mode,
            dial: dial(config),
            hook: config.mode == Mode::Files && config.hook.is_some(),
            endpoints: endpoints(config, own, &addresses),
            generation,
            daemon: config.daemon.as_ref().map(|daemon| DaemonDesired {
                listen: config.listen,
                windows: daemon.windows.clone(),
                idle_timeout: daemon.idle_timeout,
                restart_timeout: daemon.restart_timeout,
                now: false,
            }),
            sans,
        }
    }

    /// Whether `sans` names exactly what is wanted, in whatever order.
    pub fn matches(&self, sans: &[San]) -> bool {
        let set = |sans: &[San]| sans.iter().cloned().collect::<BTreeSet<_>>();
        set(&self.sans) == set(sans)
    }
}

/// Full name first: it becomes the identity's name.
fn names(config: &Config, facts: &HostFacts) -> Vec<DnsName> {
    let automatic = || {
        let found = facts.fqdn.iter().chain([&facts.hostname]);
        // A node name that is no DNS name (web_01) cannot be dialled either: nothing is lost without it.
        found
            .filter_map(|name| name.parse().ok())
            .collect::<Vec<DnsName>>()
    };
    let mut names = match &config.names {
        Names::Auto => automatic(),
        Names::List(names) => names.clone(),
    };
    names.extend(config.extra_names.iter().cloned());
    if config.names == Names::Auto {
        names.extend("localhost".parse::<DnsName>());
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn addresses(config: &Config, facts: &HostFacts) -> Vec<IpAddr> {
    let mut addresses = match &config.addresses {
        Names::List(addresses) => addresses.clone(),
        Names::Auto => {
            let loopback = [
                IpAddr::from(Ipv4Addr::LOCALHOST),
                IpAddr::from(Ipv6Addr::LOCALHOST),
            ];
            facts.addresses.iter().copied().chain(loopback).collect()
        }
    };
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses
}

fn dial(config: &Config) -> Option<SocketAddr> {
    match config.mode {
        Mode::Gate | Mode::Daemon => Some(reachable(config.listen)),
        Mode::Files => config.dial,
    }
}

/// An address that a listener on `listen` answers on: a wildcard is reached over loopback.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

fn endpoints(config: &Config, name: Option<&DnsName>, addresses: &[IpAddr]) -> Vec<String> {
    if !config.endpoints.is_empty() {
        return config.endpoints.clone();
    }
    if config.mode == Mode::Files {
        return Vec::new();
    }
    let listen = config.listen;
    let tcp = |ip: IpAddr| format!("tcp://{}", SocketAddr::new(ip, listen.port()));
    if !listen.ip().is_unspecified() {
        return vec![tcp(listen.ip())];
    }
    // An address needs no DNS on the client's side, so it is the surest way; the name is the one people read.
    let named = name.map(|name| format!("tcp://{}:{}", name.as_str(), listen.port()));
    let global = addresses
        .iter()
        .filter(|ip| !ip.is_loopback() && (ip.is_ipv4() || listen.is_ipv6()));
    named.into_iter().chain(global.map(|ip| tcp(*ip))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> HostFacts {
        HostFacts {
            hostname: "Web-07".into(),
            fqdn: Some("web-07.fleet.internal".into()),
            addresses: ["10.20.3.9", "2001:db8::9"].map(|a| a.parse().unwrap()).to_vec(),
            ..HostFacts::default()
        }
    }

    fn config(toml: &str) -> Config {
        Config::parse(&format!("server = 'https://ca:8443'\n{toml}")).unwrap()
    }

    fn sans(desired: &Desired) -> Vec<String> {
        desired.sans.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn by_default_everything_the_machine_is_reached_by_is_named() {
        let desired = Desired::derive(&config(""), &facts(), 1);
        assert_eq!(desired.name.as_ref().unwrap().as_str(), "web-07.fleet.internal");
        let expected = [
            "web-07.fleet.internal",
            "web-07",
            "localhost",
            "10.20.3.9",
            "2001:db8::9",
            "127.0.0.1",
            "::1",
        ];
        assert_eq!(sans(&desired), expected);
        assert_eq!(desired.dial, Some("127.0.0.1:2376".parse().unwrap()));
        assert_eq!(
            desired.endpoints,
            ["tcp://web-07.fleet.internal:2376", "tcp://10.20.3.9:2376"]
        );
    }

    #[test]
    fn lists_replace_what_was_found_and_extra_names_add_to_it() {
        let toml = "names = ['docker.example']\naddresses = ['192.0.2.1']\nextra_names = ['docker.example', 'lb.example']";
        let desired = Desired::derive(&config(toml), &facts(), 1);
        assert_eq!(sans(&desired), ["docker.example", "lb.example", "192.0.2.1"]);
        let desired = Desired::derive(&config("extra_names = ['lb.example']"), &facts(), 1);
        assert_eq!(
            sans(&desired)[..4],
            ["web-07.fleet.internal", "web-07", "lb.example", "localhost"]
        );
    }

    #[test]
    fn a_machine_without_a_name_of_its_own_has_none() {
        let nameless = HostFacts {
            hostname: "localhost".into(),
            ..HostFacts::default()
        };
        let desired = Desired::derive(&config(""), &nameless, 1);
        assert_eq!(desired.name, None);
        assert_eq!(sans(&desired), ["localhost", "127.0.0.1", "::1"]);
    }

    #[test]
    fn names_stop_at_the_limit() {
        let many = HostFacts {
            addresses: (0..=255).map(|n| IpAddr::from([10, 0, 0, n])).collect(),
            ..facts()
        };
        assert_eq!(Desired::derive(&config(""), &many, 1).sans.len(), SANS_MAX);
    }

    #[test]
    fn order_does_not_make_names_differ() {
        let desired = Desired::derive(&config(""), &facts(), 1);
        let mut reversed = desired.sans.clone();
        reversed.reverse();
        assert!(desired.matches(&reversed));
        assert!(!desired.matches(&reversed[1..]));
    }
}
