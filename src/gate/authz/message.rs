//! What dockerd asks: `POST /AuthZPlugin.AuthZReq` and `AuthZRes` (docs/extend/plugins_authorization of docker/cli, and
//! what engines were seen to send). Read strictly: a key that comes twice, or a value of another type, is no message.

use std::collections::HashMap;

use rustls_pki_types::CertificateDer;
use serde::Deserialize;

use crate::base::encoding::base64_decode;
use crate::pki::pem;

/// The longest message. The Engine hands over bodies of up to 4 MiB, as base64, beside headers and certificates.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most certificates of a client.
pub const CERTIFICATES_MAX: usize = 8;
/// The longest of them, as dockerd sends it: base64 of PEM.
const CERTIFICATE_CHARS_MAX: usize = 64 * 1024;

/// Why a message cannot be read. Nothing is allowed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// dockerd tries again with a body that it has read already when a connection breaks.
    #[error("dockerd sent nothing to decide about: try again")]
    Empty,
    /// More than [`MESSAGE_BYTES_MAX`].
    #[error("the request is too long to be judged: at most {MESSAGE_BYTES_MAX} bytes of it are looked at")]
    TooLong,
    /// Not what the plugin protocol says.
    #[error("dockerd sent what is not understood ({0}): is this dockwarden older than the Engine?")]
    Malformed(String),
    /// The client's certificates.
    #[error("certificate {number} that dockerd passed on cannot be read: {why}")]
    Certificate {
        /// From 1, the client's own.
        number: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A client that logged in in a way that is not known here.
    #[error("the client logged in by {0:?}, which is not understood: only TLS certificates are")]
    Method(String),
}

/// What is read of a message. Others' keys are left alone.
#[derive(Debug, Deserialize)]
struct Raw {
    #[serde(rename = "User", default)]
    user: String,
    #[serde(rename = "UserAuthNMethod", default)]
    login: String,
    #[serde(rename = "RequestMethod", default)]
    method: String,
    #[serde(rename = "RequestUri", default)]
    target: String,
    #[serde(rename = "RequestHeaders", default)]
    headers: Option<HashMap<String, String>>,
    #[serde(rename = "RequestBody", default)]
    body: Option<String>,
    #[serde(rename = "RequestPeerCertificates", default)]
    certificates: Option<Vec<String>>,
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Who asks.
    pub client: Client,
    /// The method.
    pub method: String,
    /// The request target: not decoded, query included.
    pub target: String,
    /// The `Content-Type`.
    pub content_type: String,
    /// The body, where the Engine passes it on: JSON only, and older ones leave long bodies out without a word.
    pub body: Option<Vec<u8>>,
}

/// Who asks.
#[derive(Debug)]
pub enum Client {
    /// Nobody with a certificate: a user of the unix socket. dockerd does not say which one.
    Local,
    /// Whoever showed these certificates, leaf first.
    Certificates(Vec<CertificateDer<'static>>),
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.is_empty() {
            return Err(MessageError::Empty);
        }
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong);
        }
        // serde_json does not look at the bytes of what it skips.
        let text = str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let raw: Raw = serde_json::from_str(text).map_err(|e| malformed(&e.to_string()))?;
        if raw.method.is_empty() || raw.target.is_empty() {
            return Err(malformed("it names no request"));
        }
        let client = client(&raw)?;
        let types = raw.headers.iter().flatten();
        let content_type = types.filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let content_type: Vec<&str> = content_type.map(|(_, value)| value.as_str()).collect();
        let body = match raw.body.as_deref().filter(|body| !body.is_empty()) {
            Some(body) => Some(base64_decode(body).ok_or_else(|| malformed("its body is not base64"))?),
            None => None,
        };
        Ok(Self {
            client,
            content_type: content_type.join(", "),
            method: raw.method,
            target: raw.target,
            body,
        })
    }
}

fn malformed(why: &str) -> MessageError {
    MessageError::Malformed(why.chars().take(200).collect())
}

/// A client without certificates is a local one only when nothing else says that it logged in.
fn client(raw: &Raw) -> Result<Client, MessageError> {
    let certificates = raw.certificates.as_deref().unwrap_or_default();
    match raw.login.as_str() {
        "" if certificates.is_empty() && raw.user.is_empty() => return Ok(Client::Local),
        "" | "TLS" => {}
        other => return Err(MessageError::Method(other.chars().take(40).collect())),
    }
    let unreadable = |number, why| MessageError::Certificate { number, why };
    if certificates.is_empty() {
        return Err(unreadable(1, "it is not there; dockerd is older than 1.13"));
    }
    if certificates.len() > CERTIFICATES_MAX {
        return Err(unreadable(CERTIFICATES_MAX + 1, "there are too many"));
    }
    let mut chain = Vec::new();
    for (number, text) in (1..).zip(certificates) {
        if text.len() > CERTIFICATE_CHARS_MAX {
            return Err(unreadable(number, "it is too long"));
        }
        let armoured = base64_decode(text).ok_or(unreadable(number, "it is not base64"))?;
        let found =
            pem::certificates(armoured).map_err(|_| unreadable(number, "there is no certificate in it"))?;
        let [certificate] =
            <[_; 1]>::try_from(found).map_err(|_| unreadable(number, "there is more than one in it"))?;
        chain.push(certificate);
    }
    Ok(Client::Certificates(chain))
}
