use proptest::prelude::*;

use super::*;

fn json(text: &str) -> DaemonJson {
    DaemonJson::parse(Path::new("/etc/docker/daemon.json"), Some(text.as_bytes())).unwrap()
}

fn text(json: &DaemonJson) -> String {
    String::from_utf8(json.bytes().unwrap().unwrap()).unwrap()
}

#[test]
fn ours_comes_first_and_everything_else_keeps_its_bytes() {
    let theirs = "{\"authorization-plugins\": [ \"a\",\n  \"b\" ], \"debug\":  true}";
    for before in ["{}", theirs] {
        let mut found = json(before);
        found.put_first(AUTHORIZATION, NAME);
        let list = found.list(AUTHORIZATION);
        assert_eq!(list[0], NAME, "{}", text(&found));
        assert_eq!(json(&text(&found)).list(AUTHORIZATION), list);
        assert_eq!(
            before.contains("\"debug\":  true"),
            text(&found).contains("\"debug\":  true")
        );
    }
}

#[test]
fn waits_grow_after_failures_and_end_within_an_hour() {
    let at = Timestamp::from_secs(1_800_000_000);
    let wait = |count| {
        let failure = PlugFailure {
            why: String::new(),
            at,
            count,
        };
        failure.retry_at().since(at)
    };
    assert_eq!((wait(1), wait(2)), (RETRY_FLOOR, RETRY_FLOOR * 2));
    assert_eq!(wait(u32::MAX), RETRY_CAP);
}

proptest! {
    #[test]
    fn what_is_put_in_and_taken_out_leaves_what_others_had(names in proptest::collection::vec("[a-z]{1,6}", 0..5)) {
        let before = serde_json::json!({ "debug": true, AUTHORIZATION: names.clone() }).to_string();
        let mut json = json(&before);
        json.put_first(AUTHORIZATION, NAME);
        prop_assert_eq!(&json.list(AUTHORIZATION)[1..], &names[..]);
        let mut again = self::json(&text(&json));
        prop_assert!(again.take_out(AUTHORIZATION, NAME));
        prop_assert_eq!(self::json(&text(&again)).list(AUTHORIZATION), names);
    }
}
