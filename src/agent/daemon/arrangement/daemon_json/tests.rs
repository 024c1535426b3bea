use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(text: &[u8]) -> Result<DaemonJson, Refusal> {
    DaemonJson::parse(Path::new("/etc/docker/daemon.json"), Some(text))
}

fn edited(text: &[u8], edit: impl FnOnce(&mut DaemonJson)) -> Vec<u8> {
    let mut json = parse(text).unwrap();
    edit(&mut json);
    json.bytes().unwrap().unwrap()
}

fn edited_text(text: &str, edit: impl FnOnce(&mut DaemonJson)) -> String {
    String::from_utf8(edited(text.as_bytes(), edit)).unwrap()
}

#[test]
fn a_new_key_is_written_as_its_neighbours_are() {
    let rows = [
        ("{}", "{\n  \"tls\": true\n}"),
        ("{\n}\n", "{\n  \"tls\": true\n}\n"),
        ("{\n    \"a\": 1\n}\n", "{\n    \"a\": 1,\n    \"tls\": true\n}\n"),
        (
            "{\n\t\"a\": [ 1,2 ]\n}",
            "{\n\t\"a\": [ 1,2 ],\n\t\"tls\": true\n}",
        ),
        (
            "{\r\n  \"a\": 1\r\n}\r\n",
            "{\r\n  \"a\": 1,\r\n  \"tls\": true\r\n}\r\n",
        ),
        ("\n\n{\n  \"a\" : 1e400000,\n\n  \"b\":{}}\n\n", ""),
        ("", "{\n  \"tls\": true\n}\n"),
        (" \n", "{\n  \"tls\": true\n}\n"),
    ];
    for (text, expected) in rows {
        if expected.is_empty() {
            assert!(
                parse(text.as_bytes()).is_err(),
                "a number that Go cannot hold either"
            );
            continue;
        }
        assert_eq!(
            edited_text(text, |json| json.set(TLS, json!(true))),
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn values_change_in_place_and_everything_else_keeps_its_bytes() {
    let text = "{\n  \"hosts\":   [ \"fd://\",\n \"tcp://x:1\" ],\n  \"log-opts\": {\"max-size\":\"1m\"},  \"z\": 12345678901234567890123\n}";
    let hosts = json!(["fd://", "tcp://y:2"]);
    let after = edited_text(text, |json| json.set(HOSTS, hosts));
    assert!(after.contains("\"fd://\",\n"), "{after}");
    assert!(
        after.ends_with("  \"log-opts\": {\"max-size\":\"1m\"},  \"z\": 12345678901234567890123\n}"),
        "{after}"
    );
    assert!(
        after.contains("\"tcp://y:2\"") && !after.contains("tcp://x:1"),
        "{after}"
    );
    let text = "{ \"tlsverify\": false, \"tlscert\" : \"a\" }";
    let after = edited_text(text, |json| {
        json.set(TLS_VERIFY, json!(true));
        json.set(TLS_CERT, json!("b"));
    });
    assert_eq!(after, "{ \"tlsverify\": true, \"tlscert\" : \"b\" }");
    assert_eq!(edited_text(&after, |json| json.set(TLS_CERT, json!("b"))), after);
    assert_eq!(
        edited_text("{\"hosts\": null, \"a\": 1}", |json| json.remove(HOSTS)),
        "{ \"a\": 1}"
    );
    assert_eq!(
        edited_text("{\"hosts\": null}", |json| json.set(HOSTS, json!(["a"]))),
        "{\"hosts\": [\"a\"]}"
    );
}

#[test]
fn a_byte_order_mark_and_its_encoding_stay() {
    let text = "{\"a\": \"ä😀\"}\n";
    let set = |json: &mut DaemonJson| json.set(TLS, json!(true));
    let expected = edited_text(text, set);
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    assert_eq!(
        edited(&marked, set),
        [b"\xef\xbb\xbf", expected.as_bytes()].concat()
    );
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| {
        std::iter::once(0xfeff)
            .chain(text.encode_utf16())
            .flat_map(bytes)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        edited(&utf16(text, u16::to_le_bytes), set),
        utf16(&expected, u16::to_le_bytes)
    );
    assert_eq!(
        edited(&utf16(text, u16::to_be_bytes), set),
        utf16(&expected, u16::to_be_bytes)
    );
    assert!(parse(b"\xff\xfe{").is_err());
    assert!(parse(b"{\"a\": \"\xff\"}").is_err());
}

#[test]
fn the_last_of_two_equal_keys_counts_as_it_does_for_dockerd() {
    let text = "{\"tlscert\": \"a\", \"tlscert\": \"b\"}";
    assert_eq!(parse(text.as_bytes()).unwrap().get(TLS_CERT), Some(&json!("b")));
    assert_eq!(edited_text(text, |json| json.set(TLS_CERT, json!("b"))), text);
    let after = edited_text(text, |json| json.set(TLS_CERT, json!("c")));
    assert_eq!(after, "{\"tlscert\": \"a\", \"tlscert\": \"c\"}");
    assert_eq!(
        edited_text("{\"a\": 1, \"tls\": true, \"tls\": false}", |json| json
            .remove(TLS)),
        "{\"a\": 1}"
    );
}

#[test]
fn what_dockerd_would_die_of_is_refused_where_it_stands() {
    let rows = [
        ("{\n  // no\n}", "daemon.json:2:3: "),
        ("{\n  \"a\": 1,\n}", "daemon.json:3:1: "),
        ("{\"a\": 1", "daemon.json:1:7: "),
        ("{a: 1}", "daemon.json:1:2: "),
        ("{'a': 1}", "daemon.json:1:2: "),
        ("{\"a\": 0x1}", "daemon.json:1:"),
        ("{\"a\": NaN}", "daemon.json:1:"),
        ("{} {}", "daemon.json:1:4: "),
        ("[]", "wants an object"),
        ("null", "wants an object"),
        ("{\"Hosts\": []}", "knows it only as \"hosts\""),
        ("{\"TLSVerify\": true}", "knows it only as \"tlsverify\""),
        ("{\"hosts\": \"tcp://x\"}", "wants a list of strings"),
        ("{\"hosts\": [1]}", "wants a list of strings"),
        ("{\"tlsverify\": \"yes\"}", "wants true or false"),
        ("{\"tlscert\": true}", "wants a string"),
        ("{\"x\": {\"hosts\": []}}", "move it out"),
    ];
    for (text, expected) in rows {
        let Err(refusal) = parse(text.as_bytes()) else {
            panic!("{text} was accepted")
        };
        assert!(refusal.to_string().contains(expected), "{text}: {refusal}");
    }
    assert!(parse(b"{\"log-opts\": {\"hosts\": \"a\"}}").is_ok());
}

#[test]
fn nested_settings_count_unless_the_map_is_one_setting() {
    let json = parse(b"{\"a\": {\"b\": 1}, \"log-opts\": {\"c\": \"d\"}, \"e\": 1}").unwrap();
    assert_eq!(json.settings().collect::<Vec<_>>(), ["b", "e", "log-opts"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,5}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn editing_changes_the_named_key_and_nothing_else(
        map in prop::collection::btree_map("x[a-z]{1,6}", any_json(), 0..5),
        hosts in prop::option::of(prop::collection::vec("[a-c]{1,2}", 0..4)),
        wanted in prop::collection::vec("[a-c]{1,2}", 0..4),
        pretty: bool,
    ) {
        let mut before: Map<String, Value> = map.into_iter().collect();
        if let Some(hosts) = hosts {
            before.insert(HOSTS.to_owned(), json!(hosts));
        }
        let text = if pretty { serde_json::to_string_pretty(&before) } else { serde_json::to_string(&before) };
        // Those that stay come first and in their order, as the arrangement asks for.
        let own: Vec<String> = serde_json::from_value(before.get(HOSTS).cloned().unwrap_or(json!([]))).unwrap();
        let mut list: Vec<String> = own.into_iter().filter(|host| wanted.contains(host)).collect();
        let known = list.clone();
        list.extend(wanted.into_iter().filter(|host| !known.contains(host)));
        let after = edited_text(&text.unwrap(), |json| {
            json.set(HOSTS, json!(list));
            json.set(TLS_VERIFY, json!(true));
        });
        before.insert(HOSTS.to_owned(), json!(list));
        before.insert(TLS_VERIFY.to_owned(), json!(true));
        prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), Value::Object(before.clone()));
        let without = edited_text(&after, |json| { json.remove(HOSTS); json.remove(TLS_VERIFY); });
        before.remove(HOSTS);
        before.remove(TLS_VERIFY);
        prop_assert_eq!(serde_json::from_str::<Value>(&without).unwrap(), Value::Object(before));
    }
}
