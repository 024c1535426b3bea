//! A dockerd that something else than systemd starts: a service script, a command of the admin's, the snap. Its flags
//! can be changed where a file of options gives them; the others are whoever's who starts it, and stay.

use std::path::{Path, PathBuf};

use super::{FlagsFile, SOCKET, config_file, finish, parse_flags, told};
use crate::agent::daemon::arrangement::flags::{Edit, Flag};
use crate::agent::daemon::arrangement::options_file::Options;
use crate::agent::daemon::arrangement::settings::{self, Told, Way};
use crate::agent::daemon::arrangement::{Arrangement, Refusal, Wanted};
use crate::agent::daemon::facts::{DaemonFacts, OptionsFile};

/// Decides for it.
pub(super) fn arrange(
    facts: &DaemonFacts,
    wanted: &Wanted,
    files: &[OptionsFile],
    way: Way,
) -> Result<Arrangement, Refusal> {
    let options = Options::read(files)?;
    let place = options.place().unwrap_or(PathBuf::from("the command line"));
    let given = options.words();
    let (program, mut words) = fixed(facts, &parse_flags(&given, &place)?)?;
    let fixed_words = words.len();
    words.extend(given);
    let flags = parse_flags(&words, &place)?;
    let mut json = config_file(facts, &flags, &place)?;
    let told = Told {
        fixed: fixed_words,
        ..told(&flags, words.len(), &place, &[], SOCKET)
    };
    let settled = settings::settle(&told, &mut json, wanted, way)?;
    refuse_fixed(&settled.edit, &flags, &words[..fixed_words], json.path())?;
    refuse_removed(&settled.edit, &flags, &place)?;
    let then = rewritten(&options, &settled.edit, fixed_words)?;
    let closing = settled
        .closing
        .as_ref()
        .map(|closing| closing_file(&options, closing, &flags, &place, fixed_words));
    let closing = closing.and_then(Result::ok);
    let flags_file = flags_file(then, closing);
    let argv = std::iter::once(program)
        .chain(settled.edit.apply(&words))
        .collect();
    finish(facts, json, settled, argv, flags_file, way)
}

type Rewritten<'a> = Option<(&'a OptionsFile, String)>;

/// The file of options that changes, with its text; `None`: none does.
fn rewritten<'a>(options: &Options<'a>, edit: &Edit, fixed_words: usize) -> Result<Rewritten<'a>, Refusal> {
    let changed = Edit {
        slots: edit.slots[fixed_words..].to_vec(),
    };
    options.rewrite(&changed)
}

fn closing_file<'a>(
    options: &Options<'a>,
    closing: &Edit,
    flags: &[Flag],
    place: &Path,
    fixed_words: usize,
) -> Result<Rewritten<'a>, Refusal> {
    refuse_removed(closing, flags, place)?;
    rewritten(options, closing, fixed_words)
}

/// As it is, as it is to be, and on the way.
fn flags_file(then: Rewritten<'_>, closing: Option<Rewritten<'_>>) -> Option<FlagsFile> {
    let on_the_way = closing.as_ref().and_then(Option::as_ref);
    let (file, _) = then.as_ref().or(on_the_way)?;
    let bytes = |rewritten: &Rewritten<'_>| match rewritten {
        Some((_, text)) => Some(text.clone().into_bytes()),
        None => Some(file.contents.clone().into_bytes()),
    };
    let elsewhere = on_the_way.is_some_and(|(other, _)| other.path != file.path);
    Some(FlagsFile {
        path: file.path.clone(),
        now: bytes(&None),
        then: bytes(&then),
        closing: closing.as_ref().filter(|_| !elsewhere).map(bytes),
        reload_units: false,
    })
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
