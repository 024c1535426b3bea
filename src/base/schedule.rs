//! Times that come again: cron expressions in a time zone, and the windows that open at them.
//!
//! Expressions are read as crontab(5) reads them, five fields, and counted in the zone's civil time. A time that the
//! clocks jump over comes as much later as they jump; one that they show twice comes once, or twice where the hour is
//! `*`. The zones' rules are built in: a container without /usr/share/zoneinfo knows them.

mod fields;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, Timelike, Utc};
use jiff::ToSpan;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Span, Timestamp};
pub use fields::ScheduleError;

/// The shortest window.
const DURATION_MIN: Duration = Duration::from_secs(60);
/// The longest window.
const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);
/// More than clocks are ever set by twice a year. Times this near may come in another order than their civil times.
const SHIFT_HOURS_MAX: i64 = 3;

/// A cron expression.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    /// One; two where day of month and day of week are both given: either may match.
    alternatives: Vec<cron::Schedule>,
    /// Whether the hour is any: such a schedule goes by elapsed time, also when clocks are set back.
    every_hour: bool,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let (alternatives, every_hour) = fields::parse(text)?;
        let schedule = Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            alternatives,
            every_hour,
        };
        match schedule.civil_after(civil::date(2000, 1, 1).at(0, 0, 0, 0)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(text.to_owned())),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Schedule {
    /// The first time after `after`, in `zone`. `None` beyond the year 2100.
    pub fn next(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let mut at = zone.civil(after).checked_sub(SHIFT_HOURS_MAX.hours()).ok()?;
        let mut best: Option<Timestamp> = None;
        loop {
            at = self.civil_after(at)?;
            let late = |found: Timestamp| {
                let end = zone.civil(found).checked_add(SHIFT_HOURS_MAX.hours());
                end.is_ok_and(|end| at > end)
            };
            if best.is_some_and(late) {
                return best;
            }
            let found = self.instants(at, zone).filter(|found| *found > after).min();
            best = [best, found].into_iter().flatten().min();
        }
    }

    /// The last time at or before `until`, in `zone`. `None` before 1970.
    pub fn last(&self, until: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let mut at = zone.civil(until).checked_add(SHIFT_HOURS_MAX.hours()).ok()?;
        let mut best: Option<Timestamp> = None;
        loop {
            at = self.civil_before(at)?;
            let early = |found: Timestamp| {
                let end = zone.civil(found).checked_sub(SHIFT_HOURS_MAX.hours());
                end.is_ok_and(|end| at < end)
            };
            if best.is_some_and(early) {
                return best;
            }
            let found = self.instants(at, zone).filter(|found| *found <= until).max();
            best = [best, found].into_iter().flatten().max();
        }
    }

    /// When the zone's clocks show `at`.
    fn instants(&self, at: civil::DateTime, zone: &Zone) -> impl Iterator<Item = Timestamp> {
        let ambiguous = zone.0.to_ambiguous_timestamp(at);
        let twice = self.every_hour && matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
        let later = twice.then(|| ambiguous.later()).into_iter();
        let found = std::iter::once(ambiguous.compatible()).chain(later).flatten();
        found.map(|found| Timestamp::from_millis(found.as_millisecond()))
    }

    fn civil_after(&self, at: civil::DateTime) -> Option<civil::DateTime> {
        let at = to_chrono(at)?;
        let next = self.alternatives.iter().filter_map(|one| one.after(&at).next());
        next.min().and_then(from_chrono)
    }

    fn civil_before(&self, at: civil::DateTime) -> Option<civil::DateTime> {
        let at = to_chrono(at)?;
        let last = self
            .alternatives
            .iter()
            .filter_map(|one| one.after(&at).next_back());
        last.max().and_then(from_chrono)
    }
}

/// Civil time as if it were UTC: the crate that counts cannot be told of a zone that clocks are set in.
fn to_chrono(at: civil::DateTime) -> Option<DateTime<Utc>> {
    let seconds = at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    DateTime::from_timestamp(seconds, 0)
}

fn from_chrono(at: DateTime<Utc>) -> Option<civil::DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    let year = i16::try_from(at.year()).ok()?;
    let date = civil::Date::new(year, small(at.month())?, small(at.day())?).ok()?;
    let time = civil::Time::new(small(at.hour())?, small(at.minute())?, small(at.second())?, 0).ok()?;
    Some(date.to_datetime(time))
}

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    fn civil(&self, at: Timestamp) -> civil::DateTime {
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).expect("clamped to years 1 to 9999");
        self.0.to_datetime(at)
    }
}

impl FromStr for Zone {
    type Err = ScheduleError;

    fn from_str(name: &str) -> Result<Self, ScheduleError> {
        match TimeZone::get(name) {
            Ok(zone) if zone.iana_name().is_some() => Ok(Self(zone)),
            _ => Err(ScheduleError::Zone(name.to_owned())),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// A time during which something may be done, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    schedule: Schedule,
    duration: Duration,
    zone: Zone,
}

impl Window {
    /// A window that opens at each time of `schedule` in `zone`, for `duration`: a minute to a week.
    ///
    /// # Errors
    /// When it would be shorter or longer.
    pub fn new(schedule: Schedule, duration: Duration, zone: Zone) -> Result<Self, ScheduleError> {
        if !(DURATION_MIN..=DURATION_MAX).contains(&duration) {
            return Err(ScheduleError::Duration);
        }
        Ok(Self {
            schedule,
            duration,
            zone,
        })
    }

    /// Whether it is open at `now`. It is at the moment it opens, and not at the moment it closes.
    pub fn contains(&self, now: Timestamp) -> bool {
        self.closes_at(now).is_some()
    }

    /// When it closes, if it is open at `now`: counted from the last time it opened.
    pub fn closes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let opened = self.schedule.last(now, &self.zone)?;
        Some(opened + self.duration).filter(|closes| *closes > now)
    }

    /// When it opens next, after `after`. `None` beyond the year 2100.
    pub fn next_opening(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after, &self.zone)
    }
}

impl fmt::Display for Window {
    /// `Sun 03:00-05:00 Europe/Amsterdam`; what is not so simple as its expression and its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match fields::plain_times(&self.schedule.text, self.duration) {
            Some(times) => write!(f, "{times} {}", self.zone),
            None => write!(
                f,
                "{:?} for {} {}",
                self.schedule.text,
                Span(self.duration),
                self.zone
            ),
        }
    }
}

/// A window as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    cron: String,
    duration: Span,
    zone: Option<String>,
}

impl<'de> Deserialize<'de> for Window {
    /// From `{ cron, duration, zone }`; without a zone, UTC.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawWindow::deserialize(deserializer)?;
        let schedule = raw.cron.parse().map_err(D::Error::custom)?;
        let zone = raw.zone.map_or(Ok(Zone::UTC), |name| name.parse());
        Self::new(schedule, raw.duration.0, zone.map_err(D::Error::custom)?).map_err(D::Error::custom)
    }
}

/// All windows of one thing. Without any, it may be done always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Windows(pub Vec<Window>);

impl Windows {
    /// Whether one of them is open at `now`, or there are none.
    pub fn contain(&self, now: Timestamp) -> bool {
        self.0.is_empty() || self.0.iter().any(|window| window.contains(now))
    }

    /// When the first of them opens, after `after`. `None` without windows.
    pub fn next_opening(&self, after: Timestamp) -> Option<Timestamp> {
        self.0
            .iter()
            .filter_map(|window| window.next_opening(after))
            .min()
    }

    /// When the last of those that are open at `now` closes.
    pub fn closes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|window| window.closes_at(now)).max()
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("always");
        }
        for (index, window) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{window}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
