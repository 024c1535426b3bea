//! The files dockerd's settings come from: which they are, and what they say.

use std::path::{Path, PathBuf};

use super::super::facts::{
    ConfigFile, Layout, OptionsFile, Scope, ServiceManager, SocketUnit, Unit, UnitFile,
};
use super::{RealLook, layout};
use crate::sys::units::Activity;
use crate::sys::{Process, UnitId, UnitState};

/// How much of a file of settings is read, bytes.
const BYTES_MAX: usize = 1024 * 1024;
/// Where dockerd looks when it is not told.
const CONFIG: &str = "/etc/docker/daemon.json";
/// Where the snap's dockerd is told to look.
const SNAP_CONFIG: &str = "/var/snap/docker/current/config/daemon.json";
/// Where units of the machine's administrator are.
const SYSTEM_UNITS: &str = "/etc/systemd/system";
/// Where units that last until the next boot are.
const RUNTIME_UNITS: &str = "/run/systemd/system";
/// What scripts of System V read, in Debian's and in Red Hat's families.
const SYSV_OPTIONS: [&str; 2] = ["/etc/default/docker", "/etc/sysconfig/docker"];
/// What OpenRC reads, in this order.
const OPENRC_OPTIONS: [&str; 2] = ["/etc/rc.conf", "/etc/conf.d/docker"];

impl RealLook {
    pub(super) fn config_file(
        &self,
        process: Option<&Process>,
        unit: Option<&UnitState>,
        scope: &Scope,
    ) -> ConfigFile {
        let argv = match (process, unit) {
            (Some(process), _) => &process.argv[..],
            (None, Some(unit)) => &unit.command[..],
            (None, None) => &[],
        };
        let directory = process.and_then(|process| process.directory.as_deref());
        let named = named_config(argv, directory);
        let snap = unit.is_some_and(|unit| unit.id == super::SNAP_SERVICE);
        let path = match &named {
            Some(path) => path.clone(),
            None if snap => SNAP_CONFIG.into(),
            None => self.default_config(process, scope),
        };
        ConfigFile {
            contents: self.files.read(&path, BYTES_MAX).ok(),
            named_by_flag: named.is_some(),
            path,
        }
    }

    /// `/etc/docker/daemon.json`, and for a rootless dockerd the one in its user's home.
    fn default_config(&self, process: Option<&Process>, scope: &Scope) -> PathBuf {
        let Scope::User { uid, .. } = scope else {
            return CONFIG.into();
        };
        let names = ["XDG_CONFIG_HOME", "HOME"];
        let variables = process.map(|process| self.processes.environment(process.id.pid, &names));
        let variables = variables.unwrap_or_default();
        let value = |name: &str| variables.iter().find(|(n, v)| n == name && !v.is_empty());
        if let Some((_, directory)) = value("XDG_CONFIG_HOME") {
            return Path::new(directory).join("docker/daemon.json");
        }
        let home = value("HOME").map(|(_, home)| PathBuf::from(home));
        home.or_else(|| self.home_of(*uid))
            .map_or_else(|| CONFIG.into(), |home| home.join(".config/docker/daemon.json"))
    }

    /// From `/etc/passwd`.
    fn home_of(&self, uid: u32) -> Option<PathBuf> {
        let passwd = self.files.read_text(Path::new("/etc/passwd"), BYTES_MAX);
        home_in(&passwd.ok()?, uid)
    }

    /// The unit's files; `None` when its own cannot be read.
    pub(super) async fn unit(&self, state: &UnitState, scope: &Scope) -> Option<Unit> {
        let fragment = self.unit_file(state.fragment.as_deref()?)?;
        let drop_ins = state.drop_ins.iter().filter_map(|path| self.unit_file(path));
        let drop_ins: Vec<UnitFile> = drop_ins.collect();
        let drop_in_directory = self.unit_directory(scope)?.join(format!("{}.d", state.id));
        let needs_reload = state.needs_reload || self.has_unread_drop_ins(state, &drop_in_directory);
        let mut sockets = Vec::new();
        for name in state.triggered_by.iter().filter(|name| name.ends_with(".socket")) {
            sockets.extend(self.socket_unit(name, scope).await);
        }
        Some(Unit {
            fragment,
            drop_ins,
            drop_in_directory,
            sockets,
            needs_reload,
        })
    }

    fn unit_file(&self, path: &Path) -> Option<UnitFile> {
        let contents = self.files.read_text(path, BYTES_MAX).ok()?;
        Some(UnitFile {
            path: path.to_owned(),
            contents,
        })
    }

    fn unit_directory(&self, scope: &Scope) -> Option<PathBuf> {
        match scope {
            Scope::System => Some(SYSTEM_UNITS.into()),
            Scope::User { uid, .. } => Some(self.home_of(*uid)?.join(".config/systemd/user")),
        }
    }

    /// What systemd itself does not always notice: a drop-in that it has not read, or one that it has and is gone.
    fn has_unread_drop_ins(&self, state: &UnitState, directory: &Path) -> bool {
        let there = |directory: &Path| -> Vec<PathBuf> {
            let names = self.files.list(directory).unwrap_or_default();
            let files = names.iter().filter(|name| name.ends_with(".conf"));
            files.map(|name| directory.join(name)).collect()
        };
        let mut all = there(directory);
        // One of the same name in /etc hides the one in /run.
        let mut passing = there(&Path::new(RUNTIME_UNITS).join(format!("{}.d", state.id)));
        passing.retain(|path| all.iter().all(|own| own.file_name() != path.file_name()));
        all.append(&mut passing);
        let unread = all.iter().any(|path| !state.drop_ins.contains(path));
        let gone = state.drop_ins.iter().any(|path| !self.files.exists(path));
        unread || gone
    }

    async fn socket_unit(&self, name: &str, scope: &Scope) -> Option<SocketUnit> {
        let id = UnitId {
            name: name.to_owned(),
            scope: scope.clone(),
        };
        let state = self.units.show(&id).await.ok()?;
        state.is_loaded().then(|| SocketUnit {
            name: name.to_owned(),
            listen: state.listen,
            active: state.activity == Activity::Active,
        })
    }

    pub(super) fn options_files(&self, layout: &Layout, unit: Option<&UnitState>) -> Vec<OptionsFile> {
        let paths: Vec<PathBuf> = match layout {
            Layout::Systemd { .. } | Layout::Snap { .. } => {
                let files = unit.iter().flat_map(|unit| &unit.environment_files);
                files.map(|(path, _)| path.clone()).collect()
            }
            Layout::Service { manager, .. } => match manager {
                ServiceManager::OpenRc => OPENRC_OPTIONS.map(PathBuf::from).to_vec(),
                ServiceManager::SysV => SYSV_OPTIONS.map(PathBuf::from).to_vec(),
            },
            Layout::Plain { .. } | Layout::Unrecognised(_) => Vec::new(),
        };
        let read = |path: PathBuf| {
            let contents = self.files.read_text(&path, BYTES_MAX).ok()?;
            Some(OptionsFile { path, contents })
        };
        paths.into_iter().filter_map(read).collect()
    }
}

/// The last `--config-file`, as dockerd takes it: relative to where it was started.
fn named_config(argv: &[String], directory: Option<&Path>) -> Option<PathBuf> {
    let named = layout::values_of(argv, "config-file", None).pop()?;
    Some(directory.unwrap_or(Path::new("/")).join(named))
}

/// `me:x:1000:1000:Me:/home/me:/bin/sh`
fn home_in(passwd: &str, uid: u32) -> Option<PathBuf> {
    let uid = uid.to_string();
    let mut users = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let own = users.find(|fields| fields.get(2) == Some(&uid.as_str()))?;
    own.get(5).filter(|home| !home.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_is_the_one_that_was_named() {
        let rows = [
            ("dockerd", None),
            ("dockerd --config-file=/a.json", Some("/a.json")),
            (
                "dockerd --config-file /a.json --config-file /b.json",
                Some("/b.json"),
            ),
            ("dockerd --config-file c.json", Some("/srv/c.json")),
        ];
        for (line, expected) in rows {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let named = named_config(&argv, Some(Path::new("/srv")));
            assert_eq!(named.as_deref(), expected.map(Path::new), "{line}");
        }
    }

    #[test]
    fn the_home_of_a_user_is_in_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\nodd:x:7\n";
        assert_eq!(home_in(passwd, 1000), Some("/home/me".into()));
        assert_eq!(home_in(passwd, 7), None);
        assert_eq!(home_in(passwd, 100), None);
    }
}
