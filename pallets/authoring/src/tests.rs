// SPDX-License-Identifier: Apache-2.0

use frame_support::{
    assert_noop, assert_ok,
    dispatch::Pays,
    pallet_prelude::{InvalidTransaction, TransactionSource, TransactionValidityError},
    traits::Authorize,
};
use frame_system::{pallet_prelude::HeaderFor, RawOrigin};
use sp_runtime::{
    traits::{Dispatchable, Header},
    DigestItem, DispatchError,
};
use sp_session::MembershipProof;

use crate::{mock::*, Call, Error, ProofOf};

/// A height of the session before the present one, and this session.
const EARLIER: (u64, u32) = (100, 1);
/// An author of that session.
const AUTHOR: u8 = 2;

/// Sends a report as a signed account.
fn send(proof: ProofOf<Test>, ownership: MembershipProof) -> Result<Pays, DispatchError> {
    Authoring::report_equivocation(RuntimeOrigin::signed(77), Box::new(proof), ownership)
        .map(|done| done.pays_fee)
        .map_err(|failed| failed.error)
}

/// Two different headers of the author, without seals.
fn two() -> [HeaderFor<Test>; 2] {
    let (number, _) = EARLIER;
    [header(number, SLOT, 1), header(number, SLOT, 2)]
}

#[test]
fn an_author_of_two_blocks_in_a_slot_is_punished_once() {
    chain().execute_with(|| {
        let (number, session) = EARLIER;
        let proof = contradicting(AUTHOR, [number, number]);
        assert_eq!(send(proof.clone(), ownership(session)), Ok(Pays::No));
        assert_eq!(Punished::get(), [(u64::from(AUTHOR), session)]);

        assert_noop!(
            send(proof, ownership(session)),
            Error::<Test>::AlreadyReported
        );
        // A third block of the same slot is the same offence.
        let [_, second] = two();
        let third = header(number + 1, SLOT, 3);
        let more = report(AUTHOR, sealed(AUTHOR, second), sealed(AUTHOR, third));
        assert_noop!(
            send(more, ownership(session)),
            Error::<Test>::AlreadyReported
        );
    });
}

#[test]
fn a_block_that_was_signed_twice_is_no_offence() {
    chain().execute_with(|| {
        let (_, session) = EARLIER;
        let [block, _] = two();
        let [once, again] = [0; 2].map(|_| sealed(AUTHOR, block.clone()));
        assert_ne!(once.hash(), again.hash());
        assert_noop!(
            send(report(AUTHOR, once, again), ownership(session)),
            Error::<Test>::SameBlock
        );
    });
}

#[test]
fn what_proves_nothing_is_refused_by_name() {
    chain().execute_with(|| {
        let (number, session) = EARLIER;
        let [first, second] = two();
        let right = sealed(AUTHOR, first);
        let other_slot = sealed(AUTHOR, header(number, SLOT + 1, 2));
        let mut without_slot = header(number, SLOT, 2);
        without_slot.digest_mut().logs.clear();
        let mut hidden_seal = sealed(AUTHOR, second.clone());
        let other = DigestItem::Other(vec![]);
        hidden_seal.digest_mut().push(other);
        let mut changed = sealed(AUTHOR, second.clone());
        changed.set_number(number + 1);
        for (second, error) in [
            (second.clone(), Error::<Test>::NotSealed),
            (hidden_seal, Error::NotSealed),
            (other_slot, Error::WrongSlot),
            (sealed(AUTHOR, without_slot), Error::WrongSlot),
            (right.clone(), Error::SameBlock),
            (sealed(1, second), Error::BadSeal),
            (changed, Error::BadSeal),
        ] {
            let proof = report(AUTHOR, right.clone(), second);
            assert_noop!(send(proof, ownership(session)), error);
        }
        assert!(Punished::get().is_empty());
    });
}

#[test]
fn the_key_of_another_session_proves_nothing() {
    chain().execute_with(|| {
        let (number, session) = EARLIER;
        let proof = || contradicting(AUTHOR, [number, number]);
        // The author's in the sessions around, too.
        for other in [session - 1, session + 1] {
            assert_noop!(send(proof(), ownership(other)), Error::<Test>::WrongSession);
        }
        // Not any more, and not yet.
        for stranger in [0, 4] {
            let proof = contradicting(stranger, [number, number]);
            assert_noop!(send(proof, ownership(session)), Error::<Test>::NoAuthor);
        }
        let forged = MembershipProof {
            validator_count: 1,
            ..ownership(session)
        };
        assert_noop!(send(proof(), forged), Error::<Test>::NoAuthor);
    });
}

#[test]
fn the_first_block_of_a_session_is_of_the_authors_before() {
    chain().execute_with(|| {
        let border = 2 * PERIOD;
        let proof = || contradicting(AUTHOR, [border, border]);
        assert_noop!(send(proof(), ownership(2)), Error::<Test>::WrongSession);
        assert_eq!(send(proof(), ownership(1)), Ok(Pays::No));

        // Over the border the lower block decides, whichever comes first in the report.
        for (author, heights) in [(1, [border, border + 1]), (3, [border + 1, border])] {
            let proof = || contradicting(author, heights);
            assert_noop!(send(proof(), ownership(2)), Error::<Test>::WrongSession);
            assert_eq!(send(proof(), ownership(1)), Ok(Pays::No));
        }
        let punished: Vec<_> = Punished::get();
        assert!(punished.iter().all(|(_, session)| *session == 1));
        assert!([1, 2, 3].iter().all(|who| punished.contains(&(*who, 1))));
    });
}

#[test]
fn an_offence_can_be_reported_as_long_as_it_can_be_punished() {
    chain().execute_with(|| {
        let (number, session) = EARLIER;
        let proof = || contradicting(AUTHOR, [number, number]);
        System::set_block_number(number + LONGEVITY + 1);
        assert_noop!(send(proof(), ownership(session)), Error::<Test>::TooOld);
        System::set_block_number(number + LONGEVITY);
        assert_ok!(send(proof(), ownership(session)));
    });
}

#[test]
fn a_node_reports_for_itself_alone_and_an_offence_once() {
    chain().execute_with(|| {
        let (number, session) = EARLIER;
        let call = |proof| Call::<Test>::report_equivocation {
            proof: Box::new(proof),
            ownership: ownership(session),
        };
        let validate = |call: &Call<Test>, source| {
            let verdict = call.authorize(source).expect("it needs no signature");
            verdict.map(|(valid, _)| valid)
        };
        let right = call(contradicting(AUTHOR, [number, number]));
        let valid = validate(&right, TransactionSource::Local).expect("it is right");
        assert!(!valid.propagate);
        assert_eq!(valid.longevity, LONGEVITY);
        // Another pair of blocks of the slot has the same tag.
        let more = call(contradicting(AUTHOR, [number, number + 1]));
        let same = validate(&more, TransactionSource::Local).expect("it is right, too");
        assert_eq!(valid.provides, same.provides);

        let refused = |reason: InvalidTransaction| Err(TransactionValidityError::from(reason));
        assert_eq!(
            validate(&right, TransactionSource::External),
            refused(InvalidTransaction::Call)
        );
        let [first, second] = two();
        let forged = call(report(AUTHOR, sealed(AUTHOR, first), sealed(1, second)));
        assert_eq!(
            validate(&forged, TransactionSource::Local),
            refused(InvalidTransaction::BadProof)
        );

        assert!(validate(&right, TransactionSource::InBlock).is_ok());
        let dispatch = |call: &Call<Test>, origin: RuntimeOrigin| {
            let done = RuntimeCall::from(call.clone()).dispatch(origin);
            done.map(|_| ()).map_err(|failed| failed.error)
        };
        assert_noop!(
            dispatch(&right, RawOrigin::None.into()),
            DispatchError::BadOrigin
        );
        assert_ok!(dispatch(&right, RawOrigin::Authorized.into()));
        assert_eq!(Punished::get(), [(u64::from(AUTHOR), session)]);
        assert_eq!(
            validate(&right, TransactionSource::InBlock),
            refused(InvalidTransaction::Stale)
        );
    });
}
