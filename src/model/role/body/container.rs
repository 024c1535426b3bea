//! Containers and exec.

use super::{Beyond, Checked, bool, list, listed, mount, only, shown, text, texts};
use crate::model::role::json::Json;
use crate::model::role::rules::Namespace;
use crate::model::role::wanted::{Limits, Wanted};

/// Fields about the container itself, and those that stand beside them.
const CONFIG: &[&str] = &[
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "MacAddress",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "HostConfig",
    "NetworkingConfig",
    "Cpuset",
];
/// Fields about the host that give nothing away.
const HARMLESS: &[&str] = &[
    "ContainerIDFile",
    "LogConfig",
    "PortBindings",
    "RestartPolicy",
    "AutoRemove",
    "ConsoleSize",
    "CapDrop",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "Links",
    "OomScoreAdj",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "StorageOpt",
    "Tmpfs",
    "ShmSize",
    "Sysctls",
    "Isolation",
    "CpuShares",
    "Memory",
    "NanoCpus",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "KernelMemory",
    "KernelMemoryTCP",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "Ulimits",
    "CpuCount",
    "CpuPercent",
    "IOMaximumIOps",
    "IOMaximumBandwidth",
    "Init",
];
/// Fields about the host that rules look at.
const RULED: &[&str] = &[
    "Privileged",
    "PidMode",
    "IpcMode",
    "UTSMode",
    "UsernsMode",
    "CgroupnsMode",
    "NetworkMode",
    "Cgroup",
    "CgroupParent",
    "Devices",
    "DeviceCgroupRules",
    "DeviceRequests",
    "CapAdd",
    "SecurityOpt",
    "MaskedPaths",
    "ReadonlyPaths",
    "Runtime",
    "Annotations",
    "Binds",
    "Mounts",
    "VolumesFrom",
    "VolumeDriver",
];

/// `POST /containers/create`. Until 24.0 the Engine reads the fields of `HostConfig` from beside it, too, and takes
/// them when there is no `HostConfig`: both places are held against the rules.
pub(super) fn create(body: &Json, rules: &dyn Limits) -> Checked {
    only(body, "container", &[CONFIG, HARMLESS, RULED])?;
    listed(text(body, "Image")?, rules)?;
    host_config(body, rules)?;
    let host = body.get("HostConfig");
    only(host, "HostConfig", &[HARMLESS, RULED])?;
    host_config(host, rules)?;
    let networks = body.get("NetworkingConfig").get("EndpointsConfig");
    let networks = networks
        .pairs()
        .ok_or_else(|| Beyond("NetworkingConfig".to_owned()))?;
    networks.iter().try_for_each(|(name, _)| network(name, rules))
}

/// `POST /containers/{id}/update`.
pub(super) fn update(body: &Json, rules: &dyn Limits) -> Checked {
    only(body, "update", &[HARMLESS, RULED])?;
    host_config(body, rules)
}

/// `POST /containers/{id}/start`: up to 24.0, and with API versions before 1.24, a body there is a new `HostConfig`.
pub(super) fn start(body: &Json, _rules: &dyn Limits) -> Checked {
    match body.pairs() {
        Some([]) => Ok(()),
        _ => Err(Beyond("a body".to_owned())),
    }
}

const EXEC: &[&str] = &[
    "User",
    "Privileged",
    "Tty",
    "ConsoleSize",
    "AttachStdin",
    "AttachStderr",
    "AttachStdout",
    "Detach",
    "DetachKeys",
    "Env",
    "WorkingDir",
    "Cmd",
    "Container",
];

/// `POST /containers/{id}/exec`.
pub(super) fn exec(body: &Json, rules: &dyn Limits) -> Checked {
    only(body, "exec", &[EXEC])?;
    privileged(body, rules)
}

fn privileged(object: &Json, rules: &dyn Limits) -> Checked {
    match bool(object, "Privileged")? && !rules.list(Wanted::Privileged) {
        true => Err(Beyond("Privileged".to_owned())),
        false => Ok(()),
    }
}

fn host_config(host: &Json, rules: &dyn Limits) -> Checked {
    privileged(host, rules)?;
    namespaces(host, rules)?;
    devices(host, rules)?;
    for capability in texts(host, "CapAdd")? {
        if !rules.list(Wanted::Capability(capability)) {
            return Err(Beyond(format!("CapAdd {}", shown(capability))));
        }
    }
    security(host, rules)?;
    let runtime = text(host, "Runtime")?;
    if !matches!(runtime, "" | "runc" | "io.containerd.runc.v2") && !rules.list(Wanted::Runtime(runtime)) {
        return Err(Beyond(format!("Runtime {}", shown(runtime))));
    }
    for name in ["Cgroup", "CgroupParent"] {
        if !text(host, name)?.is_empty() {
            return Err(Beyond(name.to_owned()));
        }
    }
    match host.get("Annotations").pairs() {
        Some([]) => {}
        _ => return Err(Beyond("Annotations".to_owned())),
    }
    mount::of_host_config(host, rules)
}

fn namespaces(host: &Json, rules: &dyn Limits) -> Checked {
    for (field, namespace) in [
        ("PidMode", Namespace::Pid),
        ("IpcMode", Namespace::Ipc),
        ("UTSMode", Namespace::Uts),
        ("UsernsMode", Namespace::Userns),
        ("CgroupnsMode", Namespace::Cgroup),
    ] {
        let mode = text(host, field)?;
        let allowed = match mode {
            "" | "private" => true,
            "none" | "shareable" => namespace == Namespace::Ipc,
            "host" => rules.list(Wanted::Namespace(namespace)),
            mode => mode.starts_with("container:") && rules.list(Wanted::JoinContainers),
        };
        if !allowed {
            return Err(Beyond(format!("{field} {}", shown(mode))));
        }
    }
    network(text(host, "NetworkMode")?, rules)
}

/// A network by name, or a mode.
pub(super) fn network(mode: &str, rules: &dyn Limits) -> Checked {
    let allowed = match mode.to_ascii_lowercase().as_str() {
        "host" => rules.list(Wanted::Namespace(Namespace::Net)),
        mode if mode.starts_with("container:") => rules.list(Wanted::JoinContainers),
        mode => !mode.contains(':'),
    };
    match allowed {
        true => Ok(()),
        false => Err(Beyond(format!("NetworkMode {}", shown(mode)))),
    }
}

fn devices(host: &Json, rules: &dyn Limits) -> Checked {
    for device in list(host, "Devices")? {
        let path = text(device, "PathOnHost")?;
        if !rules.list(Wanted::Device(path)) {
            return Err(Beyond(format!("device {}", shown(path))));
        }
    }
    if !list(host, "DeviceCgroupRules")?.is_empty() && !rules.list(Wanted::AnyDevice) {
        return Err(Beyond("DeviceCgroupRules".to_owned()));
    }
    for request in list(host, "DeviceRequests")? {
        let driver = match text(request, "Driver")? {
            "" => "default",
            driver => driver,
        };
        if !rules.list(Wanted::DeviceRequest(driver)) {
            return Err(Beyond(format!("DeviceRequests of driver {}", shown(driver))));
        }
    }
    Ok(())
}

/// Options that take something away.
const HARMLESS_OPTIONS: [&str; 3] = [
    "no-new-privileges",
    "no-new-privileges:true",
    "no-new-privileges=true",
];

fn security(host: &Json, rules: &dyn Limits) -> Checked {
    for option in texts(host, "SecurityOpt")? {
        if !HARMLESS_OPTIONS.contains(&option) && !rules.list(Wanted::SecurityOption(option)) {
            return Err(Beyond(format!("SecurityOpt {}", shown(option))));
        }
    }
    // An empty list is not the absent one: it unmasks everything.
    let unmasks = ["MaskedPaths", "ReadonlyPaths"]
        .iter()
        .any(|name| *host.get(name) != Json::Null);
    match unmasks && !rules.list(Wanted::SecurityOption("systempaths=unconfined")) {
        true => Err(Beyond("SecurityOpt \"systempaths=unconfined\"".to_owned())),
        false => Ok(()),
    }
}
