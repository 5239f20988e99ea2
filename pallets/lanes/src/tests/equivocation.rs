// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, dispatch::Pays};
use sp_runtime::{
    transaction_validity::{InvalidTransaction, UnknownTransaction},
    DispatchError,
};
use starling_lane_primitives::{messages::Message, Phase, Slot};

use crate::{mock::*, Error, Event, SignedMessage};

fn error(error: Error<Test>) -> DispatchError {
    error.into()
}

/// The result of a report without its weight.
fn reported(
    who: &AccountId,
    a: (Slot, Message, [u8; 64]),
    b: (Slot, Message, [u8; 64]),
) -> Result<Pays, DispatchError> {
    report(who, a, b)
        .map(|info| info.pays_fee)
        .map_err(|failed| failed.error)
}

#[test]
fn two_votes_cost_the_guilty_alone() {
    run(|| {
        let (id, epoch) = served();
        let members = members(id, epoch);
        let guilty = &members[2];
        let others: Vec<_> = (1..=AGENTS)
            .map(account)
            .filter(|who| who != guilty)
            .collect();
        let before: Vec<_> = others.iter().map(bonded).collect();
        let (reporter, treasury) = (free(&account(101)), free(&Treasury::get()));
        let issued = issuance();
        let vote = |outcome| signed(guilty, slot(id, epoch, 3), Message::Vote([outcome; 32]));
        assert_eq!(reported(guilty, vote(1), vote(2)), Ok(Pays::No));
        assert_eq!(bonded(guilty), BOND - LANE_BOND);
        assert_eq!(free(&account(101)), reporter + LANE_BOND / 10);
        assert_eq!(free(&Treasury::get()), treasury + LANE_BOND * 9 / 10);
        assert_eq!(others.iter().map(bonded).collect::<Vec<_>>(), before);
        assert_eq!(issuance(), issued);
        // Once for a lane and an epoch.
        let again = reported(guilty, vote(1), vote(3));
        assert_eq!(again, Err(error(Error::AlreadyPunished)));
    });
}

#[test]
fn a_signer_of_settlements_loses_its_seat_besides() {
    run(|| {
        let (id, epoch) = served();
        assert_eq!(settle(&checkpoint(id, epoch, 0, 1)), Ok(()));
        let guilty = &members(id, epoch)[0];
        let vote = |outcome| signed(guilty, slot(id, epoch, 3), Message::Vote([outcome; 32]));
        assert_eq!(reported(guilty, vote(1), vote(2)), Ok(Pays::No));
        assert_eq!(bonded(guilty), BOND - 2 * LANE_BOND);
    });
}

#[test]
fn who_has_left_pays_out_of_its_unbonding_parts() {
    run(|| {
        let (id, epoch) = served();
        let guilty = &members(id, epoch)[0];
        frame_support::assert_ok!(Agents::deregister(RuntimeOrigin::signed(guilty.clone())));
        let vote = |outcome| signed(guilty, slot(id, epoch, 3), Message::Vote([outcome; 32]));
        assert_eq!(reported(guilty, vote(1), vote(2)), Ok(Pays::No));
        assert_eq!(bonded(guilty), BOND - LANE_BOND);
    });
}

#[test]
fn what_an_honest_member_may_sign_costs_nothing() {
    run(|| {
        let (id, epoch) = served();
        let member = &members(id, epoch)[0];
        let vote =
            |seq, outcome| signed(member, slot(id, epoch, seq), Message::Vote([outcome; 32]));
        let none = || Err(error(Error::NoEquivocation));
        // Equal messages, and other requests.
        assert_eq!(reported(member, vote(1, 1), vote(1, 1)), none());
        assert_eq!(reported(member, vote(1, 1), vote(2, 2)), none());
        let seal = |phase, hash| {
            let slot = Slot {
                phase,
                ..slot(id, epoch, 1)
            };
            signed(member, slot, Message::Seal([hash; 32]))
        };
        let phases = (seal(Phase::Responses, 1), seal(Phase::Scores, 2));
        assert_eq!(reported(member, phases.0, phases.1), none());
        assert_eq!(bonded(member), BOND);
    });
}

#[test]
fn what_a_member_did_not_sign_is_no_evidence() {
    run(|| {
        let (id, epoch) = served();
        let members = members(id, epoch);
        let (victim, liar) = (&members[0], &members[1]);
        let vote = |who: &AccountId, outcome| {
            signed(who, slot(id, epoch, 3), Message::Vote([outcome; 32]))
        };
        assert_eq!(
            reported(victim, vote(victim, 1), vote(liar, 2)),
            Err(error(Error::BadSignature))
        );
        let outsider = account(101);
        assert_eq!(
            reported(&outsider, vote(&outsider, 1), vote(&outsider, 2)),
            Err(error(Error::NotMember))
        );
        let elsewhere = |outcome| {
            let slot = Slot {
                genesis: [9; 32],
                ..slot(id, epoch, 3)
            };
            signed(victim, slot, Message::Vote([outcome; 32]))
        };
        let (a, b) = (elsewhere(1), elsewhere(2));
        assert_noop!(report(victim, a, b), Error::<Test>::WrongChain);
        assert_eq!(bonded(victim), BOND);
    });
}

#[test]
fn long_messages_are_refused_unread() {
    run(|| {
        let (id, epoch) = served();
        let member = &members(id, epoch)[0];
        let echo = |view| {
            let named = starling_lane_primitives::messages::Named {
                member: 0,
                seal: Some([view; 32]),
            };
            let message = Message::Echo {
                view: 0,
                named: vec![named; 400],
                opened: None,
            };
            signed(member, slot(id, epoch, 3), message)
        };
        let long = reported(member, echo(0), echo(1));
        assert_eq!(long, Err(error(Error::EvidenceTooLong)));
    });
}

/// Reports as the node of a member does: without an account.
fn report_itself(who: &AccountId, a: SignedMessage, b: SignedMessage) -> Result<(), Refused> {
    send(crate::Call::equivocation {
        offender: who.clone(),
        a: Box::new(a),
        b: Box::new(b),
    })
}

#[test]
fn evidence_needs_no_account_and_no_fee() {
    run(|| {
        let (id, epoch) = served();
        let guilty = &members(id, epoch)[2];
        let vote = |outcome| signed(guilty, slot(id, epoch, 3), Message::Vote([outcome; 32]));
        let (treasury, issued) = (free(&Treasury::get()), issuance());
        assert_eq!(report_itself(guilty, vote(1), vote(2)), Ok(()));
        assert_eq!(bonded(guilty), BOND - LANE_BOND);
        assert_eq!(free(&Treasury::get()), treasury + LANE_BOND);
        assert_eq!(issuance(), issued);
        let shown = Event::Equivocated {
            lane: id,
            epoch,
            agent: guilty.clone(),
            slashed: LANE_BOND,
            reporter: None,
        };
        assert_eq!(events().pop(), Some(shown));
        // Nobody gets it into a block twice, whatever else the member has signed.
        let again = report_itself(guilty, vote(1), vote(3));
        assert_eq!(again, Err(Refused::Pool(InvalidTransaction::Stale.into())));
    });
}

#[test]
fn the_pool_refuses_false_evidence() {
    run(|| {
        let (id, epoch) = served();
        let members = members(id, epoch);
        let (victim, liar) = (&members[0], &members[1]);
        let vote = |who: &AccountId, outcome| {
            signed(who, slot(id, epoch, 3), Message::Vote([outcome; 32]))
        };
        let good = || vote(victim, 1);
        let report = |who: &AccountId, other| report_itself(who, good(), other);
        assert_eq!(report(victim, good()), Err(refused(Error::NoEquivocation)));
        assert_eq!(
            report(victim, vote(liar, 2)),
            Err(Refused::Pool(InvalidTransaction::BadProof.into()))
        );
        let outsider = account(101);
        let own = |outcome| vote(&outsider, outcome);
        assert_eq!(
            report_itself(&outsider, own(1), own(2)),
            Err(refused(Error::NotMember))
        );
        let elsewhere = |outcome| {
            let slot = Slot {
                lane: id + 1,
                ..slot(id, epoch, 3)
            };
            signed(victim, slot, Message::Vote([outcome; 32]))
        };
        let nowhere = report_itself(victim, elsewhere(1), elsewhere(2));
        // A peer may be a block ahead.
        let unknown = UnknownTransaction::CannotLookup;
        assert_eq!(nowhere, Err(Refused::Pool(unknown.into())));
        assert_eq!(bonded(victim), BOND);
    });
}

#[test]
fn a_volunteer_outside_of_the_committee_cannot_equivocate_in_it() {
    run(|| {
        let (id, epoch) = served();
        let members = members(id, epoch);
        let mut agents = (1..=AGENTS).map(account);
        let other = agents.find(|who| !members.contains(who));
        let other = other.expect("more agents than seats");
        let vote = |outcome| signed(&other, slot(id, epoch, 3), Message::Vote([outcome; 32]));
        let refusal = Err(refused(Error::NotMember));
        assert_eq!(report_itself(&other, vote(1), vote(2)), refusal);
        assert_eq!(bonded(&other), BOND);
    });
}
