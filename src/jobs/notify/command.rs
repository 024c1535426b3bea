//! A program that is run for each notification. It gets it in variables, never in a shell line; it has taken it when it
//! exits with 0.

use std::sync::Arc;

use async_trait::async_trait;

use super::Channel;
use super::message::{cloud_event, title};
use crate::base::limits::NOTIFY_TIMEOUT;
use crate::model::problem::Notification;
use crate::sys::command::{CommandLine, Programs};

/// A program.
pub struct CommandChannel {
    name: String,
    words: Vec<String>,
    source: String,
    programs: Arc<dyn Programs>,
}

impl CommandChannel {
    /// Runs `words` for each notification.
    pub fn new(name: String, words: Vec<String>, source: String, programs: Arc<dyn Programs>) -> Self {
        Self {
            name,
            words,
            source,
            programs,
        }
    }
}

#[async_trait]
impl Channel for CommandChannel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notification: &Notification) -> Result<(), String> {
        let problem = &notification.problem;
        let line = CommandLine::new(self.words.clone(), NOTIFY_TIMEOUT)
            .with_variable("DOCKWARDEN_ID", notification.id.to_string())
            .with_variable("DOCKWARDEN_EVENT", notification.event.as_str())
            .with_variable("DOCKWARDEN_SEVERITY", problem.severity.as_str())
            .with_variable("DOCKWARDEN_KIND", problem.kind.as_str())
            .with_variable("DOCKWARDEN_SUBJECT", one_line(&problem.subject))
            .with_variable("DOCKWARDEN_TITLE", one_line(&title(notification)))
            .with_variable("DOCKWARDEN_MESSAGE", one_line(&problem.message))
            .with_variable(
                "DOCKWARDEN_JSON",
                cloud_event(notification, &self.source).to_string(),
            );
        let outcome = self.programs.run(&line).await;
        match outcome.succeeded() {
            true => Ok(()),
            false => Err(format!("the program {}", outcome.explain())),
        }
    }
}

/// Without what ends a line, or a variable.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
