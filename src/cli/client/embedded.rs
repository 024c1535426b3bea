//! Being a client for a program that is one in its own process: quickstart.

use super::super::{Error, World};
use super::docker::ContextStore;
use super::enroll::EnrolledClient;
use super::home::{ContextSettings, Home};
use super::{contexts, renew};
use crate::client::ServerUrl;
use crate::pki::IdentityName;

/// Takes up a client that was enrolled before: renews it when it is due, and brings its one context in line.
/// `None` when there is none, or its certificate has run out.
pub async fn resume(
    world: &World,
    name: &IdentityName,
    server: &ServerUrl,
    context: &str,
) -> Result<Option<EnrolledClient>, Error> {
    let home = Home::named(world, name)?;
    let Some(mut state) = home.state_if_any(world)? else {
        return Ok(None);
    };
    if world.clock.now() >= state.not_after {
        return Ok(None);
    }
    let settings = ContextSettings {
        docker_directory: world.absolute(&world.environment.docker_directory()?)?,
        name: Some(context.to_owned()),
        only: Vec::new(),
    };
    if state.server != *server {
        // Contexts carry the server's address: those with the old one would look like somebody else's.
        forget_contexts(world, &settings.docker_directory, &home)?;
        state.server = server.clone();
    }
    state.contexts = Some(settings.clone());
    home.save_profile(world, server)?;
    home.save(world, &state)?;
    renew::when_due(world, &home).await?;
    let mut state = home.state(world)?;
    state.hosts = contexts::fetch(&home.profile(world)?.client(world)?, world).await?;
    home.save(world, &state)?;
    let synced = contexts::sync(world, &home, &state, &settings)?;
    Ok(Some(EnrolledClient {
        name: state.name,
        contexts: synced.names,
        directory: home.directory().to_owned(),
        docker_cert_path: home.docker_cert_path(),
    }))
}

/// Renews a client when it is due; for a loop.
pub async fn renew_when_due(world: &World, name: &IdentityName) -> Result<(), Error> {
    renew::when_due(world, &Home::named(world, name)?).await
}

/// Removes the docker contexts of a client, and says which. Those of others stay.
pub fn remove_contexts(world: &World, name: &IdentityName) -> Result<Vec<String>, Error> {
    let home = Home::named(world, name)?;
    match home.state_if_any(world)?.and_then(|state| state.contexts) {
        Some(settings) => forget_contexts(world, &settings.docker_directory, &home),
        None => Ok(Vec::new()),
    }
}

fn forget_contexts(
    world: &World,
    docker_directory: &std::path::Path,
    home: &Home,
) -> Result<Vec<String>, Error> {
    ContextStore::new(docker_directory).remove_linked(world, &home.current())
}
