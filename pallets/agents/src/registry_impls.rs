// SPDX-License-Identifier: Apache-2.0
//! Implementation of the registry for other pallets.

use alloc::boxed::Box;
use frame_support::{
    pallet_prelude::*,
    traits::{defensive_prelude::*, tokens::imbalance::Imbalance, DefensiveSaturating},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::Saturating;
use starling_primitives::{
    locks::LockId,
    rules::Rule,
    traits::{holds, AgentRegistry, Consistent, Identities, OnInactive},
    Balance, InferenceKey, H256,
};

use crate::{
    unbonding, Activations, ActiveCount, Agent, Agents, Config, CreditOf, Error, Growths, KeyOwner,
    Pallet, Unbonding,
};

impl<T: Config> Pallet<T> {
    fn ensure_can_reserve(who: &T::AccountId, agent: &Agent, amount: Balance) -> DispatchResult {
        ensure!(agent.activation.is_some(), Error::<T>::NotActive);
        let claimed = amount.saturating_add(Self::claimed_by_locks(who));
        ensure!(claimed <= agent.free(), Error::<T>::BondNotFree);
        Ok(())
    }

    /// Ends a reservation that is open. A reservation keeps the agent registered.
    fn end_reservation(who: &T::AccountId, amount: Balance, slashed: bool) {
        let debt = Self::mutate_agent(who, |agent| {
            agent.open = agent.open.defensive_saturating_sub(1);
            agent.reserved = agent.reserved.defensive_saturating_sub(amount);
            if slashed {
                agent.bond = agent.bond.defensive_saturating_sub(amount);
            }
            Self::rotate_when_idle(who, agent);
            Ok(Self::collect_debt(who, agent))
        })
        .defensive_proof("who has a reservation is registered; qed")
        .unwrap_or_default();
        if debt > 0 {
            Self::take_bond(who, debt);
        }
    }
}

impl<T: Config> AgentRegistry<T::AccountId> for Pallet<T> {
    type Credit = CreditOf<T>;

    fn inference_key(who: &T::AccountId) -> Option<InferenceKey> {
        Agents::<T>::get(who).map(|agent| agent.key)
    }

    fn agent_of(key: &InferenceKey) -> Option<T::AccountId> {
        KeyOwner::<T>::get(key).filter(|who| Self::inference_key(who).as_ref() == Some(key))
    }

    fn owner_of(key: &InferenceKey) -> Option<T::AccountId> {
        KeyOwner::<T>::get(key)
    }

    fn is_active(who: &T::AccountId) -> bool {
        Self::activation(who).is_some()
    }

    fn active_count() -> u32 {
        ActiveCount::<T>::get()
    }

    fn active() -> Box<dyn Iterator<Item = T::AccountId>> {
        let active = Agents::<T>::iter().filter(|(_, agent)| agent.activation.is_some());
        Box::new(active.map(|(who, _)| who))
    }

    fn renew(who: &T::AccountId) {
        Agents::<T>::mutate(who, |agent| {
            let Some(agent) = agent else { return };
            if let Some(ordinal) = agent.activation {
                T::OnInactive::on_inactive(who, ordinal);
                agent.activation = Some(Self::next_activation());
            }
        });
    }

    fn activations() -> u64 {
        Activations::<T>::get()
    }

    fn activation(who: &T::AccountId) -> Option<u64> {
        Agents::<T>::get(who).and_then(|agent| agent.activation)
    }

    fn bond(who: &T::AccountId) -> Balance {
        Agents::<T>::get(who).map_or(0, |agent| agent.bond)
    }

    fn exposed(who: &T::AccountId) -> Balance {
        Self::bond(who).saturating_add(unbonding(&Unbonding::<T>::get(who)))
    }

    fn bond_at(who: &T::AccountId, block: u32) -> Balance {
        let bond = Self::bond(who);
        match Growths::<T>::get(who) {
            Some(growth) if growth.at >= BlockNumberFor::<T>::from(block) => {
                growth.before.min(bond)
            },
            _ => bond,
        }
    }

    fn can_reserve(who: &T::AccountId, amount: Balance) -> bool {
        Agents::<T>::get(who)
            .is_some_and(|agent| Self::ensure_can_reserve(who, &agent, amount).is_ok())
    }

    fn reserve(who: &T::AccountId, amount: Balance) -> DispatchResult {
        Self::mutate_agent(who, |agent| {
            Self::ensure_can_reserve(who, agent, amount)?;
            agent.reserved.saturating_accrue(amount);
            agent.open.saturating_inc();
            Ok(())
        })
    }

    fn release(who: &T::AccountId, amount: Balance) {
        Self::end_reservation(who, amount, false);
    }

    fn slash_reserved(who: &T::AccountId, amount: Balance) -> CreditOf<T> {
        Self::end_reservation(who, amount, true);
        if amount > 0 {
            Self::seize(who, amount)
        } else {
            CreditOf::<T>::zero()
        }
    }

    fn fine(who: &T::AccountId, amount: Balance) -> CreditOf<T> {
        match Self::mutate_agent(who, |agent| Ok(agent.take_free(amount))) {
            Ok(taken) if taken > 0 => Self::seize(who, taken),
            _ => CreditOf::<T>::zero(),
        }
    }

    fn can_lock(who: &T::AccountId, id: LockId, amount: Balance) -> bool {
        Self::locks_with(who, id, amount, 0).is_ok()
    }

    fn lock(who: &T::AccountId, id: LockId, amount: Balance, until: u32) -> DispatchResult {
        let locks = Self::locks_with(who, id, amount, until)?;
        Self::put_locks(who, locks);
        Ok(())
    }

    fn lockable(who: &T::AccountId) -> Balance {
        Self::unclaimed(who)
    }

    fn slash_lock(who: &T::AccountId, id: LockId) -> CreditOf<T> {
        Self::end_lock(who, id, Balance::MAX)
    }

    fn end_lock(who: &T::AccountId, id: LockId, loss: Balance) -> CreditOf<T> {
        let amount = Self::take_lock(who, id);
        Self::seize_free(who, amount.min(loss))
    }

    fn punish(who: &T::AccountId) {
        Self::chill_by_rule(who);
    }

    fn reservations(who: &T::AccountId) -> (u32, Balance) {
        Agents::<T>::get(who).map_or((0, 0), |agent| (agent.open, agent.reserved))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn make_active(who: &T::AccountId, key: InferenceKey, bond: Balance) {
        crate::benchmarking::make_active::<T>(who, key, bond);
    }
}

impl<T: Config> Identities<T::AccountId> for Pallet<T> {
    fn identity(who: &T::AccountId) -> Option<(InferenceKey, H256)> {
        Agents::<T>::get(who).map(|agent| (agent.key, agent.model.hash))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn make_agent(who: &T::AccountId, key: InferenceKey, model: H256) {
        crate::benchmarking::make_active::<T>(who, key, 0);
        Agents::<T>::mutate(who, |agent| {
            if let Some(agent) = agent {
                agent.model.hash = model;
            }
        });
    }
}

impl<T: Config> Consistent for Pallet<T> {
    fn check() -> Result<(), Rule> {
        holds(T::MinBond::get() > 0, Rule::NoBond)?;
        holds(T::MinValidators::get() > 0, Rule::NoValidator)?;
        let (least, most) = (T::MinValidators::get(), T::MaxValidators::get());
        holds(least <= most, Rule::TooManyValidators)?;
        let (unbonding, longest) = (T::UnbondingPeriod::get(), T::LongestRound::get());
        holds(unbonding > longest, Rule::UnbondingTooShort)
    }
}
