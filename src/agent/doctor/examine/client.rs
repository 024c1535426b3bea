//! The docker CLI of the user who asks: its variables, its contexts, and their TLS files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::examined::{ClientSeen, ContextSeen};
use crate::base::encoding::{hex, sha256};
use crate::base::limits::PEM_BYTES_MAX;
use crate::pki::{Certificate, pem};
use crate::sys::{Files, inspect};

/// The files of a context.
const FILES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];
/// The largest `meta.json` or `config.json` that is read, bytes.
const META_BYTES_MAX: usize = 1024 * 1024;
/// Contexts that are looked at, at most.
const CONTEXTS_MAX: usize = 1000;

/// Where it is, and its variables.
#[derive(Clone, Debug, Default)]
pub struct ClientPlaces {
    /// `DOCKER_CONFIG`, or `~/.docker`.
    pub directory: Option<PathBuf>,
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_TLS_VERIFY`.
    pub verify: Option<String>,
    /// `DOCKER_CERT_PATH`.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
}

/// Looks at it.
pub(super) fn look(places: &ClientPlaces, files: &Files) -> ClientSeen {
    let directory = places.directory.as_deref();
    let cert_path = places.cert_path.clone().or_else(|| places.directory.clone());
    let configured = directory.and_then(|directory| current_context(directory, files));
    ClientSeen {
        host_variable: places.host.clone(),
        verify_variable: places.verify.clone(),
        cert_path_missing: cert_path
            .as_deref()
            .map(|path| missing(path, files))
            .unwrap_or_default(),
        cert_path,
        current: places.context.clone().or(configured),
        contexts: directory
            .map(|directory| contexts(directory, files))
            .unwrap_or_default(),
    }
}

fn missing(directory: &Path, files: &Files) -> Vec<&'static str> {
    let absent = FILES
        .into_iter()
        .filter(|name| !files.exists(&directory.join(name)));
    absent.collect()
}

fn current_context(directory: &Path, files: &Files) -> Option<String> {
    let config = read_json(&directory.join("config.json"), files)?;
    config.get("currentContext")?.as_str().map(str::to_owned)
}

fn read_json(path: &Path, files: &Files) -> Option<Value> {
    serde_json::from_slice(&files.read(path, META_BYTES_MAX).ok()?).ok()
}

fn contexts(directory: &Path, files: &Files) -> Vec<ContextSeen> {
    let meta = directory.join("contexts/meta");
    let ids = files.list(&meta).unwrap_or_default();
    let ids = ids.iter().take(CONTEXTS_MAX);
    let found = ids.filter_map(|id| {
        let meta = read_json(&meta.join(id).join("meta.json"), files)?;
        context(directory, &meta, files)
    });
    found.collect()
}

/// A context that reaches Docker over TCP.
fn context(directory: &Path, meta: &Value, files: &Files) -> Option<ContextSeen> {
    let name = meta.get("Name")?.as_str()?.to_owned();
    let docker = meta.get("Endpoints")?.get("docker")?;
    let endpoint = docker
        .get("Host")?
        .as_str()
        .filter(|host| host.starts_with("tcp://"))?
        .to_owned();
    let id = hex(&sha256(name.as_bytes()));
    let tls = directory.join("contexts/tls").join(id).join("docker");
    Some(ContextSeen {
        name,
        endpoint,
        skips_verification: docker.get("SkipTLSVerify").and_then(Value::as_bool) == Some(true),
        missing: missing(&tls, files),
        key_mode: inspect::stat(&tls.join("key.pem"))
            .ok()
            .map(|found| found.mode & 0o777),
        not_after: leaf(&tls.join("cert.pem"), files).map(|leaf| leaf.not_after),
        directory: tls,
    })
}

fn leaf(path: &Path, files: &Files) -> Option<Certificate> {
    let chain = pem::certificates(files.read(path, PEM_BYTES_MAX).ok()?).ok()?;
    Certificate::parse(chain.first()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_found_where_the_cli_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::system();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            files.public_directory(path.parent().unwrap()).unwrap();
            files.write_public(&path, text.as_bytes()).unwrap();
        };
        let id = |name: &str| hex(&sha256(name.as_bytes()));
        let meta = |name: &str, host: &str| {
            format!(
                r#"{{"Name":"{name}","Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":true}}}}}}"#
            )
        };
        put("config.json", r#"{"currentContext":"web-1"}"#);
        put(
            &format!("contexts/meta/{}/meta.json", id("web-1")),
            &meta("web-1", "tcp://web-1:2376"),
        );
        put(&format!("contexts/tls/{}/docker/key.pem", id("web-1")), "key");
        put(
            &format!("contexts/meta/{}/meta.json", id("local")),
            &meta("local", "unix:///x.sock"),
        );
        put(&format!("contexts/meta/{}/meta.json", id("broken")), "{");
        let places = ClientPlaces {
            directory: Some(dir.path().to_owned()),
            ..ClientPlaces::default()
        };
        let seen = look(&places, &files);
        assert_eq!(seen.current.as_deref(), Some("web-1"));
        let [context] = &seen.contexts[..] else {
            panic!("{:?}", seen.contexts)
        };
        assert_eq!(
            (context.name.as_str(), context.skips_verification),
            ("web-1", true)
        );
        assert_eq!(context.missing, ["ca.pem", "cert.pem"]);
        assert_eq!(context.key_mode, Some(0o644));
    }
}
