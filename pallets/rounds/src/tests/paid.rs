// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchClass, GetDispatchInfo, Pays},
};
use sp_runtime::DispatchError;

#[test]
fn anybody_may_reveal_for_a_fee_as_the_key_authenticates() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        let anybody = RuntimeOrigin::signed(4321);
        assert_noop!(
            Rounds_::reveal(anybody.clone(), id, 1, [0; 32], None),
            Error::<Test>::KeyMismatch
        );
        assert_ok!(Rounds_::reveal(anybody, id, 1, secret(id, 1), None));
        assert!(matches!(response_of(id, 1), Response::Valid { .. }));
    });
}

#[test]
fn anybody_may_disclose_for_a_fee_as_the_salt_authenticates() {
    run(|| {
        let id = ask();
        let all = to_disclosing(id, 5, honest);
        let anybody = RuntimeOrigin::signed(4321);
        let scores: ScoresOf<Test> = all[&1].clone().try_into().unwrap();
        assert_noop!(
            Rounds_::disclose(anybody.clone(), id, 1, scores.clone(), [0; 32], None),
            Error::<Test>::ScoresMismatch
        );
        assert_ok!(Rounds_::disclose(anybody, id, 1, scores, salt(id, 1), None));
        assert!(matches!(ranking_of(id, 1), Ranking::Disclosed(_)));
    });
}

#[test]
fn a_paid_message_is_normal_and_a_feeless_one_operational() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        let key = secret(id, 1);
        let paid = Call::<Test>::reveal {
            round: id,
            agent: 1,
            key,
            proof: None,
        };
        assert_eq!(paid.get_dispatch_info().class, DispatchClass::Normal);
        assert_eq!(paid.get_dispatch_info().pays_fee, Pays::Yes);
        let feeless = reveal_call(id, 1, key);
        assert_eq!(
            feeless.get_dispatch_info().class,
            DispatchClass::Operational
        );
    });
}

#[test]
fn a_proof_comes_without_a_signer_and_a_signer_without_a_proof() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        let key = secret(id, 1);
        let Call::reveal { proof, .. } = reveal_call(id, 1, key) else {
            unreachable!()
        };
        let signed = RuntimeOrigin::signed(4321);
        assert_noop!(
            Rounds_::reveal(signed, id, 1, key, proof),
            Error::<Test>::ProofMismatch
        );
        let without = Call::<Test>::reveal {
            round: id,
            agent: 1,
            key,
            proof: None,
        };
        assert_eq!(validate(without.clone()), Err(custom(Error::ProofMismatch)));
        assert_noop!(force(without), DispatchError::BadOrigin);
    });
}

#[test]
fn nobody_signs_for_the_other_messages() {
    run(|| {
        let id = ask();
        next_block();
        let signed = || RuntimeOrigin::signed(1);
        let Call::pass { proof, .. } = pass_call(id, 1) else {
            unreachable!()
        };
        assert_noop!(
            Rounds_::pass(signed(), id, 1, proof.clone()),
            DispatchError::BadOrigin
        );
        let hash = H256::zero();
        assert_noop!(
            Rounds_::commit(signed(), id, 1, vec![1], hash, proof.clone()),
            DispatchError::BadOrigin
        );
        assert_noop!(
            Rounds_::commit_scores(signed(), id, 1, hash, hash, proof),
            DispatchError::BadOrigin
        );
    });
}

use starling_primitives::H256;
