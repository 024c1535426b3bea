//! The five fields of crontab(5), put into the words of the crate that counts: that one starts with seconds, calls
//! Sunday 1, and wants the day of the month *and* the day of the week to match.

use std::time::Duration;

/// Why an expression, a zone or a window cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields, or something else in them than crontab(5) knows.
    #[error(
        "{text:?} is not a cron expression: {why}; write minute, hour, day of month, month, day of week: \"0 3 * * 0\""
    )]
    Expression {
        /// What was written.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A date that does not exist.
    #[error("{0:?} never comes: there is no such date")]
    Never(String),
    /// Not a name of the IANA database.
    #[error("{0:?} is not a time zone: write its IANA name, such as Europe/Amsterdam or UTC")]
    Zone(String),
    /// Too short or too long.
    #[error("a window is open for a minute at least, and for seven days at most")]
    Duration,
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Short forms of crontab(5).
const NAMED: [(&str, &str); 7] = [
    ("@annually", "0 0 1 1 *"),
    ("@daily", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@midnight", "0 0 * * *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@yearly", "0 0 1 1 *"),
];

/// The schedules of which one must match, and whether the hour is any.
pub(super) fn parse(text: &str) -> Result<(Vec<cron::Schedule>, bool), ScheduleError> {
    let refuse = |why: String| ScheduleError::Expression {
        text: text.chars().take(80).collect(),
        why,
    };
    let named = NAMED.iter().find(|(name, _)| *name == text.trim());
    let expression = named.map_or(text, |(_, expression)| expression);
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        return Err(refuse(format!("it has {} fields, not 5", fields.len())));
    };
    let days = days_of_week(weekday).map_err(refuse)?;
    // What crontab(5) says: with both days given, either is enough.
    let either = !day.starts_with('*') && !weekday.starts_with('*');
    let pairs = if either {
        vec![(day, "*"), ("*", days.as_str())]
    } else {
        vec![(day, days.as_str())]
    };
    let schedules = pairs.into_iter().map(|(day, weekday)| {
        let line = format!("0 {minute} {hour} {day} {month} {weekday}");
        line.parse::<cron::Schedule>()
            .map_err(|_| refuse(wrong_field(&fields)))
    });
    Ok((schedules.collect::<Result<_, _>>()?, hour.starts_with('*')))
}

/// Which field it is; the crate's own message speaks of a line that nobody wrote.
fn wrong_field(fields: &[&str]) -> String {
    let names = ["minute", "hour", "day of month", "month"];
    let wrong = names.iter().enumerate().find(|(index, _)| {
        let mut line = ["0", "*", "*", "*", "*", "*"];
        line[index + 1] = fields[*index];
        line.join(" ").parse::<cron::Schedule>().is_err()
    });
    match wrong {
        Some((index, name)) => format!("the {name}, {:?}, is not understood", fields[index]),
        None => "it is not understood".to_owned(),
    }
}

/// The field as the crate's numbers: Sunday is 0 or 7 here, and 1 there.
fn days_of_week(field: &str) -> Result<String, String> {
    let wrong = || format!("the day of week, {field:?}, is not understood");
    let mut days = [false; 7];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (
                range,
                step.parse()
                    .ok()
                    .filter(|step| (1..=7).contains(step))
                    .ok_or_else(wrong)?,
            ),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => {
                let (first, last) = (day(first).ok_or_else(wrong)?, day(last).ok_or_else(wrong)?);
                // Sunday may end a week: `Sat-Sun`.
                (first, if last < first && last == 0 { 7 } else { last })
            }
            None => {
                let first = day(range).ok_or_else(wrong)?;
                (first, if part.contains('/') { 6 } else { first })
            }
        };
        if last < first {
            return Err(wrong());
        }
        (first..=last).step_by(step).for_each(|day| days[day % 7] = true);
    }
    if days == [true; 7] {
        return Ok("*".to_owned());
    }
    let numbers = (0..7).filter(|day| days[*day]).map(|day| (day + 1).to_string());
    Ok(numbers.collect::<Vec<_>>().join(","))
}

fn day(text: &str) -> Option<usize> {
    let name = DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    let plain = text.len() == 1 && text.as_bytes()[0].is_ascii_digit();
    name.or_else(|| text.parse().ok().filter(|day| plain && *day <= 7))
}

/// `Sun 03:00-05:00`, when the expression is one time of day, every day or on days of the week.
pub(super) fn plain_times(text: &str, duration: Duration) -> Option<String> {
    let named = NAMED.iter().find(|(name, _)| *name == text);
    let fields: Vec<&str> = named
        .map_or(text, |(_, expression)| expression)
        .split(' ')
        .collect();
    let [minute, hour, "*", "*", weekday] = fields[..] else {
        return None;
    };
    let (minute, hour): (u64, u64) = (minute.parse().ok()?, hour.parse().ok()?);
    if duration > Duration::from_secs(86_400) || !duration.as_secs().is_multiple_of(60) {
        return None;
    }
    let end = hour * 60 + minute + duration.as_secs() / 60;
    let numbers = days_of_week(weekday).ok()?;
    let days: Vec<&str> = match numbers.as_str() {
        "*" => vec!["daily"],
        numbers => numbers
            .split(',')
            .filter_map(|number| DAYS.get(number.parse::<usize>().ok()? - 1).copied())
            .collect(),
    };
    Some(format!(
        "{} {hour:02}:{minute:02}-{:02}:{:02}",
        days.join(","),
        end / 60 % 24,
        end % 60
    ))
}
