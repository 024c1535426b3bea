//! A strict reader of Prometheus' text format, and promtool, which judges names and help.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;

/// Samples by `name{label="value",…}`, labels as they stand.
pub type Samples = BTreeMap<String, f64>;

/// Reads a page; fails at the first line that the format does not allow.
pub fn read(text: &str) -> Samples {
    assert!(text.ends_with('\n'), "the last line has no end");
    let (mut samples, mut seen) = (Samples::new(), BTreeSet::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .unwrap_or_else(|| panic!("a family begins with its help: {line}"));
        assert!(is_name(name) && !help.trim().is_empty(), "{line}");
        assert!(seen.insert(name.to_owned()), "{name} stands there twice");
        let kind = lines
            .next()
            .and_then(|l| l.strip_prefix(&format!("# TYPE {name} ")));
        let kind = kind.unwrap_or_else(|| panic!("{name} has no type"));
        assert!(matches!(kind, "gauge" | "counter" | "histogram"), "{name} {kind}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let (own, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
            let part = own.strip_prefix(name).unwrap_or_else(|| panic!("{line}"));
            let parts: &[&str] = match kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(parts.contains(&part), "{line}");
            if !labels.is_empty() {
                check_labels(labels);
            }
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert_eq!(samples.insert(series.to_owned(), value), None, "twice: {line}");
        }
    }
    samples
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() && !b.is_ascii_digit())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn check_labels(text: &str) {
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let mut rest = inner.unwrap_or_else(|| panic!("{text}"));
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        assert!(is_name(name), "{text}");
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let (_, after) = after.split_at(end.unwrap_or_else(|| panic!("{text}")));
        rest = &after[1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Hands the page to `promtool check metrics`, which fails for what it would not read and for names and help that
/// break the conventions.
#[expect(
    clippy::disallowed_methods,
    reason = "tests start the programs that judge our output"
)]
pub fn judge(text: &str) {
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("promtool does not run ({e}): install it (Debian: prometheus)"));
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}\n{text}"
    );
}
