// SPDX-License-Identifier: Apache-2.0
//! The pallet chooses as `starling_primitives::choice` does with the same responses.

use proptest::prelude::*;
use starling_primitives::{
    choice::{log_odds, Capability, Choice, Evidence, Form, Key, Response, Votes},
    fixed::ONE,
    traits::Answered,
    Score,
};

use crate::{mock::*, Capabilities as Records, Chosen, Record, Summary};

const TEXTS: [&str; 5] = [
    "7",
    "Answer: 8",
    "so it is 7\nAnswer: 7.",
    "two\nlines",
    "9",
];

/// An agent: its text, what is known of it, whether it disclosed, and its scores of all agents.
type Agent = (usize, [u64; 4], u32, bool, Vec<u16>);

fn agents() -> impl Strategy<Value = Vec<Agent>> {
    let agent = (
        0..TEXTS.len(),
        prop::array::uniform4(0..20 * ONE),
        0..4u32,
        prop::bool::weighted(0.9),
        prop::collection::vec(prop_oneof![0..4u16, any::<u16>()], 9),
    );
    prop::collection::vec(agent, 2..9)
}

fn capability(sums: [u64; 4], rounds: u32) -> Capability {
    let [right, wrong, ordered, other] = sums;
    Capability {
        rounds,
        right,
        answers: right + wrong,
        chance: (right + wrong) / 20,
        ordered,
        pairs: ordered + other,
    }
}

/// The responses as the design describes them.
fn expected(
    agents: &[Agent],
    answers: &[Answered<AccountId>],
    votes: &Votes,
) -> Vec<Response<AccountId>> {
    let weights: Vec<_> = agents
        .iter()
        .map(|(_, sums, rounds, ..)| capability(*sums, *rounds).weights(votes))
        .collect();
    let key = |agent: usize| Key::of(TEXTS[agents[agent].0]).map(|key| key.hash());
    let nobody = (0..agents.len()).all(|it| !agents[it].3 || weights[it].ranker == 0);
    let weight = |ranker: usize| match nobody && agents[ranker].3 {
        true => ONE,
        false => weights[ranker].ranker,
    };
    let tallies = by_ratings(answers);
    (0..agents.len())
        .map(|author| {
            let mut evidence = Evidence::default();
            for ranker in (0..agents.len()).filter(|ranker| *ranker != author) {
                if !agents[ranker].3 {
                    continue;
                }
                evidence.tally.assigned += weight(ranker);
                let ranked: Vec<usize> = (0..agents.len()).filter(|it| *it != ranker).collect();
                let scores: Vec<Score> = ranked
                    .iter()
                    .map(|it| Score(agents[ranker].4[*it]))
                    .collect();
                let place = ranked.iter().position(|it| *it == author).expect("ranked");
                let is_alike = key(author).is_some() && key(author) == key(ranker);
                let odds = log_odds(&scores)[place];
                evidence.add(weight(ranker), scores[place], odds, is_alike);
            }
            Response {
                agent: author as AccountId + 1,
                tally: tallies[author].tally,
                key: key(author),
                weight: weights[author].author,
                is_proven: weights[author].is_proven,
                has_disclosed: agents[author].3,
                evidence,
            }
        })
        .collect()
}

proptest! {
    #[test]
    fn the_chain_chooses_as_the_rules_do(
        agents in agents(),
        limits in (0..4u32, 0..4u32, 0..3u32),
    ) {
        let votes = Votes {
            proof: limits.0,
            rankers: limits.1,
            authors: limits.2,
            ..Votes::default()
        };
        let texts: Vec<&str> = agents.iter().map(|(text, ..)| TEXTS[*text]).collect();
        let judge = |ranker: AccountId, author: AccountId| {
            agents[ranker as usize - 1].4[author as usize - 1]
        };
        let mut answers = answers_of(&texts, judge);
        for (answer, (_, _, _, disclosed, _)) in answers.iter_mut().zip(&agents) {
            if !disclosed {
                answer.scores.clear();
            }
        }
        let outcome = Choice::Votes(votes).best(
            SEED,
            Form::Number,
            &expected(&agents, &answers, &votes),
        );
        ext().execute_with(|| {
            Chosen::<Test>::put(Choice::Votes(votes));
            for (who, (_, sums, rounds, ..)) in (1..).zip(&agents) {
                let record = Record {
                    capability: capability(*sums, *rounds),
                    last: now(),
                    examiners: Default::default(),
                };
                Records::<Test>::insert(who, Form::Number, record);
            }
            let id = ask(STRANGER, 1);
            let best = choose(id, &answers);
            let chosen = outcome.as_ref().map(|outcome| (outcome.winner, outcome.tally));
            assert_eq!(best, chosen);
            let stored = crate::Outcomes::<Test>::get(id);
            assert_eq!(stored, outcome.as_ref().map(Summary::from));
        });
    }
}
