//! Whom dockerd lets in: certificate, key, CA, and the switch that asks every client for a certificate.
//!
//! Seen on engines: dockerd forgets the flags that name certificates unless `--tls` or `--tlsverify` is a flag as well.
//! So the switch goes where the files are named; and as no two writes are one, it is thrown in the write that comes
//! last of those it needs.

use serde_json::Value;

use super::Desk;
use crate::agent::daemon::arrangement::daemon_json::{TLS, TLS_CA, TLS_CERT, TLS_KEY, TLS_VERIFY};
use crate::agent::daemon::arrangement::flags::Flag;
use crate::agent::daemon::arrangement::{Refusal, Wanted};

/// What names a file.
const FILES: [&str; 3] = [TLS_CA, TLS_CERT, TLS_KEY];

/// Our files: `ca.pem cert.pem key.pem`.
pub(super) fn files(wanted: &Wanted) -> Result<[String; 3], Refusal> {
    let file = |name: &str| wanted.directory.join(name).to_str().map(str::to_owned);
    match (file("ca.pem"), file("cert.pem"), file("key.pem")) {
        (Some(ca), Some(cert), Some(key)) => Ok([ca, cert, key]),
        _ => Err(Refusal::Directory {
            path: wanted.directory.clone(),
            why: "its name is not UTF-8".to_owned(),
        }),
    }
}

impl Desk<'_> {
    /// Puts our files in place of whatever there is, and asks clients for a certificate.
    pub(super) fn place_tls(&mut self, wanted: &Wanted, hosts_in_file: bool) -> Result<(), Refusal> {
        let [ca, cert, key] = files(wanted)?;
        self.note_files([&ca, &cert, &key]);
        let flagged: Vec<Flag> = FILES.iter().filter_map(|key| self.flags(key).pop()).collect();
        let live = self.tls_by_flag();
        if let Some(flag) = flagged
            .first()
            .filter(|_| !live && !hosts_in_file && self.json.has(TLS_VERIFY))
        {
            return Err(self.split(flag, TLS_VERIFY));
        }
        let dead = !live && hosts_in_file;
        if dead {
            // Without effect, but dockerd does not take what they say from the file besides.
            let flags: Vec<Flag> = FILES.iter().flat_map(|key| self.flags(key)).collect();
            flags.iter().for_each(|flag| self.edit.remove(flag));
        }
        let flagged = if dead { Vec::new() } else { flagged };
        let by_flag = |desk: &Self, key: &str| {
            flagged.iter().any(|flag| flag.key() == key) && !desk.flags(key).is_empty()
        };
        let switch =
            !self.flags(TLS_VERIFY).is_empty() || (!flagged.is_empty() && !self.json.has(TLS_VERIFY));
        let pair = by_flag(self, TLS_CERT) || by_flag(self, TLS_KEY);
        if pair && live {
            self.refuse_split_pair()?;
        }
        let ca_by_flag = by_flag(self, TLS_CA) || (hosts_in_file && switch && !self.json.has(TLS_CA));
        self.place_tls_switch(switch);
        let mut added: Vec<String> = self
            .place(TLS_VERIFY, Value::Bool(true), switch)
            .into_iter()
            .collect();
        let values = [
            (TLS_CA, ca, ca_by_flag),
            (TLS_CERT, cert, pair),
            (TLS_KEY, key, pair),
        ];
        for (key, path, in_flags) in values {
            added.extend(self.place(key, Value::String(path), in_flags));
        }
        self.add_flags(&flagged, added);
        Ok(())
    }

    /// Whether flags turn TLS on, so that those that name files count.
    pub(super) fn tls_by_flag(&self) -> bool {
        let tls = self.flags(TLS).last().and_then(Flag::is_on);
        tls == Some(true) || !self.flags(TLS_VERIFY).is_empty()
    }

    /// A plain `tls` says less than tlsverify, and is left alone where it is not in the way.
    pub(super) fn place_tls_switch(&mut self, switch_by_flag: bool) {
        let off = self.json.get(TLS) == Some(&Value::Bool(false));
        if !self.flags(TLS).is_empty() || (off && switch_by_flag) {
            self.json.remove(TLS);
        } else if off {
            self.json.set(TLS, Value::Bool(true));
        }
    }

    /// Certificate and key belong into one place: with one of them new and the other old, dockerd does not start.
    fn refuse_split_pair(&self) -> Result<(), Refusal> {
        for (one, other) in [(TLS_CERT, TLS_KEY), (TLS_KEY, TLS_CERT)] {
            let flag = self.flags(one).pop();
            let in_file = self.flags(other).is_empty() && self.json.has(other) && !self.json.has(one);
            if let Some(flag) = flag.filter(|_| in_file) {
                return Err(self.split(&flag, other));
            }
        }
        Ok(())
    }

    fn split(&self, flag: &Flag, key: &str) -> Refusal {
        Refusal::Split {
            flag: flag.name.clone(),
            place: self.told.place.clone(),
            key: key.to_owned(),
            path: self.json.path().to_owned(),
        }
    }

    pub(super) fn note_files(&mut self, ours: [&String; 3]) {
        for (key, path) in FILES.into_iter().zip(ours) {
            let flagged = self.flags(key).last().map(|flag| flag.value.clone());
            let before = flagged.or_else(|| self.json.get(key).and_then(Value::as_str).map(str::to_owned));
            if let Some(before) = before.filter(|before| before != path) {
                self.notes
                    .push(format!("{key} was {before}: that file is not used any more"));
            }
        }
    }

    /// Writes a setting into the file, or changes its flag. Gives back the flag that has to be added.
    pub(super) fn place(&mut self, key: &str, value: Value, by_flag: bool) -> Option<String> {
        if !by_flag {
            self.json.set(key, value);
            return None;
        }
        self.json.remove(key);
        let flags = self.flags(key);
        let Some((last, others)) = flags.split_last() else {
            return Some(match value {
                Value::String(path) => format!("--{key}={path}"),
                _ => format!("--{key}"),
            });
        };
        for flag in others {
            self.edit.remove(flag);
        }
        match &value {
            Value::String(path) => self.edit.set(last, path),
            _ if last.is_on() == Some(true) => {}
            _ => self.edit.set(last, "true"),
        }
        None
    }

    /// What opens the port is in one file and what asks for certificates in another: said, where it is so.
    pub(super) fn note_apart(&mut self, hosts_in_file: bool) {
        let (file, place) = (self.json.path().display(), self.told.place.display());
        let tls_by_flag = !self.json.has(TLS_VERIFY);
        if hosts_in_file == tls_by_flag {
            let (opens, guards) = if hosts_in_file {
                (file.to_string(), place.to_string())
            } else {
                (place.to_string(), file.to_string())
            };
            self.notes.push(format!(
                "{opens} opens the port, and {guards} has clients show a certificate: whoever overwrites {guards} and \
                 restarts dockerd opens it to everybody, until the agent's next pass"
            ));
        }
    }

    /// Adds flags behind the last of those that they belong to.
    fn add_flags(&mut self, flagged: &[Flag], added: Vec<String>) {
        let switches = self.flags(TLS_VERIFY).pop().into_iter();
        let anchor = flagged
            .iter()
            .cloned()
            .chain(switches)
            .max_by_key(|flag| flag.words.end);
        if let Some(anchor) = anchor {
            self.edit.insert_after(&anchor, added);
        }
    }
}
