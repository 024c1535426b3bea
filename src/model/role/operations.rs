//! Every route of the Engine's API, from 20.10 (API 1.41) to 28.5 (1.51), and those that later engines added by the
//! time this was written. What is not here is refused to everybody.
//!
//! Names are the `operationId`s of the published API; what the Engine serves without publishing it (checkpoints,
//! `/grpc`, `/build/cancel`, `/debug`) has a name of the same kind.

use std::fmt;

/// What an operation is about, as far as trusting somebody with it goes. A role may name a class: `@read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Tells how things are: changes nothing, hands out no file, no join token, no configuration content, and makes the
    /// Engine call nobody.
    Read,
    /// What containers print.
    Logs,
    /// Starts, stops, signals what exists.
    Run,
    /// Input into containers that exist: exec, attach.
    Exec,
    /// Files out of containers and images, and into containers.
    Files,
    /// Makes, changes and removes containers, volumes, networks. Here rules on bodies matter.
    Create,
    /// Brings images in and out, names and removes them.
    Images,
    /// Builds: what a build does is decided by what is built.
    Build,
    /// Makes the Engine call a registry that the caller names.
    Registry,
    /// Hands out credentials: join tokens, the unlock key, contents of configs, names of secrets.
    Secrets,
    /// Changes what runs on other hosts of a swarm.
    Swarm,
    /// As good as root on the host: plugins, swarm membership, checkpoints in any directory, the Engine's own insides.
    Host,
}

impl Class {
    /// All of them, in order of the harm they can do, about.
    pub const ALL: [Self; 12] = [
        Self::Read,
        Self::Logs,
        Self::Run,
        Self::Exec,
        Self::Files,
        Self::Create,
        Self::Images,
        Self::Build,
        Self::Registry,
        Self::Secrets,
        Self::Swarm,
        Self::Host,
    ];

    /// Its word in role files, without the `@`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Logs => "logs",
            Self::Run => "run",
            Self::Exec => "exec",
            Self::Files => "files",
            Self::Create => "create",
            Self::Images => "images",
            Self::Build => "build",
            Self::Registry => "registry",
            Self::Secrets => "secrets",
            Self::Swarm => "swarm",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One route.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// What roles, logs and denials call it. Two routes may share a name.
    pub name: &'static str,
    /// The method, in capitals.
    pub method: &'static str,
    /// The path without API version. `{id}` stands for one segment, `{name...}` for one or more: only images and
    /// plugins have slashes in their names.
    pub path: &'static str,
    /// What it is about.
    pub class: Class,
    /// Whether the answer, the body or the connection goes on for as long as something else does.
    pub streams: bool,
}

impl Operation {
    /// Whether a path, decoded, normalised and without API version, is one of this route.
    fn matches(&self, path: &str) -> bool {
        let Some((before, after)) = self.path.split_once("{name...}") else {
            let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(wanted), Some(given)) if fits(wanted, given) => {}
                    _ => return false,
                }
            }
        };
        let name = path
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        name.is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
    }
}

fn fits(wanted: &str, given: &str) -> bool {
    match wanted.starts_with('{') {
        true => !given.is_empty(),
        false => wanted == given,
    }
}

/// The route of a method and a path that is decoded, normalised and has no API version.
pub fn find(method: &str, path: &str) -> Option<&'static Operation> {
    OPERATIONS
        .iter()
        .find(|operation| operation.method == method && operation.matches(path))
}

const fn plain(name: &'static str, method: &'static str, path: &'static str, class: Class) -> Operation {
    Operation {
        name,
        method,
        path,
        class,
        streams: false,
    }
}

const fn stream(name: &'static str, method: &'static str, path: &'static str, class: Class) -> Operation {
    Operation {
        streams: true,
        ..plain(name, method, path, class)
    }
}

/// The table.
pub static OPERATIONS: &[Operation] = &[
    plain("SystemPing", "GET", "/_ping", Class::Read),
    plain("SystemPingHead", "HEAD", "/_ping", Class::Read),
    plain("SystemAuth", "POST", "/auth", Class::Registry),
    stream("ImageBuild", "POST", "/build", Class::Build),
    plain("BuildCancel", "POST", "/build/cancel", Class::Build),
    plain("BuildPrune", "POST", "/build/prune", Class::Build),
    plain("ImageCommit", "POST", "/commit", Class::Images),
    plain("ConfigList", "GET", "/configs", Class::Secrets),
    plain("ConfigCreate", "POST", "/configs/create", Class::Swarm),
    plain("ConfigDelete", "DELETE", "/configs/{id}", Class::Swarm),
    plain("ConfigInspect", "GET", "/configs/{id}", Class::Secrets),
    plain("ConfigUpdate", "POST", "/configs/{id}/update", Class::Swarm),
    plain("ContainerCreate", "POST", "/containers/create", Class::Create),
    plain("ContainerList", "GET", "/containers/json", Class::Read),
    plain("ContainerPrune", "POST", "/containers/prune", Class::Create),
    plain("ContainerDelete", "DELETE", "/containers/{id}", Class::Create),
    stream(
        "ContainerArchive",
        "GET",
        "/containers/{id}/archive",
        Class::Files,
    ),
    plain(
        "ContainerArchiveInfo",
        "HEAD",
        "/containers/{id}/archive",
        Class::Files,
    ),
    stream(
        "PutContainerArchive",
        "PUT",
        "/containers/{id}/archive",
        Class::Files,
    ),
    stream("ContainerAttach", "POST", "/containers/{id}/attach", Class::Exec),
    stream(
        "ContainerAttachWebsocket",
        "GET",
        "/containers/{id}/attach/ws",
        Class::Exec,
    ),
    plain("ContainerChanges", "GET", "/containers/{id}/changes", Class::Read),
    plain(
        "CheckpointList",
        "GET",
        "/containers/{id}/checkpoints",
        Class::Read,
    ),
    plain(
        "CheckpointCreate",
        "POST",
        "/containers/{id}/checkpoints",
        Class::Host,
    ),
    plain(
        "CheckpointDelete",
        "DELETE",
        "/containers/{id}/checkpoints/{id}",
        Class::Host,
    ),
    stream("ContainerCopy", "POST", "/containers/{id}/copy", Class::Files),
    plain("ContainerExec", "POST", "/containers/{id}/exec", Class::Exec),
    stream("ContainerExport", "GET", "/containers/{id}/export", Class::Files),
    plain("ContainerInspect", "GET", "/containers/{id}/json", Class::Read),
    plain("ContainerKill", "POST", "/containers/{id}/kill", Class::Run),
    stream("ContainerLogs", "GET", "/containers/{id}/logs", Class::Logs),
    plain("ContainerPause", "POST", "/containers/{id}/pause", Class::Run),
    plain(
        "ContainerRename",
        "POST",
        "/containers/{id}/rename",
        Class::Create,
    ),
    plain("ContainerResize", "POST", "/containers/{id}/resize", Class::Exec),
    plain("ContainerRestart", "POST", "/containers/{id}/restart", Class::Run),
    plain("ContainerStart", "POST", "/containers/{id}/start", Class::Run),
    stream("ContainerStats", "GET", "/containers/{id}/stats", Class::Read),
    plain("ContainerStop", "POST", "/containers/{id}/stop", Class::Run),
    plain("ContainerTop", "GET", "/containers/{id}/top", Class::Read),
    plain("ContainerUnpause", "POST", "/containers/{id}/unpause", Class::Run),
    plain(
        "ContainerUpdate",
        "POST",
        "/containers/{id}/update",
        Class::Create,
    ),
    stream("ContainerWait", "POST", "/containers/{id}/wait", Class::Read),
    plain("DebugProfileIndex", "GET", "/debug/pprof/", Class::Host),
    stream("DebugProfile", "GET", "/debug/pprof/{name}", Class::Host),
    plain("DebugVars", "GET", "/debug/vars", Class::Host),
    plain(
        "DistributionInspect",
        "GET",
        "/distribution/{name...}/json",
        Class::Registry,
    ),
    stream("SystemEvents", "GET", "/events", Class::Read),
    plain("ExecInspect", "GET", "/exec/{id}/json", Class::Read),
    plain("ExecResize", "POST", "/exec/{id}/resize", Class::Exec),
    stream("ExecStart", "POST", "/exec/{id}/start", Class::Exec),
    stream("Grpc", "POST", "/grpc", Class::Build),
    stream("ImageCreate", "POST", "/images/create", Class::Images),
    stream("ImageGetAll", "GET", "/images/get", Class::Files),
    plain("ImageList", "GET", "/images/json", Class::Read),
    stream("ImageLoad", "POST", "/images/load", Class::Images),
    plain("ImagePrune", "POST", "/images/prune", Class::Images),
    plain("ImageSearch", "GET", "/images/search", Class::Registry),
    plain("ImageDelete", "DELETE", "/images/{name...}", Class::Images),
    plain(
        "ImageAttestations",
        "GET",
        "/images/{name...}/attestations",
        Class::Read,
    ),
    stream("ImageGet", "GET", "/images/{name...}/get", Class::Files),
    plain("ImageHistory", "GET", "/images/{name...}/history", Class::Read),
    plain("ImageInspect", "GET", "/images/{name...}/json", Class::Read),
    stream("ImagePush", "POST", "/images/{name...}/push", Class::Images),
    plain("ImageTag", "POST", "/images/{name...}/tag", Class::Images),
    plain("SystemInfo", "GET", "/info", Class::Read),
    plain("NetworkList", "GET", "/networks", Class::Read),
    plain("NetworkList", "GET", "/networks/", Class::Read),
    plain("NetworkCreate", "POST", "/networks/create", Class::Create),
    plain("NetworkPrune", "POST", "/networks/prune", Class::Create),
    plain("NetworkDelete", "DELETE", "/networks/{id}", Class::Create),
    plain("NetworkInspect", "GET", "/networks/{id}", Class::Read),
    plain("NetworkConnect", "POST", "/networks/{id}/connect", Class::Create),
    plain(
        "NetworkDisconnect",
        "POST",
        "/networks/{id}/disconnect",
        Class::Create,
    ),
    plain("NodeList", "GET", "/nodes", Class::Read),
    plain("NodeDelete", "DELETE", "/nodes/{id}", Class::Swarm),
    plain("NodeInspect", "GET", "/nodes/{id}", Class::Read),
    plain("NodeUpdate", "POST", "/nodes/{id}/update", Class::Swarm),
    plain("PluginList", "GET", "/plugins", Class::Read),
    stream("PluginCreate", "POST", "/plugins/create", Class::Host),
    plain(
        "GetPluginPrivileges",
        "GET",
        "/plugins/privileges",
        Class::Registry,
    ),
    stream("PluginPull", "POST", "/plugins/pull", Class::Host),
    plain("PluginDelete", "DELETE", "/plugins/{name...}", Class::Host),
    plain("PluginDisable", "POST", "/plugins/{name...}/disable", Class::Host),
    plain("PluginEnable", "POST", "/plugins/{name...}/enable", Class::Host),
    plain("PluginInspect", "GET", "/plugins/{name...}/json", Class::Read),
    stream("PluginPush", "POST", "/plugins/{name...}/push", Class::Host),
    plain("PluginSet", "POST", "/plugins/{name...}/set", Class::Host),
    stream("PluginUpgrade", "POST", "/plugins/{name...}/upgrade", Class::Host),
    plain("SecretList", "GET", "/secrets", Class::Secrets),
    plain("SecretCreate", "POST", "/secrets/create", Class::Swarm),
    plain("SecretDelete", "DELETE", "/secrets/{id}", Class::Swarm),
    plain("SecretInspect", "GET", "/secrets/{id}", Class::Secrets),
    plain("SecretUpdate", "POST", "/secrets/{id}/update", Class::Swarm),
    plain("ServiceList", "GET", "/services", Class::Read),
    plain("ServiceCreate", "POST", "/services/create", Class::Swarm),
    plain("ServiceDelete", "DELETE", "/services/{id}", Class::Swarm),
    plain("ServiceInspect", "GET", "/services/{id}", Class::Read),
    stream("ServiceLogs", "GET", "/services/{id}/logs", Class::Logs),
    plain("ServiceUpdate", "POST", "/services/{id}/update", Class::Swarm),
    stream("Session", "POST", "/session", Class::Build),
    plain("SwarmInspect", "GET", "/swarm", Class::Secrets),
    plain("SwarmInit", "POST", "/swarm/init", Class::Host),
    plain("SwarmJoin", "POST", "/swarm/join", Class::Host),
    plain("SwarmLeave", "POST", "/swarm/leave", Class::Host),
    plain("SwarmUnlock", "POST", "/swarm/unlock", Class::Host),
    plain("SwarmUnlockkey", "GET", "/swarm/unlockkey", Class::Secrets),
    plain("SwarmUpdate", "POST", "/swarm/update", Class::Host),
    plain("SystemDataUsage", "GET", "/system/df", Class::Read),
    plain("TaskList", "GET", "/tasks", Class::Read),
    plain("TaskInspect", "GET", "/tasks/{id}", Class::Read),
    stream("TaskLogs", "GET", "/tasks/{id}/logs", Class::Logs),
    plain("SystemVersion", "GET", "/version", Class::Read),
    plain("VolumeList", "GET", "/volumes", Class::Read),
    plain("VolumeCreate", "POST", "/volumes/create", Class::Create),
    plain("VolumePrune", "POST", "/volumes/prune", Class::Create),
    plain("VolumeDelete", "DELETE", "/volumes/{name}", Class::Create),
    plain("VolumeInspect", "GET", "/volumes/{name}", Class::Read),
    plain("VolumeUpdate", "PUT", "/volumes/{name}", Class::Create),
];

/// A set of operations, by their places in [`OPERATIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationSet(u128);

// INVARIANT: every place in the table has a bit.
const _: () = assert!(OPERATIONS.len() <= 128);

impl OperationSet {
    /// Those that a condition picks.
    pub fn of(picks: impl Fn(&Operation) -> bool) -> Self {
        let picked = OPERATIONS
            .iter()
            .enumerate()
            .filter(|(_, operation)| picks(operation));
        Self(picked.fold(0, |set, (place, _)| set | 1 << place))
    }

    /// Whether an operation of the table, as [`find`] gives it, is in it.
    pub fn contains(self, operation: &'static Operation) -> bool {
        let place = OPERATIONS.iter().position(|known| std::ptr::eq(known, operation));
        place.is_some_and(|place| self.0 >> place & 1 == 1)
    }

    /// What is in one of two.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in another.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in it, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = &'static Operation> {
        let places = OPERATIONS.iter().enumerate();
        places
            .filter(move |(place, _)| self.0 >> place & 1 == 1)
            .map(|(_, operation)| operation)
    }

    /// The names of what is in it, each once.
    pub fn names(self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.iter().map(|operation| operation.name).collect();
        names.dedup();
        names
    }
}
