// SPDX-License-Identifier: Apache-2.0
//! Implementation of the calls.

use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::{hold::Mutate as _, Balanced as _, BalancedHold as _},
        tokens::{Fortitude::Polite, Precision::Exact, Preservation::Preserve},
        OnUnbalanced,
    },
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Zero, Saturating};
use starling_primitives::{
    messages, traits::OnAgentChange, Balance, InferenceKey, InferenceSignature,
};

use crate::{
    unbonding, Agent, Agents, Config, CreditOf, Debts, Error, Event, GenesisAgent, Growth, Growths,
    HoldReason, KeyOwner, ModelDescriptor, Pallet, Unbonding, UnbondingChunk, UnbondingOf,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_register(
        who: T::AccountId,
        key: InferenceKey,
        proof: InferenceSignature,
        model: ModelDescriptor,
        bond: Balance,
    ) -> DispatchResult {
        Self::ensure_can_register(&who, &model, bond)?;
        Self::adopt_key(&who, &key, &proof)?;
        Self::insert_agent(who, key, model, bond)
    }

    pub(crate) fn do_genesis_agent(genesis: &GenesisAgent<T::AccountId>) -> DispatchResult {
        let GenesisAgent {
            account,
            inference_key,
            model_name,
            model_hash,
            bond,
        } = genesis.clone();
        let name = model_name
            .into_bytes()
            .try_into()
            .map_err(|_| Error::<T>::InvalidModelName)?;
        let model = ModelDescriptor {
            name,
            hash: model_hash,
        };
        Self::ensure_can_register(&account, &model, bond)?;
        // Takes no proof and no fee: there is no genesis hash yet to sign, and the author of the
        // genesis is responsible for it.
        Self::claim_key(&account, &inference_key)?;
        Self::insert_agent(account, inference_key, model, bond)
    }

    fn ensure_can_register(
        who: &T::AccountId,
        model: &ModelDescriptor,
        bond: Balance,
    ) -> DispatchResult {
        ensure!(
            !Agents::<T>::contains_key(who),
            Error::<T>::AlreadyRegistered
        );
        Self::ensure_model(model)?;
        ensure!(bond >= T::MinBond::get(), Error::<T>::BondTooLow);
        Ok(())
    }

    fn ensure_model(model: &ModelDescriptor) -> DispatchResult {
        let valid = !model.name.is_empty() && core::str::from_utf8(&model.name).is_ok();
        ensure!(valid, Error::<T>::InvalidModelName);
        Ok(())
    }

    /// Makes `key` a key of `who`, against the fee. The key must be new and agree to it.
    fn adopt_key(
        who: &T::AccountId,
        key: &InferenceKey,
        proof: &InferenceSignature,
    ) -> DispatchResult {
        Self::claim_key(who, key)?;
        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        ensure!(
            messages::verify_ownership(key, genesis, who, proof),
            Error::<T>::InvalidProof
        );
        let fee = T::Currency::withdraw(who, T::KeyFee::get(), Exact, Preserve, Polite)?;
        T::Treasury::on_unbalanced(fee);
        Ok(())
    }

    fn claim_key(who: &T::AccountId, key: &InferenceKey) -> DispatchResult {
        ensure!(!KeyOwner::<T>::contains_key(key), Error::<T>::KeyInUse);
        KeyOwner::<T>::insert(key, who);
        Ok(())
    }

    pub(crate) fn insert_agent(
        who: T::AccountId,
        key: InferenceKey,
        model: ModelDescriptor,
        bond: Balance,
    ) -> DispatchResult {
        T::Currency::hold(&HoldReason::Bond.into(), &who, bond)?;
        let mut agent = Agent {
            key: key.clone(),
            next_key: None,
            model: model.clone(),
            bond,
            reserved: 0,
            open: 0,
            chilled: false,
            activation: None,
        };
        Self::deposit_event(Event::Registered {
            who: who.clone(),
            key,
            model,
            bond,
        });
        Self::note_growth(&who, 0);
        Self::refresh(&who, &mut agent, None);
        Agents::<T>::insert(who, agent);
        Ok(())
    }

    pub(crate) fn do_bond_extra(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
        Self::mutate_agent(&who, |agent| {
            T::Currency::hold(&HoldReason::Bond.into(), &who, amount)?;
            Self::note_growth(&who, agent.bond);
            agent.bond.saturating_accrue(amount);
            let bond = agent.bond;
            Self::deposit_event(Event::Bonded {
                who: who.clone(),
                amount,
                bond,
            });
            Ok(())
        })
    }

    /// Records the bond before it grows. Requests of this block and of earlier ones still draw with
    /// it: the author of this block knows what its requests will draw. Bonds of the genesis are in
    /// every draw.
    fn note_growth(who: &T::AccountId, bond: Balance) {
        let at = frame_system::Pallet::<T>::block_number();
        if at.is_zero() {
            return;
        }
        let before = match Growths::<T>::get(who) {
            // Rounds that began before that growth may still be open, and committees of disputes look
            // back further. So two growths in a row hide nothing.
            Some(last) if last.at.saturating_add(T::UnbondingPeriod::get()) >= at => {
                last.before.min(bond)
            },
            _ => bond,
        };
        Growths::<T>::insert(who, Growth { at, before });
    }

    pub(crate) fn do_unbond(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
        Self::mutate_agent(&who, |agent| {
            ensure!(amount <= agent.free(), Error::<T>::BondNotFree);
            let rest = agent.bond.saturating_sub(amount);
            ensure!(
                rest.is_zero() || rest >= T::MinBond::get(),
                Error::<T>::BondTooLow
            );
            Self::begin_unbonding(&who, amount)?;
            agent.bond = rest;
            Ok(())
        })
    }

    /// Queues `amount`, which is on hold, for withdrawal.
    fn begin_unbonding(who: &T::AccountId, amount: Balance) -> DispatchResult {
        let now = frame_system::Pallet::<T>::block_number();
        let due = now.saturating_add(T::UnbondingPeriod::get());
        let due = Unbonding::<T>::try_mutate(who, |chunks| match chunks.last_mut() {
            // The same block, or an upgrade that made the period shorter: never before the last.
            Some(last) if last.due >= due => {
                last.amount.saturating_accrue(amount);
                Ok(last.due)
            },
            _ => chunks
                .try_push(UnbondingChunk { amount, due })
                .map(|()| due)
                .map_err(|_| Error::<T>::TooManyUnbonding),
        })?;
        Self::deposit_event(Event::Unbonding {
            who: who.clone(),
            amount,
            due,
        });
        Ok(())
    }

    pub(crate) fn do_withdraw_unbonded(who: T::AccountId) -> DispatchResult {
        let open = Agents::<T>::get(&who).map_or(0, |agent| agent.open);
        ensure!(open.is_zero(), Error::<T>::OpenReservations);
        let now = frame_system::Pallet::<T>::block_number();
        let mut chunks = Unbonding::<T>::get(&who);
        let mut amount: Balance = 0;
        chunks.retain(|chunk| {
            let due = chunk.due <= now;
            if due {
                amount.saturating_accrue(chunk.amount);
            }
            !due
        });
        ensure!(!amount.is_zero(), Error::<T>::NothingToWithdraw);
        Self::ensure_covered(&who, unbonding(&chunks))?;
        Self::put_unbonding(&who, chunks);
        T::Currency::release(&HoldReason::Bond.into(), &who, amount, Exact)?;
        Self::deposit_event(Event::Withdrawn { who, amount });
        Ok(())
    }

    /// Stores the unbonding parts, or removes the entry if there are none.
    pub(crate) fn put_unbonding(who: &T::AccountId, chunks: UnbondingOf<T>) {
        if chunks.is_empty() {
            Unbonding::<T>::remove(who);
        } else {
            Unbonding::<T>::insert(who, chunks);
        }
    }

    pub(crate) fn do_chill(who: T::AccountId) -> DispatchResult {
        Self::mutate_agent(&who, |agent| {
            ensure!(!agent.chilled, Error::<T>::AlreadyChilled);
            agent.chilled = true;
            Self::deposit_event(Event::Chilled { who: who.clone() });
            Ok(())
        })
    }

    pub(crate) fn do_unchill(who: T::AccountId) -> DispatchResult {
        Self::mutate_agent(&who, |agent| {
            ensure!(agent.chilled, Error::<T>::NotChilled);
            ensure!(agent.bond >= T::MinBond::get(), Error::<T>::BondTooLow);
            agent.chilled = false;
            Self::deposit_event(Event::Unchilled { who: who.clone() });
            Ok(())
        })
    }

    pub(crate) fn do_rotate_key(
        who: T::AccountId,
        key: InferenceKey,
        proof: InferenceSignature,
    ) -> DispatchResult {
        Self::mutate_agent(&who, |agent| {
            Self::adopt_key(&who, &key, &proof)?;
            agent.next_key = Some(key.clone());
            if agent.open > 0 {
                Self::deposit_event(Event::KeyRotationScheduled {
                    who: who.clone(),
                    key,
                });
            } else {
                Self::rotate_when_idle(&who, agent);
            }
            Ok(())
        })
    }

    /// The weight of telling others about a change of an agent. Who gives a new key pays for it,
    /// also if the key waits for the end of a round.
    pub(crate) fn weight_of_change() -> Weight {
        T::DbWeight::get().reads_writes(1, 1)
    }

    /// Puts the waiting key in force, if there is one and no round is open.
    pub(crate) fn rotate_when_idle(who: &T::AccountId, agent: &mut Agent) {
        if agent.open > 0 {
            return;
        }
        if let Some(key) = agent.next_key.take() {
            agent.key = key.clone();
            T::OnAgentChange::on_agent_change(who);
            Self::deposit_event(Event::KeyRotated {
                who: who.clone(),
                key,
            });
        }
    }

    pub(crate) fn do_set_model(who: T::AccountId, model: ModelDescriptor) -> DispatchResult {
        Self::ensure_model(&model)?;
        Self::mutate_agent(&who, |agent| {
            if agent.model.hash != model.hash {
                T::OnAgentChange::on_agent_change(&who);
            }
            agent.model = model.clone();
            Self::deposit_event(Event::ModelChanged {
                who: who.clone(),
                model,
            });
            Ok(())
        })
    }

    pub(crate) fn do_deregister(who: T::AccountId) -> DispatchResult {
        Self::mutate_agent(&who, |agent| {
            ensure!(agent.open.is_zero(), Error::<T>::OpenReservations);
            if !agent.bond.is_zero() {
                Self::begin_unbonding(&who, agent.bond)?;
                agent.bond = 0;
            }
            Ok(())
        })?;
        Agents::<T>::remove(&who);
        Growths::<T>::remove(&who);
        T::OnAgentChange::on_agent_change(&who);
        Self::deposit_event(Event::Deregistered { who });
        Ok(())
    }

    pub(crate) fn do_slash(who: T::AccountId, amount: Balance) -> DispatchResult {
        let mut left = amount.saturating_sub(Self::take_unbonding(&who, amount));
        let mut claimed: Balance = 0;
        if Agents::<T>::contains_key(&who) {
            (left, claimed) = Self::mutate_agent(&who, |agent| {
                let part = agent.take_free(left);
                Ok((left.saturating_sub(part), agent.reserved))
            })?;
        }
        let owed = Self::owe(&who, left, claimed);
        let slashed = amount.saturating_sub(left);
        ensure!(
            !slashed.is_zero() || !owed.is_zero(),
            Error::<T>::NothingToSlash
        );
        if !slashed.is_zero() {
            Self::take_bond(&who, slashed);
        }
        Ok(())
    }

    /// Records what is left of a slash as a debt, as far as the amounts that rounds have a claim on
    /// cover it. Returns the recorded part.
    fn owe(who: &T::AccountId, left: Balance, claimed: Balance) -> Balance {
        let before = Debts::<T>::get(who);
        let amount = left.min(claimed.saturating_sub(before));
        if !amount.is_zero() {
            Debts::<T>::insert(who, before.saturating_add(amount));
            Self::deposit_event(Event::Indebted {
                who: who.clone(),
                amount,
            });
        }
        amount
    }

    /// Takes what `agent` owes off the books, as far as its bond is free. Returns the taken part. A
    /// debt that no round's claim covers any more is void: nothing is left to take.
    pub(crate) fn collect_debt(who: &T::AccountId, agent: &mut Agent) -> Balance {
        let debt = Debts::<T>::get(who);
        if debt.is_zero() {
            return 0;
        }
        let paid = agent.take_free(debt);
        let rest = debt.saturating_sub(paid).min(agent.reserved);
        if rest.is_zero() {
            Debts::<T>::remove(who);
        } else {
            Debts::<T>::insert(who, rest);
        }
        paid
    }

    /// Takes `amount`, which is already off the books, from the held funds of `who` for the
    /// treasury.
    pub(crate) fn take_bond(who: &T::AccountId, amount: Balance) {
        T::Treasury::on_unbalanced(Self::seize(who, amount));
    }

    /// Takes `amount`, which is already off the books, from the held funds of `who`.
    pub(crate) fn seize(who: &T::AccountId, amount: Balance) -> CreditOf<T> {
        let (credit, missing): (CreditOf<T>, _) =
            T::Currency::slash(&HoldReason::Bond.into(), who, amount);
        if !missing.is_zero() {
            log::error!(target: crate::LOG_TARGET, "{missing} of a slash of {amount} not on hold");
        }
        Self::deposit_event(Event::Slashed {
            who: who.clone(),
            amount,
        });
        credit
    }

    pub(crate) fn do_enter(who: T::AccountId) -> DispatchResult {
        let agent = Agents::<T>::get(&who).ok_or(Error::<T>::NotRegistered)?;
        ensure!(agent.activation.is_some(), Error::<T>::NotActive);
        let is_candidate = crate::Candidates::<T>::get()
            .iter()
            .any(|candidate| candidate.who == who);
        ensure!(!is_candidate, Error::<T>::AlreadyCandidate);
        ensure!(
            Self::place(&who, Some(agent.bond)),
            Error::<T>::NotAmongCandidates
        );
        Ok(())
    }
}
