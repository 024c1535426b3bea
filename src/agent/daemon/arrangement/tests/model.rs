//! A model of how dockerd starts, made from what engines were seen to do: which flags and files it refuses, what it
//! listens on then, and whom it lets in. Written apart from the code that it judges, and much plainer.

use std::path::Path;

use serde_json::{Map, Value};

use crate::agent::daemon::arrangement::DROP_IN_NAME;
use crate::agent::daemon::arrangement::exec_start::{ExecStart, Specifiers};
use crate::agent::daemon::arrangement::flags::Endpoint;
use crate::agent::daemon::arrangement::options_file::Options;
use crate::agent::daemon::facts::{DaemonFacts, Layout, Scope};

/// What a dockerd that started does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    pub tcp: Vec<String>,
    pub local: bool,
    /// Whether whoever has no certificate is refused on every TCP port.
    pub verified: bool,
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
}

impl Serving {
    /// The ports that let everybody in.
    pub fn open(&self) -> Vec<&String> {
        self.tcp.iter().filter(|_| !self.verified).collect()
    }
}

/// What dockerd is told by the files of these facts, ours among them, after a restart.
pub fn words(facts: &DaemonFacts) -> Result<Vec<String>, String> {
    match &facts.layout {
        Layout::Systemd { unit: name, .. } => {
            let mut unit = facts.unit.clone().unwrap();
            // Under another name, so that it counts.
            for file in &mut unit.drop_ins {
                if file.path.ends_with(DROP_IN_NAME) {
                    file.path.set_file_name("zz-model.conf");
                }
            }
            let specifiers = Specifiers {
                unit: name,
                scope: &Scope::System,
            };
            let exec = ExecStart::of(&unit, &facts.options_files, &specifiers).map_err(|e| e.to_string())?;
            Ok(exec.words())
        }
        _ => Ok(Options::read(&facts.options_files)
            .map_err(|e| e.to_string())?
            .words()),
    }
}

/// Starts it.
pub fn start(facts: &DaemonFacts) -> Result<Serving, String> {
    start_with(&words(facts)?, facts)
}

/// Starts it with these words.
pub fn start_with(words: &[String], facts: &DaemonFacts) -> Result<Serving, String> {
    let flags = flags(words)?;
    let file = file(facts)?;
    if let Some((key, _)) = flags.iter().find(|(key, _)| file.contains_key(key)) {
        return Err(format!("{key} is given twice"));
    }
    // Flags that name files count only when a flag turns TLS on.
    let live = flags
        .iter()
        .any(|(key, value)| key == "tlsverify" || (key == "tls" && value == "true"));
    let named = |key: &str| matches!(key, "tlscacert" | "tlscert" | "tlskey");
    let flags: Vec<(String, String)> = flags.into_iter().filter(|(key, _)| live || !named(key)).collect();
    let flag = |key: &str| {
        flags
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.clone())
    };
    let text = |key: &str| flag(key).or(file.get(key).and_then(Value::as_str).map(str::to_owned));
    let switch = |key: &str| match flag(key) {
        Some(value) => value.parse::<bool>().ok(),
        None => file.get(key).and_then(Value::as_bool),
    };
    let verify = switch("tlsverify");
    let encrypted = verify.is_some() || switch("tls") == Some(true);
    let mut serving = Serving {
        tcp: Vec::new(),
        local: false,
        verified: verify == Some(true),
        ca: text("tlscacert"),
        cert: text("tlscert"),
        key: text("tlskey"),
    };
    if encrypted {
        check_files(&serving)?;
    }
    let mut hosts: Vec<String> = flags
        .iter()
        .filter(|(key, _)| key == "hosts")
        .map(|(_, value)| value.clone())
        .collect();
    hosts.extend(
        file.get("hosts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|v| v.as_str().unwrap().to_owned()),
    );
    if hosts.is_empty() {
        let default = if encrypted {
            "tcp://127.0.0.1:2376"
        } else {
            "unix:///var/run/docker.sock"
        };
        hosts.push(default.to_owned());
    }
    listen(&mut serving, &hosts, facts)?;
    Ok(serving)
}

/// Certificate and key fit when they lie in one directory.
fn check_files(serving: &Serving) -> Result<(), String> {
    let directory = |path: &Option<String>| {
        path.as_ref()
            .map(|path| Path::new(path).parent().unwrap().to_owned())
    };
    match (directory(&serving.cert), directory(&serving.key)) {
        (Some(cert), Some(key)) if cert == key => {}
        _ => return Err("could not load X509 key pair".to_owned()),
    }
    match serving.verified && serving.ca.is_none() {
        true => Err("could not read CA certificate".to_owned()),
        false => Ok(()),
    }
}

fn listen(serving: &mut Serving, hosts: &[String], facts: &DaemonFacts) -> Result<(), String> {
    let sockets = facts.unit.iter().flat_map(|unit| &unit.sockets);
    let handed: Vec<&String> = sockets.flat_map(|socket| &socket.listen).collect();
    for host in hosts {
        match Endpoint::parse(host) {
            Endpoint::Unix(_) => serving.local = true,
            Endpoint::Fd(_) if handed.is_empty() => {
                return Err("no sockets found via socket activation".to_owned());
            }
            Endpoint::Fd(_) => {
                serving.local = true;
                let ports = handed.iter().filter(|address| !address.starts_with('/'));
                serving.tcp.extend(ports.map(|address| (*address).clone()));
            }
            Endpoint::Tcp { .. } => serving.tcp.push(host.clone()),
            Endpoint::Other(host) => return Err(format!("invalid host {host}")),
        }
    }
    for (index, first) in serving.tcp.iter().enumerate() {
        for second in &serving.tcp[index + 1..] {
            let Endpoint::Tcp { host, port } = Endpoint::parse(second) else {
                continue;
            };
            if host
                .parse()
                .is_ok_and(|ip| Endpoint::parse(first).meets(ip, port))
            {
                return Err(format!("{second}: address already in use"));
            }
        }
    }
    Ok(())
}

fn flags(words: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut flags = Vec::new();
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let word = match word.strip_prefix("-D") {
            Some("") => "--debug".to_owned(),
            Some(rest) => {
                flags.push(("debug".to_owned(), "true".to_owned()));
                format!("-{rest}")
            }
            None => word.to_owned(),
        };
        let word = match word.strip_prefix("-H") {
            Some("") => "--host".to_owned(),
            Some(rest) => format!("--host={}", rest.trim_start_matches('=')),
            None => word,
        };
        let Some(long) = word.strip_prefix("--") else {
            return Err(format!("{word:?} is no flag"));
        };
        let switch = ["tls", "tlsverify", "debug"].contains(&long);
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None if switch => (long.to_owned(), "true".to_owned()),
            None => (
                long.to_owned(),
                words.next().ok_or(format!("--{long} has no value"))?.to_owned(),
            ),
        };
        let key = match name.as_str() {
            "host" => "hosts",
            "label" => "labels",
            "log-opt" => "log-opts",
            name => name,
        };
        flags.push((key.to_owned(), value));
    }
    Ok(flags)
}

fn file(facts: &DaemonFacts) -> Result<Map<String, Value>, String> {
    let bytes = facts.config_file.contents.clone().unwrap_or_default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let map: Map<String, Value> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    for (key, value) in &map {
        let fits = value.is_null()
            || match key.as_str() {
                "hosts" => value
                    .as_array()
                    .is_some_and(|list| list.iter().all(Value::is_string)),
                "tls" | "tlsverify" | "debug" | "live-restore" => value.is_boolean(),
                "tlscacert" | "tlscert" | "tlskey" => value.is_string(),
                "labels" | "log-driver" | "log-level" | "log-opts" | "shutdown-timeout" => true,
                _ => {
                    return Err(format!(
                        "the directive {key} does not match any configuration option"
                    ));
                }
            };
        if !fits {
            return Err(format!("cannot unmarshal {key}"));
        }
    }
    Ok(map)
}
