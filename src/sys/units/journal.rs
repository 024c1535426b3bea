//! Reading `journalctl --output=json`: one object a line.

use serde::Deserialize;
use serde_json::Value;

use super::JournalLine;
use crate::base::Timestamp;

/// The longest message that is kept, characters.
const MESSAGE_CHARS_MAX: usize = 2000;

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    microseconds: String,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    identifier: Option<Value>,
    #[serde(rename = "_COMM")]
    program: Option<Value>,
    #[serde(rename = "MESSAGE")]
    message: Option<Value>,
}

/// The lines that could be read, in the order they were printed. The first one may be cut off, as the output's end is
/// what was kept.
pub(super) fn parse(output: &str) -> Vec<JournalLine> {
    output.lines().filter_map(line).collect()
}

fn line(json: &str) -> Option<JournalLine> {
    let entry: Entry = serde_json::from_str(json).ok()?;
    let millis = entry.microseconds.parse::<i64>().ok()? / 1000;
    let shown = text(&entry.message?)?;
    let program = entry.identifier.or(entry.program);
    Some(JournalLine {
        at: Timestamp::from_millis(millis),
        program: program.as_ref().and_then(text).unwrap_or_default(),
        message: shown.chars().take(MESSAGE_CHARS_MAX).collect(),
    })
}

/// journald writes what is not plain text as a list of bytes, and a field that stands there twice as a list of both.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(printable(text)),
        Value::Array(items) => match items.first()? {
            Value::Number(_) => {
                let byte = |item: &Value| item.as_u64().and_then(|n| u8::try_from(n).ok());
                let bytes: Option<Vec<u8>> = items.iter().map(byte).collect();
                Some(printable(&String::from_utf8_lossy(&bytes?)))
            }
            first => text(first),
        },
        _ => None,
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whatever_form_the_message_has() {
        let output = concat!(
            "REALTIME_TIMESTAMP\" : \"1\", \"MESSAGE\" : \"cut off\" }\n",
            r#"{"__REALTIME_TIMESTAMP":"1795357985123456","SYSLOG_IDENTIFIER":"dockerd","_COMM":"(dockerd)","MESSAGE":"failed to load listeners"}"#,
            "\n",
            r#"{"__REALTIME_TIMESTAMP":"1795357986000000","_COMM":"dockerd","MESSAGE":[27,91,51,49,109,110,111]}"#,
            "\n",
            r#"{"__REALTIME_TIMESTAMP":"1795357987000000","SYSLOG_IDENTIFIER":"systemd","MESSAGE":["one","two"]}"#,
            "\n",
            r#"{"__REALTIME_TIMESTAMP":"1795357988000000","SYSLOG_IDENTIFIER":"systemd","MESSAGE":null}"#,
            "\n",
        );
        let shown: Vec<String> = parse(output)
            .into_iter()
            .map(|line| format!("{} {}: {}", line.at, line.program, line.message))
            .collect();
        assert_eq!(
            shown,
            [
                "2026-11-22T14:33:05.123Z dockerd: failed to load listeners",
                "2026-11-22T14:33:06Z dockerd: [31mno",
                "2026-11-22T14:33:07Z systemd: one",
            ]
        );
    }
}
