//! Rootless Docker: a user's unit that starts `dockerd-rootless.sh`, which starts dockerd in a network namespace of its
//! own. A port in there is reached from outside only when RootlessKit publishes it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::{config_file, finish, parse_flags, told, unit};
use crate::agent::daemon::arrangement::environment;
use crate::agent::daemon::arrangement::exec_start::ExecStart;
use crate::agent::daemon::arrangement::settings::{self, Way};
use crate::agent::daemon::arrangement::{Arrangement, Refusal, Wanted};
use crate::agent::daemon::facts::{DaemonFacts, Scope};

/// The variable with RootlessKit's own flags.
const PUBLISH: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS";

/// Decides for a user's unit.
pub(super) fn arrange(
    facts: &DaemonFacts,
    wanted: &Wanted,
    name: &str,
    scope: &Scope,
    way: Way,
) -> Result<Arrangement, Refusal> {
    refuse_unreadable(facts, wanted)?;
    let Scope::User {
        runtime_directory, ..
    } = scope
    else {
        return Err(Refusal::Unrecognised(format!("{name} is not a user's unit")));
    };
    let (unit, exec) = unit::read(facts, name, scope)?;
    if Path::new(&exec.program)
        .file_name()
        .is_none_or(|program| program != "dockerd-rootless.sh")
    {
        return Err(Refusal::Unit {
            path: exec.path.clone(),
            why: format!(
                "ExecStart= runs {}, not dockerd-rootless.sh: it is not known how",
                exec.program
            ),
        });
    }
    let words = exec.words();
    let flags = parse_flags(&words, &exec.path)?;
    let mut json = config_file(facts, &flags, &exec.path)?;
    let socket = format!("unix://{}/docker.sock", runtime_directory.display());
    let handed = unit::handed(unit);
    // Inside, every address is the namespace's own; which of the machine's is used, RootlessKit is told.
    let inside = Wanted {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), wanted.listen.port()),
        directory: wanted.directory.clone(),
    };
    let settled = settings::settle(
        &told(&flags, words.len(), &exec.path, &handed, &socket),
        &mut json,
        &inside,
        way,
    )?;
    let publish = publish(facts, &exec, wanted.listen)?;
    let drop_in = unit::drop_in(unit, &exec, &settled, publish.as_deref())?;
    let program = facts
        .program
        .as_ref()
        .map_or("dockerd".to_owned(), |program| program.path.display().to_string());
    let argv = std::iter::once(program)
        .chain(settled.edit.apply(&words))
        .collect();
    finish(facts, json, settled, argv, Some(drop_in), way)
}

/// The user's dockerd reads only what is the user's.
fn refuse_unreadable(facts: &DaemonFacts, wanted: &Wanted) -> Result<(), Refusal> {
    let own = facts.config_file.path.parent().unwrap_or(Path::new("/"));
    if wanted.directory.starts_with(own) {
        return Ok(());
    }
    Err(Refusal::Directory {
        path: wanted.directory.clone(),
        why: format!(
            "rootless Docker cannot read a key of root's: run the agent as the user that Docker runs as, with \
             files = \"{}/dockwarden\" in agent.toml",
            own.display()
        ),
    })
}

/// The assignment that publishes the port, if nothing does yet.
fn publish(facts: &DaemonFacts, exec: &ExecStart, listen: SocketAddr) -> Result<Option<String>, Refusal> {
    let own = exec.variables.get(PUBLISH).map_or("", String::as_str);
    let port = listen.port();
    let inner = format!(":{port}/tcp");
    if own.split_whitespace().any(|word| word.ends_with(&inner)) {
        return Ok(None);
    }
    let file = facts
        .options_files
        .iter()
        .find(|file| environment::parse_file(&file.contents).contains_key(PUBLISH));
    let flag = format!("-p {listen}:{port}/tcp");
    match file {
        Some(file) => Err(Refusal::Unit {
            path: file.path.clone(),
            why: format!("it sets {PUBLISH}, which no drop-in can add to: add {flag} there"),
        }),
        None => Ok(Some(format!("{PUBLISH}={}", format!("{own} {flag}").trim()))),
    }
}
