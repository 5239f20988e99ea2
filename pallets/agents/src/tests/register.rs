// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::TokenError;
use starling_primitives::{traits::AgentRegistry, H256};

use crate::{mock::*, Agents as Registered, Error, Event, KeyOwner, ModelDescriptor};

#[test]
fn an_account_with_bond_key_and_model_becomes_an_active_agent() {
    Chain::new().run(|| {
        register(1, 150);
        assert!(<Agents as AgentRegistry<_>>::is_active(&1));
        assert_eq!(<Agents as AgentRegistry<_>>::active_count(), 1);
        assert_eq!(<Agents as AgentRegistry<_>>::bond(&1), 150);
        assert_eq!(
            <Agents as AgentRegistry<_>>::inference_key(&1),
            Some(key(1))
        );
        assert_eq!(<Agents as AgentRegistry<_>>::agent_of(&key(1)), Some(1));
        assert_eq!(held(1), 150);
        assert_eq!(free(1), ENDOWMENT - 150 - KeyFee::get());
        assert_eq!(free(TREASURY), EXISTENTIAL_DEPOSIT + KeyFee::get());
        assert_eq!(
            events(),
            [
                Event::Registered {
                    who: 1,
                    key: key(1),
                    model: model("m"),
                    bond: 150
                },
                Event::CandidateAdded { who: 1 },
            ]
        );
    });
}

#[test]
fn an_agent_cannot_register_again() {
    Chain::new().run(|| {
        register(1, 100);
        assert_noop!(
            Agents::register(
                RuntimeOrigin::signed(1),
                key(2),
                proof(2, 1),
                model("m"),
                100
            ),
            Error::<Test>::AlreadyRegistered
        );
    });
}

#[test]
fn a_bond_below_the_minimum_is_refused() {
    Chain::new().run(|| {
        assert_noop!(
            Agents::register(
                RuntimeOrigin::signed(1),
                key(1),
                proof(1, 1),
                model("m"),
                99
            ),
            Error::<Test>::BondTooLow
        );
    });
}

#[test]
fn a_bond_that_the_account_does_not_have_is_refused() {
    Chain::new().run(|| {
        // Bond and fee together would leave less than the existential deposit.
        let too_much = ENDOWMENT - KeyFee::get();
        assert_noop!(
            Agents::register(
                RuntimeOrigin::signed(1),
                key(1),
                proof(1, 1),
                model("m"),
                too_much
            ),
            TokenError::FundsUnavailable
        );
        assert!(
            !KeyOwner::<Test>::contains_key(key(1)),
            "the key is still free"
        );
        register(1, too_much - EXISTENTIAL_DEPOSIT);
    });
}

#[test]
fn a_key_without_its_own_proof_is_refused() {
    Chain::new().run(|| {
        let elsewhere = starling_primitives::messages::ownership_payload(H256::zero(), &1u64);
        for wrong in [
            proof(2, 1),                               // another key's
            proof(1, 2),                               // for another account
            sp_core::Pair::sign(&pair(1), &elsewhere), // for another chain
        ] {
            assert_noop!(
                Agents::register(RuntimeOrigin::signed(1), key(1), wrong, model("m"), 100),
                Error::<Test>::InvalidProof
            );
        }
    });
}

#[test]
fn a_key_that_serves_another_agent_is_refused() {
    Chain::new().run(|| {
        register(1, 100);
        assert_noop!(
            Agents::register(
                RuntimeOrigin::signed(2),
                key(1),
                proof(1, 2),
                model("m"),
                100
            ),
            Error::<Test>::KeyInUse
        );
    });
}

#[test]
fn a_model_needs_a_name_in_utf8() {
    Chain::new().run(|| {
        let broken = ModelDescriptor {
            name: vec![0xff].try_into().unwrap(),
            hash: H256::zero(),
        };
        for wrong in [model(""), broken] {
            assert_noop!(
                Agents::register(
                    RuntimeOrigin::signed(1),
                    key(1),
                    proof(1, 1),
                    wrong.clone(),
                    100
                ),
                Error::<Test>::InvalidModelName
            );
            register(1, 100);
            assert_noop!(
                Agents::set_model(RuntimeOrigin::signed(1), wrong),
                Error::<Test>::InvalidModelName
            );
            assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
            KeyOwner::<Test>::remove(key(1));
        }
    });
}

#[test]
fn an_agent_changes_its_model() {
    Chain::new().run(|| {
        assert_noop!(
            Agents::set_model(RuntimeOrigin::signed(1), model("new")),
            Error::<Test>::NotRegistered
        );
        register(1, 100);
        assert_ok!(Agents::set_model(RuntimeOrigin::signed(1), model("new")));
        assert_eq!(Registered::<Test>::get(1).unwrap().model, model("new"));
        assert_eq!(
            events().last(),
            Some(&Event::ModelChanged {
                who: 1,
                model: model("new")
            })
        );
    });
}
