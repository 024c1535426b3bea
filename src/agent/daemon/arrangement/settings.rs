//! What dockerd is told now, by flag and by file, and what it should be told: where each setting goes, and what is
//! taken over. The rules of `docs/adr/0006-flags-stay-flags.md` and `docs/adr/0011-one-file-opens-and-guards.md`, and
//! nothing about where flags are written down.

mod hosts;
mod tls;
mod together;

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
    /// What a socket unit hands over, as systemd writes it; nothing where there is none.
    pub handed: &'a [String],
    /// Where it listens when nothing says so: `unix:///var/run/docker.sock`.
    pub socket: String,
    /// So many words, the first ones, are not ours to change.
    pub fixed: usize,
}

/// Where what opens the port stands, and what asks for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one file: whoever overwrites another one opens nothing.
    Together,
    /// Each where its kind already is.
    Apart,
}

/// What it should be told.
pub struct Settled {
    /// The change to the flags.
    pub edit: Edit,
    /// Whether `hosts` is in the file, not among the flags.
    pub hosts_in_file: bool,
    /// The flags without any TCP port, for the time in which settings move; `None`: that cannot be.
    pub closing: Option<Edit>,
    /// Whether settings of TLS leave the configuration file for the flags: only while the port is closed.
    pub leaves_file: bool,
    /// What was found.
    pub notes: Vec<String>,
}

/// Decides, and writes the file's part into `json`.
///
/// # Errors
/// When dockerd cannot start as it is for a reason that is not ours to decide.
pub fn settle(told: &Told<'_>, json: &mut DaemonJson, wanted: &Wanted, way: Way) -> Result<Settled, Refusal> {
    refuse_conflicts(told, json)?;
    refuse_unsocketed(told, json)?;
    let mut desk = Desk {
        told,
        json,
        edit: Edit::new(told.words),
        notes: Vec::new(),
    };
    desk.note_weak_tls();
    let hosts_in_file = desk.flags(daemon_json::HOSTS).is_empty();
    let tls_by_flag = desk.tls_by_flag() && !desk.json.has(daemon_json::HOSTS);
    if way == Way::Together && (!hosts_in_file || tls_by_flag) {
        return desk.place_together(wanted);
    }
    desk.place_tls(wanted, hosts_in_file)?;
    desk.place_hosts(wanted.listen);
    desk.note_apart(hosts_in_file);
    Ok(Settled {
        edit: desk.edit,
        hosts_in_file,
        closing: None,
        leaves_file: false,
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

/// `fd://` without a socket unit: dockerd does not start.
fn refuse_unsocketed(told: &Told<'_>, json: &DaemonJson) -> Result<(), Refusal> {
    let asks = |text: &str| matches!(Endpoint::parse(text), Endpoint::Fd(_));
    let by_flag = told
        .flags
        .iter()
        .any(|flag| flag.key() == daemon_json::HOSTS && asks(&flag.value));
    let by_file = json.list(daemon_json::HOSTS).iter().any(|text| asks(text));
    if !told.handed.is_empty() || !(by_flag || by_file) {
        return Ok(());
    }
    Err(Refusal::Unit {
        path: if by_flag { told.place.clone() } else { json.path().to_owned() },
        why: "dockerd is told fd://, and no socket unit hands it a socket: it does not start; enable docker.socket, or \
              write unix:///var/run/docker.sock instead"
            .to_owned(),
    })
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
}
