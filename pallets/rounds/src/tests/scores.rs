// SPDX-License-Identifier: Apache-2.0

use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};

use crate::{mock::*, *};

use starling_primitives::H256;

#[test]
fn a_commitment_to_scores_is_stored_and_reveals_nothing() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let scores = scores_by(id, 1, quality);
        commit_scores(id, 1, &scores);
        assert!(matches!(ranking_of(id, 1), Ranking::Committed(_)));
        assert_eq!(round(id).counts.score_commits, 1);
        assert_eq!(
            events(),
            vec![Event::ScoresCommitted {
                round: id,
                agent: 1
            }]
        );
        assert!(Entries::<Test>::iter_prefix(id).all(|(_, entry)| entry.tally.count == 0));
    });
}

#[test]
fn another_seed_is_refused() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let call = commit_scores_call(id, 1, H256::repeat_byte(1), &scores_by(id, 1, quality));
        assert_refused(call, custom(Error::WrongSeed), Error::WrongSeed);
    });
}

#[test]
fn the_seed_is_part_of_the_tag_so_that_a_reorg_does_not_block_the_next_commitment() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let scores = scores_by(id, 1, quality);
        let seed = round(id).seed.unwrap();
        let tag = validate(commit_scores_call(id, 1, seed, &scores))
            .unwrap()
            .provides;
        let other = H256::repeat_byte(3);
        Rounds::<Test>::mutate(id, |round| round.as_mut().unwrap().seed = Some(other));
        let after = validate(commit_scores_call(id, 1, other, &scores))
            .unwrap()
            .provides;
        assert_ne!(tag, after);
        Rounds::<Test>::mutate(id, |round| round.as_mut().unwrap().seed = Some(seed));
    });
}

#[test]
fn one_commitment_of_scores_a_participant() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let seed = round(id).seed.unwrap();
        let scores = scores_by(id, 1, quality);
        commit_scores(id, 1, &scores);
        let again = commit_scores_call(id, 1, seed, &scores);
        assert_refused(again, InvalidTransaction::Stale, Error::AlreadySent);
        let stranger = commit_scores_call(id, 7, seed, &scores);
        assert_refused(
            stranger,
            custom(Error::NotParticipant),
            Error::NotParticipant,
        );
    });
}

#[test]
fn commitments_belong_into_their_phase() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        let call = commit_scores_call(id, 1, H256::zero(), &[]);
        assert_refused(call, UnknownTransaction::CannotLookup, Error::TooEarly);
        let call = commit_scores_call(id + 1, 1, H256::zero(), &[]);
        assert_refused(call, UnknownTransaction::CannotLookup, Error::UnknownRound);
        (1..=5).for_each(|who| reveal(id, who));
        next_block();
        let seed = round(id).seed.unwrap();
        let scores = scores_by(id, 5, quality);
        for who in 1..=4 {
            commit_scores(id, who, &scores_by(id, who, quality));
        }
        blocks(RankWindow::get());
        assert_eq!(phase(id), Phase::Disclosing);
        let late = commit_scores_call(id, 5, seed, &scores);
        assert_refused(late, InvalidTransaction::Stale, Error::TooLate);
    });
}
