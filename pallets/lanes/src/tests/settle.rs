// SPDX-License-Identifier: Apache-2.0

use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};
use starling_lane_primitives::{checkpoint::Checkpoint, messages::Message, Certificate};

use crate::{mock::*, Error, Event, Settlements};

fn stale() -> Refused {
    Refused::Pool(InvalidTransaction::Stale.into())
}

fn unknown() -> Refused {
    Refused::Pool(UnknownTransaction::CannotLookup.into())
}

#[test]
fn a_quorum_settles_the_next_block_of_requests() {
    run(|| {
        let (id, epoch) = served();
        assert_eq!(settle(&checkpoint(id, epoch, 0, 0b101)), Ok(()));
        assert_eq!(
            (lane(id).free, lane(id).pending),
            (4_950 - 2 * FEE, 2 * FEE)
        );
        assert_eq!(Lanes::progress_view(id, epoch).next, 64);
        let due = now() + WINDOW;
        assert!(matches!(
            events().last(),
            Some(Event::Settled { id: 0, bitmap: 0b101, due: then, .. }) if *then == due
        ));
        assert_eq!(settle(&checkpoint(id, epoch, 64, 1)), Ok(()));
        assert_eq!(Lanes::pending_view(id).len(), 2);
    });
}

#[test]
fn no_block_is_settled_twice() {
    run(|| {
        let (id, epoch) = served();
        assert_eq!(settle(&checkpoint(id, epoch, 0, 1)), Ok(()));
        assert_eq!(settle(&checkpoint(id, epoch, 0, 1)), Err(stale()));
        assert_eq!(settle(&checkpoint(id, epoch, 0, 2)), Err(stale()));
    });
}

#[test]
fn a_block_without_a_certified_request_stops_nothing() {
    run(|| {
        let (id, epoch) = served();
        assert_eq!(settle(&checkpoint(id, epoch, 128, 1)), Ok(()));
        assert_eq!(Lanes::progress_view(id, epoch).next, 192);
        // What was skipped is void.
        for first in [0, 64, 128] {
            assert_eq!(settle(&checkpoint(id, epoch, first, 2)), Err(stale()));
        }
        assert_eq!(settle(&checkpoint(id, epoch, 192, 1)), Ok(()));
    });
}

#[test]
fn fewer_than_a_quorum_settle_nothing() {
    run(|| {
        let (id, epoch) = served();
        let checkpoint = checkpoint(id, epoch, 0, 1);
        let few = certify(&checkpoint, 0..2);
        let refusal = refused(Error::NoQuorum);
        assert_eq!(send_settle(&checkpoint, few), Err(refusal));
        assert_eq!(send_settle(&checkpoint, certify(&checkpoint, 1..4)), Ok(()));
    });
}

#[test]
fn a_member_counts_once() {
    run(|| {
        let (id, epoch) = served();
        let checkpoint = checkpoint(id, epoch, 0, 1);
        let Certificate::Sr25519 { signatures, .. } = certify(&checkpoint, 0..2);
        let [first, second] = [signatures[0], signatures[1]];
        // Two signatures of one member under two bits, and under one.
        let under_two = Certificate::Sr25519 {
            signers: 0b111,
            signatures: vec![first, second, second],
        };
        let bad = Refused::Pool(InvalidTransaction::BadProof.into());
        assert_eq!(send_settle(&checkpoint, under_two), Err(bad));
        let under_one = Certificate::Sr25519 {
            signers: 0b11,
            signatures: vec![first, second, second],
        };
        let refusal = refused(Error::WrongSigners);
        assert_eq!(send_settle(&checkpoint, under_one), Err(refusal));
        let Certificate::Sr25519 { signatures, .. } = certify(&checkpoint, 0..3);
        let outsider = Certificate::Sr25519 {
            signers: 0b1_0011,
            signatures,
        };
        let refusal = refused(Error::WrongSigners);
        assert_eq!(send_settle(&checkpoint, outsider), Err(refusal));
    });
}

#[test]
fn an_epoch_is_settled_in_it_or_in_the_next_one() {
    run(|| {
        let (id, epoch) = served();
        let early = Checkpoint {
            epoch: epoch + 1,
            ..checkpoint(id, epoch, 0, 1)
        };
        let signed = certify(&checkpoint(id, epoch, 0, 1), 0..3);
        assert_eq!(send_settle(&early, signed), Err(unknown()));
        to_epoch(epoch + 1);
        assert_eq!(settle(&checkpoint(id, epoch, 0, 1)), Ok(()));
        let last = checkpoint(id, epoch, 64, 1);
        to_epoch(epoch + 2);
        assert_eq!(settle(&last), Err(stale()));
    });
}

#[test]
fn fees_and_payments_have_bounds() {
    run(|| {
        let (id, epoch) = served();
        let good = checkpoint(id, epoch, 0, 1);
        let refuses = |change: fn(&mut Checkpoint), error| {
            let mut bad = checkpoint(id, epoch, 0, 1);
            change(&mut bad);
            assert_eq!(settle(&bad), Err(refused(error)));
        };
        refuses(|bad| bad.fees += 1, Error::Malformed);
        refuses(|bad| bad.bitmap = 0, Error::Malformed);
        refuses(|bad| bad.first = 64 * 64, Error::Malformed);
        refuses(
            |bad| {
                bad.fees += 1;
                bad.payouts[0].1 += 1;
            },
            Error::WrongFees,
        );
        refuses(
            |bad| {
                bad.fees = 9;
                bad.payouts = vec![(Treasury::get().into(), 9)];
            },
            Error::WrongFees,
        );
        // Somebody else, and nothing.
        refuses(
            |bad| {
                bad.payouts.push(([255; 32], 1));
                bad.payouts[0].1 -= 1;
            },
            Error::WrongPayouts,
        );
        refuses(
            |bad| bad.payouts.insert(0, ([0; 32], 0)),
            Error::WrongPayouts,
        );
        assert_eq!(settle(&good), Ok(()));
    });
}

#[test]
fn the_treasury_gets_its_share() {
    run(|| {
        let (id, epoch) = served();
        let mut bad = checkpoint(id, epoch, 0, 1);
        let treasury: [u8; 32] = Treasury::get().into();
        let part = bad.payouts.iter_mut().find(|(to, _)| *to == treasury);
        part.unwrap().1 -= 2;
        bad.payouts[0].1 += 2;
        assert_eq!(settle(&bad), Err(refused(Error::WrongPayouts)));
    });
}

#[test]
fn no_more_is_settled_than_the_escrow_holds() {
    run(|| {
        let (id, epoch) = served();
        change(id, |lane| {
            lane.returned = lane.free - FEE;
            lane.free = FEE;
        });
        // A top-up may follow.
        assert_eq!(settle(&checkpoint(id, epoch, 0, 0b11)), Err(unknown()));
        assert_eq!(settle(&checkpoint(id, epoch, 0, 0b10)), Ok(()));
        assert_eq!(lane(id).free, 0);
        change(id, |lane| {
            lane.free = lane.returned;
            lane.returned = 0;
        });
    });
}

#[test]
fn settlements_wait_while_more_is_pending_than_liars_would_lose() {
    run(|| {
        let (id, epoch) = served();
        let most = PARAMETERS.max_pending(terms().committee().unwrap(), MIN_SLASH);
        assert_eq!(most, 900);
        let sixteen = u64::from(u16::MAX);
        assert_eq!(settle(&checkpoint(id, epoch, 0, sixteen)), Ok(()));
        assert_eq!(settle(&checkpoint(id, epoch, 64, 0b111)), Err(unknown()));
        assert_eq!(settle(&checkpoint(id, epoch, 64, 0b11)), Ok(()));
    });
}

#[test]
fn who_signs_has_a_free_bond() {
    run(|| {
        let (id, epoch) = served();
        let checkpoint = checkpoint(id, epoch, 0, 1);
        let first = &members(id, epoch)[0];
        let origin = RuntimeOrigin::root();
        frame_support::assert_ok!(Agents::slash(origin, first.clone(), BOND - LANE_BOND));
        // It may be free again.
        assert_eq!(settle(&checkpoint), Err(unknown()));
        // The others are a quorum as well, whoever has signed besides.
        assert_eq!(send_settle(&checkpoint, certify(&checkpoint, 0..4)), Ok(()));
        let settlement = Settlements::<Test>::get(0).unwrap();
        assert_eq!(settlement.signers.as_slice(), &members(id, epoch)[1..4]);
    });
}

#[test]
fn no_more_signatures_are_checked_than_a_quorum() {
    run(|| {
        let (id, epoch) = served();
        let checkpoint = checkpoint(id, epoch, 0, 1);
        let Certificate::Sr25519 { signatures, .. } = certify(&checkpoint, 0..4);
        let with = |spoiled: usize| {
            let mut signatures = signatures.clone();
            signatures[spoiled] = [0; 64];
            Certificate::Sr25519 {
                signers: 0b1111,
                signatures,
            }
        };
        let bad = Refused::Pool(InvalidTransaction::BadProof.into());
        assert_eq!(send_settle(&checkpoint, with(2)), Err(bad));
        assert_eq!(send_settle(&checkpoint, with(3)), Ok(()));
        let settlement = Settlements::<Test>::get(0).unwrap();
        assert_eq!(settlement.signers.as_slice(), &members(id, epoch)[..3]);
    });
}

#[test]
fn who_was_punished_answers_for_nothing_more() {
    run(|| {
        let (id, epoch) = served();
        let checkpoint = checkpoint(id, epoch, 0, 1);
        let guilty = &members(id, epoch)[0];
        let vote = |outcome| signed(guilty, slot(id, epoch, 3), Message::Vote([outcome; 32]));
        assert!(report(guilty, vote(1), vote(2)).is_ok());
        assert!(!Lanes::is_liable(guilty, id, epoch));
        assert_eq!(settle(&checkpoint), Err(unknown()));
        assert_eq!(send_settle(&checkpoint, certify(&checkpoint, 0..4)), Ok(()));
        let settlement = Settlements::<Test>::get(0).unwrap();
        assert!(!settlement.signers.contains(guilty));
    });
}

#[test]
fn open_settlements_are_bounded() {
    run(|| {
        let other = open(&requester(), terms());
        let (id, epoch) = served();
        MaxSettlements::set(1);
        assert_eq!(settle(&checkpoint(id, epoch, 0, 1)), Ok(()));
        assert_eq!(settle(&checkpoint(id, epoch, 64, 1)), Err(unknown()));
        // No lane takes all the places.
        assert_eq!(settle(&checkpoint(other, epoch, 0, 1)), Ok(()));
        assert_eq!(settle(&checkpoint(other, epoch, 64, 1)), Err(unknown()));
        MaxSettlements::set(16);
    });
}
