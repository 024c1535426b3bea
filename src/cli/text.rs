//! Times as people say them.

use std::time::Duration;

use crate::base::Timestamp;

/// `4 s`, `2 min`, `3 h`, `11 d`: the largest unit that fits, rounded down.
pub fn span(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// `in 11 d` or `4 s ago`.
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    if time >= now {
        format!("in {}", span(time.since(now)))
    } else {
        format!("{} ago", span(now.since(time)))
    }
}

/// `22 Dec`, with the year when it is not this one, with the time (UTC) when it is less than two days away.
pub fn date(time: Timestamp, now: Timestamp) -> String {
    let format = |pattern: &str, time: Timestamp| {
        jiff::Timestamp::from_millisecond(time.as_millis())
            .map_or_else(|_| time.to_string(), |t| t.strftime(pattern).to_string())
    };
    let near = time.since(now).max(now.since(time)) < Duration::from_secs(2 * 86_400);
    if near {
        format("%-d %b %H:%M UTC", time)
    } else if format("%Y", time) == format("%Y", now) {
        format("%-d %b", time)
    } else {
        format("%-d %b %Y", time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_344_000; // 2026-11-22T10:40:00Z

    #[test]
    fn times_are_told_in_the_unit_people_would_use() {
        let now = Timestamp::from_secs(NOW);
        for (seconds, words) in [
            (4, "4 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3 * 3600, "3 h"),
            (47 * 3600, "47 h"),
            (11 * 86_400 + 5, "11 d"),
        ] {
            assert_eq!(
                relative(Timestamp::from_secs(NOW + seconds), now),
                format!("in {words}")
            );
        }
        assert_eq!(relative(Timestamp::from_secs(NOW - 4), now), "4 s ago");
    }

    #[test]
    fn a_date_says_no_more_than_is_needed() {
        let now = Timestamp::from_secs(NOW);
        let day = |n: i64| date(Timestamp::from_secs(NOW + n * 86_400), now);
        assert_eq!(
            (day(1), day(30), day(60)),
            ("23 Nov 10:40 UTC".into(), "22 Dec".into(), "21 Jan 2027".into())
        );
    }
}
