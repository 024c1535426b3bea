//! Webhooks: one HTTP request a notification, on a connection of its own.
//!
//! The URL comes from the administrator's file and from nowhere else: no name, label or message of a host decides where
//! something is sent. It may lead into the own network; that is where receivers are. Redirects are not followed, a
//! receiver that moved is an error that names its answer, and answers are not read beyond their status.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::Channel;
use super::message::{alerts, cloud_event, slack};
use crate::base::limits::{PEM_BYTES_MAX, SECRET_BYTES_MAX};
use crate::base::{Clock, encoding};
use crate::model::problem::Notification;
use crate::pki::{pem, tls};
use crate::sys::Files;

/// Where systems keep the certificates that everybody trusts.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Where requests go.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    host: String,
    port: u16,
    is_tls: bool,
}

/// Not where a request can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL.
    #[error("not a URL: write https://HOST/PATH")]
    Url,
    /// Neither of the two schemes.
    #[error("only https:// and http:// are known")]
    Scheme,
    /// It would be sent in the clear with every request, and stands in logs of proxies.
    #[error("a user name in the URL is not sent: put a secret into secret_file")]
    UserInfo,
}

impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let uri: Uri = text.trim().parse().map_err(|_| TargetError::Url)?;
        let authority = uri.authority().ok_or(TargetError::Url)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::UserInfo);
        }
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(TargetError::Scheme),
        };
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(TargetError::Url);
        }
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            uri,
        })
    }
}

impl fmt::Debug for Target {
    /// Without its path: those of chat programs are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What a receiver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpForm {
    /// CloudEvents 1.0, JSON, structured.
    CloudEvents,
    /// Slack, Mattermost.
    Slack,
    /// The Prometheus Alertmanager.
    Alertmanager,
}

/// A webhook.
pub struct HttpChannel {
    /// Its name.
    pub name: String,
    /// Where it is: the URL, or the file that holds it.
    pub url: Result<Target, PathBuf>,
    /// What it reads.
    pub form: HttpForm,
    /// What this server is called in events.
    pub source: String,
    /// The file with the key that requests are signed with.
    pub secret_file: Option<PathBuf>,
    /// The file with the CA that the receiver's certificate comes from; without it, those the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The disk.
    pub files: Files,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Channel for HttpChannel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notification: &Notification) -> Result<(), String> {
        let target = self.target()?;
        let request = self.request(&target, notification)?;
        let at = format!("{target:?}");
        let tcp = TcpStream::connect((target.host.as_str(), target.port)).await;
        let tcp = tcp.map_err(|e| format!("{at} cannot be reached: {e}"))?;
        let status = match target.is_tls {
            false => call(tcp, request).await,
            true => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|_| format!("{at} has no name for TLS"))?;
                let connector = TlsConnector::from(self.tls()?);
                let stream = connector.connect(name, tcp).await;
                call(stream.map_err(|e| format!("{at} is not trusted: {e}"))?, request).await
            }
        };
        match status.map_err(|e| format!("{at} did not answer: {e}"))? {
            200..300 => Ok(()),
            status @ 300..400 => Err(format!(
                "{at} answered {status}: redirects are not followed; write where it is"
            )),
            status => Err(format!("{at} answered {status}")),
        }
    }
}

impl HttpChannel {
    fn target(&self) -> Result<Target, String> {
        match &self.url {
            Ok(target) => Ok(target.clone()),
            Err(file) => {
                let text = self.secret(file)?;
                text.parse().map_err(|e| format!("{}: {e}", file.display()))
            }
        }
    }

    /// Read each time, so that a new one counts at once.
    fn secret(&self, file: &std::path::Path) -> Result<Zeroizing<String>, String> {
        let text = self
            .files
            .read_text(file, SECRET_BYTES_MAX)
            .map_err(|e| e.to_string())?;
        Ok(Zeroizing::new(text.trim().to_owned()))
    }

    fn request(&self, target: &Target, notification: &Notification) -> Result<Request<Full<Bytes>>, String> {
        let (kind, body) = match self.form {
            HttpForm::CloudEvents => (
                "application/cloudevents+json; charset=utf-8",
                cloud_event(notification, &self.source),
            ),
            HttpForm::Slack => ("application/json; charset=utf-8", slack(notification)),
            // It wants this type and no parameter.
            HttpForm::Alertmanager => ("application/json", alerts(notification, &self.source)),
        };
        let body = body.to_string();
        let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = target.uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::post(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, kind)
            .header(USER_AGENT, concat!("dockwarden/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, HeaderValue::from_static("close"))
            .header("idempotency-key", notification.id.to_string());
        if let Some(file) = &self.secret_file {
            let secret = self.secret(file)?;
            if secret.is_empty() {
                return Err(format!(
                    "{} is empty: it must hold the key that requests are signed with",
                    file.display()
                ));
            }
            let at = self.clock.now().as_secs();
            request = request.header("dockwarden-signature", signature(secret.as_bytes(), at, &body));
        }
        request
            .body(Full::from(body))
            .map_err(|_| "the request cannot be written".to_owned())
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let read = |path: &std::path::Path| self.files.read_text(path, PEM_BYTES_MAX);
        let text = match &self.ca_file {
            Some(file) => read(file).map_err(|e| e.to_string())?,
            None => {
                let found = BUNDLES
                    .iter()
                    .find_map(|path| read(std::path::Path::new(path)).ok());
                found.ok_or(
                    "this system has no bundle of trusted CAs: install ca-certificates, or set ca_file",
                )?
            }
        };
        let mut roots = RootCertStore::empty();
        let certificates =
            pem::certificates(&text).map_err(|e| format!("the trusted CAs cannot be read: {e}"))?;
        roots.add_parsable_certificates(certificates);
        let mut config = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// `t=TIME,v1=HEX`: HMAC-SHA-256 over `TIME.BODY`. With the time in it, an old request cannot be sent anew.
fn signature(secret: &[u8], at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", encoding::hex(tag.as_ref()))
}

/// Sends the request, and gives the status of the answer. What comes after it is not read.
async fn call<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    tokio::select! {
        answer = &mut answer => answer.map(|answer| answer.status().as_u16()),
        ended = &mut connection => {
            ended?;
            answer.await.map(|answer| answer.status().as_u16())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_any_hmac_program_computes() {
        // printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature(b"key", 1_800_000_000, "{\"a\":1}"),
            "t=1800000000,v1=7330c9cf7d886970cbebbbb5494c04d2aeff06a990adb7d7a75abfeb0159d291"
        );
    }

    #[test]
    fn only_urls_that_a_request_can_go_to_are_taken() {
        let good = |text: &str| text.parse::<Target>().map(|t| (t.host, t.port, t.is_tls));
        assert_eq!(
            good("https://hooks.example/x?y=z"),
            Ok(("hooks.example".into(), 443, true))
        );
        assert_eq!(good("http://[::1]:9000/x\n"), Ok(("::1".into(), 9000, false)));
        assert_eq!(good("ftp://x/"), Err(TargetError::Scheme));
        assert_eq!(good("https://u:p@x/"), Err(TargetError::UserInfo));
        for bad in ["", "/path", "hooks.example", "https://"] {
            assert!(good(bad).is_err(), "{bad}");
        }
        let secret: Target = "https://hooks.example/services/T0/B0/geheim".parse().unwrap();
        assert!(!format!("{secret:?}").contains("geheim"));
    }
}
