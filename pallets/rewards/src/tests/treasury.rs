// SPDX-License-Identifier: Apache-2.0

use frame_support::{
    assert_err, assert_noop, assert_ok,
    traits::{
        fungible::Mutate,
        tokens::{Fortitude::Force, Precision::Exact, Preservation::Expendable},
        OnUnbalanced,
    },
};
use sp_runtime::{DispatchError, TokenError};
use starling_primitives::{
    rewards::Paid,
    traits::{Rewards as _, Treasury as _},
};

use crate::{mock::*, Error, Event};

#[test]
fn it_has_its_existential_deposit_from_the_start_and_can_receive_a_single_unit() {
    run(|| {
        assert_eq!(balance(Rewards::treasury()), EXISTENTIAL_DEPOSIT);
        Rewards::on_unbalanced(credit(1));
        assert_eq!(treasury(), 1);
    });
}

#[test]
fn what_it_has_above_that_can_be_spent() {
    run(|| {
        Rewards::on_unbalanced(credit(100));
        let spend = |to, amount| Rewards::spend(RuntimeOrigin::root(), to, amount);
        assert_ok!(spend(1, 60));
        assert_eq!((earned(1), treasury()), (60, 40));
        System::assert_last_event(Event::<Test>::Spent { to: 1, amount: 60 }.into());

        assert_noop!(spend(1, 41), Error::<Test>::TreasuryTooPoor);
        assert_noop!(spend(1, 0), Error::<Test>::ZeroAmount);
        assert_noop!(
            spend(STRANGER, EXISTENTIAL_DEPOSIT - 1),
            TokenError::BelowMinimum
        );
        assert_noop!(
            Rewards::spend(RuntimeOrigin::signed(1), 1, 1),
            DispatchError::BadOrigin
        );
        assert_ok!(spend(1, 40));
    });
}

#[test]
fn other_pallets_get_what_it_has_above_its_existential_deposit() {
    run(|| {
        Rewards::on_unbalanced(credit(100));
        assert_eq!(Rewards::pay(&1, 60), 60);
        System::assert_last_event(Event::<Test>::Spent { to: 1, amount: 60 }.into());
        assert_eq!(Rewards::pay(&1, 60), 40, "all that is left");
        assert_eq!(Rewards::pay(&1, 60), 0);
        assert_eq!((earned(1), treasury()), (100, 0));

        Rewards::on_unbalanced(credit(100));
        let too_little = EXISTENTIAL_DEPOSIT - 1;
        assert_eq!(Rewards::pay(&STRANGER, too_little), 0, "it cannot arrive");
        assert_eq!(treasury(), 100);
    });
}

/// Cannot happen, because the treasury keeps its existential deposit. If it did, settlement would
/// still not fail, and the check of the state would report it.
#[test]
fn what_not_even_the_treasury_can_take_is_burnt() {
    run(|| {
        let treasury = Rewards::treasury();
        assert_ok!(Balances::burn_from(
            &treasury,
            EXISTENTIAL_DEPOSIT,
            Expendable,
            Exact,
            Force
        ));
        assert_err!(Rewards::do_try_state(), "the treasury is gone");
        let issued = Balances::total_issuance();
        let paid = Rewards::pay_delivered(
            0,
            credit(EXISTENTIAL_DEPOSIT - 1),
            credit(0),
            credit(0),
            &[],
        );
        assert_eq!(
            paid,
            Paid {
                burnt: EXISTENTIAL_DEPOSIT - 1,
                ..Default::default()
            }
        );
        assert_eq!(Balances::total_issuance(), issued);
        Rewards::on_unbalanced(credit(EXISTENTIAL_DEPOSIT));
    });
}
