//! Alert rules, scrape configuration and dashboard in `deploy/`: Prometheus reads them, every alert fires when it should, and
//! they ask for nothing that does not exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::metrics_documented::documented;
use crate::support::programs::Bench;

const RULES: &str = include_str!("../../deploy/alerts/dockwarden.yml");
const RULE_TESTS: &str = include_str!("alert_rules.test.yml");
const SCRAPING: &str = include_str!("../../deploy/prometheus/prometheus.yml");
const DASHBOARD: &str = include_str!("../../deploy/grafana/dockwarden.json");
const DOCUMENT: &str = include_str!("../../docs/metrics.md");

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Names of alerts, in the order of the rules.
fn alerts() -> Vec<&'static str> {
    let names = RULES
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.collect()
}

#[test]
fn every_alert_fires_when_it_should_and_is_silent_before() {
    let bench = Bench::new();
    let said = bench.run(&format!(
        "promtool check rules {}",
        in_repository("deploy/alerts/dockwarden.yml").display()
    ));
    assert!(
        said.text.contains(&format!("{} rules found", alerts().len())),
        "{}",
        said.text
    );
    bench.run(&format!(
        "promtool test rules {}",
        in_repository("tests/it/alert_rules.test.yml").display()
    ));
    for alert in alerts() {
        let fires = format!("alertname=\"{alert}\"}}', value: 1");
        assert!(RULE_TESTS.contains(&fires), "no test makes {alert} fire");
    }
}

#[test]
fn every_alert_is_in_the_document_with_its_severity() {
    for (alert, rule) in alerts().iter().zip(RULES.split("- alert: ").skip(1)) {
        let (_, severity) = rule.split_once("severity: ").unwrap();
        let severity = severity.split_whitespace().next().unwrap();
        let mut rows = DOCUMENT.lines().filter(|line| line.starts_with("| `Dockwarden"));
        let row = rows.find(|row| row.contains(&format!("`{alert}`")));
        let row = row.unwrap_or_else(|| panic!("{alert} is not in docs/metrics.md"));
        assert!(
            row.contains(&format!(" | {severity} | ")),
            "{alert} is {severity}: {row}"
        );
        assert!(
            rule.contains("summary: ") && rule.contains("description: "),
            "{alert}"
        );
    }
    let documented = DOCUMENT.matches("`Dockwarden").count();
    assert_eq!(
        documented,
        alerts().len(),
        "each stands there once, and no others do"
    );
}

#[test]
fn the_scrape_configuration_is_one() {
    let bench = Bench::new();
    let rules = in_repository("deploy/alerts/dockwarden.yml");
    let agents = bench.put(
        "agents.json",
        r#"[{"targets": ["web:9376"], "labels": {"host": "web"}}]"#,
    );
    let text = SCRAPING
        .replace("/etc/prometheus/dockwarden.yml", &rules.display().to_string())
        .replace(
            "/etc/prometheus/dockwarden-agents.json",
            &agents.display().to_string(),
        );
    bench.put("prometheus.yml", &text);
    bench.run("promtool check config prometheus.yml");
    for job in ["dockwarden-server", "dockwarden-agent"] {
        assert!(SCRAPING.contains(&format!("job_name: {job}\n")), "{job}");
        assert!(RULES.contains(&format!("up{{job=\"{job}\"}}")), "{job}");
    }
}

/// Every name of a metric in a text.
fn used(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.split(|c| !is_part(c));
    names.filter(|word| word.starts_with("dockwarden_")).collect()
}

#[test]
fn rules_and_dashboard_use_metrics_that_exist() {
    let documented = documented();
    for (what, text) in [
        ("rules", RULES),
        ("tests of rules", RULE_TESTS),
        ("dashboard", DASHBOARD),
    ] {
        let used = used(text);
        assert!(used.len() > 20, "{what}: {used:?}");
        for name in used {
            let whole = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(documented.contains_key(whole), "{what}: there is no {name}");
        }
    }
}

fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets
            .into_iter()
            .map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    };
    panels.flat_map(of_panel).collect()
}

#[test]
fn what_the_dashboard_asks_is_understood_by_prometheus() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 30, "{}", expressions.len());
    // JSON is YAML, and a recording rule is an expression with a name.
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(at, (_, expression))| {
            json!({"record": format!("panel:{at}"), "expr": expression.replace("$__rate_interval", "5m")})
        })
        .collect();
    let bench = Bench::new();
    let rules = json!({"groups": [{"name": "panels", "rules": rules}]});
    bench.put("panels.yml", rules.to_string());
    bench.run("promtool check rules panels.yml");
    for (title, expression) in &expressions {
        let left = expression.replace("$__rate_interval", "");
        assert!(!left.contains('$'), "{title} needs a variable: {expression}");
    }
    let ids: BTreeSet<u64> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(
        ids.len(),
        dashboard["panels"].as_array().unwrap().len(),
        "an id each"
    );
}
