//! A server on loopback, in this process: a real CA, real TLS, a store in memory or in a SQLite file, and a clock
//! that the test moves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dockwarden::base::{Clock, ManualClock, Random, SystemRandom};
use dockwarden::ca::{Issuer, IssuerUrls, make_issuer, make_root};
use dockwarden::http::{self as api, Grace, Limits, Plain, Tls};
use dockwarden::jobs::{self, OwnCertificateFile, RenewOwnCertificate};
use dockwarden::keys::{IssuerKey, MemoryKey};
use dockwarden::model::{IssuerKind, Permission};
use dockwarden::pki::chain::SharedAnchors;
use dockwarden::pki::tls::{ALPN_HTTP1, ServerTrust, TlsIdentity, client_config};
use dockwarden::pki::{KeyAlgorithm, LeafKey, San, Serial, csr, pem};
use dockwarden::service::{Authority, Service, Settings};
use dockwarden::store::Store;
use dockwarden::store::memory::MemoryStore;
use dockwarden::store::sqlite::{Missing, SqliteStore};
use dockwarden::sys::Files;
use dockwarden::wire::Issued;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pki::t0;

/// No single step of a test takes longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a server is made of; fields may be changed before it starts.
pub struct Setup {
    pub authority: Arc<Authority>,
    pub store: Arc<dyn Store>,
    pub clock: ManualClock,
    pub random: Arc<dyn Random>,
    pub settings: Settings,
    pub limits: Limits,
    pub jobs_every: Duration,
    pub files: Files,
    pub own_certificate: PathBuf,
    pub directory: Arc<tempfile::TempDir>,
}

impl Setup {
    /// With a store that forgets.
    pub fn memory() -> Self {
        Self::on(
            Arc::new(MemoryStore::new()),
            Arc::new(tempfile::tempdir().unwrap()),
        )
    }

    /// With a SQLite file in a directory of its own.
    pub async fn sqlite() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("dockwarden.db");
        let store = SqliteStore::open(&path, Missing::Create).await.unwrap();
        Self::on(Arc::new(store), directory)
    }

    fn on(store: Arc<dyn Store>, directory: Arc<tempfile::TempDir>) -> Self {
        Self {
            authority: Arc::new(authority()),
            store,
            clock: ManualClock::new(t0()),
            random: Arc::new(SystemRandom),
            settings: Settings {
                names: vec!["ca.fleet".parse().unwrap()],
                ..Settings::default()
            },
            limits: Limits::default(),
            jobs_every: Duration::from_millis(20),
            files: Files::system(),
            own_certificate: directory.path().join("serving.pem"),
            directory,
        }
    }

    pub async fn start(self) -> TestServer {
        TestServer::start(self).await
    }
}

/// Root and issuers, as `server init` makes them.
pub fn authority() -> Authority {
    let key = || Arc::new(MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
    let serial = || Serial::draw(&SystemRandom);
    let root = make_root("test", key(), &serial(), t0()).unwrap();
    let issuer = |kind| {
        let key: Arc<dyn IssuerKey> = key();
        let certificate = make_issuer(&root, kind, "test", key.public_key(), &serial(), t0()).unwrap();
        Issuer::new(certificate, key, kind, IssuerUrls::none()).unwrap()
    };
    Authority::new(
        root.certificate().clone(),
        issuer(IssuerKind::Hosts),
        issuer(IssuerKind::Clients),
    )
    .unwrap()
}

/// A certificate with its key: who a call comes from.
#[derive(Clone)]
pub struct Credentials {
    pub name: String,
    pub serial: Serial,
    pub chain: Vec<CertificateDer<'static>>,
    pub key: Arc<LeafKey>,
}

impl Credentials {
    /// From an answer of the server.
    pub fn new(issued: &Issued, key: Arc<LeafKey>) -> Self {
        let chain = pem::certificates(&issued.chain).unwrap();
        Self {
            name: issued.name.clone(),
            serial: issued.serial.clone(),
            chain,
            key,
        }
    }

    pub fn tls(&self) -> Arc<TlsIdentity> {
        Arc::new(TlsIdentity::new(self.chain.clone(), self.private_key()).unwrap())
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        self.key.to_pkcs8_der().into()
    }
}

/// A new P-256 key.
pub fn key() -> Arc<LeafKey> {
    Arc::new(LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap())
}

/// A request for `name` with these SANs, PEM.
pub fn csr_pem(key: &LeafKey, name: &str, sans: &[&str]) -> String {
    let sans: Vec<San> = sans.iter().map(|s| s.parse().unwrap()).collect();
    csr::make(key, &name.parse().unwrap(), &sans).to_pem()
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The problem's code, or "" for a success.
    pub fn code(&self) -> String {
        match self.status {
            200..300 => String::new(),
            _ => self.json()["code"].as_str().unwrap_or("(no code)").to_owned(),
        }
    }

    /// (status, code)
    pub fn outcome(&self) -> (u16, String) {
        (self.status, self.code())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn issued(&self) -> Issued {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// A running server; stops when dropped, and [`TestServer::stop`] also waits for it.
pub struct TestServer {
    pub address: SocketAddr,
    pub plain: SocketAddr,
    pub clock: ManualClock,
    pub service: Arc<Service>,
    pub authority: Arc<Authority>,
    pub admin: Credentials,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
    _directory: Arc<tempfile::TempDir>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestServer {
    pub async fn memory() -> Self {
        Setup::memory().start().await
    }

    pub async fn sqlite() -> Self {
        Setup::sqlite().await.start().await
    }

    async fn start(setup: Setup) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(setup.clock.clone());
        let grace = Grace {
            host: setup.settings.host.renew_grace,
            client: setup.settings.client.renew_grace,
        };
        let service = Arc::new(Service::new(
            Arc::clone(&setup.store),
            Arc::clone(&setup.authority),
            setup.settings,
            Arc::clone(&clock),
            setup.random,
        ));
        let file = OwnCertificateFile {
            files: setup.files,
            path: setup.own_certificate,
        };
        let own = file.load_or_issue(&service).await.unwrap();
        let (renewal, identity) = RenewOwnCertificate::new(Arc::clone(&service), file, own).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let renewal = Arc::new(renewal.every(setup.jobs_every));
        tasks.spawn(jobs::keep(renewal, Arc::clone(&service), stop.clone()));
        let anchors = setup.authority.anchors().shared();
        let tls = Tls::new(api::router(Arc::clone(&service)), identity, anchors, grace, clock)
            .seen_by(service.metrics().registry());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, plain) = (
            listener.local_addr().unwrap(),
            plain_listener.local_addr().unwrap(),
        );
        tasks.spawn(api::serve_tls(
            listener,
            tls.with_limits(setup.limits),
            stop.clone(),
        ));
        let plain_routes = Plain::new(api::plain_router(Arc::clone(&service)));
        tasks.spawn(api::serve_plain(plain_listener, plain_routes, stop.clone()));
        tasks.close();
        let admin = adopt(&service, "admin", Permission::Admin).await;
        Self {
            address,
            plain,
            clock: setup.clock,
            service,
            authority: setup.authority,
            admin,
            stop,
            tasks,
            _directory: setup.directory,
        }
    }

    /// Drains, and fails when that takes too long.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.unwrap();
        self.service.close().await;
    }

    pub fn clock_now(&self) -> dockwarden::base::Timestamp {
        self.clock.now()
    }

    pub fn ca_pem(&self) -> &str {
        self.authority.root_pem()
    }

    pub fn anchors(&self) -> SharedAnchors {
        self.authority.anchors().shared()
    }

    /// A client with a permission, made as at the console.
    pub async fn person(&self, name: &str, permission: Permission) -> Credentials {
        adopt(&self.service, name, permission).await
    }

    /// Makes a token; the fields given replace those of a one-use host token for `*.fleet` and 10/8.
    pub async fn token(&self, fields: Value) -> String {
        let mut request = json!({"profile": "host", "names": ["*.fleet"], "cidrs": ["10.0.0.0/8"]});
        request
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let answer = self
            .call(Some(&self.admin), "POST", "/v1/tokens", Some(request))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    pub async fn enroll(&self, token: &str, csr: &str) -> Answer {
        self.call(None, "POST", "/enroll", Some(json!({"token": token, "csr": csr})))
            .await
    }

    /// Enrols a host or client with a token of its own.
    pub async fn join(&self, profile: &str, name: &str) -> Credentials {
        let token = self.token(json!({"profile": profile, "names": [name]})).await;
        let key = key();
        let answer = self.enroll(&token, &csr_pem(&key, name, &[])).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Credentials::new(&answer.issued(), key)
    }

    pub async fn renew(&self, who: &Credentials, csr: &str) -> Answer {
        self.call(Some(who), "POST", "/v1/renew", Some(json!({"csr": csr})))
            .await
    }

    /// One call on a connection of its own.
    pub async fn call(
        &self,
        who: Option<&Credentials>,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut connection = self.connect(who).await.unwrap();
        call_on(&mut connection, method, path, body).await.unwrap()
    }

    pub async fn get(&self, who: Option<&Credentials>, path: &str) -> Answer {
        self.call(who, "GET", path, None).await
    }

    /// TLS alone.
    pub async fn tls(
        &self,
        who: Option<&Credentials>,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.tls_at(who, alpn, Arc::new(self.clock.clone())).await
    }

    /// TLS alone, of a peer whose clock says something else.
    pub async fn tls_at(
        &self,
        who: Option<&Credentials>,
        alpn: &[&[u8]],
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let trust = ServerTrust::Anchors(self.anchors());
        let config = client_config(trust, who.map(Credentials::tls), clock, alpn);
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        tokio::time::timeout(PATIENCE, connecting).await.unwrap()
    }

    /// An HTTP/1.1 connection.
    pub async fn connect(
        &self,
        who: Option<&Credentials>,
    ) -> std::io::Result<SendRequest<Full<bytes::Bytes>>> {
        let stream = self.tls(who, ALPN_HTTP1).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Every audit record, oldest first.
    pub async fn audit(&self) -> Vec<Value> {
        let answer = self.get(Some(&self.admin), "/v1/audit?after=0&limit=1000").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["items"].as_array().unwrap().clone()
    }

    /// (action, outcome) of every audit record about certificates and requests, oldest first.
    pub async fn audited(&self) -> Vec<(String, String)> {
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let records = self.audit().await;
        records
            .iter()
            .map(|r| (text(&r["action"]), text(&r["outcome"])))
            .collect()
    }
}

/// One call on an open connection; an error when the connection breaks.
pub async fn call_on(
    connection: &mut SendRequest<Full<bytes::Bytes>>,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> hyper::Result<Answer> {
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path);
    let request = request.header("host", "localhost");
    let request = match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(&body).unwrap())),
        None => request.body(Full::default()),
    };
    send(connection, request.unwrap()).await
}

/// One request on an open connection.
pub async fn send(
    connection: &mut SendRequest<Full<bytes::Bytes>>,
    request: Request<Full<bytes::Bytes>>,
) -> hyper::Result<Answer> {
    let exchange = async {
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

async fn adopt(service: &Service, name: &str, permission: Permission) -> Credentials {
    let key = key();
    let name = name.parse().unwrap();
    let request = csr::verify(csr::make(&key, &name, &[]), &KeyAlgorithm::ALL).unwrap();
    let certificate = service
        .adopt_client(name.clone(), permission, &request)
        .await
        .unwrap();
    let issuer = service
        .authority()
        .issuer(IssuerKind::Clients)
        .certificate()
        .der()
        .to_vec();
    Credentials {
        name: name.to_string(),
        serial: certificate.serial.clone(),
        chain: vec![certificate.der.into(), issuer.into()],
        key,
    }
}
