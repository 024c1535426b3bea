//! `dockwarden role learn`: the role that would allow exactly what a client was seen to use. Reads what the gate of this
//! host wrote down (`learn = true` in agent.toml), or files brought here from several hosts; asks no server.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::super::output::{printable, table};
use super::super::{Error, World, text};
use crate::base::{Span, Timestamp};
use crate::model::role::RoleSpec;
use crate::model::role::learn::{Draft, LEARNED_BYTES_MAX, LEARNED_FILE, Learned, Which};

/// Where the agent of this host keeps what it remembers, unless told otherwise.
const STATE: &str = "/var/lib/dockwarden/agent";

/// Arguments of `role learn`.
#[derive(Debug, Args)]
pub struct Learn {
    /// The client; without one, everybody of whom something was learned is listed
    client: Option<String>,
    /// Only what was asked for in the last 30m, 12h, 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Leave out what was refused
    #[arg(long)]
    allowed: bool,
    /// Form of the role
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// What was learned, here or on another host; may be repeated [default: /var/lib/dockwarden/agent/learned.json]
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// With notes
    #[default]
    Toml,
    /// With notes
    Yaml,
    /// Notes go to standard error
    Json,
}

/// Prints it.
pub fn run(args: &Learn, world: &mut World) -> Result<u8, Error> {
    let learned = read(args, world)?;
    let now = world.clock.now();
    let Some(client) = &args.client else {
        return everybody(&learned, now, world).map(|()| 0);
    };
    let which = Which {
        since: args.since.map(|since| now - since.0),
        allowed_only: args.allowed,
    };
    let draft = learned
        .draft(client, which)
        .map_err(|error| Error::Found(error.to_string()))?;
    let Draft { mut role, notes } = draft;
    role.description = format!("what {} asked for until {}", printable(client), now.trunc_secs());
    let text = match args.output {
        Form::Toml => commented(&notes) + &toml(&role),
        Form::Yaml => commented(&notes) + &yaml(&role),
        Form::Json => {
            notes
                .iter()
                .for_each(|note| world.note(format!("  {}", printable(note))));
            serde_json::to_string_pretty(&role).expect("strings, lists and flags are always JSON")
        }
    };
    world.say(text.trim_end())?;
    world.note(
        "  read it through; then: dockwarden role create NAME --file FILE, dockwarden role bind CLIENT NAME",
    );
    Ok(0)
}

fn read(args: &Learn, world: &World) -> Result<Learned, Error> {
    let usual = [Path::new(STATE).join(LEARNED_FILE)];
    let paths = if args.from.is_empty() {
        &usual[..]
    } else {
        &args.from
    };
    let mut all = Learned::default();
    for path in paths {
        let path = world.absolute(path)?;
        let Some(bytes) = world.files.read_if_any(&path, LEARNED_BYTES_MAX)? else {
            return Err(Error::Found(format!(
                "nothing was learned: there is no {}; write learn = true into agent.toml on a host with mode \"gate\", restart \
                 its agent, and let clients do their work (or name another file: --from)",
                path.display()
            )));
        };
        let learned = Learned::parse(&bytes).map_err(|error| {
            Error::Found(format!(
                "{} holds nothing that was learned: {error}",
                path.display()
            ))
        })?;
        all.merge(learned);
    }
    Ok(all)
}

fn everybody(learned: &Learned, now: Timestamp, world: &mut World) -> Result<(), Error> {
    let rows = learned.clients.iter().map(|(client, of)| {
        let spans = [of.allowed.span(), of.refused.span()];
        let last = spans.into_iter().flatten().map(|seen| seen.last).max();
        let first = spans.into_iter().flatten().map(|seen| seen.first).min();
        let ago = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| text::relative(at, now));
        vec![
            printable(client),
            of.allowed.operations.len().to_string(),
            of.refused.operations.len().to_string(),
            ago(first),
            ago(last),
        ]
    });
    let headers = ["CLIENT", "ALLOWED", "REFUSED", "FIRST", "LAST"].map(str::to_owned);
    let lines = table(headers.into(), rows.collect());
    lines.into_iter().try_for_each(|line| world.say(line))
}

fn commented(notes: &[String]) -> String {
    notes.iter().fold(String::new(), |mut text, note| {
        let _ = writeln!(text, "# {}", printable(note));
        text
    })
}

/// A value as JSON, which is the same in TOML and YAML for strings without control characters, flags and lists of them.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, lists and flags are always JSON")
}

/// The rules that say something, by name.
fn rules(role: &RoleSpec) -> Vec<(String, serde_json::Value)> {
    let rules = serde_json::to_value(&role.rules).expect("lists and flags are always JSON");
    match rules {
        serde_json::Value::Object(rules) => rules.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Lists one entry a line: people read them, and diffs show them.
fn toml(role: &RoleSpec) -> String {
    let mut text = format!("description = {}\n", json(&role.description));
    let mut list = |key: &str, value: &serde_json::Value| match value.as_array() {
        Some(items) => {
            let _ = writeln!(text, "{key} = [");
            for item in items {
                let _ = writeln!(text, "    {},", json(item));
            }
            text.push_str("]\n");
        }
        None => {
            let _ = writeln!(text, "{key} = {}", json(value));
        }
    };
    list("allow", &role.allow.clone().into());
    if role.rules.is_some() {
        text.push_str("\n# What is not listed here is refused.\n[rules]\n");
    }
    let mut list = |key: &str, value: &serde_json::Value| {
        let _ = writeln!(text, "{key} = {}", json(value));
    };
    rules(role).iter().for_each(|(key, value)| list(key, value));
    text
}

fn yaml(role: &RoleSpec) -> String {
    let mut text = format!("description: {}\nallow:\n", json(&role.description));
    for entry in &role.allow {
        let _ = writeln!(text, "  - {}", json(entry));
    }
    if role.rules.is_some() {
        text.push_str("# What is not listed here is refused.\nrules:");
        let rules = rules(role);
        text.push_str(if rules.is_empty() { " {}\n" } else { "\n" });
        for (key, value) in rules {
            let _ = writeln!(text, "  {key}: {}", json(&value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::read as read_role;
    use super::*;
    use crate::model::role::BodyRules;

    #[test]
    fn what_is_printed_is_a_role_file_in_three_languages() {
        let full = BodyRules {
            privileged: true,
            binds: vec!["/srv/ü \"quoted\" \\ back".to_owned(), "/srv/a:ro".to_owned()],
            security_opt: vec!["label=type:x # y".to_owned(), "{[: yes".to_owned()],
            host_namespaces: vec![crate::model::role::Namespace::Net],
            ..BodyRules::default()
        };
        for rules in [BodyRules::default(), full] {
            let role = RoleSpec {
                description: "what ci: asked # for".to_owned(),
                allow: vec!["SystemPing".to_owned(), "ContainerCreate".to_owned()],
                deny: Vec::new(),
                rules: Some(rules),
            };
            let notes = commented(&["refused then: ContainerKill".to_owned(), "two\nlines".to_owned()]);
            for (name, text) in [
                ("r.toml", notes.clone() + &toml(&role)),
                ("r.yaml", notes.clone() + &yaml(&role)),
                ("r.json", json(&role)),
            ] {
                let read = read_role(Path::new(name), &text);
                assert_eq!(read.as_ref(), Ok(&role), "{text}");
            }
        }
    }
}
