//! How long things take, in buckets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Page, Source};

/// Upper bounds of the buckets, seconds, for what should take milliseconds and may take seconds.
pub const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Histograms of one family, told apart by labels whose values are given when it is made.
#[derive(Debug)]
pub struct Histograms {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    rows: Vec<(Vec<&'static str>, Row)>,
}

/// How many fell into each bucket, none counted twice; the last is for what is longer than every bound.
#[derive(Debug, Default)]
struct Row {
    buckets: [AtomicU64; SECONDS.len() + 1],
    micros: AtomicU64,
}

impl Histograms {
    /// One histogram per row of `values`; each row has a value for each label. All are shown from the start. `name` ends
    /// in `_seconds`.
    pub fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        values: impl IntoIterator<Item = Vec<&'static str>>,
    ) -> Arc<Self> {
        debug_assert!(name.ends_with("_seconds"), "{name}");
        let rows = values.into_iter().map(|row| (row, Row::default()));
        Arc::new(Self {
            name,
            help,
            labels,
            rows: rows.collect(),
        })
    }

    /// Takes note of how long something took. Label values that were not given when this was made count nowhere.
    pub fn observe(&self, values: &[&str], took: Duration) {
        let row = self.rows.iter().find(|(row, _)| row == values);
        debug_assert!(row.is_some(), "{}: {values:?} is no row of it", self.name);
        if let Some((_, row)) = row {
            let seconds = took.as_secs_f64();
            let at = SECONDS.partition_point(|bound| *bound < seconds);
            row.buckets[at].fetch_add(1, Ordering::Relaxed);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            row.micros.fetch_add(micros, Ordering::Relaxed);
        }
    }
}

impl Source for Histograms {
    fn write(&self, page: &mut Page) {
        let mut family = page.histogram(self.name, self.help);
        for (values, row) in &self.rows {
            let labels: Vec<_> = self.labels.iter().copied().zip(values.iter().copied()).collect();
            let mut count = 0;
            for (at, bucket) in row.buckets.iter().enumerate() {
                count += bucket.load(Ordering::Relaxed);
                let bound = SECONDS.get(at).map_or("+Inf".to_owned(), f64::to_string);
                let with_bound = [labels.as_slice(), &[("le", bound.as_str())]].concat();
                family.part("_bucket", &with_bound, count as f64);
            }
            let seconds = row.micros.load(Ordering::Relaxed) as f64 / 1e6;
            family.part("_sum", &labels, seconds);
            // INVARIANT: the last bucket and the count are the same number, whatever was counted meanwhile.
            family.part("_count", &labels, count as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_as_long_as_a_bound_is_in_its_bucket_and_in_all_above() {
        let histograms = Histograms::new("a_seconds", "How long.", &["kind"], [vec!["x"], vec!["y"]]);
        for millis in [0, 1, 2, 5000, 5001] {
            histograms.observe(&["x"], Duration::from_millis(millis));
        }
        let mut page = Page::default();
        histograms.write(&mut page);
        let text = page.finish();
        assert!(
            text.starts_with("# HELP a_seconds How long.\n# TYPE a_seconds histogram\n"),
            "{text}"
        );
        for line in [
            "a_seconds_bucket{kind=\"x\",le=\"0.001\"} 2",
            "a_seconds_bucket{kind=\"x\",le=\"0.0025\"} 3",
            "a_seconds_bucket{kind=\"x\",le=\"2.5\"} 3",
            "a_seconds_bucket{kind=\"x\",le=\"5\"} 4",
            "a_seconds_bucket{kind=\"x\",le=\"+Inf\"} 5",
            "a_seconds_sum{kind=\"x\"} 10.004",
            "a_seconds_count{kind=\"x\"} 5",
            "a_seconds_count{kind=\"y\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
