use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn window(cron: &str, duration: &str, name: &str) -> Window {
    let duration: Span = duration.parse().unwrap();
    Window::new(cron.parse().unwrap(), duration.0, zone(name)).unwrap()
}

/// The next three times.
fn next(cron: &str, after: &str, name: &str) -> Vec<String> {
    let schedule: Schedule = cron.parse().unwrap();
    let mut now = at(after);
    let mut times = Vec::new();
    for _ in 0..3 {
        now = schedule.next(now, &zone(name)).unwrap();
        times.push(now.to_string());
    }
    times
}

#[test]
fn fields_mean_what_crontab_says() {
    // 2026-11-22 is a Sunday.
    let rows = [
        ("0 3 * * 0", "2026-11-29T03:00:00Z"),
        ("0 3 * * 7", "2026-11-29T03:00:00Z"),
        ("0 3 * * sun", "2026-11-29T03:00:00Z"),
        ("0 3 * * 1", "2026-11-23T03:00:00Z"),
        ("0 3 * * Mon-Fri", "2026-11-23T03:00:00Z"),
        ("0 3 * * 6-7", "2026-11-28T03:00:00Z"),
        ("0 3 * * Sat-Sun", "2026-11-28T03:00:00Z"),
        ("0 3 * * 2/2", "2026-11-24T03:00:00Z"),
        ("0 3 * * */2", "2026-11-24T03:00:00Z"),
        ("30 23 * * *", "2026-11-22T23:30:00Z"),
        ("*/20 * * * *", "2026-11-22T12:20:00Z"),
        ("5/20 * * * *", "2026-11-22T12:05:00Z"),
        ("0 3 1 * *", "2026-12-01T03:00:00Z"),
        ("0 3 1 * 3", "2026-11-25T03:00:00Z"),
        ("0 3 24 * 3", "2026-11-24T03:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("@weekly", "2026-11-29T00:00:00Z"),
        ("0 0 1 jan *", "2027-01-01T00:00:00Z"),
    ];
    for (cron, expected) in rows {
        assert_eq!(next(cron, "2026-11-22T12:00:00Z", "UTC")[0], expected, "{cron}");
    }
}

#[test]
fn what_is_no_schedule_is_refused_with_what_is_wrong() {
    let rows = [
        ("", "0 fields"),
        ("0 3 * *", "4 fields"),
        ("0 0 3 * * SUN", "6 fields"),
        ("60 3 * * *", "the minute"),
        ("0 24 * * *", "the hour"),
        ("0 3 0 * *", "the day of month"),
        ("0 3 * 13 *", "the month"),
        ("0 3 * * 8", "the day of week"),
        ("0 3 * * 5-1", "the day of week"),
        ("0 3 * * */0", "the day of week"),
        ("*/0 3 * * *", "the minute"),
        ("x 3 * * *", "the minute"),
        ("@reboot", "1 fields"),
        ("0 0 31 2 *", "no such date"),
        ("0 0 30 2 *", "no such date"),
        ("0 0 31 4,6,9,11 *", "no such date"),
    ];
    for (cron, expected) in rows {
        let error = cron.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(expected), "{cron:?}: {error}");
    }
    assert!("Mars/Olympus".parse::<Zone>().is_err());
    assert!("".parse::<Zone>().is_err());
    let schedule: Schedule = "0 3 * * *".parse().unwrap();
    let of = |seconds| Window::new(schedule.clone(), Duration::from_secs(seconds), Zone::UTC);
    assert!(of(60).is_ok() && of(59).is_err());
    assert!(of(7 * 86_400).is_ok() && of(7 * 86_400 + 1).is_err());
}

#[test]
fn a_time_that_clocks_jump_over_comes_as_much_later() {
    // 2026-03-29 02:00 becomes 03:00 in Amsterdam, 2026-03-08 02:00 becomes 03:00 in New York.
    assert_eq!(
        next("30 2 * * *", "2026-03-28T12:00:00Z", "Europe/Amsterdam")[..2],
        ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
    );
    assert_eq!(
        next("0 2 * * *", "2026-03-28T12:00:00Z", "Europe/Amsterdam")[0],
        "2026-03-29T01:00:00Z"
    );
    assert_eq!(
        next("15 2 * * *", "2026-03-08T00:00:00Z", "America/New_York")[0],
        "2026-03-08T07:15:00Z"
    );
    assert_eq!(
        next("*/30 * * * *", "2026-03-29T00:29:00Z", "Europe/Amsterdam"),
        [
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:30:00Z"
        ]
    );
}

#[test]
fn a_time_that_clocks_show_twice_comes_once_unless_the_hour_is_any() {
    // 2026-10-25 03:00 becomes 02:00 in Amsterdam.
    assert_eq!(
        next("30 2 * * *", "2026-10-24T12:00:00Z", "Europe/Amsterdam")[..2],
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        next("30 * * * *", "2026-10-25T00:00:00Z", "Europe/Amsterdam"),
        [
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:30:00Z"
        ]
    );
}

#[test]
fn a_window_is_open_from_its_first_moment_and_shut_at_its_last() {
    let window = window("0 3 * * 0", "2h", "Europe/Amsterdam");
    let open = at("2026-11-22T02:00:00Z");
    let second = Duration::from_secs(1);
    assert!(!window.contains(open - second) && window.contains(open));
    let close = at("2026-11-22T04:00:00Z");
    assert!(window.contains(close - second) && !window.contains(close));
    assert_eq!(window.closes_at(open), Some(close));
    assert_eq!(window.closes_at(close), None);
    assert_eq!(window.next_opening(open), Some(at("2026-11-29T02:00:00Z")));
    assert_eq!(window.next_opening(open - second), Some(open));
}

#[test]
fn a_window_lasts_as_long_on_the_days_when_clocks_are_set() {
    let window = window("0 1 * * *", "3h", "Europe/Amsterdam");
    assert_eq!(
        window.closes_at(at("2026-03-29T00:00:00Z")),
        Some(at("2026-03-29T03:00:00Z"))
    );
    assert_eq!(
        window.closes_at(at("2026-10-24T23:30:00Z")),
        Some(at("2026-10-25T02:00:00Z"))
    );
}

#[test]
fn windows_say_what_they_are_in_few_words() {
    let rows = [
        (
            window("0 3 * * 0", "2h", "Europe/Amsterdam"),
            "Sun 03:00-05:00 Europe/Amsterdam",
        ),
        (window("30 23 * * 1-2", "90m", "UTC"), "Mon,Tue 23:30-01:00 UTC"),
        (window("0  4 * * *", "1h", "UTC"), "daily 04:00-05:00 UTC"),
        (window("@daily", "1d", "UTC"), "daily 00:00-00:00 UTC"),
        (
            window("*/30 3 * * *", "10m", "UTC"),
            "\"*/30 3 * * *\" for 10m UTC",
        ),
        (window("0 3 1 * *", "2h", "UTC"), "\"0 3 1 * *\" for 2h UTC"),
    ];
    for (window, expected) in rows {
        assert_eq!(window.to_string(), expected);
    }
    assert_eq!(Windows::default().to_string(), "always");
}

#[test]
fn windows_are_written_as_tables() {
    #[derive(Debug, Deserialize)]
    struct Config {
        windows: Windows,
    }
    let read = |text: &str| toml::from_str::<Config>(text).map(|config| config.windows);
    let text = "windows = [{ cron = '0 3 * * 0', duration = '2h', zone = 'Europe/Amsterdam' }, { cron = '@daily', duration = '5m' }]";
    let windows = read(text).unwrap();
    assert_eq!(
        windows.to_string(),
        "Sun 03:00-05:00 Europe/Amsterdam, daily 00:00-00:05 UTC"
    );
    let now = at("2026-11-22T03:00:00Z");
    assert!(windows.contain(now));
    assert_eq!(windows.closes_at(now), Some(at("2026-11-22T04:00:00Z")));
    assert_eq!(windows.next_opening(now), Some(at("2026-11-23T00:00:00Z")));
    assert!(!windows.contain(at("2026-11-22T12:00:00Z")));
    assert!(Windows::default().contain(now) && Windows::default().next_opening(now).is_none());
    for (text, expected) in [
        ("windows = [{ cron = '0 3 * * 0' }]", "duration"),
        ("windows = [{ cron = '0 3 * *', duration = '1h' }]", "4 fields"),
        (
            "windows = [{ cron = '0 3 * * *', duration = '8d' }]",
            "seven days",
        ),
        (
            "windows = [{ cron = '0 3 * * *', duration = '1h', zone = 'CET/X' }]",
            "IANA",
        ),
        (
            "windows = [{ cron = '0 3 * * *', duration = '1h', tz = 'UTC' }]",
            "unknown field",
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

fn any_cron() -> impl Strategy<Value = String> {
    let minute = prop_oneof![Just("*/7".to_owned()), (0..60u8).prop_map(|n| n.to_string())];
    let hour = prop_oneof![Just("*".to_owned()), (0..24u8).prop_map(|n| n.to_string())];
    let day = prop_oneof![3 => Just("*".to_owned()), 1 => (1..29u8).prop_map(|n| n.to_string())];
    let weekday = prop_oneof![2 => Just("*".to_owned()), 1 => (0..8u8).prop_map(|n| n.to_string())];
    (minute, hour, day, weekday).prop_map(|(m, h, d, w)| format!("{m} {h} {d} * {w}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_last_time_before_the_next_is_the_one_before(
        cron in any_cron(),
        now in 1_500_000_000i64..2_500_000_000,
        name in prop::sample::select(&["UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    ) {
        let schedule: Schedule = cron.parse().unwrap();
        let (zone, now) = (zone(name), Timestamp::from_secs(now));
        let next = schedule.next(now, &zone).unwrap();
        let last = schedule.last(now, &zone).unwrap();
        prop_assert!(last <= now && now < next);
        prop_assert_eq!(schedule.next(last, &zone), Some(next));
        prop_assert_eq!(schedule.last(next, &zone), Some(next));
        prop_assert_eq!(schedule.last(next - Duration::from_secs(1), &zone), Some(last));
    }

    #[test]
    fn no_text_breaks_the_reader(text in "[0-9*/,a-zA-Z@ -]{0,24}") {
        if let Ok(schedule) = text.parse::<Schedule>() {
            prop_assert!(schedule.next(Timestamp::EPOCH, &Zone::UTC).is_some());
        }
    }
}
