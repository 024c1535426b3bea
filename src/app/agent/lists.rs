//! The keeper of `crl.pem` on a thread of its own: reading a long list makes nobody wait.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::follower::RunningFollower;
use crate::agent::feed::FeedState;
use crate::agent::lists::{self, Keeper, ListsState};
use crate::agent::metrics::Metrics;
use crate::agent::{RemoteServer, World};

/// Reads what is there and begins to keep it. The follower has begun, and `world` holds the lock on the state directory.
pub fn start(
    world: &World,
    feed: Arc<FeedState>,
    state: Arc<ListsState>,
    metrics: &Metrics,
    end: watch::Receiver<bool>,
) -> anyhow::Result<RunningFollower> {
    metrics.registry().add(lists::source(Arc::clone(&state)));
    let config = &world.config;
    let keeper = Keeper::begin(lists::Parts {
        server: Arc::new(RemoteServer::new(config.server.clone(), Arc::clone(&world.clock))),
        files: world.files.clone(),
        directory: config.files.clone(),
        state_directory: config.state.clone(),
        feed,
        state,
        hook: config.hook.clone(),
        hook_timeout: config.hook_timeout,
        programs: Arc::clone(&world.programs),
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (over, ended) = oneshot::channel();
    let work = move || {
        let _over = over;
        runtime.block_on(keeper.run(end));
    };
    let thread = std::thread::Builder::new().name("lists".to_owned()).spawn(work)?;
    Ok(RunningFollower { thread, ended })
}
