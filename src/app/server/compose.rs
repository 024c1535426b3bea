//! From files to a running server.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::layout::{Layout, ROOT};
use super::upkeep;
use crate::base::limits::CRL_BYTES_MAX;
use crate::base::{Clock, SecretString, SystemClock, SystemRandom};
use crate::ca::{Issuer, IssuerUrls};
use crate::http::{self, Grace, Plain, Tls};
use crate::jobs::{self, OwnCertificateFile, RenewOwnCertificate};
use crate::keys::file;
use crate::model::IssuerKind;
use crate::pki::crl::Crl;
use crate::service::{Authority, Service};
use crate::store::sqlite::{Missing, SqliteStore};
use crate::sys::Lock;

/// What the audit log says was started.
const VERSION: &str = concat!("dockwarden ", env!("CARGO_PKG_VERSION"));

/// A runtime for a server: few threads, because idle ones cost memory and signing is quick.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(2, 4);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .context("no threads can be started")
}

/// The CA of a data directory. Its root key is not needed; the two issuer keys are opened side by side, because
/// each takes a tenth of a second by intent.
pub fn authority(
    layout: &Layout,
    passphrase: &SecretString,
    public_url: Option<&str>,
) -> anyhow::Result<Authority> {
    let root = layout.read_certificate(ROOT)?;
    let open = |kind: IssuerKind| -> anyhow::Result<Issuer> {
        let certificate = layout.read_certificate(kind.as_str())?;
        let path = layout.key(kind.as_str());
        let key = file::open(layout.read_key(kind.as_str())?, passphrase)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        let urls = match public_url {
            Some(url) => IssuerUrls::under(url, kind).context("public_url")?,
            None => IssuerUrls::none(),
        };
        Ok(Issuer::new(certificate, Arc::new(key), kind, urls)?)
    };
    let (hosts, clients) = std::thread::scope(|scope| {
        let hosts = scope.spawn(|| open(IssuerKind::Hosts));
        let clients = open(IssuerKind::Clients);
        (hosts.join().expect("opening a key does not panic"), clients)
    });
    Ok(Authority::new(root, hosts?, clients?)?)
}

/// Listening sockets.
pub struct Sockets {
    /// HTTPS.
    pub https: Vec<TcpListener>,
    /// Plain HTTP.
    pub http: Option<TcpListener>,
}

/// A server that answers. Dropping it does not stop it: call [`Running::stop`].
pub struct Running {
    service: Arc<Service>,
    tasks: TaskTracker,
    stop: CancellationToken,
    addresses: Vec<SocketAddr>,
    _lock: Lock,
}

impl Running {
    /// Where HTTPS is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers what is in flight, takes nothing new, and closes the database.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        if let Err(error) = self.service.note("server.stop", VERSION).await {
            tracing::warn!(%error, "the end could not be written to the audit log");
        }
        self.service.close().await;
    }
}

/// Shows the root's CRL as it is on disk, where `server root-crl` puts it: signed where the root's key is. Servers
/// made by the first release have none. When the one on disk cannot be shown, the one before stays.
pub fn show_root_crl(layout: &Layout, service: &Service) -> Result<(), String> {
    let path = layout.crl(ROOT);
    if !layout.files().exists(&path) {
        return Ok(());
    }
    let read = layout
        .files()
        .read(&path, CRL_BYTES_MAX)
        .map_err(|e| e.to_string());
    let crl = read.and_then(|bytes| Crl::parse_pem_or_der(bytes).map_err(|e| e.to_string()));
    let shown = crl.and_then(|crl| service.show_root_crl(crl).map_err(|e| e.to_string()));
    shown.map_err(|error| {
        format!(
            "the root's CRL in {} is not published, the one before stays: {error}",
            path.display()
        )
    })
}

/// Starts everything. Returns once requests are answered.
pub async fn start(config: &Config, passphrase: &SecretString, sockets: Sockets) -> anyhow::Result<Running> {
    let lock = config.layout.lock()?;
    let authority = authority(&config.layout, passphrase, config.public_url.as_deref())?;
    let store = SqliteStore::open(&config.layout.database(), Missing::Refuse).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let service = Arc::new(Service::new(
        Arc::new(store),
        Arc::new(authority),
        config.settings.clone(),
        Arc::clone(&clock),
        Arc::new(SystemRandom),
    ));
    let file = OwnCertificateFile {
        files: config.layout.files().clone(),
        path: config.layout.serving(),
    };
    let own = file.load_or_issue(&service).await?;
    let (renewal, identity) = RenewOwnCertificate::new(Arc::clone(&service), file, own)?;
    if let Err(error) = show_root_crl(&config.layout, &service) {
        tracing::error!("{error}");
    }
    service.note("server.start", VERSION).await?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(jobs::keep(Arc::new(renewal), Arc::clone(&service), stop.clone()));
    upkeep::start(&service, config, &tasks, &stop);
    let grace = Grace {
        host: config.settings.host.renew_grace,
        client: config.settings.client.renew_grace,
    };
    let anchors = service.authority().anchors().shared();
    let tls = Tls::new(
        http::router(Arc::clone(&service)),
        identity,
        anchors,
        grace,
        clock,
    )
    .seen_by(service.metrics().registry());
    let addresses = sockets
        .https
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>()?;
    for listener in sockets.https {
        tasks.spawn(http::serve_tls(listener, tls.clone(), stop.clone()));
    }
    if let Some(listener) = sockets.http {
        let plain = Plain::new(http::plain_router(Arc::clone(&service)));
        tasks.spawn(http::serve_plain(listener, plain, stop.clone()));
    }
    tasks.close();
    Ok(Running {
        service,
        tasks,
        stop,
        addresses,
        _lock: lock,
    })
}
