//! What is said of the plugin: the part of the condition `RevocationFresh` that mode `daemon` adds.

use super::{Asked, Listed, Plug, SOCKET_UNIT, Wish};
use crate::agent::conditions::{Finding, clock_time, finding};
use crate::base::Timestamp;
use crate::model::ConditionStatus::{False, Unknown};

/// How root gets back in when dockerd asks somebody who does not answer.
pub const BREAK_GLASS: &str = "dockwarden agent unplug";

impl Plug {
    /// Why revocations are not enforced, or not surely; `None` when dockerd asks.
    pub(in crate::agent) fn finding(&self, now: Timestamp) -> Option<Finding> {
        let found = match &self.wish {
            Wish::Unplugged => finding(
                Unknown,
                "NotEnforced",
                "[daemon] authz = false: dockerd lets revoked clients in, and knows no roles",
            ),
            Wish::ByHand => finding(
                False,
                "Unplugged",
                "somebody has unplugged dockwarden: dockerd lets revoked clients in, and knows no roles; dockwarden agent plug takes that back",
            ),
            Wish::NoSocket if self.listed == Listed::No => finding(
                Unknown,
                "NotEnforced",
                format!(
                    "dockerd lets revoked clients in, and knows no roles; systemctl enable --now {SOCKET_UNIT} and a restart of the agent change that"
                ),
            ),
            Wish::NoSocket => finding(
                False,
                "NoSocket",
                format!(
                    "dockerd is told to ask dockwarden, and there is no socket to ask on: systemctl enable --now {SOCKET_UNIT} and restart the agent, or {BREAK_GLASS}"
                ),
            ),
            Wish::Plugged => return self.unproved(now),
        };
        Some(found)
    }

    fn unproved(&self, now: Timestamp) -> Option<Finding> {
        if let (Asked::Yes, Listed::File | Listed::Flag) = (&self.asked, self.listed) {
            return None;
        }
        if let Some(obstacle) = &self.obstacle {
            let message = format!("dockerd does not ask dockwarden: {obstacle}");
            return Some(finding(False, "NotPlugged", message));
        }
        if let Some(failure) = &self.failure {
            let mut message = format!("dockerd does not ask dockwarden: {}", failure.why);
            if failure.retry_at() > now {
                message.push_str(&format!("; next try: {}", clock_time(failure.retry_at())));
            }
            return Some(finding(False, "NotPlugged", message));
        }
        Some(match (&self.asked, self.listed) {
            (Asked::Unknown(why), Listed::No) => finding(
                Unknown,
                "NotPlugged",
                format!("dockerd does not ask dockwarden yet: {why}"),
            ),
            (Asked::Unknown(why), _) => finding(
                Unknown,
                "NotProved",
                format!("dockerd is told to ask dockwarden; whether it does is not known: {why}"),
            ),
            (Asked::Yes, _) => finding(
                Unknown,
                "NotPlugged",
                "dockerd asks dockwarden, and would not after a restart: that is put right next",
            ),
            (Asked::No, _) => finding(
                False,
                "NotAsked",
                "dockerd does not ask dockwarden, so that revoked clients get in: it is told to once the certificate is served",
            ),
        })
    }
}
