//! What a role's rules allow in a request's body. Everything that is not listed is refused.

use serde::{Deserialize, Serialize};

use super::spec::{RoleError, check_list};
use super::{glob, image};

/// A namespace of the host that a container may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Namespace {
    /// `--cgroupns host`
    Cgroup,
    /// `--ipc host`
    Ipc,
    /// `--network host`
    Net,
    /// `--pid host`
    Pid,
    /// `--userns host`
    Userns,
    /// `--uts host`
    Uts,
}

impl Namespace {
    /// Its word in role files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Ipc => "ipc",
            Self::Net => "net",
            Self::Pid => "pid",
            Self::Userns => "userns",
            Self::Uts => "uts",
        }
    }

    /// From that word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Cgroup,
            Self::Ipc,
            Self::Net,
            Self::Pid,
            Self::Userns,
            Self::Uts,
        ];
        all.into_iter().find(|namespace| namespace.as_str() == word)
    }
}

/// Limits on what may be asked for. The default is the strictest: nothing that gives a container more than Docker's
/// own defaults do, and no file of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct BodyRules {
    /// `--privileged`, for containers and exec.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Namespaces of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_namespaces: Vec<Namespace>,
    /// Namespaces (`--network container:x`) and volumes (`--volumes-from x`) of other containers: what those may do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub join_containers: bool,
    /// Devices of the host: globs over paths, `*` also for `--device-cgroup-rule`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Drivers of `--gpus` and CDI devices: `nvidia`, `cdi`, `default` for none named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_requests: Vec<String>,
    /// Capabilities that may be added: `NET_ADMIN`; `ALL` must be listed itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// `--security-opt`: globs. `no-new-privileges` is always allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Directories and files of the host: `/srv/app` that one, `/srv/app/*` what is in it, `/srv/app/**` anything
    /// below; with `:ro` read-only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<String>,
    /// Volume drivers besides `local`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_drivers: Vec<String>,
    /// Runtimes besides `runc`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<String>,
    /// Images that may be pulled and run, as globs; none listed: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

impl BodyRules {
    /// Whether every rule says something.
    ///
    /// # Errors
    /// [`RoleError`].
    pub(super) fn check(&self) -> Result<(), RoleError> {
        let lists: [(&'static str, &Vec<String>, Check, &'static str); 8] = [
            (
                "devices",
                &self.devices,
                is_device,
                "use a path such as /dev/fuse, or *",
            ),
            (
                "device_requests",
                &self.device_requests,
                is_word,
                "use the name of a driver, such as nvidia",
            ),
            (
                "capabilities",
                &self.capabilities,
                is_capability,
                "use a name such as NET_ADMIN",
            ),
            (
                "security_opt",
                &self.security_opt,
                is_some,
                "use an option such as seccomp=unconfined",
            ),
            (
                "binds",
                &self.binds,
                is_bind,
                "use an absolute path without '.', '..' and empty parts, perhaps with /* or /** at its end, perhaps with :ro",
            ),
            (
                "volume_drivers",
                &self.volume_drivers,
                is_word,
                "use the name of a driver",
            ),
            ("runtimes", &self.runtimes, is_word, "use the name of a runtime"),
            (
                "images",
                &self.images,
                image::is_pattern,
                "use a name such as registry.example/team/*",
            ),
        ];
        for (list, entries, check, why) in lists {
            check_list(list, entries)?;
            if let Some(entry) = entries.iter().find(|entry| !check(entry)) {
                let entry = entry.chars().take(80).collect();
                return Err(RoleError::Rule { list, entry, why });
            }
        }
        Ok(())
    }

    /// Whether containers may share this namespace with the host.
    pub fn shares(&self, namespace: Namespace) -> bool {
        self.host_namespaces.contains(&namespace)
    }

    /// Whether this path of the host may be bound.
    pub fn binds(&self, path: &str, read_only: bool) -> bool {
        is_clean(path) && self.binds.iter().any(|bind| bind_fits(bind, path, read_only))
    }

    /// Whether this device may be given to a container.
    pub fn gives_device(&self, path: &str) -> bool {
        is_clean(path) && self.devices.iter().any(|device| glob::matches(device, path))
    }

    /// Whether this capability may be added, with or without `CAP_`, in whatever case.
    pub fn adds(&self, capability: &str) -> bool {
        let wanted = bare_capability(capability);
        self.capabilities
            .iter()
            .any(|listed| bare_capability(listed) == wanted)
    }

    /// Whether this security option may be set.
    pub fn sets(&self, option: &str) -> bool {
        self.security_opt
            .iter()
            .any(|listed| glob::matches(listed, option))
    }

    /// Whether this image may be used.
    pub fn uses(&self, image: &str) -> bool {
        self.images.is_empty() || image::is_listed(&self.images, image)
    }
}

type Check = fn(&str) -> bool;

pub(super) fn bare_capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

/// Whether a path is absolute and has one reading: the Engine would clean any other before it uses it.
pub(super) fn is_clean(path: &str) -> bool {
    path == "/"
        || path.strip_prefix('/').is_some_and(|rest| {
            let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
            rest.split('/').all(plain)
        })
}

fn bind_fits(bind: &str, path: &str, read_only: bool) -> bool {
    let (bind, only_to_read) = match bind.strip_suffix(":ro") {
        Some(bind) => (bind, true),
        None => (bind, false),
    };
    let below = |root: &str| path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'));
    let fits = match (bind.strip_suffix("/**"), bind.strip_suffix("/*")) {
        (Some(root), _) => below(root).is_some_and(|rest| !rest.is_empty()),
        (None, Some(root)) => below(root).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        (None, None) => bind == path,
    };
    fits && (read_only || !only_to_read)
}

fn is_bind(entry: &str) -> bool {
    let path = entry.strip_suffix(":ro").unwrap_or(entry);
    let root = path
        .strip_suffix("/**")
        .or_else(|| path.strip_suffix("/*"))
        .unwrap_or(path);
    // "/*" and "/**" leave nothing: everything below the root.
    (root.is_empty() && path.len() > 1 || is_clean(root)) && !root.contains(['*', ':'])
}

fn is_device(entry: &str) -> bool {
    entry == "*" || is_clean(entry)
}

pub(super) fn is_word(entry: &str) -> bool {
    !entry.is_empty()
        && entry
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:".contains(&b))
}

pub(super) fn is_capability(entry: &str) -> bool {
    !entry.is_empty() && entry.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
}

pub(super) fn is_some(entry: &str) -> bool {
    !entry.is_empty() && !entry.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_host_fits_as_it_is_written_and_in_no_other_way() {
        for (bind, path, read_only, fits) in [
            ("/srv/app", "/srv/app", false, true),
            ("/srv/app", "/srv/app/x", false, false),
            ("/srv/app", "/srv/apple", false, false),
            ("/srv/app", "/srv/app/", false, false),
            ("/srv/app", "/srv/app/../..", false, false),
            ("/srv/app", "//srv/app", false, false),
            ("/srv/app:ro", "/srv/app", true, true),
            ("/srv/app:ro", "/srv/app", false, false),
            ("/srv/*", "/srv/app", false, true),
            ("/srv/*", "/srv", false, false),
            ("/srv/*", "/srv/app/x", false, false),
            ("/srv/**", "/srv/app/x", false, true),
            ("/srv/**", "/srv/../etc", false, false),
            ("/srv/**", "/srv", false, false),
            ("/srv/**:ro", "/srv/a/b", true, true),
            ("/**", "/etc", false, true),
            ("/", "/", false, true),
            ("/**", "/", false, false),
        ] {
            assert!(is_bind(bind), "{bind}");
            let rules = BodyRules {
                binds: vec![bind.to_owned()],
                ..BodyRules::default()
            };
            assert_eq!(rules.binds(path, read_only), fits, "{bind} {path} {read_only}");
        }
        for bad in [
            "",
            "srv",
            "/srv/",
            "/srv/../x",
            "/a/*/b",
            "/srv:rw",
            "./x",
            "~",
            "*",
            "/srv/***",
        ] {
            assert!(!is_bind(bad), "{bad:?}");
        }
    }

    #[test]
    fn capabilities_are_compared_without_prefix_and_case() {
        let rules = BodyRules {
            capabilities: vec!["CAP_NET_ADMIN".to_owned(), "chown".to_owned()],
            ..BodyRules::default()
        };
        for (name, adds) in [
            ("NET_ADMIN", true),
            ("cap_net_admin", true),
            ("CHOWN", true),
            ("ALL", false),
            ("SYS_ADMIN", false),
            ("CAP_CAP_NET_ADMIN", false),
        ] {
            assert_eq!(rules.adds(name), adds, "{name}");
        }
    }
}
