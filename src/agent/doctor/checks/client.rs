//! The docker CLI of whoever asks: variables that override contexts, and contexts that cannot work.

use super::super::examined::{ContextSeen, Examined};
use super::super::{Finding, Says};
use super::in_words;
use crate::base::Timestamp;
use crate::pki::San;

/// `DOCKER_HOST` and its companions.
pub(super) fn variables(examined: &Examined) -> Vec<Finding> {
    let says = Says("client-variables");
    let client = &examined.client;
    let Some(host) = &client.host_variable else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(context) = client.current.as_ref().filter(|name| *name != "default") {
        found.push(says.notice(
            format!(
                "DOCKER_HOST={host} overrides the docker context {context:?}: docker talks to the former"
            ),
            "unset DOCKER_HOST, or pass --context",
        ));
    }
    if host.starts_with("tcp://") && client.verify_variable.is_none() {
        found.push(says.warning(
            format!("DOCKER_HOST={host} without DOCKER_TLS_VERIFY: docker speaks plaintext to it"),
            "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=…, or use a context: dockwarden client contexts",
        ));
    }
    if let Some(directory) = client
        .cert_path
        .as_ref()
        .filter(|_| client.verify_variable.is_some())
        && !client.cert_path_missing.is_empty()
    {
        let missing = client.cert_path_missing.join(", ");
        found.push(says.warning(
            format!(
                "DOCKER_TLS_VERIFY is set, and {} has no {missing}: docker cannot connect",
                directory.display()
            ),
            "set DOCKER_CERT_PATH to a directory with ca.pem, cert.pem and key.pem: dockwarden client env",
        ));
    }
    if found.is_empty() {
        found.push(says.ok(format!("DOCKER_HOST={host}, with everything it needs")));
    }
    found
}

/// Contexts over TCP.
pub(super) fn contexts(examined: &Examined) -> Vec<Finding> {
    let each = examined.client.contexts.iter();
    each.flat_map(|context| judge(context, examined)).collect()
}

fn judge(context: &ContextSeen, examined: &Examined) -> Vec<Finding> {
    let says = Says("context");
    let name = format!("docker context {:?} ({})", context.name, context.endpoint);
    let again = "dockwarden client contexts writes the contexts of this user again";
    if context.missing.len() == 3 {
        return vec![says.warning(
            format!("{name} has no TLS files: docker speaks plaintext to it (docker context update removes them silently)"),
            again,
        )];
    }
    let mut found = Vec::new();
    if !context.missing.is_empty() {
        let missing = context.missing.join(", ");
        found.push(says.warning(
            format!("{name} has no {missing} in {}", context.directory.display()),
            again,
        ));
    }
    if let Some(mode) = context.key_mode.filter(|mode| mode & 0o077 != 0) {
        let key = context.directory.join("key.pem");
        found.push(says.warning(
            format!(
                "{} has mode {mode:04o}: others may use it to command Docker as you",
                key.display()
            ),
            format!("chmod 0600 {}", key.display()),
        ));
    }
    if context.skips_verification {
        found.push(says.warning(
            format!("{name} does not verify the host: whoever sits between reads and changes everything"),
            format!("docker context rm {}, then: {again}", context.name),
        ));
    }
    found.extend(expiry(context, &name, examined.now));
    found.extend(unnamed(context, &name, examined));
    if found.is_empty() {
        found.push(says.ok(format!("{name} has its TLS files")));
    }
    found
}

fn expiry(context: &ContextSeen, name: &str, now: Timestamp) -> Option<Finding> {
    let end = context.not_after.filter(|end| *end < now)?;
    let seen = format!(
        "the certificate of {name} expired {} ago",
        in_words::span(now.since(end))
    );
    Some(Says("context").warning(
        seen,
        "dockwarden client renew, or enrol again: dockwarden client enroll",
    ))
}

/// A context that leads to this machine by a name that is not in the certificate served here.
fn unnamed(context: &ContextSeen, name: &str, examined: &Examined) -> Option<Finding> {
    let (host, port) = context.endpoint.strip_prefix("tcp://")?.rsplit_once(':')?;
    let dialled: San = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let is_here = examined.names.contains(&dialled) || matches!(&dialled, San::Ip(ip) if ip.is_loopback());
    let port: u16 = port.parse().ok()?;
    let port = examined.ports.iter().find(|own| own.address.port() == port)?;
    let leaf = port.leaf.as_ref().filter(|_| is_here)?;
    (!leaf.sans.contains(&dialled)).then(|| {
        Says("context").warning(
            format!(
                "{name} dials {dialled}, which the certificate served there does not name: docker refuses it"
            ),
            format!(
                "dial a name in it ({}), or add this one to extra_names in agent.toml",
                texts(&leaf.sans)
            ),
        )
    })
}

fn texts(sans: &[San]) -> String {
    let texts: Vec<String> = sans.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{Notice, Ok as Fine, Warning};
    use super::super::super::dial::Answer;
    use super::super::super::worst;
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn variables_that_change_where_docker_goes_are_told() {
        assert_eq!(variables(&examined()), []);
        for (host, verify, current, missing, severity, words) in [
            ("unix:///x.sock", None, None, &[][..], Fine, "everything it needs"),
            ("unix:///x.sock", None, Some("web-1"), &[], Notice, "overrides"),
            (
                "tcp://h:2376",
                Some("1"),
                Some("default"),
                &[],
                Fine,
                "everything",
            ),
            ("tcp://h:2376", None, None, &[], Warning, "plaintext"),
            (
                "tcp://h:2376",
                Some("1"),
                None,
                &["key.pem"],
                Warning,
                "no key.pem",
            ),
        ] {
            let mut examined = examined();
            let client = &mut examined.client;
            client.host_variable = Some(host.into());
            client.verify_variable = verify.map(str::to_owned);
            client.current = current.map(str::to_owned);
            client.cert_path = Some("/home/a/.docker".into());
            client.cert_path_missing = missing.to_vec();
            let found = one(variables(&examined));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn contexts_that_cannot_work_or_are_open_are_told() {
        let good = || ContextSeen {
            name: "web-1".into(),
            endpoint: "tcp://web-1.fleet:2376".into(),
            directory: "/home/a/.docker/contexts/tls/x/docker".into(),
            key_mode: Some(0o600),
            ..ContextSeen::default()
        };
        let all = vec!["ca.pem", "cert.pem", "key.pem"];
        for (context, severity, words) in [
            (good(), Fine, "has its TLS files"),
            (
                ContextSeen {
                    missing: all,
                    ..good()
                },
                Warning,
                "speaks plaintext",
            ),
            (
                ContextSeen {
                    missing: vec!["ca.pem"],
                    ..good()
                },
                Warning,
                "no ca.pem",
            ),
            (
                ContextSeen {
                    key_mode: Some(0o644),
                    ..good()
                },
                Warning,
                "mode 0644",
            ),
            (
                ContextSeen {
                    key_mode: Some(0o400),
                    ..good()
                },
                Fine,
                "has its",
            ),
            (
                ContextSeen {
                    skips_verification: true,
                    ..good()
                },
                Warning,
                "does not verify",
            ),
            (
                ContextSeen {
                    not_after: Some(now() - std::time::Duration::from_secs(90)),
                    ..good()
                },
                Warning,
                "expired 1 min ago",
            ),
        ] {
            let mut examined = examined();
            examined.client.contexts = vec![context];
            let found = one(contexts(&examined));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_context_must_dial_a_name_that_the_certificate_here_has() {
        let mut examined = examined();
        let mut port = port(
            "0.0.0.0:2376",
            Answer::Silent(String::new()),
            Answer::Refused(String::new()),
        );
        port.leaf = Some(
            made(Spec {
                sans: &["web-1.fleet"],
                ..Spec::default()
            })
            .leaf,
        );
        examined.ports = vec![port];
        for (endpoint, severity) in [
            ("tcp://web-1.fleet:2376", Fine),
            ("tcp://10.0.0.7:2376", Warning),
            ("tcp://127.0.0.1:2376", Warning),
            // Another machine's, and another port's.
            ("tcp://10.9.9.9:2376", Fine),
            ("tcp://10.0.0.7:12376", Fine),
        ] {
            examined.client.contexts = vec![ContextSeen {
                endpoint: endpoint.into(),
                key_mode: Some(0o600),
                ..ContextSeen::default()
            }];
            assert_eq!(worst(&contexts(&examined)), severity, "{endpoint}");
        }
    }
}
