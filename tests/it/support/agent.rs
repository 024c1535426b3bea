//! A host to be reconciled, all of it in memory: a disk that stops where it is told to, a server that loses answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dockwarden::agent::daemon::Dockerd;
use dockwarden::agent::daemon::plug::Plugin;
use dockwarden::agent::observed::Engine;
use dockwarden::agent::step::Served;
use dockwarden::agent::{Config, Front, Pair, Probe, Reconciler, Server, TokenSource, Verdict, World};
use dockwarden::base::{Clock, Id, ManualClock, SecretString, SeededRandom, Timestamp};
use dockwarden::client::{Enrolled, Error};
use dockwarden::model::{HostReport, JoinToken, SeenCertificate};
use dockwarden::pki::{Certificate, CsrDer, KeyAlgorithm, San, Serial, csr, pem};
use dockwarden::sys::fake::MemoryDisk;
use dockwarden::sys::{CommandLine, Ending, FileError, Files, Host, HostFacts, Outcome, Programs};
use dockwarden::wire::{Code, EnrollRequest, Issued, Pending, Problem, RenewRequest, StatusAnswer};

use super::dockerd::{CONFIG, SimDockerd, Starter, drop_in};
use super::pki::{Fleet, Spec, t0};

pub const FILES: &str = "/etc/docker/dockwarden";
pub const STATE: &str = "/var/lib/dockwarden/agent";

/// What the server does with one of the calls that change something.
#[derive(Clone, Debug)]
pub enum Whim {
    /// The request never arrives.
    LoseRequest,
    /// It does what it was asked, and the answer never arrives.
    LoseAnswer,
    /// It refuses.
    Refuse(Code),
    /// It wants an operator to approve.
    Pend(u32),
    /// Its answer is changed on the way.
    Garble(fn(&mut Issued)),
}

#[derive(Default)]
pub struct ServerState {
    /// What was issued, by public key.
    pub issued: BTreeMap<Vec<u8>, Issued>,
    /// Serials, in order of issue.
    pub serials: Vec<Serial>,
    pub uses_left: u32,
    pub lifetime: Duration,
    /// Backdated this much.
    pub backdate: Duration,
    /// What happens to the next calls, first one first; then everything works.
    pub whims: Vec<Whim>,
    /// What happens to every call.
    pub always: Option<Whim>,
    pub calls: u32,
    pub reports: Vec<HostReport>,
    pub renew_at: Option<Timestamp>,
    /// Names that it refuses.
    pub forbidden: Vec<San>,
}

/// A server with a small CA.
pub struct FakeServer {
    pub fleet: &'static Fleet,
    clock: ManualClock,
    pub token: JoinToken,
    state: Mutex<ServerState>,
}

fn lost() -> Error {
    Error::Closed {
        server: "https://ca:8443".parse().unwrap(),
        reason: "lost on the way".into(),
    }
}

fn problem(code: Code) -> Error {
    Error::Problem {
        server: "https://ca:8443".parse().unwrap(),
        problem: Box::new(Problem::new(code, "because the test says so")),
        retry_after: None,
    }
}

impl FakeServer {
    fn new(clock: ManualClock) -> Self {
        // One for all: making keys is what takes the time.
        static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::new);
        let fleet = &*FLEET;
        let pins = fleet.anchors().pins().collect();
        Self {
            token: JoinToken::draw(&SeededRandom::new(77), pins),
            fleet,
            clock,
            state: Mutex::new(ServerState {
                uses_left: 1,
                lifetime: Duration::from_secs(30 * 86_400),
                backdate: Duration::from_secs(3600),
                ..ServerState::default()
            }),
        }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut ServerState) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    pub fn issued(&self) -> usize {
        self.with(|state| state.serials.len())
    }

    fn whim(&self) -> Option<Whim> {
        self.with(|state| {
            state.calls += 1;
            let next = (!state.whims.is_empty()).then(|| state.whims.remove(0));
            next.or_else(|| state.always.clone())
        })
    }

    /// The same answer for the same key; spends a use only for a new one.
    fn certify(&self, csr: &str, spends: bool) -> Result<Issued, Error> {
        let request = csr::verify(CsrDer::from_pem(csr).unwrap(), &KeyAlgorithm::ALL).unwrap();
        let spki = request.public_key().spki().to_vec();
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        if let Some(issued) = state.issued.get(&spki) {
            return Ok(issued.clone());
        }
        if request.sans().iter().any(|san| state.forbidden.contains(san)) {
            return Err(problem(Code::NameNotAllowed));
        }
        if spends {
            state.uses_left = state
                .uses_left
                .checked_sub(1)
                .ok_or_else(|| problem(Code::TokenRefused))?;
        }
        let sans: Vec<String> = request.sans().iter().map(ToString::to_string).collect();
        let sans: Vec<&str> = sans.iter().map(String::as_str).collect();
        let name = request.common_name().unwrap().to_string();
        let (not_before, not_after) = (now - state.backdate, now + state.lifetime);
        let spec = Spec::host(&name).sans(&sans).dates(not_before, not_after);
        let der = self.fleet.hosts.certify(&spec, &spki);
        let leaf = Certificate::parse(&der).unwrap();
        let certificate = pem::encode_certificate(&der);
        let issued = Issued {
            chain: format!("{certificate}{}", pem::encode_certificate(&self.fleet.hosts.der)),
            certificate,
            ca: pem::encode_certificate(&self.fleet.root.der),
            name,
            serial: leaf.serial.clone(),
            not_before,
            not_after,
            renew_after: now + state.lifetime.mul_f64(0.9),
            crl_url: None,
            token_uses: spends.then_some((state.uses_left, 1)),
        };
        state.serials.push(leaf.serial);
        state.issued.insert(spki, issued.clone());
        Ok(issued)
    }

    fn answer(&self, csr: &str, spends: bool) -> Result<Enrolled, Error> {
        match self.whim() {
            Some(Whim::LoseRequest) => Err(lost()),
            Some(Whim::Refuse(code)) => Err(problem(code)),
            Some(Whim::Pend(retry_after)) => Ok(Enrolled::Pending(Pending {
                request: Id::from_bytes([3; 16]),
                spki_sha256: "ab".repeat(32),
                retry_after,
            })),
            Some(Whim::LoseAnswer) => self.certify(csr, spends).and(Err(lost())),
            Some(Whim::Garble(garble)) => {
                let mut issued = self.certify(csr, spends)?;
                garble(&mut issued);
                Ok(Enrolled::Issued(Box::new(issued)))
            }
            None => self
                .certify(csr, spends)
                .map(|issued| Enrolled::Issued(Box::new(issued))),
        }
    }
}

#[async_trait]
impl Server for FakeServer {
    async fn enroll(&self, token: &JoinToken, request: &EnrollRequest) -> Result<Enrolled, Error> {
        assert_eq!(
            (token.id, &*request.token),
            (self.token.id, self.token.expose().as_str())
        );
        self.answer(&request.csr, true)
    }

    async fn renew(&self, _: &Pair, request: &RenewRequest) -> Result<Issued, Error> {
        match self.answer(&request.csr, false)? {
            Enrolled::Issued(issued) => Ok(*issued),
            Enrolled::Pending(_) => panic!("renewals are never pending"),
        }
    }

    async fn report(&self, _: &Pair, report: &HostReport) -> Result<StatusAnswer, Error> {
        let now = self.clock.now();
        self.with(|state| {
            state.reports.push(report.clone());
            Ok(StatusAnswer {
                generation: 5,
                renew_at: state.renew_at,
                now,
            })
        })
    }

    fn clock_offset_ms(&self) -> Option<i64> {
        Some(200)
    }
}

/// A gate that only remembers.
#[derive(Default)]
pub struct FakeFront {
    pub published: Mutex<Option<SeenCertificate>>,
    pub refuses: Mutex<bool>,
}

impl Front for FakeFront {
    fn publish(&self, pair: &Pair) -> Result<(), String> {
        if *self.refuses.lock().unwrap() {
            return Err("out of order".into());
        }
        *self.published.lock().unwrap() = Some(SeenCertificate {
            serial: pair.serial().clone(),
            not_after: pair.leaf.not_after,
        });
        Ok(())
    }

    fn published(&self) -> Option<Serial> {
        self.published
            .lock()
            .unwrap()
            .as_ref()
            .map(|seen| seen.serial.clone())
    }
}

/// Sees what the gate was given, or what the program behind the hook has loaded.
struct FakeProbe {
    front: Option<Arc<FakeFront>>,
    programs: Arc<FakePrograms>,
    files: Files,
}

impl FakeProbe {
    /// The certificate in use, once the hook has run often enough; a strange one before.
    fn loaded(&self) -> Option<SeenCertificate> {
        let runs = self.programs.runs.lock().unwrap().len();
        let leaf = self
            .files
            .read(&Path::new(FILES).join("current/cert.pem"), 1 << 20)
            .ok()?;
        let leaf = Certificate::parse(&pem::certificates(&leaf).ok()?[0]).ok()?;
        let strange = Serial::from_bytes(&[0x7f]).unwrap();
        Some(SeenCertificate {
            serial: if runs > *self.programs.in_vain.lock().unwrap() {
                leaf.serial
            } else {
                strange
            },
            not_after: leaf.not_after,
        })
    }
}

#[async_trait]
impl Probe for FakeProbe {
    async fn engine(&self, _: &Path) -> Engine {
        Engine {
            version: Some("28.5.2".into()),
            error: None,
        }
    }

    async fn served(&self, _: SocketAddr) -> Served {
        let seen = match &self.front {
            Some(front) => front.published.lock().unwrap().clone(),
            None => self.loaded(),
        };
        seen.map_or(Served::Failed("nothing is served".into()), |seen| {
            Served::Certificate(seen.into())
        })
    }
}

/// A machine whose addresses change.
#[derive(Clone)]
pub struct FakeHost(pub Arc<Mutex<HostFacts>>);

impl Host for FakeHost {
    fn facts(&self) -> HostFacts {
        self.0.lock().unwrap().clone()
    }
}

/// Hooks that end as they are told to.
#[derive(Default)]
pub struct FakePrograms {
    pub exit: Mutex<i32>,
    /// This many runs have no effect.
    pub in_vain: Mutex<usize>,
    pub runs: Mutex<Vec<CommandLine>>,
}

#[async_trait]
impl Programs for FakePrograms {
    async fn run(&self, command: &CommandLine) -> Outcome {
        self.runs.lock().unwrap().push(command.clone());
        Outcome {
            ending: Ending::Exited(*self.exit.lock().unwrap()),
            output_tail: "nginx: configuration test failed\n".into(),
        }
    }
}

/// One host with its server.
pub struct Bench {
    pub disk: MemoryDisk,
    pub clock: ManualClock,
    pub server: Arc<FakeServer>,
    pub front: Arc<FakeFront>,
    pub host: FakeHost,
    pub programs: Arc<FakePrograms>,
    /// dockerd itself, in mode `daemon`.
    pub dockerd: Option<SimDockerd>,
    pub toml: String,
    pub has_token: bool,
    /// systemd keeps a socket for the authorization plugin.
    pub has_plugin_socket: bool,
}

impl Bench {
    pub fn new() -> Self {
        let clock = ManualClock::new(t0());
        let facts = HostFacts {
            hostname: "web-07".into(),
            fqdn: Some("web-07.fleet.internal".into()),
            addresses: vec!["10.20.3.7".parse().unwrap()],
            ..HostFacts::default()
        };
        Self {
            disk: MemoryDisk::new(),
            server: Arc::new(FakeServer::new(clock.clone())),
            clock,
            front: Arc::default(),
            host: FakeHost(Arc::new(Mutex::new(facts))),
            programs: Arc::default(),
            dockerd: None,
            toml: "server = 'https://ca:8443'\n".into(),
            has_token: true,
            has_plugin_socket: false,
        }
    }

    /// The same, with the configuration continued by `toml`.
    pub fn configured(toml: &str) -> Self {
        let mut bench = Self::new();
        bench.toml.push_str(toml);
        bench
    }

    /// A host in mode `daemon`, with a dockerd as a distribution left it.
    pub fn with_dockerd(starter: Starter, toml: &str) -> Self {
        let mut bench = Self::configured("mode = 'daemon'\n");
        bench.toml.push_str(toml);
        bench.dockerd = Some(SimDockerd::new(bench.disk.clone(), bench.clock.clone(), starter));
        bench
    }

    pub fn dockerd(&self) -> &SimDockerd {
        self.dockerd.as_ref().unwrap()
    }

    /// Port and TLS in two files, as agents did it before they put both into one; dockerd runs with it.
    pub fn as_an_earlier_agent_left_it(&self) {
        let text = String::from_utf8(self.disk.peek(drop_in()).unwrap()).unwrap();
        let flags = text.split_whitespace().filter(|word| word.starts_with("--tls"));
        let earlier = flags.fold(text.clone(), |text, flag| text.replace(&format!(" {flag}"), ""));
        self.disk.plant(drop_in(), earlier);
        let current = format!("{FILES}/current");
        let config = format!(
            "{{\"live-restore\": true, \"tlsverify\": true, \"tlscacert\": \"{current}/ca.pem\", \
             \"tlscert\": \"{current}/cert.pem\", \"tlskey\": \"{current}/key.pem\"}}\n"
        );
        self.disk.plant(CONFIG, config);
        self.dockerd().load();
        self.dockerd().restart_by_somebody();
        assert_eq!(self.dockerd().served(), Some(self.serial()));
    }

    /// Whether it is still so.
    pub fn is_as_an_earlier_agent_left_it(&self) -> bool {
        let config = self.disk.peek(CONFIG).unwrap_or_default();
        config.windows(9).any(|window| window == b"tlsverify")
    }

    pub fn files(&self) -> Files {
        Files::on(Arc::new(self.disk.clone()))
    }

    /// A new run of the agent, with a gate that was given nothing yet.
    pub fn start(&mut self) -> Reconciler {
        self.try_start().unwrap()
    }

    /// As [`Bench::start`], on a disk that may be out of order.
    pub fn try_start(&mut self) -> Result<Reconciler, FileError> {
        let refuses = *self.front.refuses.lock().unwrap();
        self.front = Arc::default();
        *self.front.refuses.lock().unwrap() = refuses;
        let config = Config::parse(&self.toml).unwrap();
        let gate = config.mode == dockwarden::model::Mode::Gate;
        let text = self.server.token.expose().to_string();
        Reconciler::begin(World {
            files: self.files(),
            server: self.server.clone(),
            front: gate.then(|| self.front.clone() as Arc<dyn Front>),
            feed: None,
            lists: None,
            token: TokenSource {
                given: self.has_token.then(|| SecretString::from(text)),
                file: config.token_file.clone(),
                ..TokenSource::default()
            },
            host: Arc::new(self.host.clone()),
            probe: match &self.dockerd {
                Some(dockerd) => Arc::new(dockerd.clone()),
                None => Arc::new(FakeProbe {
                    front: gate.then(|| self.front.clone()),
                    programs: self.programs.clone(),
                    files: self.files(),
                }),
            },
            dockerd: self
                .dockerd
                .clone()
                .map(|dockerd| Arc::new(dockerd) as Arc<dyn Dockerd>),
            plugin: self.plugin(),
            programs: self.programs.clone(),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SeededRandom::new(5)),
            config,
        })
    }

    fn plugin(&self) -> Option<Arc<dyn Plugin>> {
        let dockerd = self.dockerd.clone().filter(|_| self.has_plugin_socket)?;
        Some(Arc::new(FakePlugin(dockerd)))
    }

    /// Passes, each at the time the one before asked for, until one is good; at most `limit`.
    pub async fn converge(&self, agent: &mut Reconciler, limit: usize) -> Verdict {
        let mut verdict = agent.pass().await;
        for _ in 0..limit {
            self.assert_whole();
            if verdict.is_good() || self.disk.stopped() {
                break;
            }
            self.clock.set(verdict.next);
            verdict = agent.pass().await;
        }
        verdict
    }

    /// What is in use: a key with its own certificate, or nothing.
    pub fn current(&self) -> Option<Pair> {
        let files = self.files();
        let read = |name: &str| files.read(&Path::new(FILES).join("current").join(name), 1 << 20);
        match (read("ca.pem"), read("cert.pem"), read("key.pem")) {
            (Ok(ca), Ok(certificate), Ok(key)) => {
                Some(Pair::parse(&ca, &certificate, &key).expect("key and certificate match"))
            }
            (Err(ca), Err(certificate), Err(key)) => {
                assert!(ca.is_missing() && certificate.is_missing() && key.is_missing());
                None
            }
            other => panic!("current/ is incomplete: {other:?}"),
        }
    }

    /// `current/` is whole, whatever happened. Reads nothing while the process is stopped.
    pub fn assert_whole(&self) {
        if !self.disk.stopped() {
            self.current();
        }
    }

    pub fn serial(&self) -> Serial {
        self.current().expect("there is a certificate").serial().clone()
    }

    /// Joins, and says with which certificate.
    pub async fn join(&mut self) -> (Reconciler, Serial) {
        self.join_in(5).await
    }

    /// As [`Bench::join`], over `passes` passes at most.
    pub async fn join_in(&mut self, passes: usize) -> (Reconciler, Serial) {
        let mut agent = self.start();
        let verdict = self.converge(&mut agent, passes).await;
        assert!(verdict.is_good(), "{verdict:?}");
        (agent, self.serial())
    }
}

/// The plugin of a host: dockerd asks it, when it is told to.
struct FakePlugin(SimDockerd);

#[async_trait]
impl Plugin for FakePlugin {
    fn socket(&self) -> &Path {
        Path::new("/run/dockwarden/authz.sock")
    }

    fn trust(&self, _: &Pair) {}

    fn was_asked(&self, word: &str) -> Option<bool> {
        Some(self.0.was_asked(word))
    }

    async fn answers(&self) -> Result<(), String> {
        match self.0.plugin_answers() {
            true => Ok(()),
            false => Err("no answer to POST /Plugin.Activate within 5 s".into()),
        }
    }
}
