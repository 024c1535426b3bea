//! Whether the certificate on disk is the one that clients meet: dockerd never reads it again.

use super::super::examined::{AgentConfig, Examined, TlsFiles};
use super::super::{Finding, Says};
use super::in_words;
use crate::base::Timestamp;
use crate::model::Mode;
use crate::pki::Certificate;

/// The ports of dockerd against its `tlscert`, and what the agent dials against `current/`.
pub(super) fn served(examined: &Examined) -> Vec<Finding> {
    let says = Says("served");
    let mut found = Vec::new();
    let by_dockerd = examined.docker.as_ref().and_then(|docker| docker.tls.as_ref());
    for port in &examined.ports {
        let Some((served, issued)) = port
            .leaf
            .as_ref()
            .zip(expected(examined, port.address, by_dockerd))
        else {
            continue;
        };
        let place = format!("tcp://{}", port.address);
        found.push(match served.serial == issued.serial {
            true => says.ok(format!(
                "{place} serves {}, the certificate on disk",
                served.serial.short()
            )),
            false => differs(examined, &place, served, issued),
        });
    }
    if let Some(config) = config(examined) {
        found.extend(not_served(examined, config));
    }
    found
}

fn config(examined: &Examined) -> Option<&AgentConfig> {
    examined.agent.config.as_ref()?.as_ref().ok()
}

/// What the port should serve: what the agent keeps where the agent dials, else what dockerd was told.
fn expected<'e>(
    examined: &'e Examined,
    address: std::net::SocketAddr,
    by_dockerd: Option<&'e TlsFiles>,
) -> Option<&'e Certificate> {
    let dialled = config(examined)
        .and_then(|config| config.dial)
        .is_some_and(|dial| dial == address);
    let files = match dialled {
        true => examined.agent.pair.as_ref(),
        false => by_dockerd,
    };
    files?.chain.as_ref().ok()?.first()
}

fn differs(examined: &Examined, place: &str, served: &Certificate, issued: &Certificate) -> Finding {
    let says = Says("served");
    let now = examined.now;
    let mut seen = format!(
        "{place} serves {} ({}); {} (valid from {}) is on disk and not served",
        served.serial.short(),
        ends(served, now),
        issued.serial.short(),
        in_words::date(issued.not_before),
    );
    // Why that is so, when the agent has said it.
    if let Some(Ok(status)) = &examined.agent.status
        && let Some(why) = status.report.serving_reason()
    {
        seen = format!("{seen}\n{why}");
    }
    let mode = config(examined).map(|config| config.mode);
    let fix = match mode {
        Some(Mode::Daemon) => format!("dockwarden agent apply --now{}", containers(examined)),
        Some(Mode::Gate) => {
            "systemctl restart dockwarden-agent; then see what it says: dockwarden agent status".to_owned()
        }
        _ => format!("systemctl restart docker{}", containers(examined)),
    };
    // A certificate that is not served in the last quarter of the served one's life is one that will not be in time.
    let whole = served.not_after.since(served.not_before);
    match served.not_after.since(now) < whole / 4 {
        true => says.critical(seen, fix),
        false => says.warning(seen, fix),
    }
}

fn ends(certificate: &Certificate, now: Timestamp) -> String {
    match certificate.not_after < now {
        true => format!("expired {} ago", in_words::span(now.since(certificate.not_after))),
        false => format!("expires in {}", in_words::span(certificate.not_after.since(now))),
    }
}

/// What a restart means for the containers.
fn containers(examined: &Examined) -> String {
    let Some(docker) = &examined.docker else {
        return String::new();
    };
    let engine = &docker.facts.engine;
    match (engine.live_restore, engine.running.len()) {
        (_, 0) => String::new(),
        (Some(true), count) => format!("     (live-restore is on, {count} containers keep running)"),
        (_, count) => format!("     (live-restore is off: {count} containers stop)"),
    }
}

/// The agent has a certificate, and nothing that it dials serves one.
fn not_served(examined: &Examined, config: &AgentConfig) -> Option<Finding> {
    let address = config.dial?;
    examined.agent.pair.as_ref()?;
    let port = examined.port(address)?;
    if port.leaf.is_some() {
        return None;
    }
    let why = match &port.tls {
        super::super::dial::Answer::Silent(why) | super::super::dial::Answer::Refused(why) => why.as_str(),
        super::super::dial::Answer::Docker => return None,
    };
    Some(Says("served").critical(
        format!("tcp://{address} serves no certificate: {why}"),
        match config.mode {
            Mode::Gate => "systemctl start dockwarden-agent; then: dockwarden agent status",
            Mode::Daemon => "dockwarden agent status says what keeps dockerd from it",
            Mode::Files => "restart what serves the certificate, or correct dial in agent.toml",
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity;
    use super::super::super::dial::Answer;
    use super::super::fixture::*;
    use super::*;

    fn with(served: &Made, issued: &Made) -> Examined {
        let mut examined = examined();
        let mut port = port(
            "0.0.0.0:2376",
            Answer::Refused(String::new()),
            Answer::Refused(String::new()),
        );
        port.leaf = Some(served.leaf.clone());
        examined.ports = vec![port];
        examined.docker.as_mut().unwrap().tls = Some(issued.files());
        examined
    }

    #[test]
    fn a_certificate_that_is_not_served_is_told_with_both_serials() {
        let old = made(Spec {
            days: (-20, 10),
            ..Spec::default()
        });
        let new = made(Spec {
            days: (-1, 29),
            ..Spec::default()
        });
        assert_eq!(one(served(&with(&new, &new))).severity, Severity::Ok);
        let found = one(served(&with(&old, &new)));
        assert_eq!(found.severity, Severity::Warning);
        for text in [
            old.leaf.serial.short(),
            new.leaf.serial.short(),
            "expires in 10 d".into(),
        ] {
            assert!(found.seen.contains(&text), "{found:?}");
        }
        assert!(found.fix.unwrap().contains("systemctl restart docker"));
    }

    #[test]
    fn the_nearer_the_end_the_worse_and_containers_are_counted() {
        let old = made(Spec {
            days: (-28, 2),
            ..Spec::default()
        });
        let new = made(Spec {
            days: (-5, 25),
            ..Spec::default()
        });
        let mut examined = with(&old, &new);
        let engine = &mut examined.docker.as_mut().unwrap().facts.engine;
        engine.live_restore = Some(true);
        engine.running = vec!["a".into(), "b".into()];
        let found = one(served(&examined));
        assert_eq!(found.severity, Severity::Critical);
        assert!(found.fix.unwrap().contains("2 containers keep running"));
    }

    #[test]
    fn what_the_agent_dials_must_serve_what_the_agent_keeps() {
        let pair = made(Spec::default());
        let dockerds = made(Spec::default());
        let mut examined = with(&pair, &dockerds);
        examined.agent.pair = Some(pair.files());
        examined.agent.config = Some(Ok(agent_config(Mode::Gate, "0.0.0.0:2376")));
        assert_eq!(one(served(&examined)).severity, Severity::Ok);
        examined.ports[0].leaf = None;
        let found = one(served(&examined));
        assert_eq!(found.severity, Severity::Critical);
        assert!(found.fix.unwrap().contains("dockwarden-agent"));
    }
}
