//! `dockwarden client`: being a client here, and the list of all clients there.

mod adopt;
mod contexts;
pub mod docker;
pub mod embedded;
mod enroll;
mod env;
mod home;
mod ls;
mod pair;
mod renew;
mod sync;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Error, World};
use crate::model::IdentityKind;
use crate::pki::IdentityName;
use home::Home;

pub use enroll::{Enroll, EnrolledClient, enroll};
pub use renew::if_due;

/// Commands of `dockwarden client`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Get a certificate with a join token, and docker contexts for the hosts it opens
    #[command(
        after_help = "The key is made here and never leaves. The same command again continues where it was: nothing is spent twice.\n\n  \
        dockwarden client enroll --server https://ca.fleet.internal:8443 --token-file alice.token"
    )]
    Enroll(Box<Enroll>),
    /// Replace certificates that are due, keys included, while docker goes on using them
    Renew(renew::Renew),
    /// Bring docker contexts in line with the hosts that can be reached now
    Contexts(sync::Contexts),
    /// Print DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH for `eval`
    #[command(after_help = "  eval \"$(dockwarden client env --host web-07)\"")]
    Env(env::Env),
    /// List every client the server knows
    Ls(super::arguments::Ls),
    /// Revoke all certificates of a client, for good: no host accepts them any more
    Revoke(Revoke),
}

/// Arguments of `client revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its name; your own, if you are no operator
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    options: super::revoke::Options,
}

/// Which of the clients enrolled on this machine.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Name of a client enrolled here
    #[arg(long, value_name = "NAME", conflicts_with = "cert_path")]
    name: Option<IdentityName>,
    /// The directory it was enrolled into with --cert-path
    #[arg(long, value_name = "DIR")]
    cert_path: Option<PathBuf>,
}

impl Which {
    /// The clients meant: the one named, or all there are.
    fn homes(&self, world: &World) -> Result<Vec<Home>, Error> {
        if let Some(directory) = &self.cert_path {
            return Ok(vec![Home::inside(world, directory)?]);
        }
        if let Some(name) = &self.name {
            let home = Home::named(world, name)?;
            home.state(world)?;
            return Ok(vec![home]);
        }
        let homes = Home::all(world)?;
        if homes.is_empty() {
            return Err(Error::Found(
                "no client is enrolled here\n  dockwarden client enroll --server URL --token-file FILE does that; for one enrolled with --cert-path, give that."
                    .into(),
            ));
        }
        Ok(homes)
    }

    /// The one client meant.
    fn home(&self, world: &World) -> Result<Home, Error> {
        let mut homes = self.homes(world)?;
        if homes.len() > 1 {
            let names: Vec<String> = homes
                .iter()
                .filter_map(|h| Some(h.state(world).ok()?.name.to_string()))
                .collect();
            return Err(Error::Usage(format!(
                "several clients are enrolled here ({}): pick one with --name",
                names.join(", ")
            )));
        }
        Ok(homes.remove(0))
    }
}

/// Runs one.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Enroll(args) => enroll::run(*args, world).await,
        Command::Renew(args) => renew::run(args, world).await,
        Command::Contexts(args) => sync::run(args, world).await,
        Command::Env(args) => env::run(args, world).await,
        Command::Ls(args) => ls::run(args, world).await,
        Command::Revoke(args) => args.options.revoke(&args.name, IdentityKind::Client, world).await,
    }
}

/// Says when the environment will make docker look elsewhere than at a context.
fn warn_of_docker_host(world: &World) {
    if let Some(host) = &world.environment.docker_host {
        world.warn(format!(
            "DOCKER_HOST is set ({host}): docker uses it instead of the current context. Unset it, or name the context: docker --context NAME ..."
        ));
    }
}

/// `web-01 … web-40` for many, all of them for few.
fn enumerate(names: &[String]) -> String {
    match names {
        [first, _, _, _, .., last] => format!("{first} … {last} ({})", names.len()),
        few => few.join(", "),
    }
}
