//! What dockerd is told now, by flag and by file, and what it should be told: where each setting goes, and what is
//! taken over. The rules of `docs/adr/0006-flags-stay-flags.md`, and nothing about where flags are written down.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use super::daemon_json::{self, DaemonJson};
use super::flags::{Edit, Endpoint, Flag};
use super::{Refusal, Wanted};

/// What dockerd is told now.
pub struct Told<'a> {
    /// Its flags, of so many words.
    pub flags: &'a [Flag],
    /// The number of words.
    pub words: usize,
    /// Where the flags are written down, for people.
    pub place: PathBuf,
    /// The TCP addresses that a socket unit hands over, as systemd writes them.
    pub handed: &'a [String],
    /// Where it listens when nothing says so: `unix:///var/run/docker.sock`.
    pub socket: String,
}

/// What it should be told.
pub struct Settled {
    /// The change to the flags.
    pub edit: Edit,
    /// Whether `hosts` is in the file, not among the flags.
    pub hosts_in_file: bool,
    /// What was found.
    pub notes: Vec<String>,
}

/// Decides, and writes the file's part into `json`.
///
/// # Errors
/// When dockerd cannot start as it is for a reason that is not ours to decide.
pub fn settle(told: &Told<'_>, json: &mut DaemonJson, wanted: &Wanted) -> Result<Settled, Refusal> {
    refuse_conflicts(told, json)?;
    let mut desk = Desk {
        told,
        json,
        edit: Edit::new(told.words),
        notes: Vec::new(),
    };
    desk.note_weak_tls();
    desk.place_tls(wanted)?;
    let hosts_in_file = desk.place_hosts(wanted.listen)?;
    Ok(Settled {
        edit: desk.edit,
        hosts_in_file,
        notes: desk.notes,
    })
}

/// Settings of others that stand in both places: dockerd does not start, and which one is meant is not ours to say.
fn refuse_conflicts(told: &Told<'_>, json: &DaemonJson) -> Result<(), Refusal> {
    let ours: Vec<&str> = daemon_json::our_keys()
        .filter(|key| *key != daemon_json::LIVE_RESTORE)
        .collect();
    let both = told.flags.iter().find(|flag| {
        !ours.contains(&flag.key()) && json.settings().any(|key| key == flag.key() || key == flag.name)
    });
    match both {
        Some(flag) => Err(Refusal::Twice {
            key: flag.key().to_owned(),
            path: json.path().to_owned(),
            place: told.place.clone(),
        }),
        None => Ok(()),
    }
}

struct Desk<'a> {
    told: &'a Told<'a>,
    json: &'a mut DaemonJson,
    edit: Edit,
    notes: Vec<String>,
}

impl Desk<'_> {
    fn flags(&self, key: &str) -> Vec<Flag> {
        let flags = self.told.flags.iter().filter(|flag| flag.key() == key);
        flags.cloned().collect()
    }

    /// The switch as it is now: a flag wins, then the file.
    fn switch(&self, key: &str) -> Option<bool> {
        let flag = self.flags(key).last().and_then(Flag::is_on);
        flag.or_else(|| self.json.get(key).and_then(Value::as_bool))
    }

    fn note_weak_tls(&mut self) {
        let on = self.switch(daemon_json::TLS) == Some(true);
        if on && self.switch(daemon_json::TLS_VERIFY) != Some(true) {
            let note =
                "TLS was on without tlsverify, so that clients needed no certificate: they need one now";
            self.notes.push(note.to_owned());
        }
    }

    fn place_tls(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        // A plain `tls` says less than tlsverify; only a `false` is in the way.
        if self
            .flags(daemon_json::TLS)
            .iter()
            .any(|flag| flag.is_on() != Some(true))
            || self.json.get(daemon_json::TLS) == Some(&Value::Bool(false))
            || (self.json.has(daemon_json::TLS) && !self.flags(daemon_json::TLS).is_empty())
        {
            self.place(daemon_json::TLS, Value::Bool(true));
        }
        self.place(daemon_json::TLS_VERIFY, Value::Bool(true));
        let file = |name: &str| wanted.directory.join(name).to_str().map(str::to_owned);
        let (Some(ca), Some(cert), Some(key)) = (file("ca.pem"), file("cert.pem"), file("key.pem")) else {
            return Err(Refusal::Directory {
                path: wanted.directory.clone(),
                why: "its name is not UTF-8".to_owned(),
            });
        };
        self.place_file(daemon_json::TLS_CA, ca);
        self.place_pair(cert, key)
    }

    /// Certificate and key belong into one place: with one of them new and the other old, dockerd does not start.
    fn place_pair(&mut self, cert: String, key: String) -> Result<(), Refusal> {
        let certs = self.flags(daemon_json::TLS_CERT);
        let keys = self.flags(daemon_json::TLS_KEY);
        let (by_flag, missing, path) = match (certs.last(), keys.last()) {
            (Some(flag), None) => (flag, daemon_json::TLS_KEY, &key),
            (None, Some(flag)) => (flag, daemon_json::TLS_CERT, &cert),
            _ => {
                self.place_file(daemon_json::TLS_CERT, cert);
                self.place_file(daemon_json::TLS_KEY, key);
                return Ok(());
            }
        };
        if self.json.has(missing) && !self.json.has(by_flag.key()) {
            return Err(Refusal::Split {
                flag: by_flag.name.clone(),
                place: self.told.place.clone(),
                key: missing.to_owned(),
                path: self.json.path().to_owned(),
            });
        }
        self.json.remove(missing);
        let flag = by_flag.clone();
        let added = format!("--{missing}={path}");
        let known = if missing == daemon_json::TLS_KEY {
            cert
        } else {
            key
        };
        self.place_file(flag.key(), known);
        self.edit.insert_after(&flag, [added]);
        Ok(())
    }

    fn place_file(&mut self, key: &str, path: String) {
        let flagged = self.flags(key).last().map(|flag| flag.value.clone());
        let before = flagged.or_else(|| self.json.get(key).and_then(Value::as_str).map(str::to_owned));
        if let Some(before) = before.filter(|before| *before != path) {
            self.notes
                .push(format!("{key} was {before}: that file is not used any more"));
        }
        self.place(key, Value::String(path));
    }

    /// Writes a setting where its kind is: by flag, when a flag gives it, else into the file.
    fn place(&mut self, key: &str, value: Value) {
        let flags = self.flags(key);
        let Some((last, others)) = flags.split_last() else {
            self.json.set(key, value);
            return;
        };
        self.json.remove(key);
        for flag in others {
            self.edit.remove(flag);
        }
        match &value {
            Value::String(text) => self.edit.set(last, text),
            _ if last.is_on() == Some(true) => {}
            _ => self.edit.set(last, "true"),
        }
    }

    fn place_hosts(&mut self, listen: SocketAddr) -> Result<bool, Refusal> {
        let flags = self.flags(daemon_json::HOSTS);
        let by_file = self.json.list(daemon_json::HOSTS);
        if flags.is_empty() {
            self.place_hosts_in_file(by_file, listen);
            return Ok(true);
        }
        let mut texts: Vec<String> = flags.iter().map(|flag| flag.value.clone()).collect();
        if self.json.has(daemon_json::HOSTS) {
            self.notes.push(format!(
                "hosts stood in {} and among the flags in {}, and dockerd does not start then: they are flags now",
                self.json.path().display(),
                self.told.place.display()
            ));
            self.json.remove(daemon_json::HOSTS);
            // The local socket is among the flags already.
            texts.extend(
                by_file
                    .into_iter()
                    .filter(|text| matches!(Endpoint::parse(text), Endpoint::Tcp { .. })),
            );
        }
        let hosts = self.hosts(&texts, listen);
        let mut kept = hosts.kept.iter();
        let mut ours = hosts.ours;
        for flag in &flags {
            match kept.next() {
                Some(true) => {}
                _ => match ours.take() {
                    Some(host) => self.edit.set(flag, &host),
                    None => self.edit.remove(flag),
                },
            }
        }
        let moved = texts[flags.len()..].iter().zip(kept).filter(|(_, kept)| **kept);
        let added: Vec<String> = moved.map(|(text, _)| text.clone()).chain(ours).collect();
        let last = flags.last().expect("not empty, checked above");
        self.edit
            .insert_after(last, added.into_iter().flat_map(|host| ["-H".to_owned(), host]));
        Ok(false)
    }

    fn place_hosts_in_file(&mut self, mut texts: Vec<String>, listen: SocketAddr) {
        if texts.is_empty() {
            texts.push(self.told.socket.clone());
        }
        let hosts = self.hosts(&texts, listen);
        let kept = texts.iter().zip(&hosts.kept).filter(|(_, kept)| **kept);
        let after: Vec<Value> = kept
            .map(|(text, _)| text.clone())
            .chain(hosts.ours)
            .map(Value::String)
            .collect();
        self.json.set(daemon_json::HOSTS, Value::Array(after));
    }

    /// Which of the hosts stay, and ours unless one of them is it.
    fn hosts(&mut self, texts: &[String], listen: SocketAddr) -> Hosts {
        let (ip, port) = (listen.ip(), listen.port());
        let endpoints: Vec<Endpoint> = texts.iter().map(|text| Endpoint::parse(text)).collect();
        let handed_over = endpoints
            .iter()
            .any(|endpoint| matches!(endpoint, Endpoint::Fd(_)));
        let handed: Vec<&String> = self.told.handed.iter().filter(|_| handed_over).collect();
        let from_systemd = handed.iter().any(|text| Endpoint::parse(text).meets(ip, port));
        for text in handed {
            self.notes.push(format!(
                "{text} is handed over by systemd's socket unit: it is served with TLS as well"
            ));
        }
        let mut served = from_systemd;
        let mut kept = Vec::new();
        for (text, endpoint) in texts.iter().zip(&endpoints) {
            let stays = !endpoint.meets(ip, port) || (!served && endpoint.covers(ip, port));
            served |= stays && endpoint.covers(ip, port);
            if !stays {
                self.notes.push(format!(
                    "-H {text} is taken over: dockerd listens on {listen} for us"
                ));
            } else if matches!(endpoint, Endpoint::Tcp { port: own, .. } if *own != port) {
                self.notes.push(format!(
                    "{text} stays, and is served with TLS: whoever has no certificate is refused there"
                ));
            }
            kept.push(stays);
        }
        let local = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Unix(_) | Endpoint::Fd(_));
        if !endpoints.iter().any(local) {
            self.notes.push(
                "dockerd is told of no local socket, and is left so: docker works over TCP only".to_owned(),
            );
        }
        let ours = (!served).then(|| format!("tcp://{listen}"));
        Hosts { kept, ours }
    }
}

struct Hosts {
    /// For each host that there is, whether it stays.
    kept: Vec<bool>,
    /// The one to add.
    ours: Option<String>,
}
