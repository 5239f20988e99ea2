// SPDX-License-Identifier: Apache-2.0

use codec::Encode;
use frame_support::{assert_noop, assert_ok, inherent::ProvideInherent, traits::Hooks};
use pallet_grandpa::{CurrentSetId, Stalled};
use sp_consensus_grandpa::AuthorityId;
use sp_core::H256;
use sp_inherents::InherentData;
use sp_runtime::DispatchError;

use crate::{mock::*, Call, Error, Evidence, SetStart, Vote, Voters, INHERENT_IDENTIFIER};

type Ballot = Vec<Vote<H256, u64>>;

const ROUND: u64 = 7;

fn note(votes: Ballot) -> Result<(), DispatchError> {
    Votes::note(RuntimeOrigin::none(), ROUND, votes)
}

/// The inherent of an author whose node has this justification.
fn inherent(votes: Ballot) -> Option<Call<Test>> {
    let mut data = InherentData::new();
    let evidence = Evidence {
        round: ROUND,
        votes,
    };
    data.put_data(INHERENT_IDENTIFIER, &evidence)
        .expect("put once");
    <Votes as ProvideInherent>::create_inherent(&data)
}

fn noted() -> Vec<AuthorityId> {
    let mut expected: Vec<_> = Voters::<Test>::get().into_iter().collect();
    expected.sort();
    expected
}

fn ids(voters: &[u8]) -> Vec<AuthorityId> {
    let mut ids: Vec<_> = voters.iter().map(|&n| id(n)).collect();
    ids.sort();
    ids
}

#[test]
fn a_block_brings_the_votes_that_the_chain_does_not_know() {
    chain().execute_with(|| {
        let first = votes(&[1, 2, 3], (2, hash(2)), ROUND, 0);
        let Some(Call::note {
            round,
            votes: taken,
        }) = inherent(first.clone())
        else {
            panic!("there are votes");
        };
        assert_eq!((round, &taken), (ROUND, &first));
        assert_ok!(note(taken));
        assert_eq!(noted(), ids(&[1, 2, 3]));
        assert!(inherent(first).is_none());

        let Some(Call::note { votes, .. }) = inherent(votes(&[1, 2, 4], (3, hash(3)), ROUND, 0))
        else {
            panic!("there is a new vote");
        };
        assert_eq!(votes.len(), 1);
        assert_ok!(note(votes));
        assert_eq!(noted(), ids(&[1, 2, 3, 4]));
        assert_ok!(Votes::do_try_state());
    });
}

#[test]
fn a_wrong_vote_makes_a_block_invalid_and_no_author_includes_it() {
    chain().execute_with(|| {
        let right = (2, hash(2));
        for (what, wrong) in [
            ("a stranger's", votes(&[1, 9], right, ROUND, 0)),
            ("one of another round", votes(&[1], right, ROUND + 1, 0)),
            ("one of another set", votes(&[1], right, ROUND, 1)),
            ("for another chain", votes(&[1], (2, hash(3)), ROUND, 0)),
            ("for a block to come", votes(&[1], (4, hash(4)), ROUND, 0)),
            ("twice", votes(&[1, 1], right, ROUND, 0)),
        ] {
            assert_noop!(note(wrong.clone()), Error::<Test>::WrongVote);
            // An author leaves the wrong vote out, and keeps a right one beside it.
            if let Some(Call::note { votes, .. }) = inherent(wrong) {
                assert_eq!(votes.len(), 1, "{what}");
                assert_eq!(note(votes), Ok(()), "{what}");
                Voters::<Test>::kill();
            }
        }
        assert_noop!(note(votes(&[], right, ROUND, 0)), Error::<Test>::NoVotes);
        assert_noop!(
            Votes::note(
                RuntimeOrigin::signed(1),
                ROUND,
                votes(&[1], right, ROUND, 0)
            ),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn data_that_is_no_evidence_is_left_out() {
    chain().execute_with(|| {
        let mut data = InherentData::new();
        assert!(Votes::create_inherent(&data).is_none());
        data.put_data(INHERENT_IDENTIFIER, &[1u8; 9].encode())
            .expect("put once");
        assert!(Votes::create_inherent(&data).is_none());
    });
}

#[test]
fn votes_of_a_session_that_ended_do_not_count_in_the_next() {
    chain().execute_with(|| {
        let old = votes(&[1, 2, 3], (2, hash(2)), ROUND, 0);
        assert_ok!(note(old.clone()));
        let mut taken = Votes::take();
        taken.sort();
        assert_eq!(taken, ids(&[1, 2, 3]));
        assert_eq!(noted(), []);
        // The set's number stays where nothing of it changed: the block's number still tells.
        assert_noop!(note(old.clone()), Error::<Test>::WrongVote);
        assert!(inherent(old).is_none());
    });
}

#[test]
fn votes_are_those_of_the_set_in_force() {
    chain().execute_with(|| {
        let next = (5..=8).map(|n| (id(n), 1)).collect();
        assert_ok!(Grandpa::schedule_change(next, 0, None));
        Grandpa::on_finalize(4);
        pallet_grandpa::CurrentSetId::<Test>::put(1);
        assert_noop!(
            note(votes(&[1], (3, hash(3)), ROUND, 1)),
            Error::<Test>::WrongVote
        );
        assert_ok!(note(votes(&[5], (3, hash(3)), ROUND, 1)));
    });
}

/// Ends a session in block `now` and begins one with a set of its own, as the runtime does. Returns
/// the set's number.
fn session(now: u64) -> u64 {
    System::set_block_number(now);
    Votes::take();
    let next = (1..=4).map(|n| (id(n), 1)).collect();
    let (delay, last_final) =
        Stalled::<Test>::get().map_or((0, None), |(delay, last_final)| (delay, Some(last_final)));
    if Grandpa::schedule_change(next, delay, last_final).is_ok() {
        Stalled::<Test>::kill();
        CurrentSetId::<Test>::mutate(|set| *set += 1);
    }
    Grandpa::on_finalize(now);
    CurrentSetId::<Test>::get()
}

fn note_stalled(delay: u64, last_final: u64) {
    assert_ok!(Grandpa::note_stalled(
        RuntimeOrigin::root(),
        delay,
        last_final
    ));
}

#[test]
fn a_forced_change_counts_on_from_the_set_of_the_last_final_block() {
    chain().execute_with(|| {
        let sets: Vec<_> = [10, 20, 30, 40].map(session).into();
        assert_eq!(sets, [1, 2, 3, 4]);
        // The nodes never saw the sets of 30 and 40 in force.
        note_stalled(0, 25);
        assert_eq!(session(50), 3);
        frame_system::BlockHash::<Test>::insert(50, hash(50));
        System::set_block_number(51);
        let vote = |set| votes(&[1], (50, hash(50)), ROUND, set);
        assert_noop!(note(vote(5)), Error::<Test>::WrongVote);
        assert_ok!(note(vote(3)));
        assert_eq!(session(60), 4);

        // Once more, right after the new set's first final blocks.
        note_stalled(0, 27);
        assert_eq!(session(70), 4);
        assert_eq!(session(80), 5);
        // At the first block of a session the set of that session is in force.
        note_stalled(0, 80);
        assert_eq!(session(90), 6);
        note_stalled(0, 89);
        assert_eq!(session(100), 7);
    });
}

#[test]
fn a_change_that_has_to_wait_changes_no_number_yet() {
    chain().execute_with(|| {
        for block in [10, 20, 30] {
            session(block);
        }
        note_stalled(5, 15);
        assert_eq!(session(40), 2);
        // Another one is announced only when this one has been in force for a while.
        note_stalled(5, 15);
        assert_eq!(session(44), 2);
        Grandpa::on_finalize(45);
        assert_eq!(session(46), 2, "too soon");
        assert_eq!(session(50), 2, "block 15 was the last one of set 1");
    });
}

#[test]
fn sets_that_nobody_can_be_punished_for_are_forgotten() {
    chain().execute_with(|| {
        for block in 1..=20u64 {
            session(block * 10);
        }
        let kept = SetStart::<Test>::iter_keys();
        let mut kept: Vec<u64> = kept.collect();
        kept.sort_unstable();
        assert_eq!(kept, [12, 13, 14, 15, 16, 17, 18, 19]);
        // Without the start of its set the number stays as it was.
        note_stalled(0, 25);
        assert_eq!(session(210), 21);
    });
}
