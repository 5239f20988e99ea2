// SPDX-License-Identifier: Apache-2.0
//! Distances of pairs, the thresholds that follow, and how both are shown.

use super::{
    answers::Cost,
    draws::{Audit, Author},
    prints::Prints,
    toploc::Match,
};
use crate::common::Failure;
use serde::Serialize;
use starling_sketch::{
    check::{self, computation, mean_gap, MeanGaps, Replay},
    distance::{of_distance, root, squared, Thresholds, Verdict},
    Layout, Sketch,
};
use std::path::Path;

/// The largest distance of honest chunks becomes `accept` with this factor. A calibration has seen
/// few chunks, and honest distances have a tail.
const ACCEPT: f64 = 10.0 / 9.0;

/// `reject` as a multiple of `accept`.
const REJECT: f64 = 4.0 / 3.0;

/// The largest mean gap of honest answers becomes `accept` with this factor. A mean gap is of few
/// tokens that miss, and has a longer tail than a distance.
const ACCEPT_GAP: f64 = 9.0 / 5.0;

/// `reject` as a multiple of `accept`, for mean gaps.
const REJECT_GAP: f64 = 7.0 / 4.0;

/// Units of a gap.
const GAP: f64 = 4096.0;

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

/// The limits of mean gaps, and how they part honest answers from cheats.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct GapLimits {
    /// Up to this mean gap the model drew the tokens.
    accept: f64,
    /// Beyond this mean gap it did not.
    reject: f64,
    /// `accept` in units of 2⁻¹².
    accept_units: u16,
    /// `reject` in units of 2⁻¹².
    reject_units: u16,
    honest_answers: usize,
    honest_most: f64,
    cheat_answers: usize,
    cheat_least: f64,
    /// Answers of cheats within `accept`.
    cheats_accepted: usize,
    /// Answers of cheats between both.
    cheats_unclear: usize,
}

impl GapLimits {
    /// The limits that follow from mean gaps in units of 2⁻¹².
    fn of(honest: &[u16], cheats: &[u16]) -> Self {
        let honest_most = honest.iter().max().copied().unwrap_or_default();
        let accept = up(f64::from(honest_most) / GAP * ACCEPT_GAP);
        let reject = up(accept * REJECT_GAP);
        let units = |gap: f64| (gap * GAP).round() as u16;
        let limits = MeanGaps {
            accept: units(accept),
            reject: units(reject),
        };
        let count = |verdict| {
            let judged = cheats.iter().map(|&mean| limits.judge(mean));
            judged.filter(|found| *found == verdict).count()
        };
        Self {
            accept,
            reject,
            accept_units: limits.accept,
            reject_units: limits.reject,
            honest_answers: honest.len(),
            honest_most: f64::from(honest_most) / GAP,
            cheat_answers: cheats.len(),
            cheat_least: cheats
                .iter()
                .min()
                .map_or(0.0, |&mean| f64::from(mean) / GAP),
            cheats_accepted: count(Verdict::Accept),
            cheats_unclear: count(Verdict::Unclear),
        }
    }

    fn row(&self) -> String {
        format!(
            "| mean gap of tokens | {:.3} of {} | {:.3} of {} | ≤ {:.3} | > {:.3} | {} | {} |\n",
            self.honest_most,
            self.honest_answers,
            self.cheat_least,
            self.cheat_answers,
            self.accept,
            self.reject,
            self.cheats_accepted,
            self.cheats_unclear,
        )
    }
}

/// An author's answers before a verifier, by both checks of their computation.
#[derive(Serialize)]
struct Draws {
    author: String,
    verifier: String,
    honest: bool,
    answers: usize,
    gaps: Spread,
    accepted: usize,
    unclear: usize,
    rejected: usize,
}

impl Draws {
    fn of(author: &Author, audit: &Audit, profile: &check::Profile) -> Self {
        let mut means = means(audit);
        means.sort_unstable();
        let mean = |mean: Option<&u16>| mean.map_or(0.0, |&mean| f64::from(mean) / GAP);
        let judged = author.answers.iter().zip(&audit.replays);
        let verdicts: Vec<_> = judged
            .map(|(answer, replayed)| {
                let replay = Replay {
                    gaps: &replayed.gaps,
                    sketches: &replayed.sketches,
                };
                computation(&answer.trace, &answer.sketches, replay, profile)
            })
            .collect();
        let count = |verdict| {
            verdicts
                .iter()
                .filter(|found| **found == Ok(verdict))
                .count()
        };
        Self {
            author: author.label.clone(),
            verifier: audit.verifier.clone(),
            honest: author.honest,
            answers: verdicts.len(),
            gaps: Spread {
                least: mean(means.first()),
                median: mean(means.get(means.len() / 2)),
                most: mean(means.last()),
            },
            accepted: count(Verdict::Accept),
            unclear: count(Verdict::Unclear),
            rejected: verdicts.iter().filter(|found| found.is_err()).count(),
        }
    }

    fn row(&self) -> String {
        let kind = if self.honest { "honest" } else { "cheat" };
        format!(
            "| {kind}: {} | {} | {} | {} | {} | {} | {} |\n",
            self.author,
            self.verifier,
            self.answers,
            self.gaps.cells(),
            self.accepted,
            self.unclear,
            self.rejected,
        )
    }
}

/// The mean gap of each answer.
fn means(audit: &Audit) -> Vec<u16> {
    let replays = audit.replays.iter();
    replays
        .filter_map(|replay| mean_gap(&replay.gaps))
        .collect()
}

/// The squared distances of all chunks of an audit.
fn distances(author: &Author, audit: &Audit) -> Vec<u64> {
    let answers = author.answers.iter().zip(&audit.replays);
    answers
        .flat_map(|(answer, replay)| answer.sketches.iter().zip(&replay.sketches))
        .map(|(shown, own)| squared(Layout::ANSWER, shown, own))
        .collect()
}

/// The audits of honest authors, or of cheats, with these.
fn of_authors<'a>(
    authors: &'a [Author],
    audits: &'a [Audit],
    honest: bool,
) -> impl Iterator<Item = (&'a Author, &'a Audit)> {
    let both = audits
        .iter()
        .filter_map(move |audit| Some((authors.get(audit.author)?, audit)));
    both.filter(move |(author, _)| author.honest == honest)
}

/// The mean gaps of all audits of honest authors, or of cheats.
fn all_means(authors: &[Author], audits: &[Audit], honest: bool) -> Vec<u16> {
    let audits = of_authors(authors, audits, honest);
    audits.flat_map(|(_, audit)| means(audit)).collect()
}

/// Up to three decimals. What is less than 10⁻⁶ above them is an error of rounding.
fn up(distance: f64) -> f64 {
    // `abs`, since nothing rounds up to −0.
    (distance * 1e3 - 1e-3).ceil().abs() / 1e3
}

/// The thresholds of a model's sketches and tokens.
#[derive(Serialize)]
struct Profile {
    model: String,
    sha256: String,
    answers: Limits,
    tokens: GapLimits,
    distributions: Limits,
}

impl Profile {
    /// As the checks take it.
    fn limits(&self) -> check::Profile {
        let thresholds = |limits: &Limits| Thresholds {
            accept: limits.accept_squared,
            reject: limits.reject_squared,
        };
        check::Profile {
            answers: thresholds(&self.answers),
            tokens: MeanGaps {
                accept: self.tokens.accept_units,
                reject: self.tokens.reject_units,
            },
            distributions: thresholds(&self.distributions),
        }
    }
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
    draws: Vec<Draws>,
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
    /// `counts` are those of the prompts, and of the answers with sketches.
    pub fn new(
        model: String,
        sha256: String,
        counts: (usize, usize),
        honest: &[Honest],
        mut comparison: Comparison,
        (authors, audits): (&[Author], &[Audit]),
        cost: &Cost,
    ) -> Self {
        let means = |honest| all_means(authors, audits, honest);
        let honest_audits = of_authors(authors, audits, true);
        let distances = honest_audits.flat_map(|(author, audit)| distances(author, audit));
        comparison.answers.honest.extend(distances);
        let profile = Profile {
            model,
            sha256,
            answers: Limits::of(comparison.answers),
            tokens: GapLimits::of(&means(true), &means(false)),
            distributions: Limits::of(comparison.distributions),
        };
        let limits = profile.limits();
        let draws = audits.iter().filter_map(|audit| {
            let author = authors.get(audit.author)?;
            Some(Draws::of(author, audit, &limits))
        });
        Self {
            prompts: counts.0,
            answered: counts.1,
            kernels: honest.iter().map(|same| same.kernels.clone()).collect(),
            pairs: comparison.pairs,
            draws: draws.collect(),
            cost: CostReport {
                tokens: cost.tokens,
                decode_seconds: cost.decode,
                sketch_seconds: cost.sketches,
                share: cost.share(),
            },
            profile,
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
        text += &format!(
            "\n| author | verifier | answers | mean gap: least | median | most | accepted | unclear \
             | rejected |\n|{}\n",
            "---|".repeat(9)
        );
        text.extend(self.draws.iter().map(Draws::row));
        text += "\n| measure | honest: most | cheats: least | accept | reject | cheats accepted \
                 | cheats unclear |\n|---|---|---|---|---|---|---|\n";
        text += &self.profile.answers.row("sketches of answers");
        text += &self.profile.tokens.row();
        text += &self.profile.distributions.row("sketches of distributions");
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
    fn limits_of_gaps_follow_from_the_largest_honest_mean() {
        // 0.022 is 90 units.
        let limits = GapLimits::of(&[0, 90, 3], &[12, 163, 164, 287, 288, 4000]);
        assert_eq!((limits.accept, limits.reject), (0.04, 0.07));
        assert_eq!((limits.accept_units, limits.reject_units), (164, 287));
        assert_eq!((limits.honest_answers, limits.cheat_answers), (3, 6));
        assert_eq!((limits.cheats_accepted, limits.cheats_unclear), (3, 1));
        assert_eq!(limits.cheat_least, 12.0 / 4096.0);
        assert_eq!(GapLimits::of(&[], &[]).reject_units, 0);
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
