//! The agent: whether it runs, what it says is wrong, and what it left lying about.

use std::time::Duration;

use super::super::examined::Examined;
use super::super::{Finding, Says};
use super::in_words;
use crate::model::{ConditionKind, ConditionStatus};

/// A running agent writes more often than this.
const STALE_AFTER: Duration = Duration::from_secs(180);

/// Whether one is set up, runs, and has said something lately.
pub(super) fn running(examined: &Examined) -> Vec<Finding> {
    let says = Says("agent");
    let agent = &examined.agent;
    match &agent.config {
        None => {
            return vec![says.notice(
                "no agent is set up here: nobody renews this host's certificate or watches over it",
                "write server = \"https://…:8443\" to /etc/dockwarden/agent.toml, then: systemctl enable --now dockwarden-agent",
            )];
        }
        Some(Err(why)) => {
            return vec![says.critical(
                format!("the agent's configuration cannot be used: {why}"),
                "correct it, then: dockwarden agent run --check-config",
            )];
        }
        Some(Ok(_)) if agent.hidden => return Vec::new(),
        Some(Ok(_)) => {}
    }
    let start = "systemctl start dockwarden-agent; journalctl -u dockwarden-agent -n 50";
    let status = match &agent.status {
        Some(Ok(status)) => status,
        Some(Err(why)) => {
            return vec![says.warning(format!("what the agent last said cannot be read: {why}"), start)];
        }
        None if agent.runs => {
            return vec![says.notice("the agent runs and has said nothing yet", "ask again in a moment")];
        }
        None => {
            return vec![says.critical(
                "the agent has never run here",
                "systemctl enable --now dockwarden-agent",
            )];
        }
    };
    let age = examined.now.since(status.updated_at);
    let ago = in_words::span(age);
    match (agent.runs, age > STALE_AFTER) {
        (false, _) => vec![says.critical(
            format!("the agent does not run; it last said something {ago} ago: nothing here is renewed"),
            start,
        )],
        (true, true) => vec![says.critical(
            format!("the agent runs and has said nothing for {ago}: it is stuck"),
            "systemctl restart dockwarden-agent; please report what its log says",
        )],
        (true, false) => vec![says.ok(format!(
            "the agent runs, mode {}; it said so {ago} ago",
            status.report.mode
        ))],
    }
}

/// The conditions that are false.
pub(super) fn conditions(examined: &Examined) -> Vec<Finding> {
    let says = Says("conditions");
    let Some(Ok(status)) = &examined.agent.status else {
        return Vec::new();
    };
    let wrong = status
        .report
        .conditions
        .iter()
        .filter(|c| c.status == ConditionStatus::False);
    let mut found: Vec<Finding> = wrong
        .map(|condition| {
            let seen = format!(
                "{} is False ({}): {}",
                condition.kind, condition.reason, condition.message
            );
            let fix = "dockwarden agent status; dockwarden agent plan shows what it would do";
            match condition.kind {
                ConditionKind::Enrolled | ConditionKind::CertificateValid | ConditionKind::Serving => {
                    says.critical(seen, fix)
                }
                _ => says.warning(seen, fix),
            }
        })
        .collect();
    if status.connected == Some(false) {
        found.push(says.warning(
            format!("the agent does not reach the server at {}", status.server),
            format!(
                "curl -v {}/healthz; is the name right, the port open, the server up?",
                status.server
            ),
        ));
    }
    if found.is_empty() {
        found.push(says.ok("the agent says that all is well"));
    }
    found
}

/// Leftovers, loose permissions, an interrupted change.
pub(super) fn files(examined: &Examined) -> Vec<Finding> {
    let says = Says("files");
    let agent = &examined.agent;
    let Some(Ok(config)) = &agent.config else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (path, mode, wanted) in &agent.loose {
        found.push(says.warning(
            format!(
                "{} has mode {mode:04o}: others may read what is in it, or change it",
                path.display()
            ),
            format!("chmod {wanted:04o} {}", path.display()),
        ));
    }
    if let Some((path, Some(access))) = &config.token
        && (access.everybody_reads() || access.group_reads())
    {
        found.push(says.warning(
            format!(
                "{} has mode {:04o}: whoever reads the join token can join as a host",
                path.display(),
                access.mode
            ),
            format!(
                "chmod 0400 {}; or remove it, this host has joined",
                path.display()
            ),
        ));
    }
    if let Some(step) = &agent.interrupted {
        found.push(says.warning(
            format!(
                "an agent was stopped in the middle of a change ({step}), and none runs that would finish it"
            ),
            "systemctl start dockwarden-agent, or once: dockwarden agent apply --now",
        ));
    }
    if !agent.leftovers.is_empty() {
        let list: Vec<String> = agent
            .leftovers
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        found.push(says.notice(
            format!(
                "{} of an agent that was killed: {}",
                in_words::count(list.len(), "temporary file"),
                list.join(", ")
            ),
            match agent.runs {
                true => format!("rm -r {}", list.join(" ")),
                false => "they go away when the agent starts: systemctl start dockwarden-agent".to_owned(),
            },
        ));
    }
    if found.is_empty() {
        found.push(
            says.ok("the agent's files have the permissions they should have, and nothing is left over"),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{Critical, Notice, Ok as Fine, Warning};
    use super::super::super::examined::Access;
    use super::super::fixture::*;
    use super::*;
    use crate::model::Mode;

    fn with_agent() -> Examined {
        let mut examined = examined();
        examined.agent.config = Some(Ok(agent_config(Mode::Gate, "127.0.0.1:2376")));
        examined.agent.status = Some(Ok(status(examined.now, &[])));
        examined.agent.runs = true;
        examined
    }

    #[test]
    fn an_agent_is_absent_down_stuck_or_well() {
        let long_ago = || status(now() - Duration::from_secs(3600), &[]);
        type Change = fn(&mut Examined);
        assert_eq!(one(running(&with_agent())).severity, Fine);
        let rows: [(Change, _, &str); 5] = [
            (|e| e.agent.config = None, Notice, "no agent is set up"),
            (
                |e| e.agent.config = Some(Err("line 2".into())),
                Critical,
                "line 2",
            ),
            (|e| e.agent.runs = false, Critical, "does not run"),
            (
                |e| {
                    e.agent.status = None;
                    e.agent.runs = false;
                },
                Critical,
                "never run",
            ),
            (
                |e| e.agent.status = Some(Err("damaged".into())),
                Warning,
                "damaged",
            ),
        ];
        for (change, severity, words) in rows {
            let mut examined = with_agent();
            change(&mut examined);
            let found = one(running(&examined));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
        let mut stuck = with_agent();
        stuck.agent.status = Some(Ok(long_ago()));
        assert!(one(running(&stuck)).seen.contains("stuck"));
    }

    #[test]
    fn what_the_agent_says_is_wrong_is_passed_on() {
        assert_eq!(one(conditions(&with_agent())).severity, Fine);
        for (kind, severity) in [
            (ConditionKind::Serving, Critical),
            (ConditionKind::ConfigApplied, Warning),
        ] {
            let mut examined = with_agent();
            examined.agent.status = Some(Ok(status(now(), &[(kind, ConditionStatus::False)])));
            assert_eq!(one(conditions(&examined)).severity, severity);
        }
        let mut alone = with_agent();
        let mut said = status(now(), &[]);
        said.connected = Some(false);
        alone.agent.status = Some(Ok(said));
        assert!(one(conditions(&alone)).seen.contains("does not reach the server"));
    }

    #[test]
    fn loose_files_leftovers_and_interruptions_are_told() {
        assert_eq!(one(files(&with_agent())).severity, Fine);
        type Change = fn(&mut Examined);
        let rows: [(Change, _, &str); 4] = [
            (
                |e| e.agent.loose = vec![("/var/lib/x".into(), 0o755, 0o700)],
                Warning,
                "mode 0755",
            ),
            (
                |e| e.agent.leftovers = vec!["/etc/docker/dockwarden/a.dw-tmp".into()],
                Notice,
                "a.dw-tmp",
            ),
            (|e| e.agent.interrupted = Some("swap".into()), Warning, "(swap)"),
            (
                |e| {
                    let config = e.agent.config.as_mut().unwrap().as_mut().unwrap();
                    let access = Access {
                        mode: 0o644,
                        uid: 0,
                        gid: 0,
                    };
                    config.token = Some(("/etc/dockwarden/join.token".into(), Some(access)));
                },
                Warning,
                "join token",
            ),
        ];
        for (change, severity, words) in rows {
            let mut examined = with_agent();
            change(&mut examined);
            let found = one(files(&examined));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }
}
