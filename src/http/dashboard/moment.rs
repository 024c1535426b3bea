//! Times as pages show them: relative to now, with the absolute one on hover. The script of the page turns that into the
//! reader's zone, and keeps the relative one fresh.

use std::fmt;
use std::time::Duration;

use crate::base::Timestamp;

/// A time, told from another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    at: Timestamp,
    now: Timestamp,
}

impl Moment {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }

    /// Whether it is over.
    pub(super) fn is_past(&self) -> bool {
        self.at < self.now
    }

    /// `in 11 d` or `4 s ago`.
    pub(super) fn words(&self) -> String {
        match self.is_past() {
            true => format!("{} ago", span(self.now.since(self.at))),
            false => format!("in {}", span(self.at.since(self.now))),
        }
    }

    /// `2026-11-22 10:00:00 UTC`.
    pub(super) fn absolute(&self) -> String {
        jiff::Timestamp::from_millisecond(self.at.as_millis()).map_or_else(
            |_| self.at.to_string(),
            |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
    }
}

/// Markup of digits, letters and punctuation that needs no escaping.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, title, words) = (self.at, self.absolute(), self.words());
        write!(f, "<time datetime=\"{at}\" title=\"{title}\">{words}</time>")
    }
}

impl askama::filters::HtmlSafe for Moment {}

/// `4 s`, `2 min`, `3 h`, `11 d`: the largest unit that fits, rounded down.
pub(super) fn span(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s if s < 3 * 365 * 86_400 => format!("{} d", s / 86_400),
        s => format!("{} y", s / (365 * 86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_from_now_with_the_absolute_one_beside_it() {
        let now = Timestamp::from_secs(1_795_344_000);
        let soon = Moment::new(now + Duration::from_secs(11 * 86_400), now).to_string();
        let expected =
            "<time datetime=\"2026-12-03T10:40:00Z\" title=\"2026-12-03 10:40:00 UTC\">in 11 d</time>";
        assert_eq!(soon, expected);
        let past = Moment::new(now - Duration::from_secs(90), now);
        assert_eq!((past.words().as_str(), past.is_past()), ("1 min ago", true));
    }
}
