//! What a request asks for beyond what Docker gives everybody, one thing at a time. Rules say whether they list it; a
//! learner remembers it. Both are asked by the same checks, so that what was learned is what is allowed.

use super::rules::{BodyRules, Namespace};

/// One thing that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// `--privileged`.
    Privileged,
    /// A namespace of the host.
    Namespace(Namespace),
    /// Namespaces or volumes of another container.
    JoinContainers,
    /// A device, by its path on the host.
    Device(&'a str),
    /// Any device at all.
    AnyDevice,
    /// Devices of a driver; `default` for none named.
    DeviceRequest(&'a str),
    /// A capability, with or without `CAP_`.
    Capability(&'a str),
    /// A security option that is not harmless.
    SecurityOption(&'a str),
    /// A path of the host.
    Bind {
        /// The path.
        path: &'a str,
        /// Whether it cannot be written.
        read_only: bool,
    },
    /// A volume driver that is not `local`.
    VolumeDriver(&'a str),
    /// A runtime that is not `runc`.
    Runtime(&'a str),
    /// An image, by name or id.
    Image(&'a str),
    /// Whatever image there is, one from a file too.
    AnyImage,
}

/// What requests are held against.
pub trait Limits {
    /// Whether it is listed. Only asked about what would be refused otherwise.
    fn list(&self, wanted: Wanted<'_>) -> bool;
}

impl Limits for BodyRules {
    fn list(&self, wanted: Wanted<'_>) -> bool {
        let has = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
        match wanted {
            Wanted::Privileged => self.privileged,
            Wanted::Namespace(namespace) => self.shares(namespace),
            Wanted::JoinContainers => self.join_containers,
            Wanted::Device(path) => self.gives_device(path),
            Wanted::AnyDevice => has(&self.devices, "*"),
            Wanted::DeviceRequest(driver) => has(&self.device_requests, driver),
            Wanted::Capability(name) => self.adds(name),
            Wanted::SecurityOption(option) => self.sets(option),
            Wanted::Bind { path, read_only } => self.binds(path, read_only),
            Wanted::VolumeDriver(name) => has(&self.volume_drivers, name),
            Wanted::Runtime(name) => has(&self.runtimes, name),
            Wanted::Image(name) => self.uses(name),
            Wanted::AnyImage => self.images.is_empty(),
        }
    }
}
