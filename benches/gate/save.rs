//! `docker save` by the real CLI, of an image in a dockerd that is started for it.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::support::server::text;
use super::support::{Running, clock, piped, run_other};

const DOCKER: &str = "/usr/bin/docker";
const DOCKERD: &str = "/usr/sbin/dockerd";
const IMAGE: &str = "bench";

/// Starts a dockerd with its own data and without a network, and imports an image of so many MiB of noise.
pub fn engine(scratch: &Path, mebibytes: u64) -> anyhow::Result<Running> {
    let path = |name: &str| text(&scratch.join(name));
    let socket = path("docker.sock")?;
    let arguments = [
        format!("--host=unix://{socket}"),
        format!("--data-root={}", path("dockerd")?),
        format!("--exec-root={}", path("dockerd-run")?),
        format!("--pidfile={}", path("dockerd.pid")?),
        "--bridge=none".to_owned(),
        "--iptables=false".to_owned(),
        "--ip6tables=false".to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_ready = || UnixStream::connect(&socket).is_ok();
    let running = Running::start_other(DOCKERD, scratch, &arguments, is_ready)?;
    let mut noise = File::open("/dev/urandom")?.take(mebibytes << 20);
    std::io::copy(&mut noise, &mut File::create(scratch.join("noise"))?)?;
    let tar = path("image.tar")?;
    run_other(
        "/usr/bin/tar",
        scratch,
        &["-cf", &tar, "-C", &text(scratch)?, "noise"],
    )?;
    run_other(
        DOCKER,
        scratch,
        &["-H", &format!("unix://{socket}"), "import", &tar, IMAGE],
    )?;
    Ok(running)
}

/// MiB/s of one `docker save`; over the socket itself without an address.
pub fn save(scratch: &Path, through: Option<SocketAddr>, identity: &Path) -> anyhow::Result<f64> {
    let (host, mut arguments) = match through {
        None => (format!("unix://{}", text(&scratch.join("docker.sock"))?), vec![]),
        Some(address) => {
            let file = |name: &str| anyhow::Ok(text(&identity.join(name))?);
            let port = address.port();
            let tls = vec![
                "--tlsverify".to_owned(),
                format!("--tlscacert={}", text(&scratch.join("enforce/current/ca.pem"))?),
                format!("--tlscert={}", file("cert.pem")?),
                format!("--tlskey={}", file("key.pem")?),
            ];
            (format!("tcp://localhost:{port}"), tls)
        }
    };
    arguments.extend(["-H".to_owned(), host, "save".to_owned(), IMAGE.to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let began = clock();
    let bytes = piped(DOCKER, scratch, &arguments)?;
    Ok(bytes as f64 / 1048576.0 / began.elapsed().as_secs_f64())
}
