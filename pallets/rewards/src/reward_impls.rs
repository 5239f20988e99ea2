// SPDX-License-Identifier: Apache-2.0
//! Settling the pot of a round.

use alloc::vec::Vec;
use frame_support::traits::{fungible::Balanced, tokens::imbalance::Imbalance, Get};
use sp_runtime::{Permill, Saturating};
use starling_primitives::{
    rewards::{divide, self_dealing_loses, split, Paid},
    rules::Rule,
    traits::{holds, Consistent, Rewards, Tickets},
    Balance,
};

use crate::{Config, CreditOf, Pallet, Parameters};

impl<T: Config> Pallet<T> {
    fn subsidy(fee: Balance) -> Balance {
        T::Parameters::get().subsidy.mul_floor(fee)
    }

    /// Whether a requester gets back less than it paid, if it owns all agents of a round with this
    /// fee and lets all but one of them lose.
    pub(crate) fn self_dealing_loses(fee: Balance) -> bool {
        let Parameters {
            winner,
            rankers,
            forfeits,
            ..
        } = T::Parameters::get();
        let price = T::Tickets::price(Self::reward(fee));
        let lost = Self::loser_part(price).saturating_mul(T::MaxResponses::get().into());
        let treasury = Permill::one()
            .saturating_sub(winner)
            .saturating_sub(rankers);
        self_dealing_loses(fee, Self::subsidy(fee), forfeits.mul_ceil(lost), treasury)
    }

    /// Splits forfeited tickets into the pot's part and the treasury's part. The burnt amount is
    /// added to `paid`.
    fn split_forfeits(forfeits: CreditOf<T>, paid: &mut Paid) -> (CreditOf<T>, CreditOf<T>) {
        let parameters = T::Parameters::get();
        let share = parameters.forfeits.mul_floor(forfeits.peek());
        let (pot, rest) = forfeits.split(share);
        (pot, Self::unless_burnt(rest, paid))
    }

    /// The treasury's part of forfeits that are in no pot.
    fn unless_burnt(forfeits: CreditOf<T>, paid: &mut Paid) -> CreditOf<T> {
        if T::Parameters::get().burn_forfeits {
            paid.burnt.saturating_accrue(forfeits.peek());
            return CreditOf::<T>::zero();
        }
        forfeits
    }

    /// Pays the rankers in proportion to their points. Returns the paid amount, and the rest:
    /// remainders, and parts that could not be delivered.
    fn pay_by_points(
        mut credit: CreditOf<T>,
        rankers: &[(T::AccountId, u64)],
    ) -> (Balance, CreditOf<T>) {
        let points: Vec<_> = rankers.iter().map(|(_, points)| *points).collect();
        let (parts, _) = divide(credit.peek(), &points);
        let mut paid: Balance = 0;
        let mut undelivered = CreditOf::<T>::zero();
        for ((who, _), part) in rankers.iter().zip(parts).filter(|(_, part)| *part > 0) {
            match Self::deliver(who, credit.extract(part)) {
                Ok(amount) => paid.saturating_accrue(amount),
                Err(part) => undelivered.subsume(part),
            }
        }
        (paid, credit.merge(undelivered))
    }

    fn pay_treasury(credit: CreditOf<T>, mut paid: Paid) -> Paid {
        let (delivered, burnt) = Self::to_treasury(credit);
        paid.treasury.saturating_accrue(delivered);
        paid.burnt.saturating_accrue(burnt);
        paid
    }
}

impl<T: Config> Rewards<T::AccountId> for Pallet<T> {
    type Credit = CreditOf<T>;

    fn reward(fee: Balance) -> Balance {
        fee.saturating_add(Self::subsidy(fee))
    }

    fn loser_part(price: Balance) -> Balance {
        T::Parameters::get().loser.mul_floor(price)
    }

    fn failure_refund(fee: Balance) -> Balance {
        T::Parameters::get().refund.mul_floor(fee)
    }

    fn pay_winner(
        fee: CreditOf<T>,
        forfeits: CreditOf<T>,
        winner: &T::AccountId,
        rankers: &[(T::AccountId, u64)],
    ) -> Paid {
        let mut paid = Paid::default();
        let subsidy = T::Currency::issue(Self::subsidy(fee.peek()));
        paid.subsidy = subsidy.peek();
        let (forfeits, mut treasury) = Self::split_forfeits(forfeits, &mut paid);
        let mut pot = fee.merge(subsidy).merge(forfeits);

        let Parameters {
            winner: winners_share,
            rankers: rankers_share,
            ..
        } = T::Parameters::get();
        let parts = split(pot.peek(), winners_share, rankers_share);
        match Self::deliver(winner, pot.extract(parts.winner)) {
            Ok(amount) => paid.winner = amount,
            Err(credit) => treasury.subsume(credit),
        }
        let (amount, rest) = Self::pay_by_points(pot.extract(parts.rankers), rankers);
        paid.rankers = amount;
        Self::pay_treasury(treasury.merge(rest).merge(pot), paid)
    }

    fn pay_rankers(
        fee: Balance,
        rest: CreditOf<T>,
        forfeits: CreditOf<T>,
        rankers: &[(T::AccountId, u64)],
    ) -> Paid {
        let mut paid = Paid::default();
        let (forfeits, treasury) = Self::split_forfeits(forfeits, &mut paid);
        let share = T::Parameters::get()
            .rankers
            .mul_floor(fee.saturating_add(forfeits.peek()));
        let mut pot = rest.merge(forfeits);
        let (amount, rest) = Self::pay_by_points(pot.extract(share), rankers);
        paid.rankers = amount;
        Self::pay_treasury(treasury.merge(rest).merge(pot), paid)
    }

    fn pay_delivered(
        fee: Balance,
        rest: CreditOf<T>,
        forfeits: CreditOf<T>,
        slashes: CreditOf<T>,
        delivered: &[T::AccountId],
    ) -> Paid {
        let mut paid = Paid::default();
        let forfeits = Self::unless_burnt(forfeits, &mut paid);
        let share = T::Parameters::get().rankers.mul_floor(fee);
        let (work, rest) = rest.split(share);
        let equal: Vec<_> = delivered.iter().map(|who| (who.clone(), 1)).collect();
        let (amount, undelivered) =
            Self::pay_by_points(work.merge(forfeits).merge(slashes), &equal);
        paid.rankers = amount;
        Self::pay_treasury(rest.merge(undelivered), paid)
    }

    fn keep(slashes: CreditOf<T>) {
        Self::to_treasury(slashes);
    }
}

impl<T: Config> Consistent for Pallet<T> {
    fn check() -> Result<(), Rule> {
        let Parameters {
            winner, rankers, ..
        } = T::Parameters::get();
        let rest = Permill::one().saturating_sub(winner);
        holds(rankers <= rest, Rule::SharesExceedPot)?;
        holds(T::MinFee::get() > 0, Rule::NoFee)?;
        // Both sides grow with the fee: the left one is convex (a ticket has a minimum), and the
        // right one is straight. So an inequality at the ends holds between them. The steps in
        // between are for rounding.
        let fees = core::iter::successors(Some(T::MinFee::get()), |fee| (*fee).checked_mul(2));
        let loses = fees
            .take_while(|fee| *fee < Balance::MAX >> 32)
            .all(Self::self_dealing_loses);
        holds(loses, Rule::SelfDealingGains)
    }
}
