// SPDX-License-Identifier: Apache-2.0
//! The treasury's account, and payments to it and from it.

use frame_support::traits::{
    fungible::{Balanced, Inspect},
    tokens::{
        imbalance::{Imbalance, OnUnbalanced},
        Fortitude::Polite,
        Preservation::Preserve,
    },
    Get,
};
use sp_runtime::traits::AccountIdConversion;
use starling_primitives::{traits::Treasury, Balance};

use crate::{Config, CreditOf, Pallet};

impl<T: Config> Pallet<T> {
    /// The treasury's account.
    pub fn treasury() -> T::AccountId {
        T::TreasuryId::get().into_account_truncating()
    }

    /// Pays `credit` to `who`. Returns a credit that cannot be delivered.
    pub(crate) fn deliver(who: &T::AccountId, credit: CreditOf<T>) -> Result<Balance, CreditOf<T>> {
        let amount = credit.peek();
        T::Currency::resolve(who, credit).map(|()| amount)
    }

    /// Pays `credit` to the treasury, else burns it. Returns the paid and the burnt amount.
    pub(crate) fn to_treasury(credit: CreditOf<T>) -> (Balance, Balance) {
        match Self::deliver(&Self::treasury(), credit) {
            Ok(paid) => (paid, 0),
            Err(credit) => {
                let burnt = credit.peek();
                log::error!(target: crate::LOG_TARGET, "the treasury cannot receive {burnt}");
                (0, burnt)
            },
        }
    }
}

impl<T: Config> OnUnbalanced<CreditOf<T>> for Pallet<T> {
    fn on_nonzero_unbalanced(credit: CreditOf<T>) {
        Self::to_treasury(credit);
    }
}

impl<T: Config> Treasury<T::AccountId> for Pallet<T> {
    fn pay(to: &T::AccountId, amount: Balance) -> Balance {
        let available = T::Currency::reducible_balance(&Self::treasury(), Preserve, Polite);
        let amount = amount.min(available);
        Self::do_spend(to.clone(), amount).map_or(0, |()| amount)
    }
}
