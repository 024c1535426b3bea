//! The facts of a real dockerd, started here; and of this machine's own, where systemd runs one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dockwarden::agent::daemon::engine::RealEngines;
use dockwarden::agent::daemon::facts::{DaemonState, Layout};
use dockwarden::agent::daemon::look::{KnownProgram, Look, RealLook, Sought};
use dockwarden::agent::step::Served;
use dockwarden::agent::{Probe, RealProbe};
use dockwarden::sys::{Files, RealProcesses, RealPrograms, RealServices, RealUnits, Scope, UnitId, Units};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::pki::{Fleet, Signed};

const DOCKERD: &str = "/usr/sbin/dockerd";

pub fn look_at(docker_socket: PathBuf, restart: Option<Vec<String>>) -> RealLook {
    let programs = Arc::new(RealPrograms);
    RealLook {
        sought: Sought {
            docker_socket,
            restart,
        },
        files: Files::system(),
        processes: Arc::new(RealProcesses),
        units: Arc::new(RealUnits::new(programs.clone())),
        services: Arc::new(RealServices::new(programs.clone())),
        programs,
        engines: Arc::new(RealEngines),
        known: KnownProgram::default(),
    }
}

/// A dockerd of the test's own; ended, with all it made, when dropped.
pub struct Daemon {
    dir: tempfile::TempDir,
    child: Child,
}

impl Daemon {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "the test is about this very program")]
    pub fn start(dir: tempfile::TempDir, arguments: &[&str]) -> Self {
        let path = |name: &str| dir.path().join(name).display().to_string();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(DOCKERD)
            .args([
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("exec"),
                "-p",
                &path("pid"),
            ])
            .args(["-H", &format!("unix://{}", path("docker.sock"))])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { dir, child }
    }

    /// Once it answers.
    pub async fn answering(self, look: &RealLook) -> Self {
        for _ in 0..300 {
            if look.engines.ping(&look.sought.docker_socket).await.is_ok() {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "dockerd does not answer:\n{}",
            std::fs::read_to_string(self.path("log")).unwrap()
        );
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let _ = rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM);
        for _ in 0..300 {
            if self.child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn can_run_dockerd() -> bool {
    let possible = Path::new(DOCKERD).exists() && rustix::process::geteuid().is_root();
    if !possible {
        eprintln!("SKIPPED: {DOCKERD} and root are needed to look at a real dockerd");
    }
    possible
}

#[expect(
    clippy::disallowed_methods,
    reason = "scratch files of a test need no durability"
)]
pub fn put(path: &Path, contents: impl AsRef<[u8]>) -> String {
    std::fs::write(path, contents).unwrap();
    path.display().to_string()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|l| std::str::from_utf8(l).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// `cert.pem`, `key.pem` and `ca.pem` for dockerd.
pub fn write_pair(directory: &Path, fleet: &Fleet, leaf: &Signed) -> [String; 3] {
    let chain: String = leaf.chain().iter().map(|der| pem("CERTIFICATE", der)).collect();
    [
        put(&directory.join("cert.pem"), chain),
        put(
            &directory.join("key.pem"),
            pem("PRIVATE KEY", leaf.private_key().secret_der()),
        ),
        put(&directory.join("ca.pem"), pem("CERTIFICATE", &fleet.root.der)),
    ]
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_dockerd_is_seen_as_it_was_started() {
    if !can_run_dockerd() {
        return;
    }
    let fleet = Fleet::new();
    let leaf = fleet.host("web-01");
    for verify in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let [cert, key, ca] = write_pair(dir.path(), &fleet, &leaf);
        let config = put(&dir.path().join("daemon.json"), "{\"live-restore\": true}\n");
        let address = format!("127.0.0.1:{}", free_port());
        let host = format!("tcp://{address}");
        // TLS it is either way; `--tls` alone would mean to verify, too.
        let tls = if verify {
            "--tlsverify=true"
        } else {
            "--tlsverify=false"
        };
        let arguments = [
            "--config-file",
            &config,
            "-H",
            &host,
            tls,
            "--tlscert",
            &cert,
            "--tlskey",
            &key,
            "--tlscacert",
            &ca,
        ];
        let restart = vec!["/nonexistent/restart".to_owned()];
        let look = look_at(dir.path().join("docker.sock"), Some(restart.clone()));
        let daemon = Daemon::start(dir, &arguments).answering(&look).await;

        let facts = look.look().await;
        assert_eq!(facts.state, DaemonState::Running);
        assert_eq!(facts.layout, Layout::Plain { restart });
        let process = facts.process.clone().unwrap();
        assert_eq!((process.pid, process.uid), (daemon.child.id(), 0));
        assert!(process.argv.contains(&host), "{process:?}");
        let program = facts.program.clone().unwrap();
        assert_eq!(program.path, Path::new(DOCKERD));
        let major: u32 = program
            .version
            .as_deref()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(program.validates, major >= 23);
        assert_eq!(facts.config_file.path, Path::new(&config));
        assert!(facts.config_file.named_by_flag && facts.config_file.contents.is_some());
        assert_eq!(
            (facts.engine.live_restore, facts.engine.swarm),
            (Some(true), Some(false))
        );
        assert!(facts.engine.running.is_empty() && facts.engine.error.is_none());
        let listens = |l: &dockwarden::agent::daemon::facts::Listener| {
            l.address == address.parse().unwrap() && l.pid == Some(process.pid)
        };
        assert!(facts.listeners.iter().any(listens), "{:?}", facts.listeners);
        assert_eq!(look.busy(&facts).await, Vec::<String>::new());
        assert_eq!(
            look.engines.peer(&look.sought.docker_socket).await,
            Some(process.pid)
        );

        let Served::Certificate(served) = RealProbe.served(address.parse().unwrap()).await else {
            panic!("nothing is served");
        };
        assert_eq!(
            served.asks_for_client, verify,
            "dockerd asks when it verifies, and only then"
        );
        assert_eq!(served.chain.len(), 2);

        let socket = look.sought.docker_socket.clone();
        drop(daemon);
        let facts = look.look().await;
        assert_eq!((facts.state, facts.process), (DaemonState::Stopped, None));
        assert!(!socket.exists() || facts.engine.error.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerd_that_nobody_supervises_is_not_recognised() {
    if !can_run_dockerd() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let look = look_at(dir.path().join("docker.sock"), None);
    let daemon = Daemon::start(dir, &[]).answering(&look).await;
    let facts = look.look().await;
    let Layout::Unrecognised(why) = facts.layout else {
        panic!("{:?}", facts.layout);
    };
    assert!(
        why.contains(&format!("process {}", daemon.child.id())) && why.contains("restart"),
        "{why}"
    );
}

/// The digest of `bytes`, as registries write it.
fn digest(bytes: &[u8]) -> String {
    let hash = dockwarden::base::encoding::sha256(bytes);
    format!("sha256:{}", dockwarden::base::encoding::hex(&hash))
}

/// A registry with one image, whose layer stops half way until it is let go on.
struct Registry {
    address: std::net::SocketAddr,
    go_on: tokio::sync::watch::Sender<bool>,
}

impl Registry {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (go_on, released) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, released.clone()));
            }
        });
        Self { address, go_on }
    }
}

/// One request a connection.
async fn answer(mut stream: tokio::net::TcpStream, mut released: tokio::sync::watch::Receiver<bool>) {
    let mut head = [0; 4096];
    let length = stream.read(&mut head).await.unwrap_or_default();
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // A tar of nothing but its end: two empty blocks.
    let layer = vec![0u8; 1024];
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        digest(&layer)
    );
    let docker = "application/vnd.docker";
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{docker}.distribution.manifest.v2+json","config":{{"mediaType":"{docker}.container.image.v1+json","size":{},"digest":"{}"}},"layers":[{{"mediaType":"{docker}.image.rootfs.diff.tar","size":{},"digest":"{}"}}]}}"#,
        config.len(),
        digest(config.as_bytes()),
        layer.len(),
        digest(&layer)
    );
    let (kind, body) = match target {
        "/v2/" => ("application/json", b"{}".to_vec()),
        _ if target.contains("/manifests/") => (
            "application/vnd.docker.distribution.manifest.v2+json",
            manifest.into_bytes(),
        ),
        _ if target.ends_with(&digest(config.as_bytes())) => {
            ("application/octet-stream", config.into_bytes())
        }
        _ => ("application/octet-stream", layer.clone()),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Docker-Content-Digest: {}\r\n\r\n",
        body.len(),
        digest(&body)
    );
    let _ = stream.write_all(head.as_bytes()).await;
    if method == "HEAD" {
        return;
    }
    let half = body.len() / 2;
    let _ = stream.write_all(&body[..half]).await;
    if body == layer {
        let _ = released.wait_for(|released| *released).await;
    }
    let _ = stream.write_all(&body[half..]).await;
}

async fn pull(socket: PathBuf, image: String) -> String {
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let request = format!(
        "POST /images/create?fromImage={image}&tag=1 HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_is_seen_until_it_has_ended() {
    if !can_run_dockerd() {
        return;
    }
    let registry = Registry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let look = look_at(dir.path().join("docker.sock"), None);
    let _daemon = Daemon::start(dir, &[]).answering(&look).await;
    let facts = look.look().await;
    assert_eq!(look.busy(&facts).await, Vec::<String>::new());
    let image = format!("{}/x", registry.address);
    let pulling = tokio::spawn(pull(look.sought.docker_socket.clone(), image));
    let mut seen = Vec::new();
    for _ in 0..200 {
        seen = look.busy(&facts).await;
        if !seen.is_empty() || pulling.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!pulling.is_finished(), "{}", pulling.await.unwrap());
    assert!(
        seen.first().is_some_and(|sign| sign.contains("pulled")),
        "{seen:?}"
    );
    registry.go_on.send(true).unwrap();
    let said = pulling.await.unwrap();
    assert!(!said.contains("\"error\""), "{said}");
    assert_eq!(look.busy(&facts).await, Vec::<String>::new());
}

/// The units of users, on machines where somebody's systemd runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_users_systemd_is_asked_as_that_user() {
    let users = std::fs::read_dir("/run/user").into_iter().flatten().flatten();
    let running: Vec<PathBuf> = users
        .map(|entry| entry.path())
        .filter(|path| path.join("systemd").exists())
        .collect();
    if running.is_empty() {
        eprintln!("SKIPPED: no user's systemd runs here");
    }
    for runtime_directory in running {
        let uid = runtime_directory
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let scope = Scope::User {
            uid,
            runtime_directory,
        };
        let name = "docker.service".to_owned();
        let id = UnitId {
            name,
            scope: scope.clone(),
        };
        let units = RealUnits::new(Arc::new(RealPrograms));
        let unit = units.show(&id).await.unwrap();
        assert_eq!(unit.id, "docker.service");
        let lines = units.journal(&id, dockwarden::base::Timestamp::EPOCH, 20).await;
        assert!(lines.unwrap().len() <= 20);
    }
}

/// Runs on the hosts that the suites boot, where systemd starts the distribution's Docker.
#[tokio::test(flavor = "multi_thread")]
async fn a_distributions_docker_is_seen_as_systemd_says() {
    let look = look_at("/var/run/docker.sock".into(), None);
    let id = UnitId::system("docker.service");
    let Ok(unit) = look.units.show(&id).await else {
        eprintln!("SKIPPED: systemd does not run here");
        return;
    };
    if !unit.is_loaded() {
        eprintln!("SKIPPED: there is no docker.service here");
        return;
    }
    let facts = look.look().await;
    eprintln!("{facts:#?}");
    assert!(matches!(&facts.layout, Layout::Systemd { unit, .. } if unit == "docker.service"));
    assert_eq!(facts.process.as_ref().map(|process| process.pid), unit.main_pid);
    let seen = facts.unit.as_ref().unwrap();
    assert_eq!(Some(&seen.fragment.path), unit.fragment.as_ref());
    assert!(seen.sockets.iter().any(|socket| socket.name == "docker.socket"));
    assert_eq!(
        facts.state == DaemonState::Running,
        facts.engine.version.is_some()
    );
    let since = dockwarden::base::Timestamp::EPOCH;
    let lines = look.units.journal(&id, since, 20).await.unwrap();
    assert!(
        lines.len() <= 20 && lines.iter().any(|line| line.program == "dockerd"),
        "{lines:?}"
    );
}
