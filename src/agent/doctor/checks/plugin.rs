//! Whether dockerd asks who was revoked and who may do what: mode `daemon`. And what that does not cover.

use super::super::examined::Examined;
use super::super::{Finding, Says};
use crate::agent::daemon::plug::{BREAK_GLASS, NAME, SOCKET_UNIT};
use crate::model::{ConditionKind, Mode};

/// The words of the agent's condition that say that dockerd is told to ask and does not.
const NOT_ASKED: [&str; 2] = ["NotAsked", "NotPlugged"];

/// Told to ask, and nobody answers; told to ask, and does not; not told.
pub(super) fn plugin(examined: &Examined) -> Vec<Finding> {
    let says = Says("authorization-plugin");
    let Some(docker) = &examined.docker else {
        return Vec::new();
    };
    let listed = docker
        .settings
        .as_ref()
        .is_ok_and(|settings| settings.authorization_plugins.iter().any(|plugin| plugin == NAME));
    match (listed, &docker.plugin) {
        (true, Some(Err(why))) => vec![says.critical(
            format!("dockerd asks dockwarden about every request, and nobody answers: {why}; every request fails or hangs, root's own too"),
            format!("systemctl restart {SOCKET_UNIT} dockwarden-agent; to do without: {BREAK_GLASS} (revoked clients get in then)"),
        )],
        (true, answers) => match unasked(examined) {
            Some(said) => vec![says.critical(
                format!("dockerd is told to ask dockwarden, and does not, so that revoked clients get in: {said}"),
                "dockwarden agent status; kill -HUP dockerd has it read its configuration",
            )],
            None => vec![covered(&says, examined, answers.is_some())],
        },
        (false, _) if serves_itself(examined) => vec![says.warning(
            "dockerd serves TLS itself and does not ask dockwarden: revoked clients get in until their certificates end, and roles count for nothing",
            format!("systemctl enable {SOCKET_UNIT} && systemctl restart dockwarden-agent; first give clients roles (docs/daemon.md), or use mode = \"gate\""),
        )],
        (false, _) => Vec::new(),
    }
}

fn covered(says: &Says, examined: &Examined, answers: bool) -> Finding {
    let seen = if answers {
        "dockwarden answers"
    } else {
        "whether it answers only root can see"
    };
    let blind = match hides_bodies(examined) {
        true => "; this Engine hides bodies above 1 MiB, which roles with rules refuse",
        false => "",
    };
    says.notice(
        format!("dockerd asks dockwarden about every request ({seen}); what it cannot do: end streams that are open when somebody is revoked (exec, logs -f, events), and see gRPC inside of a session{blind}"),
        format!("mode = \"gate\" does both; should nobody answer: {BREAK_GLASS}"),
    )
}

/// What the running agent says of a dockerd that does not ask.
fn unasked(examined: &Examined) -> Option<String> {
    let status = examined.agent.status.as_ref()?.as_ref().ok()?;
    let conditions = status.report.conditions.iter();
    let mut said = conditions.filter(|c| c.kind == ConditionKind::RevocationFresh);
    let found = said.find(|c| NOT_ASKED.contains(&c.reason.as_str()) && examined.agent.runs)?;
    Some(found.message.clone())
}

fn serves_itself(examined: &Examined) -> bool {
    let config = examined.agent.config.as_ref();
    config.is_some_and(|config| config.as_ref().is_ok_and(|config| config.mode == Mode::Daemon))
}

/// CVE-2026-34040: fixed in 25.0.16 and 29.3.1, and in no branch between.
fn hides_bodies(examined: &Examined) -> bool {
    let engine = examined
        .docker
        .as_ref()
        .and_then(|docker| docker.facts.engine.version.as_deref());
    let Some(version) = engine else { return false };
    let numbers: Vec<u32> = version
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse().ok())
        .take(3)
        .collect();
    match numbers[..] {
        [25, 0, patch] => patch < 16,
        [major, minor, patch] => (major, minor, patch) < (29, 3, 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{Critical, Notice, Warning};
    use super::super::fixture::*;
    use super::*;
    use crate::model::ConditionStatus;

    fn plugged(answers: Option<Result<(), String>>) -> Examined {
        let mut examined = examined();
        examined.agent.config = Some(Ok(agent_config(Mode::Daemon, "127.0.0.1:2376")));
        let docker = examined.docker.as_mut().unwrap();
        docker.settings.as_mut().unwrap().authorization_plugins = vec![NAME.to_owned()];
        docker.plugin = answers;
        examined
    }

    #[test]
    fn one_that_does_not_answer_locks_everybody_out_and_the_way_out_is_named() {
        let found = one(plugin(&plugged(Some(Err("connection refused".into())))));
        assert_eq!(found.severity, Critical);
        assert!(found.fix.unwrap().contains("dockwarden agent unplug"));
    }

    #[test]
    fn one_that_answers_is_told_with_what_it_cannot_do() {
        let mut host = plugged(Some(Ok(())));
        let found = one(plugin(&host));
        assert_eq!(found.severity, Notice);
        assert!(
            found.seen.contains("streams") && !found.seen.contains("1 MiB"),
            "{}",
            found.seen
        );
        host.docker.as_mut().unwrap().facts.engine.version = Some("28.5.2+dfsg4".into());
        assert!(one(plugin(&host)).seen.contains("1 MiB"));
        host.docker.as_mut().unwrap().facts.engine.version = Some("25.0.16".into());
        assert!(!one(plugin(&host)).seen.contains("1 MiB"));
    }

    #[test]
    fn one_that_nobody_asks_is_critical() {
        let mut host = plugged(Some(Ok(())));
        let mut said = status(now(), &[(ConditionKind::RevocationFresh, ConditionStatus::False)]);
        said.report.conditions[0].reason = "NotAsked".into();
        host.agent.status = Some(Ok(said));
        host.agent.runs = true;
        assert_eq!(one(plugin(&host)).severity, Critical);
    }

    #[test]
    fn a_dockerd_that_serves_and_asks_nobody_is_a_warning_in_mode_daemon_alone() {
        let mut host = plugged(None);
        let docker = host.docker.as_mut().unwrap();
        docker.settings.as_mut().unwrap().authorization_plugins.clear();
        assert_eq!(one(plugin(&host)).severity, Warning);
        host.agent.config = Some(Ok(agent_config(Mode::Gate, "127.0.0.1:2376")));
        assert_eq!(plugin(&host), vec![]);
    }
}
