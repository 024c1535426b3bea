//! `dockwarden quickstart` as a program, in front of a stand-in for dockerd.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use dockwarden::base::SystemClock;
use dockwarden::cli::client::docker::id;
use dockwarden::pki::chain::Anchors;
use dockwarden::pki::tls::{ALPN_HTTP1, ServerTrust, TlsIdentity, client_config};
use dockwarden::pki::{Certificate, Serial, pem};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::support::engine::Engine;

/// No single step takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

struct Machine {
    directory: tempfile::TempDir,
    ports: (u16, u16),
}

/// Killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    fn new() -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, two) = (free(), free());
        let port = |l: &std::net::TcpListener| l.local_addr().unwrap().port();
        Self {
            directory: tempfile::tempdir().unwrap(),
            ports: (port(&one), port(&two)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "tests start the program itself")]
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockwarden"));
        command
            .args(line.split_whitespace())
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn quickstart(&self, more: &str) -> String {
        let (port, gate) = self.ports;
        format!("quickstart --port {port} --gate-port {gate} --docker-socket docker.sock {more}")
    }

    fn start(&self) -> Running {
        let mut child = self.command(&self.quickstart("")).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }

    /// Exit code, standard output, standard error.
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn tls(&self) -> String {
        format!("home/.docker/contexts/tls/{}/docker", id("dockwarden"))
    }

    fn serial(&self) -> Serial {
        let chain = pem::certificates(self.read(&format!("{}/cert.pem", self.tls()))).unwrap();
        Certificate::parse(&chain[0]).unwrap().serial
    }

    /// Asks through the docker context as the docker CLI would.
    async fn ping(&self) -> String {
        let meta = self.read(&format!(
            "home/.docker/contexts/meta/{}/meta.json",
            id("dockwarden")
        ));
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        let host = meta["Endpoints"]["docker"]["Host"].as_str().unwrap().to_owned();
        let file = |name: &str| self.read(&format!("{}/{name}", self.tls()));
        let anchors = Anchors::parse(&pem::certificates(file("ca.pem")).unwrap())
            .unwrap()
            .shared();
        let chain = pem::certificates(file("cert.pem")).unwrap();
        let identity = TlsIdentity::new(chain, pem::private_key(file("key.pem")).unwrap()).unwrap();
        let config = client_config(
            ServerTrust::Anchors(anchors),
            Some(Arc::new(identity)),
            Arc::new(SystemClock),
            ALPN_HTTP1,
        );
        let tcp = tokio::net::TcpStream::connect(host.strip_prefix("tcp://").unwrap())
            .await
            .unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .unwrap();
        stream
            .write_all(b"GET /_ping HTTP/1.1\r\nhost: docker\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        // The peer may end without a close_notify; what it said is what counts.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

impl Running {
    /// What it tells, up to the last line.
    fn told(&self) -> String {
        let mut told = String::new();
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|e| panic!("{e} after:\n{told}"));
            told.push_str(&line);
            told.push('\n');
            if line.contains("Stop:") {
                return told;
            }
        }
    }

    /// Ctrl-C; its exit code and standard error.
    fn interrupt(mut self) -> (i32, String) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut text = String::new();
                self.child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut text)
                    .unwrap();
                return (status.code().unwrap(), text);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quickstart_brings_everything_up_continues_and_removes_only_its_own() {
    let machine = Machine::new();
    let engine = Engine::start(&machine.path("docker.sock"));
    let running = machine.start();
    let told = running.told();
    for line in [
        "✓ certificate authority",
        "✓ server",
        "✓ host",
        "✓ client",
        "docker --context dockwarden version",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert!(machine.ping().await.starts_with("HTTP/1.1 200"));
    assert!(engine.seen.targets().iter().any(|target| target == "/_ping"));
    let serial = machine.serial();
    let (code, listed, _) = machine.run("cert ls --format name");
    assert_eq!(
        (code, listed.as_str()),
        (0, "admin\ndockwarden-server\nthis-machine\nyou\n")
    );

    let (code, _, message) = machine.run("quickstart --remove");
    assert_eq!(code, 1);
    assert!(message.contains("is running"), "{message}");
    assert_eq!(running.interrupt().0, 0);

    let running = machine.start();
    running.told();
    assert_eq!(machine.serial(), serial, "a second run continues");
    assert!(machine.ping().await.starts_with("HTTP/1.1 200"));
    assert_eq!(running.interrupt().0, 0);

    let foreign = machine.path("home/.docker/contexts/meta/somebodys");
    std::fs::create_dir_all(&foreign).unwrap();
    let (code, _, message) = machine.run("quickstart --remove");
    assert_eq!(code, 0, "{message}");
    assert!(!machine.path("dockwarden-data").exists() && foreign.exists());
    assert!(!machine.path(&machine.tls()).exists());
    assert!(!machine.path("home/.config/dockwarden/profile.toml").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_docker_quickstart_says_so_and_still_brings_up_the_ca() {
    let machine = Machine::new();
    let running = machine.start();
    let told = running.told();
    let line = told.lines().find(|line| line.contains("! host")).unwrap();
    assert!(
        line.contains("docker.sock") && line.contains("--docker-socket"),
        "{line}"
    );
    assert_eq!(
        machine.run("cert ls --format name").1,
        "admin\ndockwarden-server\n"
    );
    assert_eq!(running.interrupt().0, 0);
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_is_made() {
    let machine = Machine::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", machine.ports.0)).unwrap();
    let (code, _, message) = machine.run(&machine.quickstart(""));
    assert_eq!(code, 1);
    assert!(
        message.contains("--port") && message.contains(&machine.ports.0.to_string()),
        "{message}"
    );
    assert!(!machine.path("dockwarden-data/server").exists());
}

#[test]
fn a_directory_that_is_not_quickstarts_is_neither_used_nor_removed() {
    let machine = Machine::new();
    let precious = machine.path("thesis");
    std::fs::create_dir(&precious).unwrap();
    std::fs::create_dir(precious.join("server")).unwrap();
    for line in [
        "quickstart --data-dir thesis",
        "quickstart --data-dir thesis --remove",
    ] {
        let (code, _, message) = machine.run(line);
        assert_eq!(code, 1, "{message}");
        assert!(message.contains("thesis"), "{message}");
    }
    assert!(Path::new(&precious).join("server").exists());
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let machine = Machine::new();
    let mut child = machine.command("completion bash").spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn every_command_has_a_manual_page_and_a_help_text() {
    let machine = Machine::new();
    assert_eq!(machine.run("man --dir pages").0, 0);
    for page in [
        "dockwarden.1",
        "dockwarden-client-enroll.1",
        "dockwarden-token-create.1",
        "dockwarden-quickstart.1",
    ] {
        assert!(machine.path("pages").join(page).exists(), "{page}");
    }
    assert_eq!(machine.run("nonsense").0, 2);
    assert_eq!(machine.run("client enroll --server http://ca.fleet:8080").0, 2);
}
