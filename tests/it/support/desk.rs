//! Somebody at a command line: a disk in memory, the server's clock, what was printed.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::Parser;
use dockwarden::base::SystemRandom;
use dockwarden::cli::{self, Environment, Error, World};
use dockwarden::sys::Files;
use dockwarden::sys::fake::MemoryDisk;

use super::server::TestServer;

/// Where everything of this person is.
pub const HOME: &str = "/home/alice";

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: cli::Command,
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub struct Desk {
    pub disk: MemoryDisk,
    pub files: Files,
    world: World,
    paper: Paper,
}

impl Desk {
    pub fn new(server: &TestServer) -> Self {
        let disk = MemoryDisk::new();
        let files = Files::on(Arc::new(disk.clone()));
        files.public_directory(Path::new(HOME)).unwrap();
        let environment = Environment {
            home: Some(HOME.into()),
            ..Environment::default()
        };
        let paper = Paper::default();
        let clock = Arc::new(server.clock.clone());
        let world = World::new(
            environment,
            files.clone(),
            clock,
            Arc::new(SystemRandom),
            Box::new(paper.clone()),
        );
        Self {
            disk,
            files,
            world,
            paper,
        }
    }

    /// With a profile of the server's administrator.
    pub fn of_admin(server: &TestServer) -> Self {
        let desk = Self::new(server);
        desk.plant_admin(server, &format!("{HOME}/admin"));
        desk.put(
            &format!("{HOME}/.config/dockwarden/profile.toml"),
            &format!(
                "server = \"https://{}\"\nca = \"{HOME}/admin/ca.pem\"\ncert = \"{HOME}/admin/cert.pem\"\nkey = \"{HOME}/admin/key.pem\"\n",
                server.address
            ),
        );
        desk
    }

    /// A directory as `server init` leaves it.
    pub fn plant_admin(&self, server: &TestServer, directory: &str) {
        let chain: String = server
            .admin
            .chain
            .iter()
            .map(|der| dockwarden::pki::pem::encode_certificate(der))
            .collect();
        self.put(&format!("{directory}/ca.pem"), server.ca_pem());
        self.put(&format!("{directory}/cert.pem"), &chain);
        self.put(&format!("{directory}/key.pem"), &server.admin.key.to_pkcs8_pem());
        let profile = format!(
            "server = \"https://{}\"\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n",
            server.address
        );
        self.put(&format!("{directory}/profile.toml"), &profile);
    }

    pub fn put(&self, path: &str, text: &str) {
        self.disk.plant(path, text);
    }

    pub fn read(&self, path: &str) -> String {
        self.files
            .read_text(Path::new(path), 1 << 20)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn there(&self, path: &str) -> bool {
        self.files.exists(Path::new(path))
    }

    /// Runs a command (split at spaces, without the program's name); its exit code and what it printed.
    pub async fn run(&mut self, line: &str) -> Result<(u8, String), Error> {
        let words = ["dockwarden"].into_iter().chain(line.split_whitespace());
        let parsed = Line::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
        self.paper.0.lock().unwrap().clear();
        let code = cli::run(parsed.command, &mut self.world).await?;
        Ok((
            code,
            String::from_utf8(self.paper.0.lock().unwrap().clone()).unwrap(),
        ))
    }

    /// Runs what must succeed; what it printed.
    pub async fn ok(&mut self, line: &str) -> String {
        match self.run(line).await {
            Ok((0, printed)) => printed,
            Ok((code, printed)) => panic!("{line}: exit code {code}\n{printed}"),
            Err(e) => panic!("{line}: {e}"),
        }
    }

    /// Runs what must fail; its exit code and message.
    pub async fn refused(&mut self, line: &str) -> (u8, String) {
        match self.run(line).await {
            Err(e) => (e.exit_code(), e.to_string()),
            Ok((code, printed)) => panic!("{line}: exit code {code}\n{printed}"),
        }
    }
}
