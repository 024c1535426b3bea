//! The follower of the revocation feed on a thread of its own: what it writes to the disk makes nobody wait.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use crate::agent::config::Roles;
use crate::agent::feed::{Cut, FeedState, Follower, Parts};
use crate::agent::{Config, RemoteServer, World};
use crate::model::role::RolesInForce;
use crate::model::{Enforced, Mode};

/// What the follower of a host with this configuration shares with everybody. In mode `files` programs of others enforce, and
/// the keeper of lists says up to where; in mode `daemon` it is for whoever enforces there to say that something does.
pub fn state(config: &Config) -> Arc<FeedState> {
    let enforced = Enforced::new(config.patience);
    let state = FeedState::new(Arc::new(enforced));
    let state = match config.mode {
        Mode::Files => state.with_others(),
        Mode::Gate | Mode::Daemon => state,
    };
    let state = match config.roles {
        Roles::Enforce => state,
        Roles::Ignore => state.with_roles(RolesInForce::not_enforced()),
    };
    state.set_refuses(config.mode != Mode::Daemon);
    Arc::new(state)
}

/// A running follower.
pub struct RunningFollower {
    /// Its thread.
    pub thread: std::thread::JoinHandle<()>,
    /// Resolves when the thread is over, however it ended.
    pub ended: oneshot::Receiver<()>,
}

/// Reads what is known, so that it is enforced when this returns, and begins to follow. `world` holds the lock on the
/// state directory.
pub fn start(
    world: &World,
    state: Arc<FeedState>,
    cut: Arc<dyn Cut>,
    end: watch::Receiver<bool>,
) -> anyhow::Result<RunningFollower> {
    let follower = Follower::begin(Parts {
        server: Arc::new(RemoteServer::new(
            world.config.server.clone(),
            Arc::clone(&world.clock),
        )),
        files: world.files.clone(),
        state_directory: world.config.state.clone(),
        versions: world.versions(),
        state,
        cut,
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (over, ended) = oneshot::channel();
    let work = move || {
        let _over = over;
        runtime.block_on(follower.run(end));
    };
    let thread = std::thread::Builder::new().name("feed".to_owned()).spawn(work)?;
    Ok(RunningFollower { thread, ended })
}
