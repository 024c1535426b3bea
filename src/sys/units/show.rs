//! Reading `systemctl show`: `Name=value` lines, an empty line between units.

use std::path::PathBuf;

use super::{Activity, UnitState};
use crate::base::Timestamp;

/// What is asked for.
pub(super) const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,Result,ExecMainStatus,ExecMainCode,MainPID,\
NRestarts,FragmentPath,DropInPaths,NeedDaemonReload,TriggeredBy,Triggers,Listen,EnvironmentFiles,ExecStart,\
StateChangeTimestamp";

/// `ExecMainCode` of a process that ended by itself (`CLD_EXITED`).
const EXITED: &str = "1";

/// The one unit that was asked for.
pub(super) fn parse(answer: &str) -> UnitState {
    let mut unit = UnitState::default();
    let mut exited = false;
    for line in answer.lines() {
        if let Some((name, value)) = line.split_once('=') {
            exited |= name == "ExecMainCode" && value == EXITED;
            take(&mut unit, name, value.trim());
        }
    }
    if !exited {
        unit.exit_status = None;
    }
    unit
}

/// All the units that a pattern stands for.
pub(super) fn parse_all(answer: &str) -> Vec<UnitState> {
    let units = answer.split("\n\n").map(parse);
    units.filter(|unit| !unit.id.is_empty()).collect()
}

fn take(unit: &mut UnitState, name: &str, value: &str) {
    match name {
        "Id" => unit.id = value.to_owned(),
        "LoadState" => unit.load = value.to_owned(),
        "ActiveState" => unit.activity = activity(value),
        "SubState" => unit.sub = value.to_owned(),
        "Result" => unit.result = value.to_owned(),
        "ExecMainStatus" => unit.exit_status = value.parse().ok(),
        "MainPID" => unit.main_pid = value.parse().ok().filter(|pid| *pid != 0),
        "NRestarts" => unit.restarts = value.parse().unwrap_or_default(),
        "FragmentPath" => unit.fragment = Some(value).filter(|v| !v.is_empty()).map(PathBuf::from),
        "DropInPaths" => unit.drop_ins = quoted_words(value).into_iter().map(PathBuf::from).collect(),
        "NeedDaemonReload" => unit.needs_reload = value == "yes",
        "TriggeredBy" => unit.triggered_by = words(value),
        "Triggers" => unit.triggers = words(value),
        "Listen" => unit.listen.extend(without_kind(value)),
        "EnvironmentFiles" => unit.environment_files.extend(environment_file(value)),
        "ExecStart" if unit.command.is_empty() => {
            unit.program = field(value, "path=").map(PathBuf::from);
            unit.command = field(value, "argv[]=").map(words).unwrap_or_default();
        }
        "StateChangeTimestamp" => unit.changed_at = time(value),
        _ => {}
    }
}

fn activity(word: &str) -> Activity {
    match word {
        "active" | "reloading" | "refreshing" | "maintenance" => Activity::Active,
        "activating" => Activity::Activating,
        "deactivating" => Activity::Deactivating,
        "failed" => Activity::Failed,
        _ => Activity::Inactive,
    }
}

fn words(value: &str) -> Vec<String> {
    value.split_whitespace().map(str::to_owned).collect()
}

/// Words with blanks stand in quotes, and what is odd in them is written `\x20`.
fn quoted_words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            c if quote == Some(c) => quote = None,
            '\\' => word.get_or_insert_default().extend(escaped(&mut chars)),
            c if c.is_whitespace() && quote.is_none() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What stands after a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    match chars.next()? {
        'x' => {
            let digits: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16).ok().map(char::from)
        }
        'n' => Some('\n'),
        't' => Some('\t'),
        other => Some(other),
    }
}

/// `/run/docker.sock (Stream)`
fn without_kind(value: &str) -> Option<String> {
    let (address, _) = value.rsplit_once(" (")?;
    Some(address.to_owned())
}

/// `/etc/default/docker (ignore_errors=yes)`
fn environment_file(value: &str) -> Option<(PathBuf, bool)> {
    let (path, options) = value.rsplit_once(" (")?;
    Some((PathBuf::from(path), options.contains("ignore_errors=yes")))
}

/// A field of `{ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// ; ... }`.
fn field<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let from = value.find(name)? + name.len();
    value[from..].split(" ; ").next()
}

/// `Sun 2026-11-22 14:33:05 UTC`: in UTC, because `TZ` says so.
fn time(value: &str) -> Option<Timestamp> {
    let mut parts = value.split(' ').skip(1);
    let (date, clock) = (parts.next()?, parts.next()?);
    Timestamp::parse(&format!("{date}T{clock}Z"))
}

#[cfg(test)]
mod tests;
