// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::{transaction_validity::UnknownTransaction, DispatchError};
use starling_lane_primitives::{messages::Ask, Form};
use starling_primitives::H256;

use crate::{mock::*, Error, Oldest, ESCALATION_DELAY};

const OUTCOME: H256 = H256::repeat_byte(5);

/// The pool's answer to what a peer may know a block before this one does.
fn unknown() -> Refused {
    Refused::Pool(UnknownTransaction::CannotLookup.into())
}

/// A lane with a request that has expired for long enough.
fn expired() -> Ask {
    let (id, epoch) = served();
    let ask = ask(id, epoch, 3);
    to_block(ask.expiry + ESCALATION_DELAY);
    ask
}

#[test]
fn an_expired_request_becomes_a_round_with_the_lanes_fee() {
    run(|| {
        let (id, epoch) = served();
        let ask = ask(id, epoch, 3);
        to_block(ask.expiry + ESCALATION_DELAY - 1);
        assert_noop!(escalate(&ask), Error::<Test>::TooEarly);
        to_block(now() + 1);
        let before = free(&requester());
        assert_ok!(escalate(&ask));
        assert_eq!(Asked::get()[&0], (requester(), FEE, true));
        assert_eq!(free(&requester()), before + FEE);
        assert_eq!((lane(id).free, lane(id).returned), (4_950 - FEE, FEE));
        assert_eq!(Lanes::escalated(id, epoch, 3), Some(0));
        assert_eq!(Lanes::progress_view(id, epoch).escalated, 1 << 3);
        // Those of another block than the next one as well.
        let later = Ask {
            seq: 64,
            ..ask.clone()
        };
        assert_ok!(escalate(&later));
        assert_eq!(Lanes::escalations(id, epoch, 64), 1);
        assert_noop!(escalate(&ask), Error::<Test>::AlreadyEscalated);
    });
}

#[test]
fn a_round_of_a_request_counts_the_answers_that_the_request_wants() {
    run(|| {
        let free = expired();
        assert_ok!(escalate(&free));
        assert!(Noted::get().is_empty());
        let number = Ask {
            seq: 4,
            form: Form::Number,
            ..free
        };
        assert_ok!(escalate(&number));
        assert_eq!(Noted::get(), [(1, Form::Number, H256(number.hash()))]);
    });
}

#[test]
fn escalations_leave_what_members_may_have_certified() {
    run(|| {
        let ask = expired();
        let most = PARAMETERS.max_pending(terms().committee().unwrap(), MIN_SLASH);
        let spend = |left| {
            change(ask.lane, |lane| {
                let all = lane.free + lane.returned;
                lane.free = left;
                lane.returned = all - left;
            });
        };
        spend(most + FEE - 1);
        let before = free(&requester());
        assert_ok!(escalate(&ask));
        assert_eq!(free(&requester()), before, "the requester pays");
        assert_eq!(lane(ask.lane).free, most + FEE - 1);
        spend(most + FEE);
        assert_ok!(escalate(&Ask {
            seq: 4,
            ..ask.clone()
        }));
        assert_eq!(free(&requester()), before + FEE);
        assert_eq!(lane(ask.lane).free, most);
        // As on hold.
        spend(4_950 - FEE);
    });
}

#[test]
fn a_request_is_settled_or_escalated_and_never_both() {
    run(|| {
        let ask = expired();
        assert_ok!(escalate(&ask));
        let marked = checkpoint(ask.lane, ask.epoch, 0, 0b1001);
        assert_eq!(settle(&marked), Err(unknown()));
        let rest = checkpoint(ask.lane, ask.epoch, 0, 1);
        assert_eq!(settle(&rest), Ok(()));
        let settled = Ask {
            seq: 0,
            ..ask.clone()
        };
        assert_noop!(escalate(&settled), Error::<Test>::AlreadySettled);
        // What a checkpoint left out is void, and may become a round.
        assert_ok!(escalate(&Ask { seq: 5, ..ask }));
    });
}

#[test]
fn only_the_requester_escalates_and_within_its_terms() {
    run(|| {
        let ask = expired();
        let stranger = RuntimeOrigin::signed(account(101));
        assert_noop!(
            Lanes::escalate(stranger, ask.clone(), sign(&requester(), &ask.hash()), 4, 8),
            Error::<Test>::NotRequester
        );
        type Case = (Error<Test>, fn(&mut Ask));
        let cases: [Case; 6] = [
            (Error::WrongChain, |ask| ask.genesis = [9; 32]),
            (Error::WrongFees, |ask| ask.fee = FEE + 1),
            (Error::WrongFees, |ask| ask.fee = 9),
            (Error::TooEarly, |ask| ask.epoch += 9),
            (Error::NoCommittee, |ask| ask.epoch = 1),
            (Error::NoCommittee, |ask| ask.seq = u32::MAX),
        ];
        for (error, change) in cases {
            let mut other = ask.clone();
            change(&mut other);
            assert_noop!(escalate(&other), error);
        }
        // What the rounds refuse changes nothing.
        let origin = RuntimeOrigin::signed(requester());
        assert_noop!(
            Lanes::escalate(origin, ask.clone(), sign(&requester(), &ask.hash()), 0, 8),
            DispatchError::Other("too few responses")
        );
    });
}

#[test]
fn the_chain_checks_that_the_ask_is_signed_and_may_have_been_answered() {
    run(|| {
        let ask = expired();
        let origin = || RuntimeOrigin::signed(requester());
        let other = Ask {
            prompt: b"who?".to_vec(),
            ..ask.clone()
        };
        assert_noop!(
            Lanes::escalate(origin(), other, sign(&requester(), &ask.hash()), 4, 8),
            Error::<Test>::BadSignature
        );
        assert_noop!(
            Lanes::escalate(origin(), ask.clone(), sign(&account(1), &ask.hash()), 4, 8),
            Error::<Test>::BadSignature
        );
        // Signed with an expiry at which no member would have taken it.
        let began = Lanes::began(ask.epoch).unwrap();
        for expiry in [0, began] {
            let early = Ask {
                expiry,
                ..ask.clone()
            };
            assert_noop!(escalate(&early), Error::<Test>::WrongExpiry);
        }
        assert_eq!(ask.expiry, began + 1);
        assert_ok!(escalate(&ask));
    });
}

#[test]
fn an_epoch_that_is_being_forgotten_has_no_more_rounds() {
    run(|| {
        let ask = expired();
        Oldest::<Test>::put(ask.epoch);
        assert_noop!(escalate(&ask), Error::<Test>::TooLate);
        Oldest::<Test>::put(ask.epoch - 1);
        assert_ok!(escalate(&ask));
    });
}

#[test]
fn a_certificate_stops_a_round_in_its_first_phase() {
    run(|| {
        let ask = expired();
        assert_eq!(show(&ask, votes(&ask, OUTCOME, 0..3)), Err(unknown()));
        assert_ok!(escalate(&ask));
        let refusal = refused(Error::NoQuorum);
        assert_eq!(show(&ask, votes(&ask, OUTCOME, 0..2)), Err(refusal));
        assert!(show(&ask, votes(&ask, H256::zero(), 0..3)).is_err());
        assert_eq!(show(&ask, votes(&ask, OUTCOME, 0..3)), Ok(()));
        assert!(!Asked::get()[&0].2);
        assert_eq!(Lanes::escalated(ask.lane, ask.epoch, 3), None);
        // The mark does not come back before members settle.
        assert_noop!(escalate(&ask), Error::<Test>::AlreadyCertified);
        let settled = checkpoint(ask.lane, ask.epoch, 0, 0b1000);
        assert_eq!(settle(&settled), Ok(()));
    });
}

#[test]
fn a_certificate_is_too_late_after_the_first_phase() {
    run(|| {
        let ask = expired();
        assert_ok!(escalate(&ask));
        end_committing(0);
        assert_eq!(show(&ask, votes(&ask, OUTCOME, 0..3)), Err(unknown()));
    });
}
