//! What a restart of dockerd would do to containers, and whether it runs at all.

use super::super::examined::Examined;
use super::super::{Finding, Says};
use super::in_words::count;
use crate::agent::daemon::facts::DaemonState;

/// live-restore, which keeps containers running through a restart, and which a swarm does not allow.
pub(super) fn live_restore(examined: &Examined) -> Vec<Finding> {
    let says = Says("live-restore");
    let Some(docker) = &examined.docker else {
        return Vec::new();
    };
    let engine = &docker.facts.engine;
    let told = docker
        .settings
        .as_ref()
        .is_ok_and(|settings| settings.live_restore);
    let containers = match engine.running.len() {
        0 => "every container (none runs now)".to_owned(),
        running => count(running, "container"),
    };
    match (engine.live_restore.unwrap_or(told), engine.swarm) {
        (true, Some(true)) => vec![says.critical(
            "live-restore is on and this node is part of a swarm: dockerd does not start with both",
            format!("remove live-restore from {}", docker.facts.config_file.path.display()),
        )],
        (_, Some(true)) => vec![says.notice(
            format!("this node is part of a swarm, so that live-restore is impossible: a restart of dockerd stops {containers}"),
            "drain the node before dockerd restarts (docker node update --availability drain), or use mode = \"gate\", which restarts nothing",
        )],
        (false, _) => vec![says.notice(
            format!("live-restore is off: a restart of dockerd stops {containers}"),
            format!(
                "add \"live-restore\": true to {} and: systemctl reload docker (nothing restarts)",
                docker.facts.config_file.path.display()
            ),
        )],
        (true, _) => vec![says.ok(format!("live-restore is on: {containers} would keep running through a restart"))],
    }
}

/// Whether dockerd runs and answers.
pub(super) fn running(examined: &Examined) -> Vec<Finding> {
    let says = Says("engine");
    let Some(docker) = &examined.docker else {
        return vec![says.notice(
            "no dockerd was found on this machine",
            "install Docker, or run doctor on a host that has it",
        )];
    };
    let engine = &docker.facts.engine;
    match (&docker.facts.state, &engine.error) {
        (DaemonState::Running, None) => {
            let version = engine.version.as_deref().unwrap_or("of unknown version");
            vec![says.ok(format!("dockerd {version} runs and answers"))]
        }
        (DaemonState::Running, Some(why)) => vec![says.critical(
            format!("dockerd runs and does not answer: {why}"),
            "journalctl -u docker -n 50; systemctl restart docker",
        )],
        (DaemonState::Starting, _) => vec![says.notice("dockerd is being started", "ask again in a moment")],
        (DaemonState::Stopped, _) => vec![says.notice(
            "dockerd does not run: somebody stopped it, or nobody has asked for it yet",
            "systemctl start docker",
        )],
        (DaemonState::Failed(why), _) => vec![says.critical(
            format!("dockerd was started and did not stay: {why}"),
            "journalctl -u docker -n 50; then: systemctl reset-failed docker && systemctl start docker",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{Critical, Notice, Ok as Fine};
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn live_restore_is_told_with_what_a_restart_would_stop() {
        for (on, swarm, severity, words) in [
            (Some(true), Some(false), Fine, "2 containers would keep running"),
            (Some(false), Some(false), Notice, "stops 2 containers"),
            (Some(false), Some(true), Notice, "part of a swarm"),
            (Some(true), Some(true), Critical, "does not start with both"),
            (None, None, Fine, "live-restore is on"),
        ] {
            let mut examined = examined();
            let engine = &mut examined.docker.as_mut().unwrap().facts.engine;
            engine.live_restore = on;
            engine.swarm = swarm;
            engine.running = vec!["a".into(), "b".into()];
            let found = one(live_restore(&examined));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_dockerd_that_is_down_is_told_by_why() {
        for (state, error, severity) in [
            (DaemonState::Running, None, Fine),
            (DaemonState::Running, Some("refused"), Critical),
            (DaemonState::Starting, None, Notice),
            (DaemonState::Stopped, Some("no socket"), Notice),
            (DaemonState::Failed("exit 1".into()), None, Critical),
        ] {
            let mut examined = examined();
            let facts = &mut examined.docker.as_mut().unwrap().facts;
            facts.state = state.clone();
            facts.engine.error = error.map(str::to_owned);
            assert_eq!(one(running(&examined)).severity, severity, "{state:?}");
        }
        let none = crate::agent::doctor::Examined {
            docker: None,
            ..examined()
        };
        assert_eq!(one(running(&none)).severity, Notice);
    }
}
