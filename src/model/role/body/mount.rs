//! Binds, mounts and volumes: every way by which a file of the host gets into a container.

use super::{Beyond, Checked, bool, list, listed, only, shown, text, texts};
use crate::model::role::json::Json;
use crate::model::role::wanted::{Limits, Wanted};

/// `Binds`, `Mounts`, `VolumesFrom` and `VolumeDriver` of a container.
pub(super) fn of_host_config(host: &Json, rules: &dyn Limits) -> Checked {
    for bind in texts(host, "Binds")? {
        short_bind(bind, rules)?;
    }
    mounts(host, rules)?;
    if !list(host, "VolumesFrom")?.is_empty() && !rules.list(Wanted::JoinContainers) {
        return Err(Beyond("VolumesFrom".to_owned()));
    }
    driver(text(host, "VolumeDriver")?, rules)
}

/// `Mounts` of a container or a service.
pub(super) fn mounts(object: &Json, rules: &dyn Limits) -> Checked {
    list(object, "Mounts")?
        .iter()
        .try_for_each(|one| mount(one, rules))
}

/// `source:target[:options]`, as the Engine's parser for Linux splits it.
fn short_bind(bind: &str, rules: &dyn Limits) -> Checked {
    let parts: Vec<&str> = bind.split(':').collect();
    let (source, options) = match parts.as_slice() {
        [_] => return Ok(()),
        [source, _] => (*source, ""),
        [source, _, options] => (*source, *options),
        _ => return Err(Beyond(format!("bind {}", shown(bind)))),
    };
    let options: Vec<&str> = options.split(',').collect();
    if !source.starts_with('/') {
        return volume_name(source);
    }
    let harmless = [
        "",
        "ro",
        "rw",
        "z",
        "Z",
        "nocopy",
        "private",
        "rprivate",
        "consistent",
        "cached",
        "delegated",
    ];
    if let Some(option) = options.iter().find(|option| !harmless.contains(option)) {
        return Err(Beyond(format!("bind option {}", shown(option))));
    }
    host_path(source, options.contains(&"ro"), rules)
}

fn host_path(path: &str, read_only: bool, rules: &dyn Limits) -> Checked {
    match rules.list(Wanted::Bind { path, read_only }) {
        true => Ok(()),
        false if read_only => Err(Beyond(format!("a read-only bind of {}", shown(path)))),
        false => Err(Beyond(format!("a bind of {}", shown(path)))),
    }
}

/// What the Engine takes for the name of a volume; anything else may be a path to it.
fn volume_name(name: &str) -> Checked {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let first = name.bytes().next().is_none_or(|b| b.is_ascii_alphanumeric());
    match first && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(Beyond(format!("volume {}", shown(name)))),
    }
}

const MOUNT: &[&str] = &[
    "Type",
    "Source",
    "Target",
    "ReadOnly",
    "Consistency",
    "BindOptions",
    "VolumeOptions",
    "TmpfsOptions",
    "ImageOptions",
];
const BIND_OPTIONS: &[&str] = &[
    "Propagation",
    "NonRecursive",
    "CreateMountpoint",
    "ReadOnlyNonRecursive",
    "ReadOnlyForceRecursive",
];

fn mount(mount: &Json, rules: &dyn Limits) -> Checked {
    only(mount, "Mounts", &[MOUNT])?;
    let source = text(mount, "Source")?;
    match text(mount, "Type")? {
        "bind" => {
            let options = mount.get("BindOptions");
            only(options, "BindOptions", &[BIND_OPTIONS])?;
            if !matches!(text(options, "Propagation")?, "" | "private" | "rprivate") {
                return Err(Beyond("mount propagation".to_owned()));
            }
            host_path(source, bool(mount, "ReadOnly")?, rules)
        }
        "volume" => {
            volume_name(source)?;
            let options = mount.get("VolumeOptions");
            only(
                options,
                "VolumeOptions",
                &[&["NoCopy", "Labels", "Subpath", "DriverConfig"]],
            )?;
            let config = options.get("DriverConfig");
            only(config, "DriverConfig", &[&["Name", "Options"]])?;
            driver(text(config, "Name")?, rules)?;
            driver_options(config.get("Options"), text(config, "Name")?, rules)
        }
        "tmpfs" => Ok(()),
        "image" => listed(source, rules),
        other => Err(Beyond(format!("mount type {}", shown(other)))),
    }
}

/// `POST /volumes/create`.
pub(super) fn volume(body: &Json, rules: &dyn Limits) -> Checked {
    only(
        body,
        "volume",
        &[&["Name", "Driver", "DriverOpts", "Labels", "ClusterVolumeSpec"]],
    )?;
    if *body.get("ClusterVolumeSpec") != Json::Null {
        return Err(Beyond("a cluster volume".to_owned()));
    }
    let name = text(body, "Driver")?;
    driver(name, rules)?;
    driver_options(body.get("DriverOpts"), name, rules)
}

fn driver(name: &str, rules: &dyn Limits) -> Checked {
    match matches!(name, "" | "local") || rules.list(Wanted::VolumeDriver(name)) {
        true => Ok(()),
        false => Err(Beyond(format!("volume driver {}", shown(name)))),
    }
}

/// Whether a flag says how a tmpfs is. `bind` among them would make the type mean nothing.
fn is_of_tmpfs(flag: &&str) -> bool {
    let sized = ["size=", "mode=", "uid=", "gid=", "nr_inodes="];
    matches!(*flag, "" | "ro" | "rw" | "noexec" | "nosuid" | "nodev")
        || sized.iter().any(|size| flag.starts_with(size))
}

/// The local driver mounts what its options say: any device, any directory, an overlay of both. Only a tmpfs
/// and a directory that may be bound pass.
fn driver_options(options: &Json, driver: &str, rules: &dyn Limits) -> Checked {
    let refused = || Beyond("options of the volume driver".to_owned());
    let pairs = options.pairs().ok_or_else(refused)?;
    if pairs.is_empty() || !matches!(driver, "" | "local") {
        return Ok(());
    }
    only(options, "DriverOpts", &[&["type", "o", "device", "size"]])?;
    let (kind, device) = (text(options, "type")?, text(options, "device")?);
    let flags: Vec<&str> = text(options, "o")?.split(',').collect();
    if kind == "tmpfs" && matches!(device, "" | "tmpfs") && flags.iter().all(is_of_tmpfs) {
        return Ok(());
    }
    if kind.is_empty() && device.is_empty() && flags == [""] {
        return Ok(());
    }
    let harmless = |flag: &&str| matches!(*flag, "bind" | "ro" | "rw" | "noexec" | "nosuid" | "nodev");
    if !matches!(kind, "" | "none") || !flags.contains(&"bind") || !flags.iter().all(harmless) {
        return Err(refused());
    }
    // Whether it is read-only is said again where the volume is used.
    host_path(device, false, rules)
}
