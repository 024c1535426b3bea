//! Hosts to look at.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::super::Look;
use super::super::{DOCKER_SERVICE, KnownProgram, RealLook, Sought};
use crate::agent::daemon::engine::Engines;
use crate::agent::daemon::facts::{DaemonFacts, EngineFacts};
use crate::base::Timestamp;
use crate::sys::fake::{FakeProcess, FakeProcesses, FakeServices, FakeUnits, MemoryDisk};
use crate::sys::units::Activity;
use crate::sys::{
    CommandLine, Ending, Files, Listening, Outcome, Process, ProcessId, Programs, UnitId, UnitState,
};

pub(super) const SOCKET: &str = "/run/docker.sock";

/// dockerd, when it is asked for its version; remembers that the engine was asked.
#[derive(Default)]
pub(super) struct Machine {
    pub asked: Mutex<Vec<&'static str>>,
    pub peer: Option<u32>,
    pub in_use: Option<usize>,
}

#[async_trait]
impl Programs for Machine {
    async fn run(&self, _: &CommandLine) -> Outcome {
        self.asked.lock().unwrap().push("program");
        Outcome {
            ending: Ending::Exited(0),
            output_tail: "Docker version 28.5.2+dfsg4, build 3ef3c07\n".into(),
        }
    }
}

#[async_trait]
impl Engines for Machine {
    async fn ping(&self, _: &Path) -> Result<(), String> {
        self.asked.lock().unwrap().push("ping");
        Ok(())
    }

    async fn canary(&self, _: &Path, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn facts(&self, _: &Path) -> EngineFacts {
        self.asked.lock().unwrap().push("facts");
        EngineFacts {
            version: Some("28.5.2".into()),
            ..EngineFacts::default()
        }
    }

    async fn build_cache_in_use(&self, _: &Path) -> Option<usize> {
        self.in_use
    }

    async fn data_root(&self, _: &Path) -> Option<PathBuf> {
        Some("/srv/docker".into())
    }

    async fn peer(&self, _: &Path) -> Option<u32> {
        self.asked.lock().unwrap().push("peer");
        self.peer
    }
}

/// A host to look at.
pub(super) struct Bench {
    pub disk: MemoryDisk,
    pub processes: FakeProcesses,
    pub units: FakeUnits,
    pub services: FakeServices,
    pub machine: Arc<Machine>,
    pub restart: Option<&'static str>,
}

impl Bench {
    /// With systemd, and without Docker.
    pub fn new() -> Self {
        Self {
            disk: MemoryDisk::new(),
            processes: FakeProcesses::new(),
            units: FakeUnits::new(),
            services: FakeServices::default(),
            machine: Arc::default(),
            restart: None,
        }
    }

    /// Debian's Docker, running.
    pub fn debian() -> Self {
        let bench = Self::new();
        let fragment = "/lib/systemd/system/docker.service";
        bench
            .disk
            .plant(fragment, "[Service]\nExecStart=/usr/sbin/dockerd -H fd://\n");
        bench.disk.plant("/etc/default/docker", "DOCKER_OPTS=\"\"\n");
        bench.disk.plant("/usr/sbin/dockerd", "");
        bench.units.plant(
            UnitId::system(DOCKER_SERVICE),
            UnitState {
                id: DOCKER_SERVICE.into(),
                load: "loaded".into(),
                activity: Activity::Active,
                sub: "running".into(),
                main_pid: Some(62),
                fragment: Some(fragment.into()),
                triggered_by: vec!["docker.socket".into()],
                environment_files: vec![
                    ("/etc/default/docker".into(), true),
                    ("/etc/sysconfig/docker".into(), true),
                ],
                program: Some("/usr/sbin/dockerd".into()),
                command: vec!["/usr/sbin/dockerd".into(), "-H".into(), "fd://".into()],
                ..UnitState::default()
            },
        );
        bench.units.plant(
            UnitId::system("docker.socket"),
            UnitState {
                id: "docker.socket".into(),
                load: "loaded".into(),
                activity: Activity::Active,
                triggers: vec![DOCKER_SERVICE.into()],
                listen: vec![SOCKET.into(), "[::]:2375".into()],
                ..UnitState::default()
            },
        );
        bench.process(1, "systemd", "/sbin/init", "/init.scope", &[SOCKET]);
        bench.process(
            62,
            "dockerd",
            "/usr/sbin/dockerd -H fd://",
            "/system.slice/docker.service",
            &[SOCKET],
        );
        bench
    }

    /// As [`Bench::debian`], with dockerd stopped and its socket still listening.
    pub fn stopped(activity: Activity, sub: &str) -> Self {
        let bench = Self::debian();
        bench.processes.end(62);
        bench.units.change(&UnitId::system(DOCKER_SERVICE), |unit| {
            unit.activity = activity;
            unit.sub = sub.into();
            unit.main_pid = None;
            unit.result = "exit-code".into();
            unit.changed_at = Some(Timestamp::from_secs(1000));
        });
        bench
    }

    pub fn process(&self, pid: u32, name: &str, line: &str, cgroup: &str, sockets: &[&str]) {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        self.processes.plant(FakeProcess {
            process: Process {
                id: ProcessId {
                    pid,
                    start_ticks: u64::from(pid) * 10,
                },
                parent: u32::from(pid > 1),
                started_at: Timestamp::from_secs(i64::from(pid)),
                uid: 0,
                name: name.into(),
                program: Some(argv[0].clone().into()),
                program_replaced: false,
                argv,
                directory: Some("/".into()),
                cgroups: vec![cgroup.into()],
            },
            environment: vec![
                ("DOCKER_TLS_VERIFY".into(), "1".into()),
                ("SECRET".into(), "x".into()),
            ],
            open_files: Vec::new(),
            listening: Listening {
                tcp: vec!["127.0.0.1:2376".parse().unwrap()],
                unix: sockets.iter().map(PathBuf::from).collect(),
            },
        });
    }

    pub fn real_look(self) -> RealLook {
        RealLook {
            sought: Sought {
                docker_socket: SOCKET.into(),
                restart: self.restart.map(|word| vec![word.to_owned()]),
            },
            files: Files::on(Arc::new(self.disk)),
            processes: Arc::new(self.processes),
            units: Arc::new(self.units),
            services: Arc::new(self.services),
            programs: Arc::clone(&self.machine) as _,
            engines: self.machine,
            known: KnownProgram::default(),
        }
    }

    pub async fn look(self) -> DaemonFacts {
        self.real_look().look().await
    }
}
