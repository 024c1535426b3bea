//! What the machine says about itself: its names, its addresses, its system.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use super::Files;

/// How much of a file in `/etc` or `/proc` is read, bytes.
const FACTS_BYTES_MAX: usize = 256 * 1024;

/// The machine as a seam: tests stand another one in.
pub trait Host: Send + Sync + 'static {
    /// Looks again.
    fn facts(&self) -> HostFacts;
}

/// What was found. Whatever could not be found out is absent: none of it is worth failing for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The kernel's node name.
    pub hostname: String,
    /// The fully qualified name, when the node name or `/etc/hosts` has one.
    pub fqdn: Option<String>,
    /// Global addresses of the machine itself, sorted, each once: not loopback, not link-local, not of bridges and
    /// pairs that Docker and libvirt make, not temporary IPv6 ones (RFC 8981), which change every day.
    pub addresses: Vec<IpAddr>,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub system: Option<String>,
    /// The kernel's release.
    pub kernel: String,
    /// Changes with every boot.
    pub boot_id: Option<String>,
}

/// This machine.
#[derive(Clone, Debug, Default)]
pub struct RealHost;

impl Host for RealHost {
    fn facts(&self) -> HostFacts {
        let files = Files::system();
        let text = |path: &str| files.read_text(Path::new(path), FACTS_BYTES_MAX).ok();
        let uname = rustix::system::uname();
        let hostname = uname.nodename().to_string_lossy().into_owned();
        let mut addresses = ipv4_addresses();
        addresses.extend(text("/proc/net/if_inet6").iter().flat_map(|t| ipv6_addresses(t)));
        addresses.sort_unstable();
        addresses.dedup();
        HostFacts {
            fqdn: fqdn(&hostname, text("/etc/hosts").as_deref().unwrap_or_default()),
            addresses,
            system: text("/etc/os-release").as_deref().and_then(pretty_name),
            kernel: uname.release().to_string_lossy().into_owned(),
            boot_id: text("/proc/sys/kernel/random/boot_id").map(|t| t.trim().to_owned()),
            hostname,
        }
    }
}

/// Whether an interface carries addresses that other machines reach this one by.
fn is_own_interface(name: &str) -> bool {
    // User-defined Docker networks are `br-` and twelve hex digits; a bridge that somebody called br-lan may well
    // carry the machine's main address.
    let docker_network = |rest: &str| rest.len() == 12 && rest.bytes().all(|b| b.is_ascii_hexdigit());
    let made_by_others = [
        "veth", "virbr", "lxcbr", "lxdbr", "cni", "flannel", "cali", "podman",
    ];
    name != "lo"
        && name != "docker0"
        && name != "docker_gwbridge"
        && !name.strip_prefix("br-").is_some_and(docker_network)
        && !made_by_others.iter().any(|prefix| name.starts_with(prefix))
}

fn ipv4_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let up = |i: &nix::ifaddrs::InterfaceAddress| i.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP);
    interfaces
        .filter(|interface| up(interface) && is_own_interface(&interface.interface_name))
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
        .filter(|ip| !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified() && !ip.is_multicast())
        .map(IpAddr::V4)
        .collect()
}

/// From the lines of `/proc/net/if_inet6`: address, index, prefix length, scope, flags, interface, all in hex.
fn ipv6_addresses(text: &str) -> Vec<IpAddr> {
    text.lines().filter_map(ipv6_address).map(IpAddr::V6).collect()
}

fn ipv6_address(line: &str) -> Option<Ipv6Addr> {
    /// Temporary, duplicate, deprecated, tentative: addresses that are not there to stay.
    const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [address, _, _, scope, flags, interface] = fields[..] else {
        return None;
    };
    let address = Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?);
    let stays = u32::from_str_radix(flags, 16).ok()? & PASSING == 0;
    let global = u32::from_str_radix(scope, 16).ok()? == 0 && !address.is_unicast_link_local();
    (stays && global && is_own_interface(interface)).then_some(address)
}

/// The name with a dot: the node name itself, or the first name with one on the line of `/etc/hosts` that has the
/// node name on it, which is where installers write it and what `hostname -f` answers.
fn fqdn(hostname: &str, etc_hosts: &str) -> Option<String> {
    if hostname.contains('.') {
        return Some(hostname.to_owned());
    }
    let lines = etc_hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let mut names = lines.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    let own =
        names.find(|names| names.contains(&hostname) && names.iter().any(|n| is_fqdn_of(n, hostname)))?;
    own.into_iter()
        .find(|n| is_fqdn_of(n, hostname))
        .map(str::to_owned)
}

/// `web-01.fleet.internal` is one of `web-01`; `localhost.localdomain` is nobody's.
fn is_fqdn_of(name: &str, hostname: &str) -> bool {
    name.contains('.') && name.split('.').next() == Some(hostname) && hostname != "localhost"
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_docker_and_libvirt_are_not_the_machines_own() {
        for other in [
            "lo",
            "docker0",
            "docker_gwbridge",
            "br-0a1b2c3d4e5f",
            "veth12ab",
            "virbr0",
            "cni0",
        ] {
            assert!(!is_own_interface(other), "{other}");
        }
        for own in ["eth0", "enp3s0", "br-lan", "br0", "wg0", "bond0.12", "host0"] {
            assert!(is_own_interface(own), "{own}");
        }
    }

    #[test]
    fn only_lasting_global_ipv6_addresses_count() {
        let text = "\
            00000000000000000000000000000001 01 80 10 80       lo\n\
            fe80000000000000021122fffe334455 02 40 20 80     eth0\n\
            20010db8000000000000000000000011 02 40 00 80     eth0\n\
            20010db8000000000000000000000012 02 40 00 01     eth0\n\
            20010db8000000000000000000000013 02 40 00 20     eth0\n\
            20010db8000000000000000000000014 02 40 00 40     eth0\n\
            fd000000000000000000000000000001 03 40 00 80  docker0\n\
            fd000000000000000000000000000002 03 40 00 80     eth0\n\
            garbage\n";
        let expected: Vec<IpAddr> = ["2001:db8::11", "fd00::2"].map(|a| a.parse().unwrap()).to_vec();
        assert_eq!(ipv6_addresses(text), expected);
    }

    #[test]
    fn the_full_name_comes_from_the_node_name_or_from_etc_hosts() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.1 web-01.old web-01\n127.0.1.1 web-01.fleet.internal web-01 # me\n";
        assert_eq!(fqdn("web-01", hosts).as_deref(), Some("web-01.fleet.internal"));
        assert_eq!(fqdn("web-02", hosts), None);
        assert_eq!(fqdn("web-01.example", hosts).as_deref(), Some("web-01.example"));
        assert_eq!(
            fqdn("localhost", "127.0.0.1 localhost.localdomain localhost"),
            None
        );
    }

    #[test]
    fn this_machine_has_a_name_and_no_loopback_among_its_addresses() {
        let facts = RealHost.facts();
        assert!(!facts.hostname.is_empty() && !facts.kernel.is_empty());
        assert!(
            facts
                .addresses
                .iter()
                .all(|a| !a.is_loopback() && !a.is_unspecified()),
            "{facts:?}"
        );
    }
}
