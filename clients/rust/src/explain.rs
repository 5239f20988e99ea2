// SPDX-License-Identifier: Apache-2.0
//! Explains the outcome of a round in one sentence.

use std::cmp::Ordering;

use sp_core::crypto::AccountId32;
use starling_primitives::{
    api::{OutcomeView, ResponseView, RoundView},
    round::{Failure, Phase},
    selection::Tally,
};

use crate::{progress, report::unit, text::count};

/// The score of a response: `Σ w·x / Σ w` over the rankers that disclosed, equation (3). `None`
/// without weight.
pub fn score(tally: &Tally) -> Option<f64> {
    let weight = tally.disclosed as f64 * f64::from(u16::MAX);
    (tally.disclosed > 0).then(|| tally.weighted as f64 / weight)
}

/// The votes behind an answer in words, without a point.
pub fn support(outcome: &OutcomeView) -> String {
    let share = unit(outcome.share_of_weight);
    format!(
        "{} of {} gave this answer, with {:.0} % of the weight of votes",
        outcome.votes,
        count(outcome.responses, "agent", "agents"),
        share * 100.0,
    )
}

/// Explains the outcome of a round. `name` gives the name of an account, `threshold` is the minimum
/// score of a winner, in `[0, 1]`, and `outcome` has the votes if equal answers are counted.
pub fn why(
    view: &RoundView<AccountId32>,
    threshold: f64,
    outcome: Option<&OutcomeView>,
    name: impl Fn(&AccountId32) -> String,
) -> String {
    let round = &view.round;
    let counts = &round.counts;
    let answers = |number| count(number, "answer", "answers");
    match (round.phase, &round.winner) {
        (Phase::Done, Some(winner)) => {
            let won = view
                .responses
                .iter()
                .find(|response| response.agent == *winner);
            let by_scores = || {
                won.and_then(|won| why_it_won(view, won, &name))
                    .unwrap_or_else(|| format!("The answer of {} won.", name(winner)))
            };
            match outcome {
                Some(outcome) if outcome.is_voted => format!(
                    "The answer of {} won by votes and scores: {}.",
                    name(winner),
                    support(outcome)
                ),
                Some(outcome) => format!(
                    "{} Votes did not decide; {}.",
                    by_scores(),
                    support(outcome)
                ),
                None => by_scores(),
            }
        },
        (Phase::Done, None) => "The round is over.".into(),
        (Phase::Failed(Failure::TooFewCommits), _) => format!(
            "No answer was chosen: {} arrived, and the request asked for at least {}. The fee is \
             refunded, except for a part that goes to the agents that answered.",
            answers(counts.commits),
            round.terms.min_responses,
        ),
        (Phase::Failed(Failure::Outbid), _) => {
            "No answer was chosen: all slots of the chain were taken, and a higher offer took this \
             one's before anybody answered. All of its payments are back."
                .into()
        },
        (Phase::Failed(Failure::TooFewReveals), _) => format!(
            "No answer was chosen: of {}, {} turned out valid, too few to rank. At most half of the \
             fee is refunded.",
            answers(counts.commits),
            counts.valid,
        ),
        (Phase::Failed(Failure::NoRankings), _) => format!(
            "No answer was chosen: of {} that answered, {} disclosed scores, too few to decide. \
             At most half of the fee is refunded.",
            count(counts.valid, "agent", "agents"),
            counts.disclosures,
        ),
        (Phase::Failed(Failure::BelowThreshold), _) => {
            // Votes choose by other weights than these scores.
            let is_voted = outcome.is_some_and(|outcome| outcome.is_voted);
            let best = ranked(view).first().copied().filter(|_| !is_voted);
            let best = best.and_then(|best| Some((best, score(best.tally.as_ref()?)?)));
            let what = best.map_or_else(
                || "the best answer".into(),
                |(best, score)| {
                    format!(
                        "the best answer, by {}, scored {score:.4}",
                        name(&best.agent)
                    )
                },
            );
            format!(
                "No answer was chosen: {what}, below the chain's minimum of {threshold:.4}. Half \
                 of the fee is refunded."
            )
        },
        (phase, _) => format!(
            "The round is not over: {}, {}.",
            progress::name(phase),
            progress::progress(round).arrived
        ),
    }
}

fn why_it_won(
    view: &RoundView<AccountId32>,
    won: &ResponseView<AccountId32>,
    name: &impl Fn(&AccountId32) -> String,
) -> Option<String> {
    let tally = won.tally.as_ref()?;
    let score_of = |response: &ResponseView<AccountId32>| response.tally.as_ref().and_then(score);
    let mut said = format!(
        "The answer of {} won: the {} that ranked it gave it {:.4} on average, weighted by their \
         ratings",
        name(&won.agent),
        count(tally.count, "agent", "agents"),
        score(tally)?,
    );
    let others: Vec<_> = ranked(view)
        .into_iter()
        .filter(|other| other.agent != won.agent)
        .collect();
    let next = others.iter().find(|other| is_eligible(other));
    match next.and_then(|next| Some((next, score_of(next)?, next.tally.as_ref()?))) {
        Some((next, _, other)) if other.compare(tally) == Ordering::Equal => {
            said.push_str(&format!(
                "; {} has the same score, and the tie-breaking hash favours {}",
                name(&next.agent),
                name(&won.agent),
            ))
        },
        Some((next, score, _)) => {
            said.push_str(&format!(
                "; {} comes next with {score:.4}",
                name(&next.agent)
            ));
        },
        None => said.push_str("; no other answer was ranked by enough agents"),
    }
    let excluded = others.iter().find(|other| {
        !is_eligible(other)
            && other.tally.is_some_and(|other| {
                other.disclosed > 0 && other.compare(tally) == Ordering::Greater
            })
    });
    if let Some((excluded, score)) = excluded.and_then(|other| Some((other, score_of(other)?))) {
        said.push_str(&format!(
            " ({} has {score:.4}, but most of the weight of its rankers disclosed no scores)",
            name(&excluded.agent)
        ));
    }
    Some(said + ".")
}

/// The ranked responses, the best first.
pub(crate) fn ranked(view: &RoundView<AccountId32>) -> Vec<&ResponseView<AccountId32>> {
    let mut ranked: Vec<_> = view
        .responses
        .iter()
        .filter(|response| response.tally.is_some_and(|tally| tally.disclosed > 0))
        .collect();
    ranked.sort_by(|left, right| match (&left.tally, &right.tally) {
        (Some(left), Some(right)) => right.compare(left),
        _ => Ordering::Equal,
    });
    ranked
}

fn is_eligible(response: &ResponseView<AccountId32>) -> bool {
    response.tally.is_some_and(|tally| tally.is_eligible())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{account, view};
    use starling_primitives::fixed::ONE;

    fn said(view: &RoundView<AccountId32>) -> String {
        why(view, 0.3, None, called)
    }

    fn called(who: &AccountId32) -> String {
        let bytes: &[u8] = who.as_ref();
        ["Alice", "Bob", "Charlie", "Dave"][usize::from(bytes[0])].into()
    }

    #[test]
    fn the_winner_is_told_with_its_score_and_who_comes_next() {
        assert_eq!(
            said(&view(&[0.5, 0.9, 0.7, 0.2], Some(1))),
            "The answer of Bob won: the 3 agents that ranked it gave it 0.9000 on average, \
             weighted by their ratings; Charlie comes next with 0.7000."
        );
    }

    #[test]
    fn votes_are_told_whether_they_decided_or_not() {
        let view = view(&[0.5, 0.9, 0.7, 0.2], Some(2));
        let mut outcome = OutcomeView {
            is_voted: true,
            votes: 3,
            responses: 4,
            share_of_votes: ONE / 4 * 3,
            share_of_weight: ONE / 100 * 81,
        };
        let said = |outcome: &OutcomeView| why(&view, 0.3, Some(outcome), called);
        assert_eq!(
            said(&outcome),
            "The answer of Charlie won by votes and scores: 3 of 4 agents gave this answer, with \
             81 % of the weight of votes."
        );
        outcome.is_voted = false;
        let said = said(&outcome);
        assert!(said.contains("gave it 0.7000 on average"), "{said}");
        assert!(said.contains("Votes did not decide; 3 of 4"), "{said}");
    }

    #[test]
    fn a_tie_is_told() {
        let said = said(&view(&[0.5, 0.9, 0.9, 0.2], Some(2)));
        assert!(said.contains("Bob has the same score"), "{said}");
        assert!(said.contains("favours Charlie"), "{said}");
    }

    #[test]
    fn a_better_score_with_too_little_weight_is_told() {
        let mut view = view(&[0.5, 0.9, 0.7, 0.2], Some(2));
        if let Some(tally) = &mut view.responses[1].tally {
            tally.assigned = tally.disclosed * 3;
        }
        let said = said(&view);
        assert!(said.contains("Alice comes next with 0.5000"), "{said}");
        assert!(
            said.contains("Bob has 0.9000, but most of the weight"),
            "{said}"
        );
    }

    #[test]
    fn every_failure_says_what_was_missing() {
        let mut view = view(&[0.25, 0.1], None);
        for (failure, words) in [
            (Failure::TooFewCommits, "2 answers arrived"),
            (Failure::TooFewReveals, "valid"),
            (Failure::Outbid, "a higher offer"),
            (Failure::NoRankings, "too few to decide"),
            (
                Failure::BelowThreshold,
                "by Alice, scored 0.2500, below the chain's minimum of 0.3000",
            ),
        ] {
            view.round.phase = Phase::Failed(failure);
            let said = said(&view);
            assert!(said.starts_with("No answer was chosen: "), "{said}");
            assert!(said.contains(words), "{said}");
        }
        view.round.phase = Phase::Ranking;
        assert!(said(&view).starts_with("The round is not over: Ranking"));
        assert_eq!(view.responses[0].agent, account(0));
    }
}
