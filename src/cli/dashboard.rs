//! `dockwarden dashboard`: a link that signs a browser in to the server's pages.

use clap::Args;

use super::profile::Connection;
use super::{Error, World, text};

/// Arguments of `dashboard`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Show who is signed in, instead of making a link
    #[arg(long, conflicts_with = "end")]
    sessions: bool,
    /// End a session, or withdraw a link
    #[arg(long, value_name = "ID")]
    end: Option<crate::base::Id>,
    #[command(flatten)]
    connection: Connection,
}

/// Prints the link to standard output, and what to do with it to standard error.
pub async fn run(arguments: Arguments, world: &mut World) -> Result<u8, Error> {
    let client = arguments.connection.client(world).await?;
    if let Some(id) = arguments.end {
        client.end_session(id).await?;
        world.say(id.to_string())?;
        return Ok(0);
    }
    let now = world.clock.now();
    if arguments.sessions {
        for session in client.sessions().await?.items {
            let state = match session.started_at {
                None => "link, not used".to_owned(),
                Some(at) => format!("signed in {}", text::relative(at, now)),
            };
            let source = session
                .source
                .map(|source| format!(" from {source}"))
                .unwrap_or_default();
            let ends = text::relative(session.ends_at, now);
            world.say(format!(
                "{}  {}  {state}{source}, ends {ends}",
                session.id, session.name
            ))?;
        }
        return Ok(0);
    }
    let offer = client.offer_session().await?;
    world.note("Open this in a browser. It signs in one browser as you, and works once, within a minute:");
    world.say(format!("{}{}", client.server(), offer.path))?;
    Ok(0)
}
