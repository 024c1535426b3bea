//! `client contexts`: docker contexts for the hosts that can be reached now.

use clap::Args;

use super::super::{Error, World};
use super::{Which, contexts, enumerate, warn_of_docker_host};

/// Arguments of `client contexts`.
#[derive(Debug, Args)]
pub struct Contexts {
    #[command(flatten)]
    which: Which,
    /// Print only the names of the contexts
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `client contexts`.
pub async fn run(args: Contexts, world: &mut World) -> Result<u8, Error> {
    for home in args.which.homes(world)? {
        let _lock = home.lock(world)?;
        let mut state = home.state(world)?;
        let Some(settings) = state.contexts.clone() else {
            return Err(Error::Usage(format!(
                "{} was enrolled with --cert-path, which makes no docker contexts: enrol without it, or use dockwarden client env",
                state.name
            )));
        };
        let client = home.profile(world)?.client(world)?;
        state.hosts = contexts::fetch(&client, world).await?;
        home.save(world, &state)?;
        let synced = contexts::sync(world, &home, &state, &settings)?;
        if args.quiet {
            synced.names.iter().try_for_each(|name| world.say(name))?;
            continue;
        }
        let removed = match synced.removed.as_slice() {
            [] => String::new(),
            gone => format!(", removed {}", enumerate(gone)),
        };
        world.say(format!(
            "  ✓ {}: {} docker context{}, {} new or changed{removed}{}",
            state.name,
            synced.names.len(),
            if synced.names.len() == 1 { "" } else { "s" },
            synced.changed,
            if synced.names.is_empty() {
                String::new()
            } else {
                format!(": {}", enumerate(&synced.names))
            }
        ))?;
    }
    warn_of_docker_host(world);
    Ok(0)
}
