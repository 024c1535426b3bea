//! Two clocks: the end of the certificate a host was issued, and the end of the one it serves. What it means when they
//! are not the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::reconcile::{Condition, ConditionKind, ConditionStatus, HostReport, Mode};

/// How far the certificate that was issued has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Serving {
    /// Clients meet it.
    Current,
    /// dockerd has to be restarted first, and still serves an older one (mode `daemon`).
    RestartPending,
    /// Whatever reads the files has to read them again, and still serves an older one (mode `files`).
    ReloadPending,
    /// Something else is served where it should be, or nothing.
    NotServed,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::RestartPending => "restart pending",
            Self::ReloadPending => "reload pending",
            Self::NotServed => "not served",
        })
    }
}

/// How a host is, by its last report; whether that is fresh is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every condition holds, as far as it is known, and what is served is what was issued.
    Well,
    /// A condition does not hold.
    Unhealthy,
    /// It serves another certificate than the one it was issued.
    Behind,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Well, Self::Unhealthy, Self::Behind];

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Unhealthy => "unhealthy",
            Self::Behind => "behind",
        }
    }
}

impl HostReport {
    /// How the host is.
    pub fn health(&self) -> Health {
        let is_wrong = |condition: &Condition| condition.status == ConditionStatus::False;
        if self.serving().is_some_and(|serving| serving != Serving::Current) {
            Health::Behind
        } else if self.conditions.iter().any(is_wrong) {
            Health::Unhealthy
        } else {
            Health::Well
        }
    }

    /// What the report says about the certificate on disk and the served one; `None` when one of them is not known.
    pub fn serving(&self) -> Option<Serving> {
        let issued = self.issued.as_ref()?;
        match &self.served {
            Some(served) if served.serial == issued.serial => Some(Serving::Current),
            Some(_) => Some(match self.mode {
                Mode::Daemon => Serving::RestartPending,
                Mode::Files => Serving::ReloadPending,
                // The gate takes a new one at once: what answers there is not the gate, or it is broken.
                Mode::Gate => Serving::NotServed,
            }),
            // Nothing answered, unless nothing is dialled.
            None => (self.status_of(ConditionKind::Serving)? == ConditionStatus::False)
                .then_some(Serving::NotServed),
        }
    }

    /// Why it is so, as the agent says: the first of the conditions about applying and serving that does not hold.
    pub fn serving_reason(&self) -> Option<String> {
        let about = [ConditionKind::ConfigApplied, ConditionKind::Serving];
        let of = |kind| {
            self.conditions
                .iter()
                .find(move |condition| condition.kind == kind)
        };
        let mut wrong = about
            .into_iter()
            .filter_map(of)
            .filter(|c| c.status != ConditionStatus::True);
        let condition = wrong.next()?;
        Some(match condition.message.is_empty() {
            true => condition.reason.clone(),
            false => format!("{}: {}", condition.reason, condition.message),
        })
    }

    fn status_of(&self, kind: ConditionKind) -> Option<ConditionStatus> {
        let condition = self.conditions.iter().find(|condition| condition.kind == kind);
        condition.map(|condition| condition.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::model::{Condition, SeenCertificate};

    fn seen(serial: &str) -> Option<SeenCertificate> {
        Some(SeenCertificate {
            serial: serial.parse().unwrap(),
            not_after: Timestamp::from_secs(1_800_000_000),
        })
    }

    fn report(mode: Mode, issued: Option<SeenCertificate>, served: Option<SeenCertificate>) -> HostReport {
        HostReport {
            observed_generation: 1,
            mode,
            agent_version: "1".into(),
            engine_version: None,
            endpoints: Vec::new(),
            issued,
            served,
            renew_at: None,
            clock_offset_ms: None,
            conditions: Vec::new(),
            revocations: None,
        }
    }

    fn condition(kind: ConditionKind, status: ConditionStatus, reason: &str, message: &str) -> Condition {
        Condition {
            kind,
            status,
            reason: reason.into(),
            message: message.into(),
            since: Timestamp::EPOCH,
        }
    }

    #[test]
    fn the_word_depends_on_who_has_to_read_the_new_certificate() {
        use Serving::{Current, NotServed, ReloadPending, RestartPending};
        for (mode, issued, served, expected) in [
            (Mode::Daemon, seen("0a"), seen("0a"), Some(Current)),
            (Mode::Daemon, seen("0b"), seen("0a"), Some(RestartPending)),
            (Mode::Files, seen("0b"), seen("0a"), Some(ReloadPending)),
            (Mode::Gate, seen("0b"), seen("0a"), Some(NotServed)),
            (Mode::Gate, None, seen("0a"), None),
            (Mode::Gate, seen("0b"), None, None),
        ] {
            assert_eq!(report(mode, issued, served).serving(), expected, "{mode}");
        }
        let mut silent = report(Mode::Gate, seen("0b"), None);
        silent.conditions = vec![condition(
            ConditionKind::Serving,
            ConditionStatus::False,
            "NotServed",
            "refused",
        )];
        assert_eq!(silent.serving(), Some(NotServed));
    }

    #[test]
    fn the_reason_is_the_agents() {
        use ConditionStatus::{False, True};
        let mut report = report(Mode::Daemon, seen("0b"), seen("0a"));
        assert_eq!(report.serving_reason(), None);
        report.conditions = vec![
            condition(ConditionKind::CertificateValid, False, "Expired", "x"),
            condition(ConditionKind::Serving, False, "OtherCertificate", "y"),
            condition(
                ConditionKind::ConfigApplied,
                False,
                "OutsideWindow",
                "until Sun 03:00",
            ),
        ];
        assert_eq!(report.serving_reason().unwrap(), "OutsideWindow: until Sun 03:00");
        report.conditions[2].status = True;
        report.conditions[1].message.clear();
        assert_eq!(report.serving_reason().unwrap(), "OtherCertificate");
    }
}
