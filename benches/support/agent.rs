//! An agent of the bench's own, with its gate in front of a socket that the bench made.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::Running;
use super::server::{Place, free_address, text};

/// A host that can start its agent.
pub struct Agent {
    scratch: PathBuf,
    configuration: String,
}

impl Agent {
    /// Gives it a join token, a configuration and an engine that says OK.
    pub fn prepare(scratch: &Path, place: &Place) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let token = runtime.block_on(place.token("bench-host", 1))?;
        File::create(scratch.join("token"))?.write_all(token.as_bytes())?;
        let engine = UnixListener::bind(scratch.join("docker.sock"))?;
        std::thread::spawn(move || engine_that_says_ok(&engine));
        let path = |name: &str| text(&scratch.join(name));
        let (port, gate) = (place.address.port(), free_address()?);
        let configuration = format!(
            "server = \"https://localhost:{port}\"\nnames = [\"bench-host\"]\nlisten = \"{gate}\"\ntoken_file = \"{}\"\n\
             docker_socket = \"{}\"\nfiles = \"{}\"\nstate = \"{}\"\n",
            path("token")?,
            path("docker.sock")?,
            path("files")?,
            path("state")?,
        );
        File::create(scratch.join("agent.toml"))?.write_all(configuration.as_bytes())?;
        Ok(Self {
            scratch: scratch.to_owned(),
            configuration: path("agent.toml")?,
        })
    }

    /// Starts it, and waits until it is ready.
    pub fn start(&self, program: &str) -> anyhow::Result<Running> {
        let arguments = ["agent", "run", "--config", &self.configuration];
        Running::start_program(program, &self.scratch, "agent", &arguments)
    }

    /// Where it keeps what it remembers.
    pub fn state(&self) -> PathBuf {
        self.scratch.join("state")
    }
}

fn engine_that_says_ok(engine: &UnixListener) {
    for stream in engine.incoming().map_while(Result::ok) {
        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK");
    }
}
