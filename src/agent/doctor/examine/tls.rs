//! Certificate, key and CA on disk, read as dockerd and a client would.

use std::path::Path;

use rustls_pki_types::CertificateDer;

use super::super::examined::TlsFiles;
use super::Unseen;
use crate::base::limits::PEM_BYTES_MAX;
use crate::pki::tls::{KeyPairError, TlsIdentity};
use crate::pki::{Certificate, pem};
use crate::sys::{FileError, Files};

/// Certificates that a chain has at most.
const CHAIN_MAX: usize = 10;

/// Reads the three files.
pub(super) fn read(
    certificate: &Path,
    key: &Path,
    ca: Option<&Path>,
    files: &Files,
    unseen: &mut Unseen,
) -> TlsFiles {
    let chain = ders(certificate, files);
    let key_matches = match files.read(key, PEM_BYTES_MAX) {
        Err(error) if is_hidden(&error) => {
            unseen.note(key);
            None
        }
        Err(error) => Some(Err(error.to_string())),
        // What is wrong with the certificate is told there.
        Ok(pem) => chain.as_ref().ok().map(|chain| matches(chain, &pem)),
    };
    let parsed = chain.and_then(|chain| parse(&chain));
    let anchors = ca.map(|ca| ders(ca, files).and_then(|ders| parse(&ders)));
    let chain_refused = match (&parsed, &anchors) {
        (Ok(chain), Some(Ok(anchors))) => refused(chain, anchors),
        _ => None,
    };
    TlsFiles {
        certificate: certificate.to_owned(),
        chain: parsed,
        key: key.to_owned(),
        key_matches,
        key_access: unseen.access(key),
        ca: ca.map(Path::to_owned),
        anchors,
        chain_refused,
    }
}

fn is_hidden(error: &FileError) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

fn ders(path: &Path, files: &Files) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = files.read(path, PEM_BYTES_MAX).map_err(|e| e.to_string())?;
    pem::certificates(text).map_err(|e| e.to_string())
}

fn parse(ders: &[CertificateDer<'_>]) -> Result<Vec<Certificate>, String> {
    let parsed = ders.iter().map(|der| Certificate::parse(der));
    parsed.collect::<Result<_, _>>().map_err(|e| e.to_string())
}

fn matches(chain: &[CertificateDer<'static>], key: &[u8]) -> Result<bool, String> {
    let key = pem::private_key(key).map_err(|e| e.to_string())?;
    match TlsIdentity::pair(chain.to_vec(), key) {
        Ok(_) => Ok(true),
        Err(KeyPairError::Mismatch) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// Why no path of signatures leads from the leaf to an anchor; `None` when one does. Looser than what verifies our own
/// chains: certificates made by hand are no reason to cry wolf.
fn refused(chain: &[Certificate], anchors: &[Certificate]) -> Option<String> {
    let mut at = chain.first()?;
    for _ in 0..CHAIN_MAX {
        let signed = |issuer: &&Certificate| {
            issuer.subject == at.issuer
                && issuer
                    .public_key()
                    .is_ok_and(|key| at.verify_signature(&key).is_ok())
        };
        if anchors.iter().any(|anchor| anchor.fingerprint == at.fingerprint)
            || anchors.iter().any(|a| signed(&a))
        {
            return None;
        }
        match chain[1..].iter().find(signed) {
            Some(issuer) if issuer.fingerprint != at.fingerprint => at = issuer,
            _ => break,
        }
    }
    Some(format!("nothing there has signed {}", at.subject_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ca {
        certificate: rcgen::Certificate,
        params: rcgen::CertificateParams,
        key: rcgen::KeyPair,
    }

    fn ca(name: &str, issuer: Option<&Ca>) -> Ca {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = match issuer {
            None => params.self_signed(&key).unwrap(),
            Some(issuer) => params
                .signed_by(&key, &rcgen::Issuer::from_params(&issuer.params, &issuer.key))
                .unwrap(),
        };
        Ca {
            certificate,
            params,
            key,
        }
    }

    fn write(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = dir.join(name);
        Files::system().write_private(&path, text.as_bytes()).unwrap();
        path
    }

    #[test]
    fn files_are_read_as_dockerd_and_a_client_would() {
        let dir = tempfile::tempdir().unwrap();
        let (root, other) = (ca("root", None), ca("other", None));
        let issuer = ca("issuer", Some(&root));
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["web-1".to_owned()]).unwrap();
        let leaf = params
            .signed_by(&key, &rcgen::Issuer::from_params(&issuer.params, &issuer.key))
            .unwrap();
        let put = |name: &str, text: &str| write(dir.path(), name, text);
        let whole = put("whole.pem", &(leaf.pem() + &issuer.certificate.pem()));
        let alone = put("alone.pem", &leaf.pem());
        let garbage = put("garbage.pem", "no PEM");
        let key = put("key.pem", &key.serialize_pem());
        let wrong = put("wrong.pem", &other.key.serialize_pem());
        let root = put("ca.pem", &root.certificate.pem());
        let other = put("other-ca.pem", &other.certificate.pem());
        let mut unseen = Unseen::default();
        let mut look = |certificate: &Path, key: &Path, ca: &Path| {
            read(certificate, key, Some(ca), &Files::system(), &mut unseen)
        };
        let good = look(&whole, &key, &root);
        assert_eq!((good.key_matches, good.chain_refused), (Some(Ok(true)), None));
        assert_eq!(good.key_access.unwrap().mode, 0o600);
        assert_eq!(look(&whole, &wrong, &root).key_matches, Some(Ok(false)));
        assert!(look(&whole, &garbage, &root).key_matches.unwrap().is_err());
        let missing = look(&whole, Path::new("/nonexistent/key.pem"), &root);
        assert!(missing.key_matches.unwrap().is_err());
        assert!(look(&garbage, &key, &root).chain.is_err());
        assert!(look(&whole, &key, &garbage).anchors.unwrap().is_err());
        assert!(look(&alone, &key, &root).chain_refused.is_some());
        assert!(
            look(&whole, &key, &other)
                .chain_refused
                .unwrap()
                .contains("issuer")
        );
    }
}
