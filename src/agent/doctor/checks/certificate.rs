//! The certificates on disk: what a client would say to them, and whether dockerd could start with them. dockerd
//! itself looks at neither dates nor names nor purposes.

use super::super::examined::{Examined, TlsFiles};
use super::super::{Finding, Says};
use super::in_words;
use crate::base::Timestamp;
use crate::pki::cert::ExtendedKeyUsage;
use crate::pki::{Certificate, San};

/// A file set, and what renews it.
struct Subject<'e> {
    files: &'e TlsFiles,
    renew: &'static str,
}

/// What dockerd was told to serve, and what the agent keeps; once when they are the same.
fn subjects(examined: &Examined) -> Vec<Subject<'_>> {
    let docker = examined.docker.as_ref().and_then(|docker| docker.tls.as_ref());
    let agent = examined.agent.pair.as_ref();
    let same = docker
        .zip(agent)
        .is_some_and(|(one, other)| one.certificate == other.certificate);
    let docker = docker.filter(|_| !same).map(|files| Subject {
        files,
        renew: "renew it, or let an agent do that from now on: mode = \"daemon\" in /etc/dockwarden/agent.toml",
    });
    let agent = agent.map(|files| Subject {
        files,
        renew: "dockwarden agent status says why it is not renewed; dockwarden agent apply --now tries at once",
    });
    agent.into_iter().chain(docker).collect()
}

/// Dates, purpose, names, chain and key.
pub(super) fn certificate(examined: &Examined) -> Vec<Finding> {
    let says = Says("certificate");
    let mut found = Vec::new();
    for subject in subjects(examined) {
        let path = subject.files.certificate.display();
        let leaf = match &subject.files.chain {
            Ok(chain) => chain.first(),
            Err(why) => {
                let seen = format!("{path} cannot be used: {why}; dockerd would not start with it");
                found.push(says.critical(seen, subject.renew));
                continue;
            }
        };
        let Some(leaf) = leaf else { continue };
        let mut wrong: Vec<Finding> = dates(leaf, examined.now, &subject).into_iter().collect();
        wrong.extend(purpose(leaf, &subject));
        wrong.extend(names(leaf, &examined.names, &subject));
        wrong.extend(key(&subject));
        wrong.extend(chain(&subject));
        if wrong.is_empty() {
            let left = in_words::span(leaf.not_after.since(examined.now));
            wrong.push(says.ok(format!(
                "{path}: serial {}, {left} left, key, chain and names fit",
                leaf.serial.short()
            )));
        }
        found.extend(wrong);
    }
    found
}

fn dates(leaf: &Certificate, now: Timestamp, subject: &Subject<'_>) -> Option<Finding> {
    let says = Says("certificate");
    let path = subject.files.certificate.display();
    if now.trunc_secs() > leaf.not_after {
        let ago = in_words::span(now.since(leaf.not_after));
        return Some(says.critical(
            format!("{path} expired {ago} ago: every client refuses it"),
            subject.renew,
        ));
    }
    if now < leaf.not_before {
        let ahead = in_words::span(leaf.not_before.since(now));
        return Some(says.critical(
            format!("{path} is valid only in {ahead}: is this machine's clock right?"),
            "timedatectl status; chronyc tracking",
        ));
    }
    let (left, whole) = (leaf.not_after.since(now), leaf.not_after.since(leaf.not_before));
    let seen = format!(
        "{path} expires in {}, and {} % of its life is over",
        in_words::span(left),
        100 - left.as_millis() * 100 / whole.as_millis().max(1)
    );
    // An agent renews at 75 % at the latest.
    match left {
        left if left < whole / 10 => Some(says.critical(seen, subject.renew)),
        left if left < whole / 5 => Some(says.warning(seen, subject.renew)),
        _ => None,
    }
}

fn purpose(leaf: &Certificate, subject: &Subject<'_>) -> Option<Finding> {
    let fits = leaf.extended_key_usages.is_none() || leaf.has_purpose(&ExtendedKeyUsage::ServerAuth);
    (!fits).then(|| {
        Says("certificate").critical(
            format!(
                "{} is not made for a server (no serverAuth among its extended key usages): dockerd starts with it, and every client refuses it",
                subject.files.certificate.display()
            ),
            "enrol this machine with a token of profile host",
        )
    })
}

fn names(leaf: &Certificate, wanted: &[San], subject: &Subject<'_>) -> Option<Finding> {
    let says = Says("certificate");
    let path = subject.files.certificate.display();
    if leaf.sans.is_empty() {
        return Some(says.critical(
            format!("{path} has no subject alternative names: clients look at nothing else, and refuse it"),
            subject.renew,
        ));
    }
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| !leaf.sans.contains(name))
        .map(ToString::to_string)
        .collect();
    (!missing.is_empty()).then(|| {
        says.notice(
            format!(
                "{path} does not name {}: who dials that is refused",
                missing.join(", ")
            ),
            "add what clients dial to names or extra_names in agent.toml, or renew with these names",
        )
    })
}

fn key(subject: &Subject<'_>) -> Option<Finding> {
    let says = Says("certificate");
    let (key, certificate) = (subject.files.key.display(), subject.files.certificate.display());
    match &subject.files.key_matches {
        None | Some(Ok(true)) => None,
        Some(Ok(false)) => Some(says.critical(
            format!("{key} does not belong to {certificate}: dockerd would not start with them"),
            subject.renew,
        )),
        Some(Err(why)) => Some(says.critical(
            format!("{key} cannot be used: {why}; dockerd would not start with it"),
            subject.renew,
        )),
    }
}

fn chain(subject: &Subject<'_>) -> Option<Finding> {
    let says = Says("certificate");
    let path = subject.files.ca.as_ref()?.display();
    if let Some(Err(why)) = &subject.files.anchors {
        let seen = format!("{path} cannot be used: {why}; dockerd would not start with it");
        return Some(says.critical(seen, subject.renew));
    }
    let why = subject.files.chain_refused.as_ref()?;
    Some(says.notice(
        format!(
            "a client that trusts {path} alone refuses {}: {why}",
            subject.files.certificate.display()
        ),
        "put the issuing CA behind the leaf in the certificate's file, and its root into the clients' ca.pem",
    ))
}

/// Who may read the key.
pub(super) fn key_file(examined: &Examined) -> Vec<Finding> {
    let says = Says("key-file");
    let judge = |subject: Subject<'_>| {
        let (path, access) = (subject.files.key.display(), subject.files.key_access?);
        let fix = format!(
            "chmod 0400 {path}; whoever read it can play this host until its certificate ends: renew"
        );
        let seen = |who: &str| {
            format!(
                "{path} has mode {:04o}: {who} may read the host's private key",
                access.mode
            )
        };
        Some(match access {
            access if access.everybody_reads() => says.critical(seen("everybody on this machine"), fix),
            access if access.group_reads() => says.warning(seen(&format!("group {}", access.gid)), fix),
            access => says.ok(format!("{path} has mode {:04o}", access.mode)),
        })
    };
    subjects(examined).into_iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{self, Critical, Notice, Ok as Fine, Warning};
    use super::super::super::examined::Access;
    use super::super::fixture::*;
    use super::*;

    fn of(files: TlsFiles) -> Examined {
        let mut examined = examined();
        examined.docker.as_mut().unwrap().tls = Some(files);
        examined
    }

    #[test]
    fn dates_purpose_and_names_are_judged_as_a_client_would() {
        let spec = Spec::default;
        for (spec, severity, words) in [
            (spec(), Fine, "key, chain and names fit"),
            (
                Spec {
                    days: (-40, -1),
                    ..spec()
                },
                Critical,
                "expired 24 h ago",
            ),
            (
                Spec {
                    days: (1, 40),
                    ..spec()
                },
                Critical,
                "valid only in",
            ),
            (
                Spec {
                    days: (-29, 1),
                    ..spec()
                },
                Critical,
                "expires in 24 h",
            ),
            (
                Spec {
                    days: (-25, 5),
                    ..spec()
                },
                Warning,
                "84 % of its life",
            ),
            (
                Spec {
                    client: true,
                    ..spec()
                },
                Critical,
                "no serverAuth",
            ),
            (
                Spec { sans: &[], ..spec() },
                Critical,
                "no subject alternative names",
            ),
            (
                Spec {
                    sans: &["web-1.fleet"],
                    ..spec()
                },
                Notice,
                "does not name 10.0.0.7",
            ),
        ] {
            let found = one(certificate(&of(made(spec).files())));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn what_dockerd_would_not_start_with_is_critical() {
        let good = || made(Spec::default()).files();
        let mut rows: Vec<(TlsFiles, Severity, &str)> = Vec::new();
        rows.push((
            TlsFiles {
                chain: Err("no PEM".into()),
                ..good()
            },
            Critical,
            "no PEM",
        ));
        rows.push((
            TlsFiles {
                key_matches: Some(Ok(false)),
                ..good()
            },
            Critical,
            "does not belong to",
        ));
        rows.push((
            TlsFiles {
                key_matches: Some(Err("encrypted".into())),
                ..good()
            },
            Critical,
            "encrypted",
        ));
        rows.push((
            TlsFiles {
                anchors: Some(Err("empty".into())),
                ..good()
            },
            Critical,
            "empty",
        ));
        rows.push((
            TlsFiles {
                chain_refused: Some("unknown issuer".into()),
                ..good()
            },
            Notice,
            "unknown issuer",
        ));
        for (files, severity, words) in rows {
            let found = one(certificate(&of(files)));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_told() {
        for (mode, severity) in [
            (0o400, Fine),
            (0o600, Fine),
            (0o640, Warning),
            (0o444, Critical),
            (0o644, Critical),
        ] {
            let mut files = made(Spec::default()).files();
            files.key_access = Some(Access { mode, uid: 0, gid: 0 });
            assert_eq!(one(key_file(&of(files))).severity, severity, "{mode:o}");
        }
    }

    #[test]
    fn files_that_dockerd_and_the_agent_share_are_judged_once() {
        let files = made(Spec::default()).files();
        let mut examined = of(files.clone());
        examined.agent.pair = Some(files);
        assert_eq!(certificate(&examined).len(), 1);
        examined.agent.pair.as_mut().unwrap().certificate = "/elsewhere/cert.pem".into();
        assert_eq!(certificate(&examined).len(), 2);
    }
}
