// SPDX-License-Identifier: Apache-2.0

use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};

use crate::{mock::*, *};

use starling_primitives::{Position, Score};

#[test]
fn disclosed_scores_count_with_the_weight_of_the_ranker() {
    run(|| {
        let id = ask();
        let all = to_disclosing(id, 5, honest);
        disclose(id, 1, &all[&1]);
        let Response::Valid { weight, .. } = response_of(id, 1) else {
            panic!()
        };
        for (place, score) in &all[&1] {
            let tally = Entries::<Test>::get(id, place).unwrap().tally;
            assert_eq!((tally.count, tally.total), (1, u32::from(score.0)));
            assert_eq!(tally.disclosed, weight);
            assert_eq!(tally.weighted, u128::from(weight) * u128::from(score.0));
        }
        assert_eq!(
            events(),
            vec![Event::Disclosed {
                round: id,
                agent: 1,
                valid: true
            }]
        );
    });
}

#[test]
fn scores_or_salt_that_do_not_match_are_refused() {
    run(|| {
        let id = ask();
        let all = to_disclosing(id, 5, honest);
        let mut other = all[&1].clone();
        other[0].1 = Score(1);
        let call = disclose_call(id, 1, &other);
        assert_refused(call, custom(Error::ScoresMismatch), Error::ScoresMismatch);
        let mut reversed = all[&1].clone();
        reversed.reverse();
        let call = disclose_call(id, 1, &reversed);
        assert_refused(call, custom(Error::ScoresMismatch), Error::ScoresMismatch);
        let message = starling_primitives::messages::Message::Disclose {
            scores: &all[&1],
            salt: &[9; 32],
        };
        let proof = Some(sign(id, 1, &message));
        let scores = all[&1].clone().try_into().unwrap();
        let call = Call::disclose {
            round: id,
            agent: 1,
            scores,
            salt: [9; 32],
            proof,
        };
        assert_refused(call, custom(Error::ScoresMismatch), Error::ScoresMismatch);
    });
}

/// Agent 1 commits and discloses its scores as changed by `change`; returns whether they counted.
fn counts(change: impl Fn(&mut Vec<(Position, Score)>)) -> bool {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let mut all = all_scores(id, 1..=5, honest);
        change(all.get_mut(&1).unwrap());
        commit_all(id, &all);
        next_block();
        disclose(id, 1, &all[&1]);
        let valid = round(id).counts.disclosures == 1;
        assert_eq!(ranking_of(id, 1) == Ranking::Spoiled, !valid);
        assert_eq!(round(id).counts.spoiled_scores, u32::from(!valid));
        (2..=5).for_each(|who| disclose(id, who, &all[&who]));
        next_block();
        assert_eq!(phase(id), Phase::Done, "spoiled scores have arrived too");
        valid
    })
}

#[test]
fn scores_for_exactly_the_assigned_responses_count_in_any_order() {
    assert!(counts(|_| ()));
    assert!(counts(|scores| scores.reverse()));
}

#[test]
fn scores_for_other_responses_are_spoiled() {
    assert!(!counts(|scores| scores.clear()), "none");
    assert!(
        !counts(|scores| {
            scores.pop();
        }),
        "one too few"
    );
    assert!(
        !counts(|scores| scores.push((99, Score(1)))),
        "one that does not exist"
    );
    assert!(!counts(|scores| scores[0] = scores[1]), "one twice");
    assert!(!counts(|scores| scores.push(scores[0])), "one too many");
    let not_assigned = |scores: &mut Vec<(Position, Score)>| {
        let place = (0..5)
            .find(|at| scores.iter().all(|(it, _)| it != at))
            .unwrap();
        scores[0].0 = place;
    };
    assert!(!counts(not_assigned), "its own, or one that others rank");
}

#[test]
fn only_who_committed_scores_discloses_and_only_once() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let all = all_scores(id, 1..=5, honest);
        (1..=4).for_each(|who| commit_scores(id, who, &all[&who]));
        let early = disclose_call(id, 1, &all[&1]);
        assert_refused(early, UnknownTransaction::CannotLookup, Error::TooEarly);
        let unknown = disclose_call(id + 1, 1, &all[&1]);
        assert_refused(
            unknown,
            UnknownTransaction::CannotLookup,
            Error::UnknownRound,
        );
        blocks(RankWindow::get());
        let without = disclose_call(id, 5, &all[&5]);
        assert_refused(
            without,
            custom(Error::NoScoresCommitted),
            Error::NoScoresCommitted,
        );
        let stranger = disclose_call(id, 7, &all[&5]);
        assert_refused(
            stranger,
            custom(Error::NotParticipant),
            Error::NotParticipant,
        );
        disclose(id, 1, &all[&1]);
        let again = disclose_call(id, 1, &all[&1]);
        assert_refused(again, InvalidTransaction::Stale, Error::AlreadySent);
        (2..=4).for_each(|who| disclose(id, who, &all[&who]));
        next_block();
        assert_eq!(phase(id), Phase::Done, "nobody waits for agent 5");
        let late = disclose_call(id, 1, &all[&1]);
        assert_refused(late, InvalidTransaction::Stale, Error::TooLate);
    });
}
