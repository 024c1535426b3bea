//! The client of a quickstart, called `you`, with its one docker context.

use std::time::Duration;

use anyhow::Context;

use super::data::Data;
use super::host;
use crate::app::commands;
use crate::cli::World;
use crate::cli::client::{Enroll, EnrolledClient, embedded, enroll};
use crate::client::{Client, ServerUrl};
use crate::model::{IdentityKind, JoinToken};
use crate::pki::{IdentityName, KeyAlgorithm};

/// Its name.
const NAME: &str = "you";

/// How often, and how many times, the server is asked whether it knows the host by now.
const ASK_EVERY: Duration = Duration::from_millis(300);
const ASK_TIMES: u32 = 50;

/// The outside as the client sees it: its own configuration directory, everybody's docker contexts.
pub fn world(data: &Data) -> World {
    let mut world = commands::quiet_world();
    world.environment.config_home = Some(data.client());
    world
}

/// Its name, parsed.
pub fn name() -> IdentityName {
    NAME.parse().expect("a name")
}

/// Enrols it, or takes it up where it was.
pub async fn ensure(
    data: &Data,
    admin: &Client,
    url: &ServerUrl,
    context: &str,
) -> anyhow::Result<EnrolledClient> {
    wait_for_host(admin).await?;
    let mut world = world(data);
    if let Some(known) = embedded::resume(&world, &name(), url, context).await? {
        return Ok(known);
    }
    let created = admin
        .create_token(&host::request(IdentityKind::Client, NAME))
        .await?;
    let token: JoinToken = created.token.parse().context("the server's own token")?;
    let args = Enroll {
        server: url.clone(),
        token_file: None,
        token: None,
        name: Some(name()),
        context: Some(context.to_owned()),
        hosts: Vec::new(),
        cert_path: None,
        key_algorithm: KeyAlgorithm::EcdsaP256,
        wait: None,
    };
    Ok(enroll(&args, &token, &mut world).await?)
}

async fn wait_for_host(admin: &Client) -> anyhow::Result<()> {
    for _ in 0..ASK_TIMES {
        let hosts = admin.hosts(&Default::default()).await?.items;
        if hosts.iter().any(|host| !host.endpoints.is_empty()) {
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    anyhow::bail!("the host did not report where it is reached: run again with --log-level info to see why")
}

/// Renews it when it is due.
pub async fn renew_when_due(data: &Data) -> anyhow::Result<()> {
    Ok(embedded::renew_when_due(&world(data), &name()).await?)
}
