//! A dockerd that something else than systemd starts: a service script, a command of the admin's, the snap. Its flags
//! can be changed where a file of options gives them; the others are whoever's who starts it, and stay.

use std::path::{Path, PathBuf};

use super::{SOCKET, config_file, file_change, finish, parse_flags, told, unit};
use crate::agent::daemon::arrangement::flags::{Edit, Flag};
use crate::agent::daemon::arrangement::options_file::Options;
use crate::agent::daemon::arrangement::settings;
use crate::agent::daemon::arrangement::{Arrangement, FileChange, Refusal, Wanted};
use crate::agent::daemon::facts::{DaemonFacts, OptionsFile};

/// Decides for it.
pub(super) fn arrange(
    facts: &DaemonFacts,
    wanted: &Wanted,
    files: &[OptionsFile],
) -> Result<Arrangement, Refusal> {
    let options = Options::read(files)?;
    let place = options.place().unwrap_or(PathBuf::from("the command line"));
    let given = options.words();
    let (program, mut words) = fixed(facts, &parse_flags(&given, &place)?)?;
    let fixed_words = words.len();
    words.extend(given);
    let flags = parse_flags(&words, &place)?;
    let mut json = config_file(facts, &flags, &place)?;
    let settled = settings::settle(&told(&flags, words.len(), &place, &[], SOCKET), &mut json, wanted)?;
    refuse_fixed(&settled.edit, &flags, &words[..fixed_words], json.path())?;
    refuse_removed(&settled.edit, &flags, &place)?;
    let changed = Edit {
        slots: settled.edit.slots[fixed_words..].to_vec(),
    };
    let options_change = options.rewrite(&changed)?.map(|(file, text)| FileChange {
        path: file.path.clone(),
        before: Some(file.contents.clone().into_bytes()),
        after: Some(text.into_bytes()),
        reload_units: false,
    });
    let changes = unit::in_order(file_change(facts, &json)?, options_change, settled.hosts_in_file);
    let argv = std::iter::once(program)
        .chain(settled.edit.apply(&words))
        .collect();
    finish(facts, json, settled, argv, changes)
}

/// The program, and the words that it is given besides those of the options files: what runs now has them.
fn fixed(facts: &DaemonFacts, given: &[Flag]) -> Result<(String, Vec<String>), Refusal> {
    let Some(process) = facts.process.as_ref().filter(|process| !process.argv.is_empty()) else {
        let program = facts
            .program
            .as_ref()
            .map(|program| program.path.display().to_string());
        let unknown = || {
            Refusal::Unrecognised(
                "dockerd does not run, and its program was not found: start it once".to_owned(),
            )
        };
        return Ok((program.ok_or_else(unknown)?, Vec::new()));
    };
    let program = process.argv[0].clone();
    let name = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    if !name.starts_with("dockerd") {
        return Err(Refusal::Unrecognised(format!(
            "the Docker daemon runs as {program}, not as dockerd: it is older than 1.12, which knows no daemon.json; upgrade it"
        )));
    }
    let words = process.argv[1..].to_vec();
    let flags = parse_flags(&words, Path::new("the command line"))?;
    let own = |flag: &&Flag| !given.iter().any(|given| given.key() == flag.key());
    let mut kept: Vec<usize> = flags
        .iter()
        .filter(own)
        .flat_map(|flag| flag.words.clone())
        .collect();
    kept.dedup();
    Ok((program, kept.into_iter().map(|at| words[at].clone()).collect()))
}

/// A kind of flag that would go altogether: until dockerd is restarted, what runs has it, and cannot be told from what
/// the script adds.
fn refuse_removed(edit: &Edit, flags: &[Flag], place: &Path) -> Result<(), Refusal> {
    let goes = |flag: &Flag| {
        edit.slots[flag.words.end - 1].dropped && edit.slots[flag.words.end - 1].then.is_empty()
    };
    let gone = flags
        .iter()
        .find(|flag| goes(flag) && !flags.iter().any(|other| other.name == flag.name && !goes(other)));
    match gone {
        Some(flag) => Err(Refusal::Options {
            path: place.to_owned(),
            line: 1,
            why: format!(
                "--{} has no effect without --tls or --tlsverify: take it out",
                flag.name
            ),
        }),
        None => Ok(()),
    }
}

/// A flag that would have to change where it cannot.
fn refuse_fixed(edit: &Edit, flags: &[Flag], words: &[String], path: &Path) -> Result<(), Refusal> {
    let touched = |at: usize| at < words.len() && (edit.slots[at].dropped || !edit.slots[at].then.is_empty());
    match flags.iter().find(|flag| flag.words.clone().any(touched)) {
        Some(flag) => Err(Refusal::Fixed {
            flag: words[flag.words.clone()].join(" "),
            path: path.to_owned(),
        }),
        None => Ok(()),
    }
}
