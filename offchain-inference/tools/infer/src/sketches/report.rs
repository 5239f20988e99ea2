// SPDX-License-Identifier: Apache-2.0
//! Distances of pairs, the thresholds that follow, and how both are shown.

use super::{
    answers::{Answer, Cost},
    prints::Prints,
    toploc::Match,
};
use crate::common::Failure;
use serde::Serialize;
use starling_sketch::{
    distance::{of_distance, root, squared, Thresholds, Verdict},
    Layout, Sketch,
};
use std::path::Path;

/// The largest distance of honest chunks becomes `accept` with this factor. A calibration has seen
/// few chunks, and honest distances have a tail.
const ACCEPT: f64 = 10.0 / 9.0;

/// `reject` as a multiple of `accept`.
const REJECT: f64 = 4.0 / 3.0;

/// Kernels that gave the same fingerprints.
pub(super) struct Honest {
    pub kernels: Vec<String>,
    pub prints: Prints,
}

impl Honest {
    /// The first of the kernels stands for all.
    fn label(&self) -> &str {
        self.kernels.first().map_or("", String::as_str)
    }
}

/// Squared distances of chunks in units of 2⁻³², in order.
#[derive(Clone, Debug, Default)]
struct Distances(Vec<u64>);

impl Distances {
    fn of(mut squared: Vec<u64>) -> Self {
        squared.sort_unstable();
        Self(squared)
    }

    fn least(&self) -> u64 {
        self.0.first().copied().unwrap_or_default()
    }

    fn most(&self) -> u64 {
        self.0.last().copied().unwrap_or_default()
    }

    fn spread(&self) -> Spread {
        let middle = self.0.get(self.0.len() / 2).copied().unwrap_or_default();
        Spread {
            least: root(self.least()),
            median: root(middle),
            most: root(self.most()),
        }
    }
}

#[derive(Clone, Copy, Serialize)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn cells(self) -> String {
        format!("{:.3} | {:.3} | {:.3}", self.least, self.median, self.most)
    }
}

/// The distances of one prover's chunks from a verifier's.
#[derive(Serialize)]
struct Pair {
    prover: String,
    verifier: String,
    honest: bool,
    chunks: usize,
    answers: Spread,
    distributions: Spread,
    /// Chunks that TOPLOC accepts.
    toploc_accepts: usize,
    /// Fewest of the 128 values of a chunk whose exponents are the same.
    toploc_least_exponents: usize,
}

/// All pairs, and their distances together.
#[derive(Default)]
pub(super) struct Comparison {
    pairs: Vec<Pair>,
    answers: Sides,
    distributions: Sides,
}

/// Squared distances of honest chunks and of cheats.
#[derive(Default)]
struct Sides {
    honest: Vec<u64>,
    cheats: Vec<u64>,
}

impl Sides {
    fn side(&mut self, honest: bool) -> &mut Vec<u64> {
        if honest {
            &mut self.honest
        } else {
            &mut self.cheats
        }
    }
}

impl Comparison {
    /// Compares all honest kernels with each other, and each cheat with all honest kernels.
    pub fn of(honest: &[Honest], cheats: &[(String, Prints)]) -> Result<Self, Failure> {
        if honest.len() < 2 {
            return Err(
                "all kernels gave the same sketches, so that no threshold follows; name another \
                 device, such as --devices cpu,candle"
                    .into(),
            );
        }
        let mut all = Self::default();
        let mut rest = honest;
        while let Some((prover, verifiers)) = rest.split_first() {
            for verifier in verifiers {
                all.compare(prover.label(), &prover.prints, verifier, true);
            }
            rest = verifiers;
        }
        for (label, prints) in cheats {
            for verifier in honest {
                all.compare(label, prints, verifier, false);
            }
        }
        Ok(all)
    }

    fn compare(&mut self, label: &str, prover: &Prints, verifier: &Honest, honest: bool) {
        let own = &verifier.prints;
        let distances = |layout, a: &[Sketch], b: &[Sketch]| -> Vec<u64> {
            let chunks = a.iter().zip(b);
            chunks.map(|(a, b)| squared(layout, a, b)).collect()
        };
        let answers = distances(Layout::ANSWER, &prover.answers, &own.answers);
        let distributions = distances(
            Layout::DISTRIBUTION,
            &prover.distributions,
            &own.distributions,
        );
        let toploc = prover.toploc.iter().zip(&own.toploc);
        let toploc: Vec<_> = toploc.map(|(a, b)| Match::of(a, b)).collect();
        self.answers.side(honest).extend(&answers);
        self.distributions.side(honest).extend(&distributions);
        self.pairs.push(Pair {
            prover: label.to_owned(),
            verifier: verifier.label().to_owned(),
            honest,
            chunks: answers.len(),
            answers: Distances::of(answers).spread(),
            distributions: Distances::of(distributions).spread(),
            toploc_accepts: toploc.iter().filter(|found| found.is_accepted()).count(),
            toploc_least_exponents: toploc
                .iter()
                .map(|found| found.exponents)
                .min()
                .unwrap_or_default(),
        });
    }
}

/// The thresholds of one kind of sketch, and how they part honest chunks from cheats.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Limits {
    /// Up to this distance sketches are of the same computation.
    accept: f64,
    /// Beyond this distance they are not.
    reject: f64,
    /// `accept`, squared, in units of 2⁻³².
    accept_squared: u64,
    /// `reject`, squared, in units of 2⁻³².
    reject_squared: u64,
    honest_chunks: usize,
    honest_most: f64,
    cheat_chunks: usize,
    cheat_least: f64,
    /// Chunks of cheats within `accept`.
    cheats_accepted: usize,
    /// Chunks of cheats between both.
    cheats_unclear: usize,
}

impl Limits {
    fn of(sides: Sides) -> Self {
        let honest = Distances::of(sides.honest);
        let cheats = Distances::of(sides.cheats);
        let accept = up(root(honest.most()) * ACCEPT);
        let reject = up(accept * REJECT);
        let thresholds = Thresholds {
            accept: of_distance(accept),
            reject: of_distance(reject),
        };
        let count = |verdict| {
            let judged = cheats.0.iter().map(|&squared| thresholds.judge(squared));
            judged.filter(|found| *found == verdict).count()
        };
        Self {
            accept,
            reject,
            accept_squared: thresholds.accept,
            reject_squared: thresholds.reject,
            honest_chunks: honest.0.len(),
            honest_most: root(honest.most()),
            cheat_chunks: cheats.0.len(),
            cheat_least: root(cheats.least()),
            cheats_accepted: count(Verdict::Accept),
            cheats_unclear: count(Verdict::Unclear),
        }
    }

    fn row(&self, what: &str) -> String {
        format!(
            "| {what} | {:.3} of {} | {:.3} of {} | ≤ {:.3} | > {:.3} | {} | {} |\n",
            self.honest_most,
            self.honest_chunks,
            self.cheat_least,
            self.cheat_chunks,
            self.accept,
            self.reject,
            self.cheats_accepted,
            self.cheats_unclear,
        )
    }
}

/// Up to three decimals. What is less than 10⁻⁶ above them is an error of rounding.
fn up(distance: f64) -> f64 {
    (distance * 1e3 - 1e-3).ceil() / 1e3
}

/// The thresholds of a model's sketches.
#[derive(Serialize)]
struct Profile {
    model: String,
    sha256: String,
    answers: Limits,
    distributions: Limits,
}

/// All that a calibration found.
#[derive(Serialize)]
pub(super) struct Report {
    prompts: usize,
    /// Prompts with answers of at least 32 tokens; the others are left out.
    answered: usize,
    /// Kernels, those together that gave the same fingerprints.
    kernels: Vec<Vec<String>>,
    pairs: Vec<Pair>,
    cost: CostReport,
    profile: Profile,
}

/// The time that sketches take, in the same run on the same machine.
#[derive(Serialize)]
struct CostReport {
    tokens: usize,
    decode_seconds: f64,
    sketch_seconds: f64,
    share: f64,
}

impl Report {
    pub fn new(
        model: String,
        sha256: String,
        prompts: &[String],
        answers: &[Answer],
        honest: &[Honest],
        comparison: Comparison,
        cost: &Cost,
    ) -> Self {
        Self {
            prompts: prompts.len(),
            answered: answers.len(),
            kernels: honest.iter().map(|same| same.kernels.clone()).collect(),
            pairs: comparison.pairs,
            cost: CostReport {
                tokens: cost.tokens,
                decode_seconds: cost.decode,
                sketch_seconds: cost.sketches,
                share: cost.share(),
            },
            profile: Profile {
                model,
                sha256,
                answers: Limits::of(comparison.answers),
                distributions: Limits::of(comparison.distributions),
            },
        }
    }

    /// Tables for people.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{}: distances of {} answers to {} prompts\n\n\
             | prover | verifier | chunks | answers: least | median | most \
             | distributions: least | median | most | TOPLOC accepts |\n|{}\n",
            self.profile.model,
            self.answered,
            self.prompts,
            "---|".repeat(10)
        );
        for pair in &self.pairs {
            let kind = if pair.honest { "honest" } else { "cheat" };
            text += &format!(
                "| {kind}: {} | {} | {} | {} | {} | {} |\n",
                pair.prover,
                pair.verifier,
                pair.chunks,
                pair.answers.cells(),
                pair.distributions.cells(),
                pair.toploc_accepts,
            );
        }
        text +=
            "\n| sketches of | honest: most | cheats: least | accept | reject | cheats accepted \
                 | cheats unclear |\n|---|---|---|---|---|---|---|\n";
        text += &self.profile.answers.row("answers");
        text += &self.profile.distributions.row("distributions");
        for same in &self.kernels {
            if let [first, others @ ..] = &same[..] {
                if !others.is_empty() {
                    text += &format!("\nThe same sketches as {first}: {}.\n", others.join(", "));
                }
            }
        }
        let cost = &self.cost;
        text += &format!(
            "\nSketches of answers, with signs and final norm: {:.2} % of the time to decode {} \
             tokens.",
            100.0 * cost.share,
            cost.tokens
        );
        text
    }

    /// The profile as a file of this name has it.
    pub fn profile(&self, path: &Path) -> Result<String, Failure> {
        let json = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        Ok(if json {
            serde_json::to_string_pretty(&self.profile)? + "\n"
        } else {
            toml::to_string(&self.profile)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(distances: &[f64]) -> Vec<u64> {
        distances
            .iter()
            .map(|&distance| of_distance(distance))
            .collect()
    }

    #[test]
    fn thresholds_follow_from_the_largest_honest_distance() {
        let limits = Limits::of(Sides {
            honest: squares(&[0.01, 0.054, 0.02]),
            cheats: squares(&[0.25, 0.06, 0.061, 0.08, 0.081]),
        });
        assert_eq!((limits.accept, limits.reject), (0.06, 0.08));
        assert_eq!(limits.accept_squared, of_distance(0.06));
        assert_eq!(limits.reject_squared, of_distance(0.08));
        assert_eq!((limits.honest_chunks, limits.cheat_chunks), (3, 5));
        assert_eq!((limits.cheats_accepted, limits.cheats_unclear), (1, 2));
        assert!((limits.cheat_least - 0.06).abs() < 1e-4);
    }

    #[test]
    fn distances_are_rounded_up_to_thousandths() {
        assert_eq!(up(0.054 * ACCEPT), 0.06);
        assert_eq!(up(0.0601), 0.061);
        assert_eq!(up(0.06), 0.06);
    }

    #[test]
    fn spreads_are_of_distances() {
        let spread = Distances::of(squares(&[0.3, 0.1, 0.2])).spread();
        for (got, expected) in [spread.least, spread.median, spread.most]
            .into_iter()
            .zip([0.1, 0.2, 0.3])
        {
            assert!((got - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn one_kernel_alone_gives_no_threshold() {
        let honest = Honest {
            kernels: vec!["cpu".into()],
            prints: Prints::default(),
        };
        let refused = Comparison::of(&[honest], &[]).err().unwrap();
        assert!(refused.to_string().contains("--devices"), "{refused}");
    }
}
