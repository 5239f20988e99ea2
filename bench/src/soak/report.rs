// SPDX-License-Identifier: Apache-2.0
//! The report of a soak: a row for each node, and whether its memory is flat.

use std::{
    fmt::{Display, Formatter},
    time::Duration,
};

use super::{drawing::mebibytes, trend::Slope, Sample};

/// The slope up to which memory is flat, in MiB per hour. The caches of a node move by some MiB. A
/// leak of this size takes a day to reach 384 MiB.
pub const FLAT: f64 = 16.0;
/// The shortest soak with a verdict. Before, caches fill.
pub const SHORTEST: Duration = Duration::from_secs(30 * 60);

/// The figures of one node.
struct Row {
    name: String,
    /// Memory in the middle, at the end, and the most, in MiB.
    memory: [f64; 3],
    /// The slope over the second half, in MiB per hour.
    slope: Option<Slope>,
    /// The fewest and the most descriptors in the second half.
    descriptors: (usize, usize),
    /// The database in the middle and at the end, in MiB.
    database: [f64; 2],
}

impl Row {
    /// The figures of the samples of one node, in their order.
    fn of(name: String, samples: &[&Sample]) -> Option<Self> {
        let last = samples.last()?;
        let late = |sample: &&&Sample| sample.seconds >= last.seconds / 2.0;
        let half: Vec<&Sample> = samples.iter().filter(late).copied().collect();
        let middle = half.first()?;
        let points: Vec<_> = half
            .iter()
            .map(|sample| (sample.seconds / 3_600.0, mebibytes(sample)))
            .collect();
        let descriptors = || half.iter().map(|sample| sample.descriptors);
        let database = |sample: &Sample| sample.database as f64 / f64::from(1 << 20);
        let most = samples.iter().map(|sample| mebibytes(sample));
        Some(Self {
            name,
            memory: [mebibytes(middle), mebibytes(last), most.fold(0.0, f64::max)],
            slope: Slope::of(&points),
            descriptors: (descriptors().min()?, descriptors().max()?),
            database: [database(middle), database(last)],
        })
    }

    fn is_flat(&self) -> bool {
        self.slope.is_some_and(|slope| slope.upper() <= FLAT)
    }
}

/// The figures of a soak.
pub struct Report {
    rows: Vec<Row>,
    last: Option<Sample>,
}

impl Report {
    /// The figures of all samples.
    pub fn new(samples: &[Sample]) -> Self {
        let row = |name: String| {
            let of = samples.iter().filter(|sample| sample.node == name);
            let of: Vec<_> = of.collect();
            Row::of(name, &of)
        };
        Self {
            rows: names(samples).into_iter().filter_map(row).collect(),
            last: samples.last().cloned(),
        }
    }

    /// Whether the memory of every node is flat: over the second half, the interval of 95 % of its
    /// slope ends at [`FLAT`] or below. `None` for a soak shorter than [`SHORTEST`].
    pub fn is_flat(&self) -> Option<bool> {
        let last = self.last.as_ref()?;
        let is_long = last.seconds >= SHORTEST.as_secs_f64();
        is_long.then(|| self.rows.iter().all(Row::is_flat))
    }
}

/// The names of the nodes, each once, in the order of their first samples.
pub(super) fn names(samples: &[Sample]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for sample in samples {
        if !names.contains(&sample.node) {
            names.push(sample.node.clone());
        }
    }
    names
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Some(last) = &self.last else {
            return writeln!(f, "no samples");
        };
        writeln!(
            f,
            "{:.1} minutes, {} final blocks; {} rounds with a winner, {} without one, {} questions \
             without a seen end",
            last.seconds / 60.0,
            last.block,
            last.counts.won,
            last.counts.failed,
            last.counts.lost,
        )?;
        writeln!(
            f,
            "{:<10}{:>10}{:>10}{:>10}{:>22}{:>14}{:>16}",
            "node",
            "MiB, half",
            "at end",
            "most",
            "slope, MiB per hour",
            "descriptors",
            "database, MiB",
        )?;
        for row in &self.rows {
            let [middle, end, most] = row.memory;
            let slope = row.slope.map_or("-".into(), |slope| {
                format!("{:+.1} ± {:.1}", slope.value, slope.half)
            });
            let descriptors = format!("{}..{}", row.descriptors.0, row.descriptors.1);
            let database = format!("{:.1}..{:.1}", row.database[0], row.database[1]);
            writeln!(
                f,
                "{:<10}{middle:>10.1}{end:>10.1}{most:>10.1}{slope:>22}{descriptors:>14}{database:>16}",
                row.name,
            )?;
        }
        match self.is_flat() {
            Some(true) => writeln!(
                f,
                "Memory is flat: over the second half, the slope of every node is at most {FLAT} MiB \
                 per hour, with 95 % confidence."
            ),
            Some(false) => {
                let steep = self.rows.iter().filter(|row| !row.is_flat());
                let steep: Vec<_> = steep.map(|row| row.name.as_str()).collect();
                writeln!(
                    f,
                    "Memory is not shown to be flat: over the second half, the slope of {} may be \
                     above {FLAT} MiB per hour.",
                    steep.join(", ")
                )
            },
            None => writeln!(
                f,
                "No verdict: that takes a soak of {} minutes.",
                SHORTEST.as_secs() / 60
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::Counts;

    /// A sample of two nodes each 10 seconds. Alice's memory rises by `slope` MiB per hour after
    /// half an hour, Bob's stays.
    fn samples(minutes: u32, slope: f64) -> Vec<Sample> {
        let sample = |seconds: u32, node: &str, mebibytes: f64| Sample {
            seconds: seconds.into(),
            node: node.into(),
            resident: (mebibytes * f64::from(1 << 20)) as u64,
            descriptors: 60,
            database: 1 << 20,
            block: seconds,
            counts: Counts::default(),
        };
        let times = (0..=minutes * 60).step_by(10);
        times
            .flat_map(|seconds| {
                let late = f64::from(seconds.saturating_sub(1_800)) / 3_600.0;
                // Caches fill in the first half, and there is noise all the time.
                let early = f64::from(seconds.min(1_800)) / 20.0;
                let noise = f64::from(seconds / 10 % 7);
                let alice = 150.0 + early + noise + slope * late;
                [
                    sample(seconds, "alice", alice),
                    sample(seconds, "bob", 150.0 + early + noise),
                ]
            })
            .collect()
    }

    #[test]
    fn memory_that_rises_only_in_the_first_half_is_flat() {
        for slope in [0.0, 8.0, -100.0] {
            let report = Report::new(&samples(60, slope));
            assert_eq!(report.is_flat(), Some(true), "{report}");
        }
    }

    #[test]
    fn a_leak_of_one_node_is_named() {
        let report = Report::new(&samples(60, 20.0));
        assert_eq!(report.is_flat(), Some(false), "{report}");
        let said = report.to_string();
        assert!(said.contains("the slope of alice may"), "{said}");
    }

    #[test]
    fn a_short_soak_has_no_verdict() {
        for minutes in [0, 29] {
            let report = Report::new(&samples(minutes, 0.0));
            assert_eq!(report.is_flat(), None, "{report}");
            assert!(report.to_string().contains("No verdict"));
        }
        assert_eq!(Report::new(&[]).is_flat(), None);
    }
}
