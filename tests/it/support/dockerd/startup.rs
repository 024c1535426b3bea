//! What a dockerd does when it starts, as tried out on real ones: flags, configuration file, conflicts, certificates.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dockerd_files::Reader;
use dockwarden::agent::Pair;
use dockwarden::model::SeenCertificate;
use serde_json::{Map, Value};

/// Reading files, whoever is stopped.
pub mod dockerd_files {
    /// The contents of a file; `None` when there is none.
    pub type Reader<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;
}

/// A dockerd that came up.
#[derive(Clone, Debug)]
pub struct Up {
    pub argv: Vec<String>,

    pub live_restore: bool,
    /// Whom it asks about requests.
    pub plugins: Vec<String>,
    /// Its unix socket is there.
    pub local: bool,
    pub tcp: Vec<SocketAddr>,
    /// What it serves on TCP, and whether it asks for client certificates; `None`: plain HTTP.
    pub tls: Option<(SeenCertificate, bool)>,
}

/// Keys that every dockerd knows; others are fatal.
const KEYS: [&str; 18] = [
    "hosts",
    "tls",
    "tlsverify",
    "tlscacert",
    "tlscert",
    "tlskey",
    "authorization-plugins",
    "live-restore",
    "log-level",
    "debug",
    "labels",
    "registry-mirrors",
    "log-driver",
    "log-opts",
    "data-root",
    "storage-driver",
    "bip",
    "default-address-pools",
];

/// The words of a flag, in the order of the command line: `--tlskey=X` and `--tlskey X` alike.
fn flags(argv: &[String]) -> Result<Vec<(String, String)>, String> {
    let switches = ["tls", "tlsverify", "live-restore", "debug"];
    let mut found = Vec::new();
    let mut words = argv[1..].iter();
    while let Some(word) = words.next() {
        let name = match word.as_str() {
            "-H" => "host".to_owned(),
            "-D" => "debug".to_owned(),
            long => long
                .strip_prefix("--")
                .ok_or(format!("unknown word {word:?}"))?
                .to_owned(),
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None if switches.contains(&name.as_str()) => (name, "true".to_owned()),
            None => {
                let value = words.next().ok_or(format!("flag needs an argument: {word}"))?;
                (name, value.clone())
            }
        };
        found.push((if name == "host" { "hosts".to_owned() } else { name }, value));
    }
    Ok(found)
}

fn configuration(path: &str, named: bool, read: Reader<'_>) -> Result<Map<String, Value>, String> {
    let Some(bytes) = read(path) else {
        return if named {
            Err(format!("open {path}: no such file or directory"))
        } else {
            Ok(Map::new())
        };
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let unable = |why: String| format!("unable to configure the Docker daemon with file {path}: {why}");
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => match map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            Some(key) => Err(unable(format!(
                "the following directives don't match any configuration option: {key}"
            ))),
            None => Ok(map),
        },
        Ok(_) => Err(unable("json: cannot unmarshal into Go value of type map".into())),
        Err(error) => Err(unable(error.to_string())),
    }
}

/// Starts, or says why not. `taken` are TCP ports that somebody else listens on.
pub fn start(
    argv: &[String],
    read: Reader<'_>,
    socket: bool,
    swarm: bool,
    taken: &[u16],
) -> Result<Up, String> {
    let up = check(argv, None, read, swarm)?;
    if up.0.iter().any(|host| host == "fd://") && !socket {
        return Err("failed to load listeners: no sockets found via socket activation".into());
    }
    if let Some(address) = up.1.tcp.iter().find(|address| taken.contains(&address.port())) {
        return Err(format!(
            "failed to load listeners: listen tcp {address}: bind: address already in use"
        ));
    }
    Ok(up.1)
}

/// What `dockerd --validate` looks at: everything but the sockets.
pub fn check(
    argv: &[String],
    candidate: Option<&str>,
    read: Reader<'_>,
    swarm: bool,
) -> Result<(Vec<String>, Up), String> {
    let flags = flags(argv)?;
    let by_name = |name: &str| {
        flags
            .iter()
            .rev()
            .find(|(flag, _)| flag == name)
            .map(|(_, value)| value.clone())
    };
    let named = by_name("config-file");
    let config_path = named.clone().unwrap_or("/etc/docker/daemon.json".into());
    let file = configuration(candidate.unwrap_or(&config_path), named.is_some(), read)?;
    if let Some((flag, value)) = flags.iter().find(|(flag, _)| file.contains_key(flag)) {
        return Err(format!(
            "unable to configure the Docker daemon with file {config_path}: the following directives are specified both \
             as a flag and in the configuration file: {flag}: (from flag: {value}, from file: {})",
            file[flag]
        ));
    }
    let text = |key: &str| by_name(key).or_else(|| Some(file.get(key)?.as_str()?.to_owned()));
    let switch = |key: &str| {
        by_name(key)
            .map(|v| v == "true")
            .or_else(|| file.get(key)?.as_bool())
    };
    let flagged: Vec<String> = flags
        .iter()
        .filter(|(f, _)| f == "hosts")
        .map(|(_, v)| v.clone())
        .collect();
    let filed = file.get("hosts").and_then(Value::as_array);
    let filed = filed.map(|hosts| {
        hosts
            .iter()
            .filter_map(|h| Some(h.as_str()?.to_owned()))
            .collect()
    });
    let mut hosts: Vec<String> = if flagged.is_empty() {
        filed.unwrap_or_default()
    } else {
        flagged
    };
    let tls = switch("tlsverify").is_some() || switch("tls") == Some(true);
    if hosts.is_empty() {
        // As tried out: with TLS and no hosts the unix socket disappears.
        hosts.push(
            if tls {
                "tcp://127.0.0.1:2376"
            } else {
                "unix:///var/run/docker.sock"
            }
            .into(),
        );
    }
    let live_restore = switch("live-restore").unwrap_or(false);
    if live_restore && swarm {
        return Err("--live-restore daemon configuration is incompatible with swarm mode".into());
    }
    let tcp: Vec<SocketAddr> = hosts
        .iter()
        .filter_map(|h| h.strip_prefix("tcp://")?.parse().ok())
        .collect();
    let verify = switch("tlsverify").or(switch("tls")) == Some(true);
    let tls = match tls {
        true => Some((certificate(&text, read)?, verify)),
        false => None,
    };
    let local = hosts
        .iter()
        .any(|host| host == "fd://" || host.starts_with("unix://"));
    let listed = file.get("authorization-plugins").and_then(Value::as_array);
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    let mut plugins: Vec<String> = listed.map(str::to_owned).collect();
    let by_flag = flags.iter().filter(|(flag, _)| flag == "authorization-plugin");
    plugins.extend(by_flag.map(|(_, value)| value.clone()));
    let up = Up {
        argv: argv.to_vec(),
        plugins,
        live_restore,
        local,
        tcp,
        tls,
    };
    Ok((hosts, up))
}

fn certificate(text: &dyn Fn(&str) -> Option<String>, read: Reader<'_>) -> Result<SeenCertificate, String> {
    let file = |key: &str, name: &str| {
        let path = text(key).unwrap_or(format!("/nonexistent/{name}.pem"));
        read(&path).ok_or(format!(
            "invalid TLS configuration: open {path}: no such file or directory"
        ))
    };
    let (ca, cert, key) = (
        file("tlscacert", "ca")?,
        file("tlscert", "cert")?,
        file("tlskey", "key")?,
    );
    let pair = Pair::parse(&ca, &cert, &key).map_err(|e| format!("invalid TLS configuration: {e}"))?;
    Ok(SeenCertificate {
        serial: pair.serial().clone(),
        not_after: pair.leaf.not_after,
    })
}

/// The command line that systemd makes of a unit's files: the last `ExecStart=` after a reset, variables replaced.
pub fn argv(texts: &[String], read: Reader<'_>) -> Vec<String> {
    let (mut line, mut environment) = (String::new(), BTreeMap::new());
    for setting in texts.iter().flat_map(|text| text.lines()) {
        if let Some(value) = setting.strip_prefix("ExecStart=") {
            line = value.to_owned();
        }
        if let Some(path) = setting.strip_prefix("EnvironmentFile=") {
            let file = read(path.trim_start_matches('-')).unwrap_or_default();
            for assignment in String::from_utf8_lossy(&file).lines() {
                let Some((name, value)) = assignment.split_once('=') else {
                    continue;
                };
                environment.insert(name.to_owned(), value.trim_matches('"').to_owned());
            }
        }
    }
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        match word.strip_prefix('$') {
            Some(name) => {
                let value = environment.get(name).cloned().unwrap_or_default();
                words.extend(value.split_whitespace().map(str::to_owned));
            }
            None => words.push(word.trim_matches('"').to_owned()),
        }
    }
    words
}
