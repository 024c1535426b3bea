//! dockerd's command line, as the flag parser of Go programs (pflag) reads it: which flag stands where, and changing
//! one without touching the others.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

/// Flags that take no value unless it is joined with `=`, of every dockerd so far.
const SWITCHES: [&str; 33] = [
    "allow-direct-routing",
    "api-enable-cors",
    "bridge-nf-call",
    "cri-containerd",
    "daemon",
    "debug",
    "disable-legacy-registry",
    "experimental",
    "help",
    "icc",
    "init",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "live-restore",
    "no-new-privileges",
    "raw-logs",
    "restart",
    "rootless",
    "rootless-child",
    "selinux-enabled",
    "signature-verification",
    "swarm-mode",
    "tls",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-hairpin",
    "userns-remap-auto",
    "validate",
    "version",
];

/// One-letter flags and what they are short for.
const SHORTHANDS: [(char, &str); 14] = [
    ('D', "debug"),
    ('G', "group"),
    ('H', "host"),
    ('b', "bridge"),
    ('d', "daemon"),
    ('e', "exec-driver"),
    ('g', "graph"),
    ('h', "help"),
    ('l', "log-level"),
    ('n', "networking"),
    ('p', "pidfile"),
    ('r', "restart"),
    ('s', "storage-driver"),
    ('v', "version"),
];

/// Flags whose key in `daemon.json` is called otherwise.
const KEYS: [(&str, &str); 15] = [
    ("add-runtime", "runtimes"),
    ("authorization-plugin", "authorization-plugins"),
    ("cdi-spec-dir", "cdi-spec-dirs"),
    ("default-address-pool", "default-address-pools"),
    ("default-network-opt", "default-network-opts"),
    ("default-ulimit", "default-ulimits"),
    ("dns-opt", "dns-opts"),
    ("exec-opt", "exec-opts"),
    ("feature", "features"),
    ("host", "hosts"),
    ("insecure-registry", "insecure-registries"),
    ("label", "labels"),
    ("log-opt", "log-opts"),
    ("node-generic-resource", "node-generic-resources"),
    ("registry-mirror", "registry-mirrors"),
];

/// A flag of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its long name: `host` for `-H`.
    pub name: String,
    /// Its value; a switch without one is `true`.
    pub value: String,
    /// The words it stands in: one, or two when the value is a word of its own.
    pub words: Range<usize>,
    /// What stands before the value in the last of them: `--tlscert=`, `-H`, nothing. `None`: a switch without a value.
    prefix: Option<String>,
    /// For a flag that shares its word with switches (`-DH`): what is left of the word without it.
    shared: Option<String>,
}

impl Flag {
    /// The key in `daemon.json` that means the same.
    pub fn key(&self) -> &str {
        KEYS.iter()
            .find(|(name, _)| *name == self.name)
            .map_or(&self.name, |(_, key)| key)
    }

    /// A switch's value, as Go reads it; `None` when it is none, and dockerd would not start.
    pub fn is_on(&self) -> Option<bool> {
        match self.value.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        }
    }
}

/// Reads the words after the program.
///
/// # Errors
/// The word that dockerd does not accept, and why.
pub fn parse(words: &[String]) -> Result<Vec<Flag>, String> {
    let mut flags = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        let after = if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
            parse_long(words, at, long, &mut flags)?
        } else if word.len() > 1 && word.starts_with('-') && word != "--" {
            parse_short(words, at, &mut flags)?
        } else {
            return Err(no_argument(word));
        };
        at = after;
    }
    Ok(flags)
}

fn no_argument(word: &str) -> String {
    let mut why = format!("dockerd takes no arguments besides its flags, and is told {word:?}");
    if word.starts_with('$') {
        why.push_str(
            ": a variable that nobody expands. systemd does not expand variables inside an environment file: \
             write all options into one assignment",
        );
    }
    why
}

fn parse_long(words: &[String], at: usize, long: &str, flags: &mut Vec<Flag>) -> Result<usize, String> {
    let (name, joined) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let switch = SWITCHES.contains(&name);
    // A flag that is not known here: it has a value when something stands there that can be one.
    let known = switch
        || KEYS.iter().any(|(flag, _)| *flag == name)
        || name == "config-file"
        || name.starts_with("tls");
    let negative = |word: &str| {
        word.strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let next = words.get(at + 1);
    let next = next.filter(|next| known || !next.starts_with('-') || negative(next));
    let (value, end, prefix) = match (joined, next) {
        (Some(value), _) => (value, at + 1, Some(format!("--{name}="))),
        (None, _) if switch => ("true", at + 1, None),
        (None, Some(next)) => (next.as_str(), at + 2, Some(String::new())),
        (None, None) if known => return Err(format!("the flag --{name} has no value")),
        (None, None) => ("true", at + 1, None),
    };
    flags.push(Flag {
        name: name.to_owned(),
        value: value.to_owned(),
        words: at..end,
        prefix,
        shared: None,
    });
    Ok(end)
}

fn parse_short(words: &[String], at: usize, flags: &mut Vec<Flag>) -> Result<usize, String> {
    let word = words[at].as_str();
    for (offset, letter) in word.char_indices().skip(1) {
        let Some((_, name)) = SHORTHANDS.iter().find(|(short, _)| *short == letter) else {
            return Err(format!("dockerd knows no flag -{letter} (in {word:?})"));
        };
        let rest = &word[offset + letter.len_utf8()..];
        let shared = (offset > 1).then(|| word[..offset].to_owned());
        let until = |end: &str| word[..word.len() - end.len()].to_owned();
        let (value, end, prefix) = match rest.strip_prefix('=') {
            Some(value) => (value, at + 1, Some(until(value))),
            None if SWITCHES.contains(name) => ("true", at + 1, None),
            None if !rest.is_empty() => (rest, at + 1, Some(until(rest))),
            None => match words.get(at + 1) {
                Some(next) => (next.as_str(), at + 2, Some(String::new())),
                None => return Err(format!("the flag -{letter} has no value")),
            },
        };
        let done = prefix.is_some() || rest.is_empty();
        flags.push(Flag {
            name: (*name).to_owned(),
            value: value.to_owned(),
            words: at..end,
            prefix,
            shared,
        });
        if done {
            return Ok(end);
        }
    }
    Ok(at + 1)
}

/// A command line being changed: for each word, whether it stays, and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// One for each word.
    pub slots: Vec<Slot>,
}

/// A word's fate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Whether the word is taken away.
    pub dropped: bool,
    /// New words in its place, or after it.
    pub then: Vec<String>,
}

impl Edit {
    /// Nothing changes yet.
    pub fn new(words: usize) -> Self {
        Self {
            slots: vec![Slot::default(); words],
        }
    }

    /// Whether anything changes.
    pub fn is_empty(&self) -> bool {
        self.slots
            .iter()
            .all(|slot| !slot.dropped && slot.then.is_empty())
    }

    /// Gives a flag another value. Does nothing when it has that value.
    pub fn set(&mut self, flag: &Flag, value: &str) {
        if flag.value == value {
            return;
        }
        let last = flag.words.end - 1;
        self.slots[last].dropped = true;
        let word = match &flag.prefix {
            Some(prefix) => format!("{prefix}{value}"),
            None => format!("--{}={value}", flag.name),
        };
        self.slots[last].then.insert(0, word);
    }

    /// Takes a flag away.
    pub fn remove(&mut self, flag: &Flag) {
        for slot in &mut self.slots[flag.words.clone()] {
            slot.dropped = true;
        }
        if let Some(shared) = &flag.shared {
            self.slots[flag.words.start].then.insert(0, shared.clone());
        }
    }

    /// Adds words after a flag.
    pub fn insert_after(&mut self, flag: &Flag, words: impl IntoIterator<Item = String>) {
        self.slots[flag.words.end - 1].then.extend(words);
    }

    /// The words afterwards.
    pub fn apply(&self, words: &[String]) -> Vec<String> {
        let mut after = Vec::new();
        for (word, slot) in words.iter().zip(&self.slots) {
            if !slot.dropped {
                after.push(word.clone());
            }
            after.extend(slot.then.iter().cloned());
        }
        after
    }
}

/// Where dockerd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket in the file system.
    Unix(String),
    /// What systemd passes.
    Fd(String),
    /// A port. The host is as written, without brackets.
    Tcp {
        /// An address or a name.
        host: String,
        /// The port.
        port: u16,
    },
    /// Something that dockerd does not take, or not on this system.
    Other(String),
}

impl Endpoint {
    /// Reads the value of a `-H`, or an element of `hosts`. The port of a `tcp://` without one is 2375.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix://") {
            return Self::Unix(path.to_owned());
        }
        if let Some(name) = text.strip_prefix("fd://") {
            return Self::Fd(name.to_owned());
        }
        let address = text.strip_prefix("tcp://").unwrap_or(text);
        if address.contains("://") || text.is_empty() {
            return Self::Other(text.to_owned());
        }
        let address = address.split('/').next().unwrap_or_default();
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (address, ""),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = if port.is_empty() {
            Some(2375)
        } else {
            port.parse().ok()
        };
        match port {
            Some(port) => Self::Tcp {
                host: if host.is_empty() { "127.0.0.1" } else { host }.to_owned(),
                port,
            },
            None => Self::Other(text.to_owned()),
        }
    }

    /// Whether listening here serves everyone whom listening at `ip`:`port` would.
    pub fn covers(&self, ip: IpAddr, port: u16) -> bool {
        let Self::Tcp { host, port: own } = self else {
            return false;
        };
        let Ok(own_ip) = host.parse::<IpAddr>() else {
            return false;
        };
        // The empty IPv6 address takes IPv4 as well.
        *own == port && (own_ip == ip || own_ip == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED))
    }

    /// Whether the two cannot be listened on at once, or might not.
    pub fn meets(&self, ip: IpAddr, port: u16) -> bool {
        let Self::Tcp { host, port: own } = self else {
            return false;
        };
        if *own != port {
            return false;
        }
        let Ok(own_ip) = host.parse::<IpAddr>() else {
            return true;
        };
        let all_v6 = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
        let all_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let same_family = own_ip.is_ipv4() == ip.is_ipv4();
        own_ip == ip
            || own_ip == all_v6
            || ip == all_v6
            || (same_family && (own_ip == all_v4 || ip == all_v4))
    }
}

#[cfg(test)]
mod tests;
