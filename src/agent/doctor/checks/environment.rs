//! Variables in dockerd's own environment that change what it serves, without standing in any option.

use super::super::examined::{Examined, place};
use super::super::{Finding, Says};

/// `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`, `DOCKER_CONFIG`.
pub(super) fn environment(examined: &Examined) -> Vec<Finding> {
    let says = Says("daemon-environment");
    let Some(docker) = &examined.docker else {
        return Vec::new();
    };
    let Some(process) = &docker.facts.process else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in &process.environment {
        let means = match name.as_str() {
            "DOCKER_TLS_VERIFY" if !value.is_empty() => {
                "it demands client certificates, though no option says so"
            }
            "DOCKER_CERT_PATH" => "certificate, key and CA that no option names are taken from there",
            "DOCKER_CONFIG" => "certificate, key and CA that no option names are taken from there",
            // For clients; dockerd does not look at it.
            _ => continue,
        };
        found.push(says.warning(
            format!("dockerd runs with {name}={value}: {means}"),
            format!(
                "say it in daemon.json (tlsverify, tlscert, tlskey, tlscacert), and remove {name} from {}",
                place(&docker.facts, name)
            ),
        ));
    }
    if found.is_empty() {
        found.push(says.ok("no variable changes what dockerd serves"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{Ok as Fine, Warning};
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn variables_that_change_what_is_served_are_told_with_their_place() {
        for (name, value, severity) in [
            ("DOCKER_TLS_VERIFY", "1", Warning),
            ("DOCKER_TLS_VERIFY", "", Fine),
            ("DOCKER_CERT_PATH", "/certs", Warning),
            ("DOCKER_CONFIG", "/srv/docker", Warning),
            ("DOCKER_HOST", "tcp://elsewhere:2375", Fine),
        ] {
            let mut examined = examined();
            let facts = &mut examined.docker.as_mut().unwrap().facts;
            facts.process = Some(process(&[(name, value)]));
            facts.options_files = vec![options("/etc/default/docker", &format!("{name}={value}\n"))];
            let found = one(environment(&examined));
            assert_eq!(found.severity, severity, "{found:?}");
            if severity == Warning {
                assert!(found.fix.unwrap().contains("/etc/default/docker, line 1"));
            }
        }
    }
}
