//! The form of `daemon.json`: what dockerd reads otherwise than people do, and who else writes it.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::examined::{Docker, Examined, is_default_config};
use super::super::{Finding, Says};
use crate::agent::daemon::facts::Layout;

/// Byte order mark, UTF-16, duplicate keys, and what is no JSON at all.
pub(super) fn form(examined: &Examined) -> Vec<Finding> {
    let says = Says("daemon-json");
    let Some(docker) = &examined.docker else {
        return Vec::new();
    };
    let file = &docker.facts.config_file;
    let path = file.path.display();
    let Some(bytes) = file.contents.as_deref() else {
        return match file.named_by_flag {
            true => vec![says.critical(
                format!("{path} is named by --config-file and does not exist: dockerd would not start again"),
                format!("create it: echo '{{}}' > {path}"),
            )],
            false => vec![says.ok(format!("there is no {path}: dockerd has its defaults"))],
        };
    };
    let (text, mut found) = decode(bytes, &path.to_string());
    let Some(text) = text else {
        return found;
    };
    if !text.trim().is_empty() {
        found.extend(content(&text, &path.to_string()));
    }
    if found.is_empty() {
        found.push(says.ok(format!("{path} is plain JSON, every key once")));
    }
    found
}

/// The text, and what is to be said of its encoding.
fn decode(bytes: &[u8], path: &str) -> (Option<String>, Vec<Finding>) {
    let says = Says("daemon-json");
    let mark = |kind: &str| {
        says.notice(
            format!("{path} begins with {kind}: dockerd before 23.0 and many tools do not read it"),
            format!("save it as UTF-8 without a byte order mark: sed -i '1s/^\\xEF\\xBB\\xBF//' {path} (UTF-16: iconv -f UTF-16 -t UTF-8)"),
        )
    };
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text = char::decode_utf16(units).collect::<Result<String, _>>();
        text.ok().filter(|_| bytes.len().is_multiple_of(2))
    };
    let (text, found) = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (
            String::from_utf8(rest.to_vec()).ok(),
            vec![mark("a byte order mark")],
        ),
        [0xFF, 0xFE, rest @ ..] => (utf16(rest, u16::from_le_bytes), vec![mark("the mark of UTF-16")]),
        [0xFE, 0xFF, rest @ ..] => (utf16(rest, u16::from_be_bytes), vec![mark("the mark of UTF-16")]),
        _ => (String::from_utf8(bytes.to_vec()).ok(), Vec::new()),
    };
    match text {
        Some(text) => (Some(text), found),
        None => (None, vec![unreadable(path, "it is not text")]),
    }
}

fn unreadable(path: &str, why: &str) -> Finding {
    Says("daemon-json").critical(
        format!("{path} is not what dockerd reads: {why}; it would not start again"),
        format!("correct it, then: dockerd --validate --config-file {path} (23.0 and later), or python3 -m json.tool {path}"),
    )
}

fn content(text: &str, path: &str) -> Vec<Finding> {
    let says = Says("daemon-json");
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let hint = match error.to_string().contains("trailing comma") {
            true => "a comma before the closing bracket",
            false => "plain JSON has no comments, and a comma only between entries",
        };
        return vec![unreadable(path, &format!("{error} ({hint})"))];
    }
    let keys = match serde_json::from_str::<Keys>(text) {
        Ok(Keys(keys)) => keys,
        Err(_) => return vec![unreadable(path, "the outermost thing is no object, { … }")],
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    for key in &keys {
        match seen.contains(&key.as_str()) {
            true if !twice.contains(&key.as_str()) => twice.push(key),
            true => {}
            false => seen.push(key),
        }
    }
    let lines = |key: &str| {
        let quoted = format!("\"{key}\"");
        let with = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(&quoted));
        let numbers: Vec<String> = with.map(|(index, _)| (index + 1).to_string()).collect();
        numbers.join(" and ")
    };
    let tell = |key: &&str| {
        says.warning(
            format!(
                "{path} has {key:?} more than once (line {}): the last one counts, whatever the others say",
                lines(key)
            ),
            format!("remove all but the one that is meant from {path}"),
        )
    };
    twice.iter().map(tell).collect()
}

/// The keys of an object, in their order, repeated ones included.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Outermost;
        impl<'de> Visitor<'de> for Outermost {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Keys, A::Error> {
                Err(serde::de::Error::custom("a list"))
            }
        }
        deserializer.deserialize_any(Outermost)
    }
}

/// Marks that tools leave in what they write, and which tool that is.
const MARKS: [(&str, &str); 9] = [
    ("ansible managed", "Ansible"),
    ("managed by puppet", "Puppet"),
    ("generated by chef", "Chef"),
    ("managed by chef", "Chef"),
    ("managed by salt", "Salt"),
    ("managed by terraform", "Terraform"),
    ("cloud-init", "cloud-init"),
    ("10-machine.conf", "docker-machine"),
    ("nvidia-container-runtime", "nvidia-ctk"),
];

/// Another tool that writes dockerd's configuration: it would undo what the agent does, and the agent what it does.
pub(super) fn owner(examined: &Examined) -> Vec<Finding> {
    let says = Says("other-tool");
    let Some(docker) = &examined.docker else {
        return Vec::new();
    };
    let path = docker.facts.config_file.path.display();
    let mut found: Vec<Finding> = Vec::new();
    if let Some(target) = &docker.config_target {
        found.push(says.notice(
            format!(
                "{path} is a link to {}: whatever keeps that file writes dockerd's configuration",
                target.display()
            ),
            "make the change there, or let one of the two alone",
        ));
    }
    for (file, tool) in marked(docker) {
        found.push(says.notice(
            format!("{file} looks like {tool} writes it: in mode daemon, it and the agent must not disagree"),
            format!("leave hosts, tls* and live-restore out of what {tool} writes"),
        ));
    }
    if let Layout::Snap { unit } = &docker.facts.layout {
        found.push(says.notice(
            format!("dockerd is a snap ({unit}): a refresh replaces it, and it reads only files below its own directory"),
            "use mode = \"gate\", which leaves dockerd's configuration alone",
        ));
    } else if !is_default_config(&docker.facts.config_file.path) && docker.facts.config_file.named_by_flag {
        found.push(says.ok(format!("dockerd reads {path}, as --config-file says")));
    }
    if found.is_empty() {
        found.push(says.ok(format!("nobody else is known to write {path}")));
    }
    found
}

fn marked(docker: &Docker) -> Vec<(String, &'static str)> {
    let facts = &docker.facts;
    let config = facts.config_file.contents.as_deref().map(String::from_utf8_lossy);
    let config = config.map(|text| (facts.config_file.path.display().to_string(), text.into_owned()));
    let options = facts.options_files.iter();
    let options = options.map(|file| (file.path.display().to_string(), file.contents.clone()));
    let units = facts.unit.iter().flat_map(|unit| &unit.drop_ins);
    // A drop-in's name is a mark as well.
    let units = units.map(|file| {
        let path = file.path.display().to_string();
        (path.clone(), format!("{path}\n{}", file.contents))
    });
    let texts = config.into_iter().chain(options).chain(units);
    texts
        .filter_map(|(path, text)| {
            let text = text.to_ascii_lowercase();
            let mark = MARKS.iter().find(|(mark, _)| text.contains(mark));
            mark.map(|(_, tool)| (path, *tool))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{self, Critical, Notice, Ok as Fine, Warning};
    use super::super::fixture::*;
    use super::*;

    fn with(contents: Option<&[u8]>) -> Examined {
        let mut examined = examined();
        let file = &mut examined.docker.as_mut().unwrap().facts.config_file;
        file.contents = contents.map(<[u8]>::to_vec);
        examined
    }

    #[test]
    fn the_form_of_the_file_is_told_as_dockerd_takes_it() {
        let utf16: Vec<u8> = [0xFF, 0xFE]
            .into_iter()
            .chain("{\"debug\": true}".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        let rows: [(Option<&[u8]>, Severity, &str); 12] = [
            (None, Fine, "there is no"),
            (Some(b""), Fine, "plain JSON"),
            (Some(b"{\"debug\": true}"), Fine, "plain JSON"),
            (Some(b"\xEF\xBB\xBF{}"), Notice, "byte order mark"),
            (Some(&utf16), Notice, "UTF-16"),
            (
                Some(b"{\"debug\": true,}"),
                Critical,
                "a comma before the closing bracket",
            ),
            (Some(b"{\n// no\n}"), Critical, "line 2"),
            (Some(b"[]"), Critical, "no object"),
            (Some(b"\xFF\xFE{"), Critical, "not text"),
            (Some(b"\x80{}"), Critical, "not text"),
            (
                Some(b"{\"a\": 1,\n\"hosts\": [],\n\"hosts\": [1]}"),
                Warning,
                "(line 2 and 3)",
            ),
            (Some(b"{\"a\": {\"b\": 1, \"b\": 2}}"), Fine, "plain JSON"),
        ];
        for (contents, severity, words) in rows {
            let found = one(form(&with(contents)));
            assert_eq!(found.severity, severity, "{contents:?}: {found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_named_file_that_is_missing_keeps_dockerd_from_starting() {
        let mut examined = with(None);
        examined.docker.as_mut().unwrap().facts.config_file.named_by_flag = true;
        assert_eq!(one(form(&examined)).severity, Critical);
    }

    #[test]
    fn other_tools_are_known_by_what_they_leave() {
        assert_eq!(one(owner(&with(None))).severity, Fine);
        let nvidia = with(Some(
            b"{\"runtimes\": {\"nvidia\": {\"path\": \"nvidia-container-runtime\"}}}",
        ));
        assert!(one(owner(&nvidia)).seen.contains("nvidia-ctk"));
        let mut machine = with(None);
        let mut unit = unit(None);
        unit.drop_ins = vec![file(
            "/etc/systemd/system/docker.service.d/10-machine.conf",
            "[Service]\n",
        )];
        machine.docker.as_mut().unwrap().facts.unit = Some(unit);
        assert!(one(owner(&machine)).seen.contains("docker-machine"));
        let mut ansible = with(None);
        let facts = &mut ansible.docker.as_mut().unwrap().facts;
        facts.options_files = vec![options("/etc/default/docker", "# Ansible managed\n")];
        assert!(one(owner(&ansible)).seen.contains("Ansible"));
        let mut link = with(None);
        link.docker.as_mut().unwrap().config_target = Some("/nix/store/x".into());
        assert_eq!(one(owner(&link)).severity, Notice);
    }
}
