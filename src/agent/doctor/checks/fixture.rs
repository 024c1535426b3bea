//! A host on which all is well, for tests that change one thing about it.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::Finding;
use super::super::dial::{Answer, Owner, Port};
use super::super::examined::{
    Access, AgentConfig, AgentSeen, ClientSeen, Docker, Examined, LocalAccess, Settings, TlsFiles,
};
use crate::agent::daemon::facts::{
    ConfigFile, DaemonFacts, DaemonProcess, DaemonState, EngineFacts, Layout, Listener, OptionsFile, Program,
    Scope, SocketUnit, Unit, UnitFile,
};
use crate::agent::records::Status;
use crate::base::Timestamp;
use crate::model::{Condition, ConditionKind, ConditionStatus, HostReport, Mode};
use crate::pki::{Certificate, San};

const DAY: Duration = Duration::from_secs(86_400);

/// The time of all of it: 2027-01-15T08:00:00Z.
pub fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// The only finding.
pub fn one(found: Vec<Finding>) -> Finding {
    let [finding] = <[Finding; 1]>::try_from(found).unwrap_or_else(|found| panic!("not one: {found:?}"));
    finding
}

pub fn examined() -> Examined {
    Examined {
        now: now(),
        names: names(&["web-1.fleet", "10.0.0.7"]),
        docker: Some(Docker {
            facts: facts(),
            settings: Ok(Settings {
                hosts: vec!["fd://".into()],
                live_restore: true,
                ..Settings::default()
            }),
            validated: None,
            tls: None,
            config_target: None,
            plugin: None,
        }),
        ports: Vec::new(),
        local: LocalAccess {
            socket: "/var/run/docker.sock".into(),
            access: Some(Access {
                mode: 0o660,
                uid: 0,
                gid: 999,
            }),
            group: Some("docker".into()),
            members: Vec::new(),
        },
        agent: AgentSeen::default(),
        client: ClientSeen::default(),
        disks: Vec::new(),
        unseen: Vec::new(),
    }
}

fn names(texts: &[&str]) -> Vec<San> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn facts() -> DaemonFacts {
    DaemonFacts {
        layout: Layout::Systemd {
            unit: "docker.service".into(),
            scope: Scope::System,
        },
        state: DaemonState::Running,
        process: Some(process(&[])),
        program: Some(Program {
            path: "/usr/bin/dockerd".into(),
            version: Some("29.7.2".into()),
            validates: true,
        }),
        config_file: ConfigFile {
            path: "/etc/docker/daemon.json".into(),
            named_by_flag: false,
            contents: None,
        },
        unit: None,
        options_files: Vec::new(),
        engine: EngineFacts {
            version: Some("29.7.2".into()),
            live_restore: Some(true),
            swarm: Some(false),
            plugins: Vec::new(),
            running: Vec::new(),
            error: None,
        },
        listeners: Vec::new(),
    }
}

pub fn process(environment: &[(&str, &str)]) -> DaemonProcess {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    DaemonProcess {
        pid: 100,
        started_at: now() - DAY,
        start_ticks: 1,
        uid: 0,
        argv: vec!["/usr/bin/dockerd".into(), "-H".into(), "fd://".into()],
        environment: environment.collect(),
    }
}

pub fn options(path: &str, contents: &str) -> OptionsFile {
    OptionsFile {
        path: path.into(),
        contents: contents.into(),
    }
}

pub fn file(path: &str, contents: &str) -> UnitFile {
    UnitFile {
        path: path.into(),
        contents: contents.into(),
    }
}

pub fn unit(socket: Option<SocketUnit>) -> Unit {
    Unit {
        fragment: file(
            "/usr/lib/systemd/system/docker.service",
            "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n",
        ),
        drop_ins: Vec::new(),
        drop_in_directory: "/etc/systemd/system/docker.service.d".into(),
        sockets: socket.into_iter().collect(),
        needs_reload: false,
    }
}

pub fn listener(address: &str) -> Listener {
    Listener {
        address: address.parse().unwrap(),
        pid: Some(100),
    }
}

pub fn port(address: &str, plain: Answer, tls: Answer) -> Port {
    let address: SocketAddr = address.parse().unwrap();
    Port {
        address,
        owner: Owner::Dockerd,
        plain,
        tls,
        leaf: None,
    }
}

pub fn agent_config(mode: Mode, dial: &str) -> AgentConfig {
    AgentConfig {
        mode,
        server: "https://ca.fleet:8443".into(),
        dial: Some(dial.parse().unwrap()),
        files: "/etc/docker/dockwarden".into(),
        state: "/var/lib/dockwarden/agent".into(),
        token: None,
    }
}

pub fn status(at: Timestamp, conditions: &[(ConditionKind, ConditionStatus)]) -> Status {
    let conditions = conditions.iter().map(|(kind, status)| Condition {
        kind: *kind,
        status: *status,
        reason: "Word".into(),
        message: "a sentence".into(),
        since: at,
    });
    Status {
        name: "web-1.fleet".into(),
        server: "https://ca.fleet:8443".into(),
        connected: Some(true),
        updated_at: at,
        next: None,
        report: HostReport {
            observed_generation: 1,
            mode: Mode::Gate,
            agent_version: "0".into(),
            engine_version: None,
            endpoints: Vec::new(),
            issued: None,
            served: None,
            renew_at: None,
            clock_offset_ms: None,
            revocations: None,
            conditions: conditions.collect(),
        },
    }
}

/// What a certificate is to be.
pub struct Spec {
    /// Its first and last day, from now.
    pub days: (i64, i64),
    /// Made for a client.
    pub client: bool,
    /// Its names.
    pub sans: &'static [&'static str],
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            days: (-1, 29),
            client: false,
            sans: &["web-1.fleet", "10.0.0.7"],
        }
    }
}

/// A certificate.
pub struct Made {
    pub leaf: Certificate,
}

/// A self-signed one: the checks look at facts, and the chain is judged before them.
pub fn made(spec: Spec) -> Made {
    let sans: Vec<String> = spec.sans.iter().map(|s| (*s).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(sans).unwrap();
    params.extended_key_usages = vec![match spec.client {
        true => rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        false => rcgen::ExtendedKeyUsagePurpose::ServerAuth,
    }];
    let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(now().as_secs() + days * 86_400).unwrap();
    (params.not_before, params.not_after) = (at(spec.days.0), at(spec.days.1));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Made {
        leaf: Certificate::parse(certificate.der()).unwrap(),
    }
}

impl Made {
    /// As files in which nothing is wrong.
    pub fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: "/etc/docker/cert.pem".into(),
            chain: Ok(vec![self.leaf.clone()]),
            key: "/etc/docker/key.pem".into(),
            key_matches: Some(Ok(true)),
            key_access: Some(Access {
                mode: 0o400,
                uid: 0,
                gid: 0,
            }),
            ca: Some("/etc/docker/ca.pem".into()),
            anchors: Some(Ok(Vec::new())),
            chain_refused: None,
        }
    }
}
