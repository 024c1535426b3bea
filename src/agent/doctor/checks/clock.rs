//! This machine's clock against the server's: a certificate is valid from and until times that both must agree on.

use super::super::examined::Examined;
use super::super::{Finding, Says, Severity};

/// Milliseconds from which the offset is worth telling, hurts, and breaks things. Certificates are valid from an hour
/// before they are issued.
const STEPS: [(u64, Severity); 3] = [
    (600_000, Severity::Critical),
    (60_000, Severity::Warning),
    (5_000, Severity::Notice),
];

/// The offset that the agent saw last.
pub(super) fn clock(examined: &Examined) -> Vec<Finding> {
    let says = Says("clock");
    let Some(Ok(status)) = &examined.agent.status else {
        return Vec::new();
    };
    let Some(offset) = status.report.clock_offset_ms else {
        return Vec::new();
    };
    let seconds = offset.unsigned_abs() as f64 / 1000.0;
    let side = if offset < 0 { "behind" } else { "ahead of" };
    let step = STEPS.iter().find(|(from, _)| offset.unsigned_abs() >= *from);
    let Some((_, severity)) = step else {
        return vec![says.ok(format!(
            "this machine's clock is {seconds:.1} s {side} the server's"
        ))];
    };
    let seen = format!(
        "this machine's clock is {seconds:.0} s {side} the server's: certificates begin and end at another time here"
    );
    let fix = "timedatectl set-ntp true; chronyc tracking (and look at the server's clock, too)";
    vec![says.finding(*severity, seen, Some(fix.to_owned()))]
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn the_further_off_the_worse_in_both_directions() {
        for (offset, severity) in [
            (0, Severity::Ok),
            (-4_999, Severity::Ok),
            (5_000, Severity::Notice),
            (-60_000, Severity::Warning),
            (599_999, Severity::Warning),
            (600_000, Severity::Critical),
            (i64::MIN, Severity::Critical),
        ] {
            let mut examined = examined();
            let mut said = status(now(), &[]);
            said.report.clock_offset_ms = Some(offset);
            examined.agent.status = Some(Ok(said));
            assert_eq!(one(clock(&examined)).severity, severity, "{offset}");
        }
        assert_eq!(clock(&examined()), []);
    }
}
