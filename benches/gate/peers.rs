//! nginx and HAProxy as the distribution ships them, with the host's own certificate, in front of the same socket; and,
//! where there is no dockerd, an nginx that stands in for one.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::support::Running;
use super::support::server::{free_address, text};

/// Bytes of the large answer of the engine that stands in.
const LARGE_BYTES: u64 = 1024 * 1024 * 1024;

/// A server of `GET /_ping` and `GET /images/large/get`, as fast as there is one: what is measured is what stands before it.
pub fn engine(scratch: &Path) -> anyhow::Result<Running> {
    let (socket, files) = (scratch.join("docker.sock"), scratch.join("engine"));
    fs::create_dir_all(&files)?;
    File::create(files.join("large"))?.set_len(LARGE_BYTES)?;
    let site = format!(
        "server {{
            listen unix:{};
            location = /_ping {{ default_type text/plain; return 200 OK; }}
            location = /images/large/get {{ alias {}; }}
        }}",
        text(&socket)?,
        text(&files.join("large"))?
    );
    nginx(scratch, "engine", &site, || socket.exists())
}

/// As docs/operations.md has it, but that it keeps its connections to the engine, as the others do.
pub fn nginx_in_front(scratch: &Path, socket: &str, host: &Path) -> anyhow::Result<(SocketAddr, Running)> {
    let address = free_address()?;
    let host = text(host)?;
    let site = format!(
        "upstream engine {{ server unix:{socket}; keepalive 64; }}
        server {{
            listen {address} ssl;
            ssl_certificate {host}/cert.pem;
            ssl_certificate_key {host}/key.pem;
            ssl_client_certificate {host}/ca.pem;
            ssl_verify_client on;
            ssl_verify_depth 2;
            ssl_session_cache off;
            ssl_session_tickets off;
            client_max_body_size 0;
            keepalive_requests 100000000;
            location / {{
                proxy_pass http://engine;
                proxy_http_version 1.1;
                proxy_set_header Host docker;
                proxy_set_header Connection \"\";
                proxy_buffering off;
                proxy_request_buffering off;
            }}
        }}"
    );
    let running = nginx(scratch, "nginx", &site, || TcpStream::connect(address).is_ok())?;
    Ok((address, running))
}

fn nginx(scratch: &Path, name: &str, site: &str, is_ready: impl Fn() -> bool) -> anyhow::Result<Running> {
    let prefix = scratch.join(name);
    fs::create_dir_all(&prefix)?;
    let prefix = text(&prefix)?;
    let workers = std::thread::available_parallelism()?;
    let configuration = format!(
        "daemon off; user root; worker_processes {workers}; pid {prefix}/pid; error_log {prefix}/error.log;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; sendfile on;
            client_body_temp_path {prefix}/body; proxy_temp_path {prefix}/proxy; fastcgi_temp_path {prefix}/fastcgi;
            uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;
            {site}
        }}"
    );
    let file = format!("{prefix}/nginx.conf");
    File::create(&file)?.write_all(configuration.as_bytes())?;
    Running::start_other(
        "/usr/sbin/nginx",
        scratch,
        &["-p", &prefix, "-c", &file],
        is_ready,
    )
}

/// HAProxy, which keeps its connections to the engine.
pub fn haproxy_in_front(scratch: &Path, socket: &str, host: &Path) -> anyhow::Result<(SocketAddr, Running)> {
    let address = free_address()?;
    let pair = [fs::read(host.join("cert.pem"))?, fs::read(host.join("key.pem"))?].concat();
    let (pem, file) = (scratch.join("haproxy.pem"), scratch.join("haproxy.cfg"));
    File::create(&pem)?.write_all(&pair)?;
    let (ca, threads) = (text(&host.join("ca.pem"))?, std::thread::available_parallelism()?);
    let configuration = format!(
        "global
    nbthread {threads}
    maxconn 4096
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend docker
    bind {address} ssl crt {} ca-file {ca} verify required no-tls-tickets
    default_backend engine
backend engine
    server engine unix@{socket}
",
        text(&pem)?
    );
    File::create(&file)?.write_all(configuration.as_bytes())?;
    let file = text(&file)?;
    let is_ready = || TcpStream::connect(address).is_ok();
    let running = Running::start_other("/usr/sbin/haproxy", scratch, &["-db", "-f", &file], is_ready)?;
    Ok((address, running))
}
