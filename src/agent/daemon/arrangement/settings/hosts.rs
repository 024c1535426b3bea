//! Where dockerd listens: the hosts that are there, and ours among them.

use std::net::SocketAddr;

use serde_json::Value;

use super::Desk;
use crate::agent::daemon::arrangement::daemon_json;
use crate::agent::daemon::arrangement::flags::Endpoint;

impl Desk<'_> {
    /// Adds our host, or lets it take the place of those that are in its way.
    pub(super) fn place_hosts(&mut self, listen: SocketAddr) {
        let flags = self.flags(daemon_json::HOSTS);
        let by_file = self.json.list(daemon_json::HOSTS);
        if flags.is_empty() {
            return self.place_hosts_in_file(by_file, listen);
        }
        if self.json.has(daemon_json::HOSTS) {
            self.note_hosts_twice(&by_file, listen);
            self.json.remove(daemon_json::HOSTS);
        }
        let texts: Vec<String> = flags.iter().map(|flag| flag.value.clone()).collect();
        let hosts = self.hosts(&texts, listen);
        let mut ours = hosts.ours;
        for (flag, _) in flags.iter().zip(&hosts.kept).filter(|(_, kept)| !**kept) {
            match ours.take() {
                Some(host) => self.edit.set(flag, &host),
                None => self.edit.remove(flag),
            }
        }
        let last = flags.last().expect("not empty, checked above");
        let added = ours.into_iter().flat_map(|host| ["-H".to_owned(), host]);
        self.edit.insert_after(last, added);
    }

    /// With hosts in both places dockerd does not start. Those of the file cannot be kept: a drop-in repeats what the
    /// unit says, and the unit does not say them.
    fn note_hosts_twice(&mut self, by_file: &[String], listen: SocketAddr) {
        let (path, place) = (self.json.path().display(), self.told.place.display());
        let mut note = format!(
            "hosts stood in {path} and among the flags in {place}, and dockerd does not start then: the flags stay"
        );
        let lost = by_file.iter().filter(|text| {
            let endpoint = Endpoint::parse(text);
            matches!(endpoint, Endpoint::Tcp { .. }) && !endpoint.meets(listen.ip(), listen.port())
        });
        for host in lost {
            note.push_str(&format!(
                "; {host} goes: where it is still wanted, add -H {host} in {place}"
            ));
        }
        self.notes.push(note);
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
        let ports = self
            .told
            .handed
            .iter()
            .filter(|text| !text.starts_with(['/', '@']));
        let handed: Vec<&String> = ports.filter(|_| handed_over).collect();
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
