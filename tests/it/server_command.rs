//! `dockwarden server` as a program: what it makes, what it refuses to start with, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::programs::Bench;

const DOCKWARDEN: &str = env!("CARGO_BIN_EXE_dockwarden");

/// A directory with a passphrase file, and the commands in it.
struct Site(Bench);

impl Site {
    fn new() -> Self {
        let bench = Bench::new();
        bench.put("pass", "correct horse\n");
        Self(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.put(".here", "").parent().unwrap().join(name)
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(self.0.get(name)).unwrap()
    }

    /// `dockwarden server LINE --passphrase-file pass`
    fn server(&self, line: &str) -> String {
        self.0.run(&format!("{DOCKWARDEN} server {line}")).text
    }

    fn refused(&self, line: &str) -> String {
        let text = self.0.refuse(&format!("{DOCKWARDEN} server {line}"));
        assert!(!text.contains("panicked"), "{text}");
        text
    }

    fn init(&self) {
        self.server("init --data-dir data --dns ca.test --ip 127.0.0.1 --passphrase-file pass");
    }

    /// What `server run` says when it cannot start.
    fn does_not_start(&self, pass: &str) -> String {
        self.refused(&format!(
            "run --data-dir data --listen 127.0.0.1:0 --http-listen off --passphrase-file {pass}"
        ))
    }

    fn start(&self, data: &str, pass: &str) -> Daemon {
        Daemon::start(command(&self.path(""), data, pass))
    }

    fn curl(&self, server: &Daemon, arguments: &str, path: &str) -> Value {
        let url = format!("https://{}{path}", server.address);
        let who = "--cacert data/admin/ca.pem --cert data/admin/cert.pem --key data/admin/key.pem";
        let said = self
            .0
            .run(&format!("curl -sS --fail-with-body {who} {arguments} {url}"));
        serde_json::from_slice(&said.stdout).unwrap_or_else(|e| panic!("{e}: {}", said.text))
    }
}

#[expect(clippy::disallowed_methods, reason = "tests start the program they are about")]
fn command(directory: &Path, data: &str, pass: &str) -> Command {
    let mut command = Command::new(DOCKWARDEN);
    command.args([
        "server",
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http-listen",
        "off",
        "--log-format",
        "json",
    ]);
    command
        .args(["--data-dir", data, "--passphrase-file", pass])
        .current_dir(directory);
    command
}

/// A running server; killed when dropped.
struct Daemon {
    child: Child,
    address: String,
    log: std::thread::JoinHandle<String>,
}

impl Daemon {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended: {log}");
            log.push_str(&line);
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "serving HTTPS" {
                break event["address"].as_str().unwrap().to_owned();
            }
        };
        let log = std::thread::spawn(move || {
            let _until_the_program_ends = lines.read_to_string(&mut log);
            log
        });
        Self { child, address, log }
    }

    /// Asks it to end, as systemd does; its exit code and its log.
    fn terminate(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let code = self.child.wait().unwrap().code();
        let log = std::mem::replace(&mut self.log, std::thread::spawn(String::new));
        (code, log.join().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn init_makes_a_ca_that_openssl_reads_and_a_server_that_starts() {
    let site = Site::new();
    site.init();
    for name in ["root", "hosts", "clients"] {
        site.0.run(&format!(
            "openssl pkey -in data/keys/{name}.key.pem -passin file:pass -noout"
        ));
        assert!(
            site.0
                .refuse(&format!(
                    "openssl pkey -in data/keys/{name}.key.pem -passin pass:wrong -noout"
                ))
                .len()
                > 1
        );
    }
    site.0
        .run("openssl verify -CAfile data/ca/root.pem data/ca/hosts.pem data/ca/clients.pem");
    site.0.run("openssl verify -CAfile data/admin/ca.pem -untrusted data/admin/cert.pem -purpose sslclient data/admin/cert.pem");
    for (path, mode) in [
        ("data", "700"),
        ("data/keys", "700"),
        ("data/dockwarden.db", "600"),
        ("data/keys/root.key.pem", "600"),
        ("data/admin/key.pem", "600"),
    ] {
        assert_eq!(
            site.0.run(&format!("stat -c %a {path}")).text.trim(),
            mode,
            "{path}"
        );
    }
    let server = site.start("data", "pass");
    assert_eq!(site.curl(&server, "", "/v1/whoami")["permission"], "admin");
    let audit = site.curl(&server, "", "/v1/audit?after=0");
    let actions: Vec<&str> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["certificate.adopt", "certificate.adopt", "server.start"]
    );
    let (code, log) = server.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn init_overwrites_nothing_and_says_what_it_lacks() {
    let site = Site::new();
    site.init();
    let before = site.read("data/ca/root.pem");
    let text = site.refused("init --data-dir data --dns ca.test --passphrase-file pass");
    assert!(
        text.contains("holds a server already") && text.contains("nothing was changed"),
        "{text}"
    );
    assert_eq!(site.read("data/ca/root.pem"), before);
    for (line, expected) in [
        ("init --data-dir d2 --dns ca.test", "--passphrase-file"),
        ("init --data-dir d2 --passphrase-file pass", "--dns"),
        (
            "init --data-dir d2 --dns a_b --passphrase-file pass",
            "is not a DNS name",
        ),
        (
            "init --data-dir d2 --dns ca.test --passphrase-file none",
            "does not exist",
        ),
        (
            "init --data-dir d2 --dns ca.test --passphrase-file data/lock",
            "passphrase is empty",
        ),
        (
            "init --data-dir d2 --dns ca.test --passphrase-file pass --key-algorithm ed25519",
            "CA key cannot be ed25519",
        ),
        (
            "init --data-dir d2 --dns ca.test --passphrase-file pass --public-url ftp://x",
            "cannot go into certificates",
        ),
        (
            "init --data-dir pass/d2 --dns ca.test --passphrase-file pass",
            "pass/d2",
        ),
    ] {
        let text = site.refused(line);
        assert!(text.contains(expected), "{line}: {text}");
        assert!(!site.path("d2/dockwarden.db").exists(), "{line}");
    }
}

#[test]
fn an_existing_root_is_taken_over_with_its_key_encrypted_or_not() {
    let site = Site::new();
    site.0.put("import-pass", "old secret\n");
    site.0
        .run("openssl ecparam -name prime256v1 -genkey -noout -out plain.key");
    site.0
        .run("openssl pkey -in plain.key -aes256 -passout file:import-pass -out sealed.key");
    site.0.run("openssl req -x509 -new -sha256 -days 3650 -key plain.key -subj /CN=Corp-Root -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out root.pem");
    site.server("init --data-dir data --dns ca.test --passphrase-file pass --import-root root.pem plain.key");
    assert!(site.0.run("openssl verify -CAfile root.pem data/ca/hosts.pem").ok);
    site.server("init --data-dir d2 --dns ca.test --passphrase-file pass --import-root root.pem sealed.key --import-passphrase-file import-pass");
    site.0
        .run("openssl pkey -in d2/keys/root.key.pem -passin file:pass -noout");
    let text = site
        .refused("init --data-dir d3 --dns ca.test --passphrase-file pass --import-root root.pem sealed.key");
    assert!(text.contains("encrypted"), "{text}");
    site.0
        .run("openssl ecparam -name prime256v1 -genkey -noout -out other.key");
    let text = site
        .refused("init --data-dir d3 --dns ca.test --passphrase-file pass --import-root root.pem other.key");
    assert!(text.contains("does not belong"), "{text}");
}

#[test]
fn the_server_runs_without_the_roots_key() {
    let site = Site::new();
    site.server("init --data-dir data --dns ca.test --passphrase-file pass --offline-root vault");
    assert!(!site.path("data/keys/root.key.pem").exists());
    site.0
        .run("openssl pkey -in vault/root.key.pem -passin file:pass -noout");
    let server = site.start("data", "pass");
    assert_eq!(site.curl(&server, "", "/v1/whoami")["name"], "admin");
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn issuers_are_revoked_where_the_roots_key_is_and_the_server_takes_the_list_over() {
    let site = Site::new();
    site.server("init --data-dir data --dns ca.test --passphrase-file pass --offline-root vault");
    let verify = "openssl verify -crl_check_all -CAfile data/ca/root.pem -CRLfile data/ca/root.crl.pem";
    site.0.run(&format!("{verify} data/ca/clients.pem"));
    let refused = site.refused("root-crl sign --data-dir data --passphrase-file pass");
    assert!(refused.contains("--offline-root"), "{refused}");
    let first = site.0.get("vault/root.crl.pem");
    assert_eq!(first, site.0.get("data/ca/root.crl.pem"));

    let signed = "root-crl sign --offline-root vault --passphrase-file pass";
    let text = site.server(&format!(
        "{signed} --revoke data/ca/clients.pem --reason keyCompromise"
    ));
    assert!(
        text.contains("1 listed") && text.contains("root-crl import"),
        "{text}"
    );
    site.server("root-crl import --data-dir data vault/root.crl.pem");
    let text = site.0.refuse(&format!("{verify} data/ca/clients.pem"));
    assert!(text.contains("certificate revoked"), "{text}");
    site.0.run(&format!("{verify} data/ca/hosts.pem"));
    // Again, it lists the same, and an older one does not come back.
    assert!(site.server(signed).contains("1 listed"));
    site.server("root-crl import --data-dir data vault/root.crl.pem");
    assert!(
        site.server("root-crl import --data-dir data vault/root.crl.pem")
            .contains("is there already")
    );
    site.0.put("old.pem", first);
    assert!(
        site.refused("root-crl import --data-dir data old.pem")
            .contains("was seen before")
    );

    site.server("init --data-dir other --dns ca.test --passphrase-file pass");
    assert!(
        site.refused("root-crl import --data-dir data other/ca/root.crl.pem")
            .contains("is not from")
    );
    let foreign = site.refused(&format!("{signed} --revoke other/ca/clients.pem"));
    assert!(
        foreign.contains("is not the certificate of an issuer under"),
        "{foreign}"
    );
    assert!(
        site.server("root-crl sign --data-dir other --passphrase-file pass")
            .contains("0 listed")
    );
}

#[test]
fn a_ca_that_is_missing_cut_short_or_garbled_does_not_start() {
    let site = Site::new();
    let missing = site.does_not_start("pass");
    assert!(missing.contains("dockwarden server init"), "{missing}");
    site.init();
    site.0.put("wrong", "battery staple");
    assert!(
        site.does_not_start("wrong").contains("passphrase does not open"),
        "{}",
        site.does_not_start("wrong")
    );
    let files = [
        "ca/root.pem",
        "ca/hosts.pem",
        "ca/clients.pem",
        "keys/hosts.key.pem",
        "keys/clients.key.pem",
    ];
    for name in files {
        let path = format!("data/{name}");
        let whole = site.0.get(&path);
        let swapped = site.0.get(if name.starts_with("ca/") {
            "data/admin/cert.pem"
        } else {
            "data/keys/root.key.pem"
        });
        for damage in [
            &whole[..whole.len() / 2],
            b"",
            b"garbage\n",
            &whole[..whole.len() - 27],
            swapped.as_slice(),
        ] {
            site.0.put(&path, damage);
            let text = site.does_not_start("pass");
            assert!(text.starts_with("dockwarden: "), "{name}: {text}");
        }
        std::fs::remove_file(site.path(&path)).unwrap();
        let text = site.does_not_start("pass");
        assert!(
            text.contains(name) && text.contains("does not exist"),
            "{name}: {text}"
        );
        site.0.put(&path, &whole);
    }
    // The two issuers' files mixed up.
    let (hosts, clients) = (site.0.get("data/ca/hosts.pem"), site.0.get("data/ca/clients.pem"));
    site.0.put("data/ca/hosts.pem", &clients);
    site.0.put("data/ca/clients.pem", &hosts);
    assert!(site.does_not_start("pass").contains("issuer"));
    site.0.put("data/ca/hosts.pem", &hosts);
    site.0.put("data/ca/clients.pem", &clients);
    assert_eq!(
        site.start("data", "pass").terminate().0,
        Some(0),
        "put back, it starts again"
    );
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let site = Site::new();
    site.init();
    let server = site.start("data", "pass");
    assert!(
        site.does_not_start("pass")
            .contains("another server may be running")
    );
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn the_configuration_is_checked_without_starting() {
    let site = Site::new();
    site.init();
    assert!(site.server("run --data-dir data --check-config").contains("good"));
    site.0.put(
        "bad.toml",
        "names = [\"ca.test\"]\n\n[profiles.host]\nlifetme = \"30d\"\n",
    );
    let text = site.refused("run --data-dir data --check-config --config bad.toml");
    assert!(text.contains("bad.toml:4: unknown field `lifetme`"), "{text}");
    site.0.put("data/ca/hosts.pem", "");
    assert!(
        site.refused("run --data-dir data --check-config")
            .contains("hosts.pem")
    );
    let usage = site.0.try_run(&format!("{DOCKWARDEN} server run --bogus"));
    assert!(!usage.ok && usage.text.contains("--bogus"), "{}", usage.text);
}

#[test]
fn a_backup_made_while_serving_comes_back_whole() {
    let site = Site::new();
    site.init();
    let server = site.start("data", "pass");
    let body = "-H content-type:application/json -d {\"profile\":\"host\",\"names\":[\"*.test\"]}";
    let token = site.curl(&server, body, "/v1/tokens");
    site.server("backup copy --data-dir data");
    let text = site.refused("backup copy --data-dir data");
    assert!(text.contains("not empty"), "{text}");
    assert_eq!(server.terminate().0, Some(0));
    let names = site.0.run("ls -R copy").text;
    assert!(
        !names.contains("admin") && !names.contains("serving"),
        "no plain key is in a backup: {names}"
    );
    let text = site.refused("restore copy --data-dir data");
    assert!(text.contains("holds a server already"), "{text}");
    site.server("restore copy --data-dir back");
    let server = site.start("back", "pass");
    let tokens = site.curl(&server, "", "/v1/tokens");
    assert_eq!(tokens["items"][0]["id"], token["id"]);
    let audit = site.curl(&server, "", "/v1/audit?after=0").to_string();
    assert!(audit.contains("server.restore"), "{audit}");
    assert_eq!(server.terminate().0, Some(0));
}

impl Site {
    /// The number of the CRL of clients, once one is published.
    fn crl_number(&self, server: &Daemon) -> u64 {
        let fetch = format!(
            "curl -sS --fail-with-body --cacert data/admin/ca.pem -o crl.pem https://{}/crl/clients.pem",
            server.address
        );
        for _ in 0..150 {
            if self.0.try_run(&fetch).ok {
                let said = self.0.run("openssl crl -in crl.pem -noout -crlnumber").text;
                let digits = said.trim().rsplit_once("0x").expect("crlNumber=0x...").1;
                return u64::from_str_radix(digits, 16).unwrap();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no CRL is published");
    }
}

#[test]
fn no_number_is_used_twice_after_a_restoration() {
    let site = Site::new();
    site.init();
    let server = site.start("data", "pass");
    site.crl_number(&server);
    site.server("backup copy --data-dir data");
    let before = site.crl_number(&server);
    assert_eq!(site.curl(&server, "", "/v1/feed/applied")["number"], 0);
    let root = format!(
        "curl -sS --fail-with-body --cacert data/admin/ca.pem https://{}/crl/root.pem",
        server.address
    );
    assert!(site.0.run(&root).text.contains("BEGIN X509 CRL"));
    assert_eq!(server.terminate().0, Some(0));
    site.server("restore copy --data-dir back");
    let server = site.start("back", "pass");
    let head = site.curl(&server, "", "/v1/feed/applied")["number"]
        .as_u64()
        .unwrap();
    assert!(head >= 1_000_000, "{head}");
    // There is no host to ask: it settles by itself.
    let after = site.crl_number(&server);
    assert!(after > before + 500_000_000, "{before} {after}");
    let audit = site.curl(&server, "", "/v1/audit?after=0").to_string();
    assert!(
        audit.contains("feed.restore") && audit.contains("feed.settle"),
        "{audit}"
    );
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn a_backup_that_was_damaged_or_changed_is_not_restored() {
    let site = Site::new();
    site.init();
    site.server("backup copy --data-dir data");
    let manifest = site.read("copy/manifest.json");
    let (database, key) = (
        site.0.get("copy/dockwarden.db"),
        site.0.get("copy/keys/hosts.key.pem"),
    );
    let refuse = |expected: &str| {
        let text = site.refused("restore copy --data-dir back");
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(!site.path("back/dockwarden.db").exists());
    };
    site.0.put("copy/dockwarden.db", &database[..database.len() - 1]);
    refuse("is not what the manifest says");
    site.0.put("copy/dockwarden.db", &database);
    std::fs::remove_file(site.path("copy/keys/hosts.key.pem")).unwrap();
    refuse("keys/hosts.key.pem");
    site.0.put("copy/keys/hosts.key.pem", &key);
    for (from, to, expected) in [
        ("\"ca/hosts.pem\"", "\"../../hosts.pem\"", "no part of a backup"),
        ("\"format\": 1", "\"format\": 2", "format 2"),
        ("\"files\"", "\"flies\"", "damaged"),
    ] {
        site.0.put("copy/manifest.json", manifest.replace(from, to));
        refuse(expected);
    }
    std::fs::remove_file(site.path("copy/manifest.json")).unwrap();
    refuse("not a whole backup");
    site.0.put("copy/manifest.json", &manifest);
    site.server("restore copy --data-dir back");
}

#[test]
fn the_passphrase_changes_for_all_keys_or_for_none() {
    let site = Site::new();
    site.init();
    site.0.put("new", "battery staple\n");
    let before = site.0.get("data/keys/hosts.key.pem");
    let text = site.refused("passphrase --data-dir data --passphrase-file new --new-passphrase-file pass");
    assert!(text.contains("nothing was changed"), "{text}");
    assert_eq!(site.0.get("data/keys/hosts.key.pem"), before);
    site.server("passphrase --data-dir data --passphrase-file pass --new-passphrase-file new");
    for name in ["root", "hosts", "clients"] {
        site.0.run(&format!(
            "openssl pkey -in data/keys/{name}.key.pem -passin file:new -noout"
        ));
    }
    assert!(!site.path("data/keys.new").exists());
    site.does_not_start("pass");
    assert_eq!(site.start("data", "new").terminate().0, Some(0));
}

#[test]
fn the_console_makes_another_administrator_while_the_server_runs() {
    let site = Site::new();
    site.init();
    let server = site.start("data", "pass");
    site.server("admin second --name carol --data-dir data --passphrase-file pass");
    let url = format!("https://{}/v1/whoami", server.address);
    let who = "--cacert second/ca.pem --cert second/cert.pem --key second/key.pem";
    let me = site.0.run(&format!("curl -sS --fail {who} {url}")).text;
    assert!(me.contains("carol") && me.contains("admin"), "{me}");
    assert!(
        site.refused("admin second --data-dir data --passphrase-file pass")
            .contains("not overwritten")
    );
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn systemd_hears_when_it_is_ready_alive_and_stopping() {
    let site = Site::new();
    site.init();
    let socket = site.path("notify.sock");
    let notified = UnixDatagram::bind(&socket).unwrap();
    notified.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut run = command(&site.path(""), "data", "pass");
    run.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000");
    let server = Daemon::start(run);
    let hear = |expected: &str| {
        for _ in 0..100 {
            let mut buffer = [0; 256];
            let length = notified.recv(&mut buffer).unwrap();
            if String::from_utf8_lossy(&buffer[..length]).contains(expected) {
                return;
            }
        }
        panic!("never heard {expected}");
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    assert_eq!(server.terminate().0, Some(0));
    hear("STOPPING=1");
}

#[test]
fn a_socket_that_systemd_opened_is_served() {
    let site = Site::new();
    site.init();
    // What systemd does: the socket as descriptor 3, and two variables.
    let script = site.0.put(
        "activate.py",
        "import os, socket, sys\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nos.dup2(s.fileno(), 3)\nos.set_inheritable(3, True)\n\
         os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\nos.execv(sys.argv[1], sys.argv[1:])\n",
    );
    let usual = command(&site.path(""), "data", "pass");
    #[expect(clippy::disallowed_methods, reason = "tests start the program they are about")]
    let mut activated = Command::new("python3");
    activated
        .arg(script)
        .arg(DOCKWARDEN)
        .args(usual.get_args())
        .current_dir(site.path(""));
    let server = Daemon::start(activated);
    assert_eq!(site.curl(&server, "", "/v1/whoami")["name"], "admin");
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let site = Site::new();
    site.init();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = site.refused(&format!(
        "run --data-dir data --listen {address} --http-listen off --passphrase-file pass"
    ));
    assert!(
        text.contains(&address.to_string()) && text.contains("another program may hold the port"),
        "{text}"
    );
}
