//! The port and whom it lets in, both by flag: one file says both, so that no other tool can change the one without the
//! other. See `docs/adr/0011-one-file-opens-and-guards.md`.

use serde_json::Value;

use super::tls::files;
use super::{Desk, Settled};
use crate::agent::daemon::arrangement::daemon_json::{HOSTS, TLS, TLS_CA, TLS_CERT, TLS_KEY, TLS_VERIFY};
use crate::agent::daemon::arrangement::flags::{Edit, Endpoint, Flag};
use crate::agent::daemon::arrangement::{Refusal, Wanted};

/// What says whom dockerd lets in; in both places at once, each of them is fatal.
const SETTINGS: [&str; 5] = [TLS, TLS_VERIFY, TLS_CA, TLS_CERT, TLS_KEY];

impl Desk<'_> {
    /// Makes flags of all of it.
    pub(super) fn place_together(mut self, wanted: &Wanted) -> Result<Settled, Refusal> {
        let [ca, cert, key] = files(wanted)?;
        self.note_files([&ca, &cert, &key]);
        let leaving: Vec<&str> = SETTINGS[1..]
            .iter()
            .copied()
            .filter(|key| self.json.has(key))
            .collect();
        let closing = self.closing();
        let anchor = self.anchor()?;
        if self.flags(HOSTS).is_empty() {
            let hosts = [self.told.socket.clone(), format!("tcp://{}", wanted.listen)];
            let words = hosts.into_iter().flat_map(|host| ["-H".to_owned(), host]);
            self.edit.insert_after(&anchor, words);
        } else {
            self.place_hosts(wanted.listen);
        }
        self.note_leaving(&leaving);
        match leaving.is_empty() {
            true => self.place_tls_switch(true),
            false => self.json.remove(TLS),
        }
        let settings = [
            (TLS_VERIFY, Value::Bool(true)),
            (TLS_CA, Value::String(ca)),
            (TLS_CERT, Value::String(cert)),
            (TLS_KEY, Value::String(key)),
        ];
        let mut added = Vec::new();
        for (key, value) in settings {
            added.extend(self.place(key, value, true));
        }
        let behind = self.last_of(&SETTINGS[1..]).unwrap_or(anchor);
        self.edit.insert_after(&behind, added);
        Ok(Settled {
            edit: self.edit,
            hosts_in_file: false,
            closing,
            leaves_file: !leaving.is_empty(),
            notes: self.notes,
        })
    }

    fn note_leaving(&mut self, leaving: &[&str]) {
        if leaving.is_empty() {
            return;
        }
        let (file, place) = (self.json.path().display(), self.told.place.display());
        let note = format!(
            "{} in {file}: what opens the port is a flag of {place}, and so are they now",
            leaving.join(", ")
        );
        self.notes.push(note);
    }

    fn last_of(&self, keys: &[&str]) -> Option<Flag> {
        let flags = self.told.flags.iter().filter(|flag| keys.contains(&flag.key()));
        flags.max_by_key(|flag| flag.words.end).cloned()
    }

    /// The flag that new ones are put behind.
    fn anchor(&self) -> Result<Flag, Refusal> {
        let anchor = self.last_of(&[HOSTS]).or_else(|| self.last_of(&SETTINGS));
        let anchor = anchor.expect("hosts or TLS are by flag, or this is not asked");
        match anchor.words.start < self.told.fixed {
            true => Err(self.fixed(&anchor)),
            false => Ok(anchor),
        }
    }

    fn fixed(&self, flag: &Flag) -> Refusal {
        Refusal::Fixed {
            flag: format!("--{} {}", flag.name, flag.value),
            path: self.json.path().to_owned(),
        }
    }

    /// The flags without a TCP port, and without a word of TLS; `None` where a port cannot be closed, or dockerd would not
    /// start with what the file says alone.
    fn closing(&self) -> Option<Edit> {
        let endpoint = |flag: &Flag| Endpoint::parse(&flag.value);
        let (ports, others): (Vec<Flag>, Vec<Flag>) = self
            .flags(HOSTS)
            .into_iter()
            .partition(|flag| matches!(endpoint(flag), Endpoint::Tcp { .. }));
        let handed = others
            .iter()
            .any(|flag| matches!(endpoint(flag), Endpoint::Fd(_)))
            && self.told.handed.iter().any(|text| !text.starts_with(['/', '@']));
        let fixed = ports.iter().any(|flag| flag.words.start < self.told.fixed);
        if handed || fixed || !self.file_stands_alone() {
            return None;
        }
        let mut edit = Edit::new(self.told.words);
        let mut ports = ports.iter();
        if others.is_empty() {
            match ports.next() {
                Some(port) => edit.set(port, &self.told.socket),
                None => edit.insert_after(&self.anchor().ok()?, ["-H".to_owned(), self.told.socket.clone()]),
            }
        }
        ports.for_each(|port| edit.remove(port));
        let settings = self
            .told
            .flags
            .iter()
            .filter(|flag| SETTINGS.contains(&flag.key()));
        settings.for_each(|flag| edit.remove(flag));
        Some(edit)
    }

    /// Whether dockerd starts with what the file says of TLS, and no flag.
    fn file_stands_alone(&self) -> bool {
        let switch = |key| self.json.get(key).and_then(Value::as_bool);
        let on = switch(TLS_VERIFY).is_some() || switch(TLS) == Some(true);
        let has = |key| self.json.get(key).is_some();
        !on || (has(TLS_CERT) && has(TLS_KEY) && (has(TLS_CA) || switch(TLS_VERIFY) != Some(true)))
    }
}
