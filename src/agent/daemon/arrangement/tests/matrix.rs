//! The starting configurations of `tests/last-metre/matrix`, without a host: what is decided for each, and that each
//! write on the way leaves a dockerd that starts.

use std::fs;

use super::model;
use super::properties::check;
use super::*;

/// What only a real host tells: what `dockerd --validate` says, a disk that refuses, a process, another tool.
const HOST_ONLY: [&str; 4] = [
    "11-json-unknown-key",
    "24-json-mounted",
    "47-by-hand",
    "48-tool-takes-it-back",
];

struct Row {
    name: String,
    directory: PathBuf,
    expect: String,
}

fn rows() -> Vec<Row> {
    let matrix = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/last-metre/matrix");
    let entries = fs::read_dir(&matrix).unwrap().map(|entry| entry.unwrap().path());
    let mut rows: Vec<Row> = entries
        .filter(|path| path.is_dir())
        .map(|directory| Row {
            name: directory.file_name().unwrap().to_str().unwrap().to_owned(),
            expect: fs::read_to_string(directory.join("expect")).unwrap(),
            directory,
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

impl Row {
    fn value(&self, key: &str) -> Option<&str> {
        self.expect
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.directory.join("root").join(path.trim_start_matches('/'))).ok()
    }

    fn text(&self, path: &str) -> Option<String> {
        self.read(path).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// The drop-ins of a unit, by name.
    fn drop_ins(&self, unit: &str) -> Vec<(String, String)> {
        let path = format!("/etc/systemd/system/{unit}.d");
        let entries = fs::read_dir(self.directory.join("root").join(&path[1..]))
            .into_iter()
            .flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
            .into_iter()
            .map(|name| (name.clone(), self.text(&format!("{path}/{name}")).unwrap()))
            .collect()
    }

    /// What would be found on the host.
    fn facts(&self) -> DaemonFacts {
        let setup = fs::read_to_string(self.directory.join("setup")).unwrap_or_default();
        let own = self.text("/etc/systemd/system/docker.service");
        let mut facts = systemd(own.as_deref().unwrap_or(DEBIAN));
        for (name, text) in self.drop_ins("docker.service") {
            facts = with_drop_in(facts, &name, &text);
        }
        let unit = facts.unit.as_mut().unwrap();
        if let Some(sed) = setup.find("s,-H fd://,").map(|at| &setup[at..]) {
            let mut parts = sed.split(',').skip(1);
            let (from, to) = (parts.next().unwrap(), parts.next().unwrap());
            unit.fragment.contents = unit.fragment.contents.replace(from, to);
        }
        for (_, text) in self.drop_ins("docker.socket") {
            let ports = text.lines().filter_map(|line| line.strip_prefix("ListenStream="));
            unit.sockets[0]
                .listen
                .extend(ports.map(|port| match port.contains(':') {
                    true => port.to_owned(),
                    false => format!("[::]:{port}"),
                }));
        }
        if setup.contains("mask docker.socket") {
            unit.sockets.clear();
        }
        let line = unit
            .drop_ins
            .iter()
            .find_map(|file| file.contents.split("--config-file=").nth(1));
        let named = line
            .and_then(|rest| rest.split_whitespace().next())
            .map(PathBuf::from);
        let link = setup
            .split("ln -s ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        facts.config_file.named_by_flag = named.is_some();
        facts.config_file.path = named.unwrap_or(facts.config_file.path);
        let path = link.unwrap_or(facts.config_file.path.to_str().unwrap());
        facts.config_file.contents = self.read(path);
        for path in ["/etc/default/docker", "/etc/sysconfig/docker"] {
            if let Some(text) = self.text(path) {
                facts = with_options(facts, path, &text);
            }
        }
        if self.value("dockerd") == Some("stopped") {
            facts.state = DaemonState::Stopped;
        }
        facts
    }
}

#[test]
fn every_starting_configuration_ends_as_expected() {
    let rows = rows();
    assert!(rows.len() >= 30, "only {}", rows.len());
    for row in rows.iter().filter(|row| !HOST_ONLY.contains(&row.name.as_str())) {
        println!("{}", row.name);
        let facts = row.facts();
        let outcome = check(&facts);
        let ends = row.value("ends").unwrap();
        match (ends.strip_prefix("refused"), outcome) {
            // dockerd is down: that alone is why nothing is done.
            (Some(_), Ok(_)) if row.value("dockerd") == Some("fails") => {
                assert!(model::start(&facts).is_err(), "{} would start", row.name);
            }
            (Some(words), Err(refusal)) => {
                let word = words.trim().trim_matches('.');
                assert!(refusal.to_string().contains(word), "{}: {refusal}", row.name);
            }
            (None, Ok(_)) => check_kept(row, &facts),
            (_, outcome) => panic!("{} ends {ends}, and this came out: {outcome:?}", row.name),
        }
    }
}

/// What belongs to others is still there.
fn check_kept(row: &Row, facts: &DaemonFacts) {
    let arrangement = arrange(facts, &wanted()).unwrap();
    if let Some(text) = row.value("keeps") {
        let config = String::from_utf8(arrangement.config).unwrap();
        assert!(config.contains(text), "{}: {config}", row.name);
    }
    if let Some(text) = row.value("argv") {
        assert!(
            arrangement.argv.join(" ").contains(text),
            "{}: {:?}",
            row.name,
            arrangement.argv
        );
    }
}
