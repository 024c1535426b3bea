//! PEM (RFC 7468), read strictly: a file that is empty, cut short or garbled is an error, never a
//! shorter list. Whoever reads a trust bundle through here cannot end up trusting less, or more, than
//! the file says. Text between blocks is allowed, as `openssl x509 -text` writes it.

use data_encoding::BASE64;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::base::limits::PEM_BYTES_MAX;

/// Why a PEM file was refused. Messages continue a sentence that names the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// More than [`PEM_BYTES_MAX`].
    #[error("is {0} bytes long, more than the {PEM_BYTES_MAX} that are read: is it the right file?")]
    TooLarge(usize),
    /// No block at all: empty, DER, or something else.
    #[error(
        "holds no PEM block (-----BEGIN ...-----): it is empty or not PEM; restore it, or convert DER with openssl"
    )]
    Empty,
    /// A block without its end.
    #[error("ends in the middle of a {0:?} block: it was cut short; restore it from where it came")]
    Truncated(String),
    /// A line that cannot be there.
    #[error("is damaged at line {0}: not base64 and not a PEM boundary; restore it from where it came")]
    Garbled(usize),
    /// Blocks, but no certificate.
    #[error("holds no certificate (found {0}): is it the right file?")]
    NoCertificate(String),
    /// A CERTIFICATE block with something else inside.
    #[error("holds a certificate (number {0} in the file) that does not parse: it is damaged; restore it")]
    NotACertificate(usize),
    /// Blocks, but no private key.
    #[error("holds no private key (found {0}): is it the right file?")]
    NoKey(String),
    /// More than one private key.
    #[error("holds more than one private key; leave the one that belongs to the certificate")]
    SeveralKeys,
    /// A private key that needs a passphrase, where none can be given.
    #[error(
        "holds a private key that is encrypted, where a plain one is needed; decrypt it with: openssl pkey -in FILE -out NEW"
    )]
    EncryptedKey,
    /// `Proc-Type: 4,ENCRYPTED`, whose key derivation is one round of MD5.
    #[error(
        "holds a private key in the old OpenSSL encryption; convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW"
    )]
    LegacyEncryption,
}

/// One block. Its bytes are wiped when it is dropped, because they may be a key.
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// Every certificate of a bundle, in order: at least one, each one parsing as X.509.
pub fn certificates(pem: impl AsRef<[u8]>) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let blocks = blocks(pem.as_ref())?;
    let found: Vec<_> = blocks.iter().filter(|b| b.label == "CERTIFICATE").collect();
    if found.is_empty() {
        return Err(PemError::NoCertificate(labels(&blocks)));
    }
    for (index, block) in found.iter().enumerate() {
        match X509Certificate::from_der(&block.der) {
            Ok(([], _)) => {}
            _ => return Err(PemError::NotACertificate(index + 1)),
        }
    }
    Ok(found
        .iter()
        .map(|b| CertificateDer::from(b.der.to_vec()))
        .collect())
}

/// The one private key of a file: PKCS#8, SEC1 or PKCS#1, not encrypted. Other blocks are ignored.
pub fn private_key(pem: impl AsRef<[u8]>) -> Result<PrivateKeyDer<'static>, PemError> {
    let block = only_key(pem.as_ref())?;
    let der = block.der.to_vec();
    Ok(match block.label.as_str() {
        "PRIVATE KEY" => PrivatePkcs8KeyDer::from(der).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
        _ => return Err(PemError::EncryptedKey),
    })
}

/// The one block that is a private key, encrypted or not.
pub(crate) fn only_key(pem: &[u8]) -> Result<Block, PemError> {
    let (mut keys, others): (Vec<_>, Vec<_>) = blocks(pem)?
        .into_iter()
        .partition(|b| b.label.ends_with("PRIVATE KEY"));
    let key = keys.pop().ok_or_else(|| PemError::NoKey(labels(&others)))?;
    if keys.is_empty() {
        Ok(key)
    } else {
        Err(PemError::SeveralKeys)
    }
}

/// One block, lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> String {
    let base64 = Zeroizing::new(BASE64.encode(der));
    // Sized once: a growing buffer would leave copies of a key behind.
    let mut out = String::with_capacity(base64.len() + base64.len() / 64 + 2 * label.len() + 40);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    for line in base64.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// A certificate as PEM.
pub fn encode_certificate(der: &[u8]) -> String {
    encode("CERTIFICATE", der)
}

/// Every block of the file, at least one.
pub(crate) fn blocks(pem: &[u8]) -> Result<Vec<Block>, PemError> {
    blocks_up_to(pem, PEM_BYTES_MAX)
}

/// Every block of a file of at most `bytes_max` bytes, at least one.
pub(crate) fn blocks_up_to(pem: &[u8], bytes_max: usize) -> Result<Vec<Block>, PemError> {
    if pem.len() > bytes_max {
        return Err(PemError::TooLarge(pem.len()));
    }
    let mut blocks = Vec::new();
    let mut lines = pem.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).zip(1..);
    while let Some((line, number)) = lines.next() {
        if let Some(label) = boundary(line, b"-----BEGIN ") {
            let der = body(&mut lines, &label)?;
            blocks.push(Block { label, der });
        } else if looks_like_boundary(line) {
            return Err(PemError::Garbled(number));
        }
    }
    if blocks.is_empty() {
        Err(PemError::Empty)
    } else {
        Ok(blocks)
    }
}

/// Reads up to the END line that belongs to `label`.
fn body<'a>(
    lines: &mut impl Iterator<Item = (&'a [u8], usize)>,
    label: &str,
) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let mut base64 = Zeroizing::new(Vec::with_capacity(8192));
    for (line, number) in lines {
        if boundary(line, b"-----END ").is_some_and(|end| end == label) {
            return match BASE64.decode(&base64) {
                Ok(der) if !der.is_empty() => Ok(Zeroizing::new(der)),
                _ => Err(PemError::Garbled(number)),
            };
        }
        if line.starts_with(b"Proc-Type:") {
            return Err(PemError::LegacyEncryption);
        }
        if line.is_empty() || line.iter().all(is_base64) {
            base64.extend_from_slice(line);
        } else if b"-----END ".starts_with(line) || line.starts_with(b"-----END ") {
            // The END line itself was cut: what follows, if anything, belongs elsewhere.
            return Err(PemError::Truncated(label.to_owned()));
        } else {
            return Err(PemError::Garbled(number));
        }
    }
    Err(PemError::Truncated(label.to_owned()))
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// The label of a boundary line such as `-----BEGIN CERTIFICATE-----`.
fn boundary(line: &[u8], prefix: &[u8]) -> Option<String> {
    let label = line.strip_prefix(prefix)?.strip_suffix(b"-----")?;
    let plain = !label.is_empty()
        && label.len() <= 64
        && label
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ');
    plain.then(|| String::from_utf8_lossy(label).into_owned())
}

/// A stray END, a broken BEGIN, or the first characters of one: the file lost something here.
fn looks_like_boundary(line: &[u8]) -> bool {
    !line.is_empty() && (b"-----BEGIN ".starts_with(line) || line.starts_with(b"-----"))
}

fn labels(blocks: &[Block]) -> String {
    let mut labels: Vec<&str> = blocks.iter().map(|b| b.label.as_str()).collect();
    labels.dedup();
    if labels.is_empty() {
        "nothing else".into()
    } else {
        labels.join(", ")
    }
}

#[cfg(test)]
mod tests;
