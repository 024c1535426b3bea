//! The authorization plugin asked by a real dockerd that serves TLS itself. Starts one as root, so it runs only when it is
//! asked for: the suite `revocation` does that.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dockwarden::base::{Clock, SystemClock};
use dockwarden::gate::authz::{Plugin, Trust};
use dockwarden::model::role::RolesInForce;
use dockwarden::model::{Enforced, IssuerKind};
use dockwarden::pki::pem;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::support::pki::{ClientAuth, Fleet, ServerAuth, Signed, Spec};
use crate::support::programs::Bench;

/// Where dockerd looks for the sockets of plugins.
const PLUGINS: &str = "/run/docker/plugins";

/// A dockerd of the test's own, ended with it.
struct Engine {
    child: Child,
    plugin_socket: PathBuf,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.plugin_socket);
    }
}

fn put_pair(bench: &Bench, of: &Signed) {
    let chain: String = of
        .chain()
        .iter()
        .map(|der| pem::encode_certificate(der))
        .collect();
    let name = of.name();
    bench.put(&format!("{name}.pem"), chain);
    bench.put(
        &format!("{name}.key"),
        pem::encode("PRIVATE KEY", of.private_key().secret_der()),
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests start the programs that judge our output"
)]
fn start(bench: &Bench, plugin_socket: &Path, port: u16) -> Engine {
    let name = plugin_socket.file_stem().unwrap().to_str().unwrap();
    let root = bench.put("log", "");
    let directory = root.parent().unwrap();
    let path = |name: &str| directory.join(name).display().to_string();
    bench.put("daemon.json", "{}");
    let log = std::fs::File::create(&root).unwrap();
    let child = Command::new("dockerd")
        .args([
            "--config-file",
            &path("daemon.json"),
            "--data-root",
            &path("data"),
        ])
        .args(["--exec-root", &path("exec"), "--pidfile", &path("pid")])
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
        .args([
            "-H",
            &format!("unix://{}", path("docker.sock")),
            "-H",
            &format!("tcp://127.0.0.1:{port}"),
        ])
        .args(["--tlsverify", "--tlscacert", &path("ca.pem")])
        .args([
            "--tlscert",
            &path("localhost.pem"),
            "--tlskey",
            &path("localhost.key"),
        ])
        .args(["--authorization-plugin", name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("dockerd is installed (Debian: docker.io)");
    Engine {
        child,
        plugin_socket: plugin_socket.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a real dockerd: needs root and Docker"]
async fn a_real_dockerd_refuses_a_revoked_client_at_its_next_request_without_a_restart() {
    let (bench, fleet, now) = (Bench::new(), Fleet::new(), SystemClock.now());
    let host = fleet
        .hosts
        .issue(Spec::at(now, "localhost", &[ServerAuth]).sans(&["localhost"]));
    let client = |name: &str| fleet.clients.issue(Spec::at(now, name, &[ClientAuth]));
    let (ann, bob) = (client("ann"), client("bob"));
    [&host, &ann, &bob]
        .into_iter()
        .for_each(|of| put_pair(&bench, of));
    bench.put("ca.pem", pem::encode_certificate(&fleet.root.der));
    let enforced = Arc::new(Enforced::nothing());
    let roles = Arc::new(RolesInForce::not_enforced());
    let plugin = Arc::new(Plugin::new(
        Arc::clone(&enforced),
        roles,
        true,
        Arc::new(SystemClock),
    ));
    let anchors = fleet.anchors();
    plugin.trust(Trust {
        anchors,
        host: "localhost".to_owned(),
    });
    std::fs::create_dir_all(PLUGINS).expect("only root can do this");
    let socket = Path::new(PLUGINS).join(format!("dockwarden-test-{}.sock", std::process::id()));
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&plugin).serve(UnixListener::bind(&socket).unwrap(), stop.clone()));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _engine = start(&bench, &socket, port);
    let local = "curl -s --max-time 10 --unix-socket docker.sock http://docker/version";
    let deadline = now + Duration::from_secs(60);
    while !bench.try_run(local).text.contains("ApiVersion") {
        let log = String::from_utf8(bench.get("log")).unwrap();
        assert!(SystemClock.now() < deadline, "dockerd does not answer: {log}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let curl = |name: &str, path: &str| {
        let line = format!(
            "curl -s --max-time 20 --cacert ca.pem --cert {name}.pem --key {name}.key https://localhost:{port}{path}"
        );
        bench.try_run(&line).text
    };
    for name in ["ann", "bob"] {
        let said = curl(name, "/version");
        assert!(said.contains("ApiVersion"), "{name}: {said}");
    }
    let asked = plugin.asked();
    assert!(asked >= 6, "twice for each request: {asked}");
    revoke(&enforced, &ann);
    let said = curl("ann", "/v1.41/containers/json");
    assert!(
        said.contains("authorization denied by plugin") && said.contains("of ann was revoked"),
        "{said}"
    );
    assert!(
        curl("bob", "/version").contains("ApiVersion"),
        "others are let in"
    );
    assert!(
        bench.try_run(local).text.contains("ApiVersion"),
        "and so is the local socket"
    );
    assert!(plugin.asked() > asked && plugin.refused() >= 1);
    stop.cancel();
}

fn revoke(enforced: &Enforced, client: &Signed) {
    let serial = dockwarden::pki::Certificate::parse(&client.der).unwrap().serial;
    enforced.revoke([(IssuerKind::Clients, &serial)]);
}
