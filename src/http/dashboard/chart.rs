//! Stacked bars as SVG, drawn on the server: whole numbers in attributes, colours by class, a title for each bar.

/// One bar.
pub(super) struct Bar {
    /// Class and size of each part, from below.
    pub(super) parts: Vec<(&'static str, u64)>,
    /// What it says when somebody points at it.
    pub(super) title: String,
    /// Where it leads.
    pub(super) link: Option<String>,
}

/// A chart of bars.
pub(super) struct Chart {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) most: u64,
    pub(super) bars: Vec<Drawn>,
}

/// A bar with its place.
pub(super) struct Drawn {
    pub(super) x: usize,
    pub(super) title: String,
    pub(super) link: Option<String>,
    pub(super) parts: Vec<Part>,
}

/// A part of a bar with its place.
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) y: u64,
    pub(super) height: u64,
}

/// Units that a bar takes, the gap beside it included.
const STEP: usize = 20;
/// Units that a bar is wide.
pub(super) const BAR: usize = 16;
/// Units that the tallest bar is high.
const HEIGHT: u64 = 96;

impl Chart {
    /// The tallest bar takes the whole height; what is not nothing is seen.
    pub(super) fn of(bars: Vec<Bar>) -> Self {
        let total = |bar: &Bar| bar.parts.iter().map(|(_, size)| size).sum::<u64>();
        let most = bars.iter().map(total).max().unwrap_or_default();
        let drawn = bars.into_iter().enumerate().map(|(at, bar)| Drawn {
            x: at * STEP + (STEP - BAR) / 2,
            parts: stacked(&bar.parts, most),
            title: bar.title,
            link: bar.link,
        });
        let drawn: Vec<Drawn> = drawn.collect();
        Self {
            width: drawn.len().max(1) * STEP,
            height: HEIGHT as usize,
            most,
            bars: drawn,
        }
    }

    /// Whether there is nothing to see.
    pub(super) fn is_empty(&self) -> bool {
        self.most == 0
    }
}

fn stacked(parts: &[(&'static str, u64)], most: u64) -> Vec<Part> {
    let mut below = 0;
    let mut drawn = Vec::new();
    for (class, size) in parts.iter().filter(|(_, size)| *size > 0) {
        let share = u128::from(*size) * u128::from(HEIGHT) / u128::from(most.max(1));
        let height = u64::try_from(share).unwrap_or(HEIGHT).max(2).min(HEIGHT - below);
        below += height;
        drawn.push(Part {
            class,
            y: HEIGHT - below,
            height,
        });
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_the_ground_inside_the_chart_and_show_what_is_little() {
        let bar = |a, b| Bar {
            parts: vec![("host", a), ("client", b)],
            title: String::new(),
            link: None,
        };
        let chart = Chart::of(vec![
            bar(0, 0),
            bar(1_000_000, 1),
            bar(u64::MAX / 4, u64::MAX / 4),
        ]);
        assert!(chart.bars[0].parts.is_empty());
        for bar in &chart.bars {
            for part in &bar.parts {
                assert!(part.height >= 2 && part.y + part.height <= HEIGHT);
            }
        }
        let tallest: u64 = chart.bars[2].parts.iter().map(|part| part.height).sum();
        assert_eq!(tallest, HEIGHT);
        assert!(Chart::of(Vec::new()).is_empty());
    }
}
