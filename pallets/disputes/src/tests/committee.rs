// SPDX-License-Identifier: Apache-2.0

use frame_support::assert_noop;
use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};
use starling_evidence::{Finding, Ruling, Side};
use starling_primitives::H256;

use crate::{mock::*, Error, Event, Phase, Works};

/// The error of a commitment.
fn refused_commit(id: crate::CaseId, who: &AccountId) -> Error<Test> {
    Disputes::check_commit(id, who).expect_err("it is refused")
}

fn refused_reveal(id: crate::CaseId, who: &AccountId, salt: [u8; 32]) -> Error<Test> {
    Disputes::check_reveal(id, who, &second_lied(0), &salt).expect_err("it is refused")
}

#[test]
fn members_commit_once_and_in_time() {
    run_with(10, || {
        let id = opened(1);
        assert_eq!(refused_commit(id + 1, &account(30)), Error::UnknownCase);
        assert_eq!(refused_commit(id, &account(30)), Error::WrongPhase);
        to_phase(id, Phase::Committing);
        assert_eq!(refused_commit(id, &accuser()), Error::NotAMember);
        let member = case(id).committee[0].clone();
        assert_eq!(commit(id, &member, &second_lied(0)), Ok(()));
        assert_eq!(refused_commit(id, &member), Error::Twice);
        let stale = Refused::Pool(InvalidTransaction::Stale.into());
        assert_eq!(commit(id, &member, &second_lied(0)), Err(stale));
        let other = case(id).committee[1].clone();
        let forged = crate::Call::commit {
            case: id,
            agent: other,
            commitment: H256::zero(),
            signature: [1; 64],
        };
        let bad = Refused::Pool(InvalidTransaction::BadProof.into());
        assert_eq!(send(forged), Err(bad));
    });
}

#[test]
fn a_finding_is_the_one_committed_to() {
    run_with(10, || {
        let id = opened(1);
        to_phase(id, Phase::Committing);
        let committee = case(id).committee;
        let (member, silent) = (&committee[0], &committee[1]);
        assert_eq!(commit(id, member, &second_lied(0)), Ok(()));
        // A peer may be a block behind.
        let unknown = Refused::Pool(UnknownTransaction::CannotLookup.into());
        assert_eq!(reveal(id, member, &second_lied(0)), Err(unknown));
        to_phase(id, Phase::Revealing);
        assert_eq!(refused_reveal(id, silent, SALT), Error::NoCommitment);
        assert_eq!(refused_reveal(id, member, [0; 32]), Error::Mismatch);
        assert_eq!(reveal(id, member, &second_lied(0)), Ok(()));
        assert_eq!(refused_reveal(id, member, SALT), Error::Twice);
    });
}

#[test]
fn nobody_takes_over_the_commitment_of_another() {
    run_with(10, || {
        let id = opened(1);
        to_phase(id, Phase::Committing);
        let committee = case(id).committee;
        let finding = second_lied(0);
        let (author, thief) = (&committee[0], &committee[1]);
        assert_eq!(commit(id, author, &finding), Ok(()));
        let copied = Works::<Test>::get(id, author).unwrap().commitment;
        let payload = starling_evidence::messages::commit(
            &genesis(),
            thief.as_ref(),
            id,
            &case(id).draw.0,
            &copied.0,
        );
        let copy = crate::Call::commit {
            case: id,
            agent: thief.clone(),
            commitment: copied,
            signature: sign(thief, &payload),
        };
        assert_eq!(send(copy), Ok(()));
        to_phase(id, Phase::Revealing);
        assert_eq!(reveal(id, author, &finding), Ok(()));
        // Author, case and draw are part of it.
        assert_eq!(refused_reveal(id, thief, SALT), Error::Mismatch);
    });
}

#[test]
fn phases_end_early_once_all_have_spoken() {
    run_with(10, || {
        let id = opened(1);
        to_phase(id, Phase::Committing);
        let began = now();
        find(id, second_lied);
        assert_eq!(now(), began + 2);
        assert_eq!(case(id).phase, Phase::Judged);
        let ruling = Ruling::Decided {
            first: Side::Cleared,
            second: Side::Guilty,
        };
        assert_eq!(case(id).ruling, Some(ruling));
        assert!(events().contains(&Event::Judged { case: id, ruling }));
    });
}

#[test]
fn a_committee_that_is_silent_is_drawn_once_more_and_pays() {
    run_with(12, || {
        let id = opened(1);
        to_phase(id, Phase::Committing);
        let first = case(id).committee;
        let draw = case(id).draw;
        to_phase(id, Phase::Revealing);
        to_phase(id, Phase::Drawing);
        for who in &first {
            assert_eq!(bonded(who), BOND - PARAMETERS.member_stake);
        }
        let again = Event::DrawnAgain {
            case: id,
            ruling: Ruling::NoQuorum,
        };
        assert!(events().contains(&again));
        to_phase(id, Phase::Committing);
        assert_ne!(case(id).draw, draw);
        to_phase(id, Phase::Closed);
        assert_eq!(case(id).ruling, Some(Ruling::NoQuorum));
        // Nobody is guilty, and nobody worked: all but the price of the place is free.
        assert_eq!(lockable(&accuser()), BOND - FEE);
        for who in accused() {
            assert_eq!(lockable(&who), BOND);
        }
    });
}

#[test]
fn too_few_holders_judge_nobody() {
    run_with(2, || {
        let id = opened(1);
        to_phase(id, Phase::Closed);
        assert_eq!(case(id).ruling, Some(Ruling::NoCommittee));
        // A place in court has its price.
        assert_eq!(
            (bonded(&accuser()), lockable(&accuser())),
            (BOND - FEE, BOND - FEE)
        );
        // The claims are not judged: with more holders another agent may accuse.
        assert_eq!(accuse(&account(4), &case(id).accusation), Ok(()));
    });
}

#[test]
fn nobody_replays_an_accusation_to_lock_its_accusers_bond_again() {
    run_with(2, || {
        let id = opened(1);
        to_phase(id, Phase::Closed);
        let accusation = case(id).accusation;
        let stale = Refused::Pool(InvalidTransaction::Stale.into());
        assert_eq!(accuse(&accuser(), &accusation), Err(stale));
        let known = Disputes::can_accuse(&accuser(), &accusation);
        assert_eq!(known, Err(b"AlreadyJudged".to_vec()));
        // The accuser may still have another node show the exhibit.
        let mut elsewhere = accusation.clone();
        elsewhere.shown_by = starling_evidence::Peer::new([8]);
        assert_eq!(accuse(&accuser(), &elsewhere), Ok(()));
        to_phase(id + 1, Phase::Closed);
        // Claims that are too old need no memory.
        to_block(now() + 200);
        assert_eq!(crate::Claims::<Test>::iter().count(), 0);
        assert_eq!(
            accuse_signed(&accuser(), &accusation),
            Err(Error::<Test>::TooOld.into())
        );
    });
}

#[test]
fn a_member_that_disagrees_pays_and_one_of_five_changes_nothing() {
    run_with(10, || {
        let id = opened(1);
        find(id, |place| match place {
            4 => Finding::Computed(Box::new(starling_evidence::Sketches {
                own: rows(300),
                coarse: rows(305),
                coded: rows(300),
                elsewhere: rows(300),
                first: Some(rows(2)),
                second: Some(rows(200)),
            })),
            place => second_lied(place),
        });
        let far = case(id).committee[4].clone();
        assert_eq!(bonded(&far), BOND - PARAMETERS.member_stake);
        assert!(!case(id).earners.contains(&far));
        assert_eq!(case(id).earners.len(), 4);
    });
}

#[test]
fn a_closed_case_is_forgotten_with_all_that_belongs_to_it() {
    run_with(10, || {
        let id = opened(1);
        find(id, |_| Finding::Unavailable);
        assert_eq!(case(id).phase, Phase::Closed);
        to_block(now() + PARAMETERS.retention);
        assert_eq!(Works::<Test>::iter().count(), 0);
        assert_noop!(
            Disputes::appeal(RuntimeOrigin::signed(accuser()), id),
            Error::<Test>::UnknownCase
        );
    });
}
