// SPDX-License-Identifier: Apache-2.0
//! The progress of a round.

use starling_primitives::round::{Phase, Round};

use crate::text::count;

/// The progress of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: &'static str,
    /// The share of the round that is over, in thousandths.
    pub thousandths: u64,
    /// The messages that have arrived in the phase, in words.
    pub arrived: String,
}

/// The name of a phase.
pub fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Committing => "Committing",
        Phase::Revealing => "Revealing",
        Phase::Ranking => "Ranking",
        Phase::Disclosing => "Disclosing",
        Phase::Done => "Done",
        Phase::Failed(_) => "Failed",
    }
}

/// The progress of `round`. Each phase counts a quarter, in proportion to its messages.
pub fn progress<AccountId>(round: &Round<AccountId>) -> Progress {
    let counts = &round.counts;
    let spoiled = |number: u32| match number {
        0 => String::new(),
        number => format!(", {number} spoiled"),
    };
    let (quarter, done, expected, arrived) = match round.phase {
        Phase::Committing => (
            0,
            counts.heard,
            round.terms.active,
            format!(
                "{} committed, {} of {} heard",
                count(counts.commits, "answer", "answers"),
                counts.heard,
                count(round.terms.active, "agent", "agents"),
            ),
        ),
        Phase::Revealing => {
            let keys = counts.valid.saturating_add(counts.spoiled_responses);
            (
                1,
                keys,
                counts.commits,
                format!(
                    "{} of {} revealed{}",
                    keys,
                    count(counts.commits, "answer", "answers"),
                    spoiled(counts.spoiled_responses),
                ),
            )
        },
        Phase::Ranking => (
            2,
            counts.score_commits,
            counts.valid,
            format!(
                "{} of {} ranked {} each",
                counts.score_commits,
                count(counts.valid, "agent", "agents"),
                count(round.rankings, "answer", "answers"),
            ),
        ),
        Phase::Disclosing => {
            let disclosed = counts.disclosures.saturating_add(counts.spoiled_scores);
            (
                3,
                disclosed,
                counts.score_commits,
                format!(
                    "{} of {} disclosed{}",
                    disclosed,
                    count(counts.score_commits, "ranking", "rankings"),
                    spoiled(counts.spoiled_scores),
                ),
            )
        },
        Phase::Done => (4, 0, 1, "the best answer was chosen".into()),
        Phase::Failed(_) => (4, 0, 1, "there is no answer".into()),
    };
    let within = u64::from(done.min(expected))
        .saturating_mul(250)
        .checked_div(expected.into())
        .unwrap_or_default();
    Progress {
        phase: name(round.phase),
        thousandths: 250u64.saturating_mul(quarter).saturating_add(within),
        arrived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::round;
    use starling_primitives::round::{Counts, Failure};

    fn at(phase: Phase, counts: Counts) -> Progress {
        let mut round = round();
        round.phase = phase;
        round.counts = counts;
        round.rankings = 3;
        progress(&round)
    }

    #[test]
    fn each_message_moves_the_bar_forward_and_never_back() {
        let steps = [
            (Phase::Committing, Counts::default()),
            (
                Phase::Committing,
                Counts {
                    heard: 3,
                    commits: 2,
                    ..Default::default()
                },
            ),
            (
                Phase::Revealing,
                Counts {
                    commits: 4,
                    ..Default::default()
                },
            ),
            (
                Phase::Revealing,
                Counts {
                    commits: 4,
                    valid: 1,
                    spoiled_responses: 1,
                    ..Default::default()
                },
            ),
            (
                Phase::Ranking,
                Counts {
                    valid: 3,
                    score_commits: 2,
                    ..Default::default()
                },
            ),
            (
                Phase::Disclosing,
                Counts {
                    score_commits: 2,
                    disclosures: 2,
                    ..Default::default()
                },
            ),
            (Phase::Done, Counts::default()),
        ];
        let bar = steps.map(|(phase, counts)| at(phase, counts).thousandths);
        assert_eq!(bar, [0, 187, 250, 375, 666, 1000, 1000]);
    }

    #[test]
    fn the_words_say_what_is_missing() {
        let counts = Counts {
            heard: 2,
            commits: 1,
            ..Default::default()
        };
        assert_eq!(
            at(Phase::Committing, counts).arrived,
            "1 answer committed, 2 of 4 agents heard"
        );
        let counts = Counts {
            commits: 4,
            valid: 2,
            spoiled_responses: 1,
            ..Default::default()
        };
        assert_eq!(
            at(Phase::Revealing, counts).arrived,
            "3 of 4 answers revealed, 1 spoiled"
        );
        let nothing = at(Phase::Failed(Failure::NoRankings), Counts::default());
        assert_eq!(nothing.thousandths, 1000);
    }
}
