//! Docker contexts for the hosts a client may reach: a pure plan, and its execution.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Error, World, host};
use super::docker::{Context, ContextStore, Existing, Mark, is_context_name};
use super::home::{ContextSettings, Home, KnownHost, State};
use crate::client::Client;
use crate::pki::DnsName;
use crate::wire::HostView;

/// What to do to the context store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Context name to host, to be written.
    pub write: BTreeMap<String, KnownHost>,
    /// Contexts of ours whose host is gone.
    pub remove: Vec<String>,
    /// Hosts without a context, and why.
    pub skipped: Vec<(String, String)>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Every context of this client, by name.
    pub names: Vec<String>,
    /// How many of them are new or changed.
    pub changed: usize,
    /// Those that are gone.
    pub removed: Vec<String>,
}

/// Decides on names. A context that somebody else made is never written to or removed; a host keeps the
/// name it has.
pub fn plan(
    existing: &[Existing],
    ours: impl Fn(&Mark) -> bool,
    hosts: &[KnownHost],
    fixed: Option<&str>,
) -> Plan {
    let mine: BTreeMap<&str, &str> = existing
        .iter()
        .filter_map(|e| {
            Some((
                e.name.as_str(),
                e.mark.as_ref().filter(|m| ours(m))?.host.as_str(),
            ))
        })
        .collect();
    let foreign: BTreeSet<&str> = existing
        .iter()
        .map(|e| e.name.as_str())
        .filter(|name| !mine.contains_key(name))
        .collect();
    let mut plan = Plan::default();
    for host in hosts {
        let kept = mine
            .iter()
            .find(|(_, h)| **h == host.name)
            .map(|(name, _)| (*name).to_owned());
        let candidates = match fixed {
            Some(name) => vec![name.to_owned()],
            None => kept.into_iter().chain(candidates(&host.name)).collect(),
        };
        let shared_short = |name: &str| {
            fixed.is_none()
                && hosts
                    .iter()
                    .any(|other| other.name != host.name && short(&other.name) == name)
        };
        let free = candidates.iter().find(|name| {
            let kept = mine.get(name.as_str()) == Some(&host.name.as_str());
            is_context_name(name)
                && !foreign.contains(name.as_str())
                && !plan.write.contains_key(*name)
                && (kept || !shared_short(name))
        });
        match free {
            Some(name) => {
                plan.write.insert(name.clone(), host.clone());
            }
            None => plan.skipped.push((
                host.name.clone(),
                format!(
                    "a docker context {:?} is there already, and dockwarden did not make it",
                    candidates[0]
                ),
            )),
        }
    }
    let gone = mine.keys().filter(|name| !plan.write.contains_key(**name));
    plan.remove = gone.map(|name| (*name).to_owned()).collect();
    plan
}

fn short(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

/// Names for a host's context, best first.
fn candidates(host: &str) -> Vec<String> {
    vec![
        short(host).to_owned(),
        host.to_owned(),
        format!("{host}-dockwarden"),
    ]
}

/// The hosts `client` may reach, those of them that can be dialled.
pub async fn fetch(client: &Client, world: &World) -> Result<Vec<KnownHost>, Error> {
    let hosts = host::all(client).await?;
    Ok(hosts.iter().filter_map(|host| known(host, world)).collect())
}

/// The server's strings end up in files and shells: only what is an endpoint's shape is used.
fn known(host: &HostView, world: &World) -> Option<KnownHost> {
    let name = host.name.parse::<DnsName>().ok()?;
    match host.endpoints.iter().find(|endpoint| is_endpoint(endpoint)) {
        Some(endpoint) => Some(KnownHost {
            name: name.to_string(),
            endpoint: endpoint.clone(),
        }),
        None => {
            world.note(format!(
                "  {name} has not reported where its Docker is reached yet: no context for it"
            ));
            None
        }
    }
}

fn is_endpoint(endpoint: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    endpoint.len() <= 300
        && endpoint
            .strip_prefix("tcp://")
            .is_some_and(|rest| rest.contains(':') && rest.bytes().all(plain))
}

/// Brings the docker contexts of `state` in line with its hosts.
pub fn sync(world: &World, home: &Home, state: &State, settings: &ContextSettings) -> Result<Synced, Error> {
    let store = ContextStore::new(&settings.docker_directory);
    let hosts: Vec<KnownHost> = selected(state, settings)?;
    let (client, server) = (state.name.to_string(), state.server.to_string());
    let existing = store.list(world)?;
    let ours = |mark: &Mark| mark.client == client && mark.server == server;
    let plan = plan(&existing, ours, &hosts, settings.name.as_deref());
    for (host, why) in &plan.skipped {
        world.warn(format!("no docker context for {host}: {why}\n  Rename or remove that one, then: dockwarden client contexts"));
    }
    let mut synced = Synced::default();
    for (name, host) in &plan.write {
        let mark = Mark {
            client: client.clone(),
            server: server.clone(),
            host: host.name.clone(),
        };
        let context = Context {
            name,
            endpoint: &host.endpoint,
            mark: &mark,
            tls: &home.current(),
        };
        if unreadable(&existing, name) && store.holds(world, name) {
            world.warn(format!(
                "no docker context for {}: what is there as {name:?} cannot be read",
                host.name
            ));
            continue;
        }
        synced.changed += usize::from(store.write(world, context)?);
        synced.names.push(name.clone());
    }
    for name in plan.remove {
        store.remove(world, &name)?;
        synced.removed.push(name);
    }
    Ok(synced)
}

fn unreadable(existing: &[Existing], name: &str) -> bool {
    !existing.iter().any(|e| e.name == name)
}

/// The hosts that get contexts.
fn selected(state: &State, settings: &ContextSettings) -> Result<Vec<KnownHost>, Error> {
    let wanted = |host: &&KnownHost| settings.only.is_empty() || settings.only.contains(&host.name);
    let hosts: Vec<KnownHost> = state.hosts.iter().filter(wanted).cloned().collect();
    if let Some(name) = &settings.name
        && hosts.len() > 1
    {
        let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).take(5).collect();
        return Err(Error::Usage(format!(
            "--context {name} is for one host, but {} can reach {} of them ({}{}): pick one with --host NAME, or leave \
             --context out to get one context each",
            state.name,
            hosts.len(),
            names.join(", "),
            if hosts.len() > 5 { ", …" } else { "" }
        )));
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests;
