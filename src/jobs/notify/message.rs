//! A notification in the forms that receivers read.

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::problem::{Notification, NotificationEvent, Severity};

/// When an alert ends of which nothing more was said. Its end is always told; this is for a server that was removed.
const ALERT_FOR: Duration = Duration::from_secs(60 * 86_400);
/// How long a test is seen.
const ALERT_TEST_FOR: Duration = Duration::from_secs(300);

/// One line: what a person reads first.
pub fn title(notification: &Notification) -> String {
    let problem = &notification.problem;
    let word = match notification.event {
        NotificationEvent::Opened => problem.severity.as_str().to_uppercase(),
        NotificationEvent::Escalated => {
            format!("{}, worse than before", problem.severity.as_str().to_uppercase())
        }
        NotificationEvent::Reminder => format!("{}, still", problem.severity.as_str().to_uppercase()),
        NotificationEvent::Resolved => "RESOLVED".to_owned(),
        NotificationEvent::Test => "TEST".to_owned(),
    };
    format!("[{word}] {} {}", problem.kind, problem.subject)
}

/// A CloudEvents 1.0 event in structured mode, JSON. `source` names this server.
pub fn cloud_event(notification: &Notification, source: &str) -> Value {
    let problem = &notification.problem;
    json!({
        "specversion": "1.0",
        "id": notification.id,
        "source": source,
        "type": format!("dockwarden.problem.{}", notification.event),
        "subject": problem.key,
        "time": notification.at,
        "datacontenttype": "application/json",
        "sequence": format!("{:020}", notification.number),
        "data": {
            "event": notification.event,
            "number": problem.number,
            "key": problem.key,
            "kind": problem.kind,
            "severity": problem.severity,
            "subject": problem.subject,
            "message": problem.message,
            "first_seen": problem.first_seen,
            "last_seen": problem.last_seen,
            "resolved_at": problem.resolved_at,
        },
    })
}

/// What `POST /api/v2/alerts` of the Prometheus Alertmanager takes. Alerts are told apart by their labels, so that one that
/// became worse is a second one; each message therefore says of every severity whether it holds, and may come twice.
pub fn alerts(notification: &Notification, source: &str) -> Value {
    let problem = &notification.problem;
    let lasts = match notification.event {
        NotificationEvent::Resolved => Duration::ZERO,
        NotificationEvent::Test => ALERT_TEST_FOR,
        _ => ALERT_FOR,
    };
    let alert = |severity: &Severity| {
        let is_it = *severity == problem.severity;
        let ends_at = notification.at + if is_it { lasts } else { Duration::ZERO };
        json!({
            "labels": {
                "alertname": "DockwardenProblem",
                "severity": severity,
                "problem": problem.number.to_string(),
                "key": problem.key,
                "subject": problem.subject,
                "server": source,
            },
            "annotations": {
                "summary": title(notification),
                "description": problem.message,
                "kind": problem.kind,
            },
            "startsAt": problem.first_seen,
            "endsAt": ends_at,
        })
    };
    Severity::ALL.iter().map(alert).collect()
}

/// What Slack's incoming webhooks take, and Mattermost's, Rocket.Chat's and Zulip's with them. Text from hosts cannot
/// become markup, a link or a mention.
pub fn slack(notification: &Notification) -> Value {
    let mark = match (notification.event, notification.problem.severity) {
        (NotificationEvent::Resolved, _) => ":white_check_mark:",
        (_, Severity::Critical) => ":rotating_light:",
        (_, Severity::Warning) => ":warning:",
        (_, Severity::Notice) => ":information_source:",
    };
    let message = escaped(&notification.problem.message);
    json!({"text": format!("{mark} *{}*\n{message}", escaped(&title(notification)))})
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Markup, and Mattermost's mentions: a look-alike, or a break that is not seen.
            '*' | '_' | '~' | '`' | '|' => {
                out.push('\u{200b}');
                out.push(c);
            }
            '@' | '#' => {
                out.push(c);
                out.push('\u{200b}');
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::base::{Id, Timestamp};
    use crate::model::problem::{Area, Problem, ProblemKind};

    /// A notification about a host.
    pub fn notification(event: NotificationEvent, message: &str) -> Notification {
        let at = Timestamp::from_secs(1_800_000_000);
        Notification {
            number: 7,
            id: Id::from_bytes([7; 16]),
            channel: "ops".to_owned(),
            event,
            problem: Problem {
                number: 3,
                area: Area::Hosts,
                key: "host/web-1.fleet".to_owned(),
                kind: ProblemKind::RenewalMissed,
                severity: Severity::Critical,
                subject: "web-1.fleet".to_owned(),
                message: message.to_owned(),
                first_seen: at,
                last_seen: at,
                told: None,
                resolved_at: None,
            },
            at,
            wanted_at: at,
            due_at: at,
            attempts: 0,
            error: None,
            delivered_at: None,
        }
    }

    #[test]
    fn a_cloud_event_has_what_the_specification_requires() {
        let event = cloud_event(&notification(NotificationEvent::Opened, "x"), "/dockwarden/ca");
        for required in ["id", "source", "specversion", "type"] {
            assert!(
                event[required].as_str().is_some_and(|value| !value.is_empty()),
                "{required}"
            );
        }
        assert_eq!(event["type"], "dockwarden.problem.opened");
        assert_eq!(event["time"], "2027-01-15T08:00:00Z");
        assert_eq!(event["data"]["severity"], "critical");
    }

    #[test]
    fn what_a_host_says_of_itself_is_no_markup_and_mentions_nobody() {
        let hostile = "<!channel> <http://x|y> *b* @here\n@all `c` & _d_";
        let text = slack(&notification(NotificationEvent::Opened, hostile))["text"]
            .as_str()
            .unwrap()
            .to_owned();
        let (_, message) = text.split_once('\n').unwrap();
        for forbidden in ["<", ">", "@here", "@all", "\n", "& "] {
            assert!(!message.contains(forbidden), "{forbidden}: {message}");
        }
        assert!(text.starts_with(":rotating_light: *"), "{text}");
    }
    #[test]
    fn an_alert_holds_at_one_severity_and_ends_at_all_of_them() {
        let holding = |event| {
            let mut notification = notification(event, "x");
            notification.at = notification.problem.first_seen + Duration::from_secs(60);
            let alerts = alerts(&notification, "/dockwarden/ca");
            let alerts = alerts.as_array().unwrap().iter();
            let later = |alert: &&Value| alert["endsAt"].as_str() > Some("2027-01-15T08:01:00Z");
            let severity = |alert: &Value| alert["labels"]["severity"].as_str().unwrap().to_owned();
            alerts.filter(later).map(severity).collect::<Vec<_>>()
        };
        assert_eq!(holding(NotificationEvent::Opened), ["critical"]);
        assert_eq!(holding(NotificationEvent::Reminder), ["critical"]);
        assert!(holding(NotificationEvent::Resolved).is_empty());
    }
}
