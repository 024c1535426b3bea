//! Metrics in Prometheus' text format, version 0.0.4: what every scraper reads, old ones included.
//!
//! A [`Registry`] holds [`Source`]s; each writes its families onto a [`Page`] when somebody asks. Label values come
//! from fixed lists or from a list that its source bounds: nothing that a stranger sends ever becomes a series.
//!
//! Written here rather than taken from a crate: the maintained ones speak OpenMetrics only, whose counters a reader
//! of this format takes for untyped ones.

mod histograms;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Timestamp;

pub use histograms::{Histograms, SECONDS};

/// What `Content-Type` says of a page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes one or more families.
pub trait Source: Send + Sync + 'static {
    /// Adds what it knows now. Quick, and never waits for anything.
    fn write(&self, page: &mut Page);
}

impl<F: Fn(&mut Page) + Send + Sync + 'static> Source for F {
    fn write(&self, page: &mut Page) {
        self(page);
    }
}

/// The sources of a process. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Vec<Arc<dyn Source>>>>);

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source. Its families must be its own.
    pub fn add(&self, source: Arc<dyn Source>) {
        self.0
            .lock()
            .expect("no panic while the lock is held")
            .push(source);
    }

    /// Everything, in the order the sources were added.
    pub fn page(&self) -> String {
        let sources = self.0.lock().expect("no panic while the lock is held").clone();
        let mut page = Page::default();
        sources.iter().for_each(|source| source.write(&mut page));
        page.finish()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    families: BTreeSet<&'static str>,
}

impl Page {
    /// Begins a family of gauges: values that go up and down. `name` ends in its unit, `help` is one line.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a family of counters: values that only go up while the process lives. `name` ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, "counter", help)
    }

    /// Begins a family of histograms. `name` ends in its unit.
    fn histogram(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // INVARIANT: a family stands on a page once; readers refuse the whole page otherwise.
        let is_new = self.families.insert(name);
        debug_assert!(is_new, "{name} is written by two sources");
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: self, name }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// A family that samples are added to.
pub struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample. The same labels, in the same order, for every sample of a family.
    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: f64) -> &mut Self {
        self.part("", labels, value)
    }

    /// A sample of one of the series that a histogram is made of.
    fn part(&mut self, suffix: &str, labels: &[(&'static str, &str)], value: f64) -> &mut Self {
        let text = &mut self.page.text;
        text.push_str(self.name);
        text.push_str(suffix);
        for (at, (label, value)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(text, "{open}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = match value {
            v if v.is_infinite() => writeln!(text, " {}Inf", if v > 0.0 { '+' } else { '-' }),
            v => writeln!(text, " {v}"),
        };
        self
    }

    /// A point in time: seconds since 1970.
    pub fn time(&mut self, labels: &[(&'static str, &str)], time: Timestamp) -> &mut Self {
        self.sample(labels, time.as_millis() as f64 / 1000.0)
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// Counters of one family, told apart by labels whose values are given when it is made.
#[derive(Debug)]
pub struct Counters {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    counters: Vec<(Vec<&'static str>, AtomicU64)>,
}

impl Counters {
    /// One counter per row of `values`; each row has a value for each label. All begin at zero, and are shown from
    /// the start: a rate over a series that appears with its first event would miss that event.
    pub fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        values: impl IntoIterator<Item = Vec<&'static str>>,
    ) -> Arc<Self> {
        let counters = values.into_iter().map(|row| (row, AtomicU64::new(0)));
        Arc::new(Self {
            name,
            help,
            labels,
            counters: counters.collect(),
        })
    }

    /// A family of one counter, without labels.
    pub fn single(name: &'static str, help: &'static str) -> Arc<Self> {
        Self::new(name, help, &[], [Vec::new()])
    }

    /// Counts one event. Label values that were not given when this was made count nowhere.
    pub fn count(&self, values: &[&str]) {
        self.add(values, 1);
    }

    /// Counts as many events.
    pub fn add(&self, values: &[&str], events: u64) {
        let counter = self.counters.iter().find(|(row, _)| row == values);
        debug_assert!(counter.is_some(), "{}: {values:?} is no row of it", self.name);
        if let Some((_, counter)) = counter {
            counter.fetch_add(events, Ordering::Relaxed);
        }
    }
}

impl Source for Counters {
    fn write(&self, page: &mut Page) {
        let mut family = page.counter(self.name, self.help);
        for (values, counter) in &self.counters {
            let labels: Vec<_> = self.labels.iter().copied().zip(values.iter().copied()).collect();
            family.sample(&labels, counter.load(Ordering::Relaxed) as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_the_format_says() {
        let registry = Registry::new();
        let counters = Counters::new("a_total", "Counts.", &["kind"], [vec!["host"], vec!["client"]]);
        registry.add(counters.clone());
        registry.add(Arc::new(|page: &mut Page| {
            page.gauge("b_seconds", "A \\ and\na break.")
                .sample(&[("host", "a\"b\\c\nd"), ("x", "")], 1.5)
                .time(
                    &[("host", "e"), ("x", "f")],
                    Timestamp::from_millis(1_800_000_000_250),
                )
                .sample(&[("host", "g"), ("x", "h")], f64::NEG_INFINITY);
        }));
        counters.count(&["host"]);
        counters.count(&["host"]);
        let expected = "\
# HELP a_total Counts.
# TYPE a_total counter
a_total{kind=\"host\"} 2
a_total{kind=\"client\"} 0
# HELP b_seconds A \\\\ and\\na break.
# TYPE b_seconds gauge
b_seconds{host=\"a\\\"b\\\\c\\nd\",x=\"\"} 1.5
b_seconds{host=\"e\",x=\"f\"} 1800000000.25
b_seconds{host=\"g\",x=\"h\"} -Inf
";
        assert_eq!(registry.page(), expected);
    }

    #[test]
    #[should_panic(expected = "two sources")]
    fn a_family_of_two_sources_is_noticed() {
        let registry = Registry::new();
        registry.add(Counters::single("a_total", "One."));
        registry.add(Counters::single("a_total", "Two."));
        registry.page();
    }
}
