//! What quickstart tells: one line for each part, then commands ready to paste.

use super::QuickstartArgs;
use super::data::Data;
use crate::app::commands;
use crate::app::server::layout::{Layout, ROOT};
use crate::base::encoding;
use crate::cli::client::EnrolledClient;
use crate::cli::profile::{Profile, default_profile};

/// The CA's line.
pub fn authority(data: &Data) -> anyhow::Result<()> {
    let root = Layout::new(data.server()).read_certificate(ROOT)?;
    let fingerprint = encoding::hex(&root.fingerprint[..4]);
    let pairs: Vec<&str> = (0..4).map(|i| &fingerprint[2 * i..2 * i + 2]).collect();
    println!(
        "  ✓ certificate authority   {:<28} root {}:…  (key encrypted, passphrase in {}/passphrase)",
        format!("{}/server", data.shown()),
        pairs.join(":"),
        data.shown()
    );
    Ok(())
}

/// The client's line.
pub fn person(person: &EnrolledClient, context: &str) {
    match person.contexts.first() {
        Some(name) => println!(
            "  ✓ client                  {:<28} docker context {name:?}",
            person.name.to_string()
        ),
        None => println!(
            "  ! client                  {:<28} no docker context: {context:?} is somebody else's; choose another name with --context",
            person.name.to_string()
        ),
    }
}

/// What to try, how to stop, how to clean up.
pub fn what_next(args: &QuickstartArgs, data: &Data, profile: &Profile, context: Option<&str>) {
    let program = program();
    let world = commands::world();
    let default = default_profile(&world).and_then(|path| Profile::read(&world, &path).ok());
    let here = default.is_some_and(|default| default == *profile);
    let with_profile = if here {
        String::new()
    } else {
        format!(" --profile {}/server/admin", data.shown())
    };
    let mut tries = Vec::new();
    if let Some(context) = context {
        tries.push(format!("docker --context {context} version"));
        tries.push(format!("docker --context {context} run --rm hello-world"));
    }
    tries.push(format!("{program} cert ls{with_profile}"));
    tries.push(format!("{program} audit ls{with_profile}"));
    println!();
    for (index, line) in tries.iter().enumerate() {
        println!("  {:<7}{line}", if index == 0 { "Try:" } else { "" });
    }
    let elsewhere = match args.data_dir.to_str() {
        Some("dockwarden-data") => String::new(),
        _ => format!(" --data-dir {}", data.shown()),
    };
    println!(
        "  Stop:  Ctrl-C.  Continue later: same command.  Remove everything: {program} quickstart --remove{elsewhere}"
    );
}

/// What to type for this program: its name when the shell finds it by that, else the way to it.
fn program() -> String {
    const NAME: &str = "dockwarden";
    let Ok(executable) = std::env::current_exe() else {
        return NAME.to_owned();
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|directory| directory.join(NAME) == executable) {
        return NAME.to_owned();
    }
    let near = std::env::current_dir().ok().and_then(|here| {
        let relative = executable.strip_prefix(here).ok()?;
        Some(format!("./{}", relative.display()))
    });
    near.unwrap_or_else(|| executable.display().to_string())
}
