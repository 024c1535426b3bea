//! Asking Docker over its socket. Only reads: nothing here changes anything in an engine.
//!
//! A connection starts a dockerd whose socket systemd holds. Who does not want that asks only an engine that runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::facts::EngineFacts;
use crate::model::CANARY;

/// How long one question may take: `GET /info` asks the storage driver, which may be slow.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, bytes: a list of thousands of containers with their labels.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The longest text that is taken from an answer, characters.
const TEXT_CHARS_MAX: usize = 256;
/// The first API that can tell of the build cache alone; an older one would walk every image and volume.
const BUILD_CACHE_API: (u32, u32) = (1, 42);

/// What is said of an engine that was not asked.
const NOT_ASKED: &str = "dockerd was not asked";

/// Docker behind a socket.
#[async_trait]
pub trait Engines: Send + Sync + 'static {
    /// Whether it answers `GET /_ping`; else why not.
    async fn ping(&self, socket: &Path) -> Result<(), String>;

    /// Whether it answers `GET /_ping` with this parameter, which means nothing to it; else why not.
    async fn canary(&self, socket: &Path, word: &str) -> Result<(), String>;

    /// What it says of itself.
    async fn facts(&self, socket: &Path) -> EngineFacts;

    /// How many records of its build cache are in use: none while nothing is built by BuildKit. `None` when it cannot
    /// say (before 23.0).
    async fn build_cache_in_use(&self, socket: &Path) -> Option<usize>;

    /// Where it keeps images and containers.
    async fn data_root(&self, socket: &Path) -> Option<PathBuf>;

    /// Who made the socket listen: dockerd itself, or systemd. `None` when nobody answers, or somebody that cannot be
    /// seen from here.
    async fn peer(&self, socket: &Path) -> Option<u32>;
}

/// Real sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealEngines;

/// Nobody is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotAsked;

#[async_trait]
impl Engines for NotAsked {
    async fn ping(&self, _: &Path) -> Result<(), String> {
        Err(NOT_ASKED.to_owned())
    }

    async fn canary(&self, _: &Path, _: &str) -> Result<(), String> {
        Err(NOT_ASKED.to_owned())
    }

    async fn facts(&self, _: &Path) -> EngineFacts {
        EngineFacts {
            error: Some(NOT_ASKED.to_owned()),
            ..EngineFacts::default()
        }
    }

    async fn build_cache_in_use(&self, _: &Path) -> Option<usize> {
        None
    }

    async fn data_root(&self, _: &Path) -> Option<PathBuf> {
        None
    }

    async fn peer(&self, _: &Path) -> Option<u32> {
        None
    }
}

#[async_trait]
impl Engines for RealEngines {
    async fn ping(&self, socket: &Path) -> Result<(), String> {
        get(socket, "/_ping", ASK_TIMEOUT).await.map(drop)
    }

    async fn canary(&self, socket: &Path, word: &str) -> Result<(), String> {
        let target = format!("/_ping?{CANARY}={word}");
        get(socket, &target, ASK_TIMEOUT).await.map(drop)
    }

    async fn facts(&self, socket: &Path) -> EngineFacts {
        match gather(socket).await {
            Ok(facts) => facts,
            Err(why) => EngineFacts {
                error: Some(format!("Docker does not answer on {}: {why}", socket.display())),
                ..EngineFacts::default()
            },
        }
    }

    async fn build_cache_in_use(&self, socket: &Path) -> Option<usize> {
        let version: Version = ask(socket, "/version").await.ok()?;
        if api_version(&version.api)? < BUILD_CACHE_API {
            return None;
        }
        let usage: Usage = ask(socket, "/system/df?type=build-cache").await.ok()?;
        let records = usage.build_cache.unwrap_or_default();
        Some(records.iter().filter(|record| record.in_use).count())
    }

    async fn data_root(&self, socket: &Path) -> Option<PathBuf> {
        let info: Info = ask(socket, "/info").await.ok()?;
        info.data_root
    }

    async fn peer(&self, socket: &Path) -> Option<u32> {
        let stream = UnixStream::connect(socket).await.ok()?;
        let pid = stream.peer_cred().ok()?.pid()?;
        u32::try_from(pid).ok().filter(|pid| *pid != 0)
    }
}

async fn gather(socket: &Path) -> Result<EngineFacts, String> {
    let version: Version = ask(socket, "/version").await?;
    let info: Info = ask(socket, "/info").await?;
    let containers: Vec<Container> = ask(socket, "/containers/json").await?;
    Ok(EngineFacts {
        version: Some(shown(&version.version)),
        live_restore: Some(info.live_restore),
        swarm: Some(info.swarm.is_some_and(|swarm| is_in_swarm(&swarm.state))),
        running: containers.iter().map(|container| shown(&container.id)).collect(),
        plugins: info
            .plugins
            .map(|plugins| plugins.authorization.unwrap_or_default())
            .unwrap_or_default(),
        error: None,
    })
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "ApiVersion", default)]
    api: String,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "LiveRestoreEnabled", default)]
    live_restore: bool,
    #[serde(rename = "Swarm")]
    swarm: Option<Swarm>,
    #[serde(rename = "Plugins")]
    plugins: Option<Plugins>,
    #[serde(rename = "DockerRootDir")]
    data_root: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Plugins {
    #[serde(rename = "Authorization")]
    authorization: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Swarm {
    #[serde(rename = "LocalNodeState", default)]
    state: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "BuildCache")]
    build_cache: Option<Vec<CacheRecord>>,
}

#[derive(Deserialize)]
struct CacheRecord {
    #[serde(rename = "InUse", default)]
    in_use: bool,
}

/// A node that is locked, pending or in trouble is part of a swarm, too.
fn is_in_swarm(state: &str) -> bool {
    !matches!(state, "" | "inactive")
}

/// `1.41`
fn api_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Text of somebody else's, made fit to be shown.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(TEXT_CHARS_MAX)
        .collect()
}

async fn ask<T: DeserializeOwned>(socket: &Path, target: &str) -> Result<T, String> {
    let body = get(socket, target, ASK_TIMEOUT).await?;
    serde_json::from_slice(&body).map_err(|error| format!("its answer to GET {target} is odd: {error}"))
}

/// One `POST` without a body, as dockerd sends to plugins.
pub(in crate::agent) async fn post(socket: &Path, target: &str, limit: Duration) -> Result<Bytes, String> {
    ask_once(socket, Method::POST, target, limit).await
}

/// One `GET` over a connection of its own, within `limit`; an answer that is no success is an error.
pub(in crate::agent) async fn get(socket: &Path, target: &str, limit: Duration) -> Result<Bytes, String> {
    ask_once(socket, Method::GET, target, limit).await
}

async fn ask_once(socket: &Path, method: Method, target: &str, limit: Duration) -> Result<Bytes, String> {
    let shown = target.split('?').next().unwrap_or_default();
    let named = format!("{method} {shown}");
    match tokio::time::timeout(limit, exchange(socket, method, target)).await {
        Ok(Ok((status, body))) if status.is_success() => Ok(body),
        Ok(Ok((status, _))) => Err(format!("it answers {named} with {status}")),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("no answer to {named} within {} s", limit.as_secs())),
    }
}

async fn exchange(socket: &Path, method: Method, target: &str) -> Result<(StatusCode, Bytes), String> {
    let stream = UnixStream::connect(socket).await.map_err(|e| e.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|e| e.to_string())?;
    let request = http::Request::builder().method(method).uri(target);
    let request = request.header(http::header::HOST, "docker");
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let ask = async {
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        Ok((status, body.await.map_err(|e| e.to_string())?.to_bytes()))
    };
    // A server that closes at once after its answer has answered all the same; one that did not fails the request.
    let drive = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = ask => answer,
        answer = drive => answer,
    }
}

#[cfg(test)]
mod tests;
