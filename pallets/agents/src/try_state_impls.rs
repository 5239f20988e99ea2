// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use alloc::collections::{BTreeMap, BTreeSet};
use frame_support::{
    ensure,
    traits::{fungible::InspectHold, Get},
};
use sp_runtime::{traits::Zero, DispatchError};
use starling_primitives::Balance;

use crate::{
    seats::tolerated, unbonding, Activations, ActiveCount, Agents, Barred, Candidates, Config,
    Debts, Growths, HoldReason, KeyOwner, Locks, Pallet, Seats, Unbonding,
};

impl<T: Config> Pallet<T> {
    /// Checks the invariants of agents, bonds and candidates. Native only.
    pub fn do_try_state() -> Result<(), DispatchError> {
        Self::try_agents()?;
        Self::try_records()?;
        Self::try_locks()?;
        Self::try_holds()?;
        Self::try_candidates()?;
        Self::try_seats()
    }

    /// Each validator has one seat, and the unproven ones cannot stop finality. Where nobody is
    /// proven, the proven validators have taken their keys away.
    fn try_seats() -> Result<(), DispatchError> {
        let seats = Seats::<T>::get();
        let owners: BTreeSet<_> = seats.iter().map(|seat| &seat.who).collect();
        ensure!(owners.len() == seats.len(), "a validator has two seats");
        let unproven = seats.iter().filter(|seat| !seat.proven()).count();
        let size = u32::try_from(seats.len()).unwrap_or(u32::MAX);
        let bearable = usize::try_from(tolerated(size)).unwrap_or(usize::MAX);
        ensure!(
            unproven <= bearable || unproven == seats.len(),
            "unproven validators can stop finality"
        );
        let barred = Barred::<T>::get();
        let owners: BTreeSet<_> = barred.iter().map(|bar| &bar.who).collect();
        ensure!(owners.len() == barred.len(), "an agent is barred twice");
        Ok(())
    }

    /// Agents' records are consistent, their keys are their own, and the counters are right.
    fn try_agents() -> Result<(), DispatchError> {
        let mut active: u32 = 0;
        let mut ordinals = BTreeSet::new();
        for (who, agent) in Agents::<T>::iter() {
            ensure!(agent.reserved <= agent.bond, "more is reserved than bonded");
            ensure!(
                agent.open > 0 || agent.reserved.is_zero(),
                "a reservation without a round"
            );
            ensure!(
                agent.open > 0 || agent.next_key.is_none(),
                "a key waits for no round"
            );
            let fit = !agent.chilled && agent.bond >= T::MinBond::get();
            ensure!(
                agent.activation.is_some() == fit,
                "active is not what bond and chill say"
            );
            if let Some(ordinal) = agent.activation {
                active = active.saturating_add(1);
                ensure!(
                    ordinal < Activations::<T>::get(),
                    "an activation of the future"
                );
                ensure!(ordinals.insert(ordinal), "two agents share an activation");
            }
            for key in core::iter::once(&agent.key).chain(&agent.next_key) {
                ensure!(
                    KeyOwner::<T>::get(key).as_ref() == Some(&who),
                    "a key is another's"
                );
            }
        }
        ensure!(
            active == ActiveCount::<T>::get(),
            "the count of active agents is wrong"
        );
        Ok(())
    }

    /// No lock is there twice.
    fn try_locks() -> Result<(), DispatchError> {
        for (_, locks) in Locks::<T>::iter() {
            let ids: BTreeSet<_> = locks.iter().map(|lock| lock.id).collect();
            ensure!(!locks.is_empty(), "an empty list of locks");
            ensure!(ids.len() == locks.len(), "a lock is there twice");
        }
        Ok(())
    }

    /// Growths and debts are of agents, and rounds have a claim on what is owed.
    fn try_records() -> Result<(), DispatchError> {
        ensure!(
            Growths::<T>::iter_keys().all(Agents::<T>::contains_key),
            "a growth of nobody's bond"
        );
        for (who, debt) in Debts::<T>::iter() {
            let claimed = Agents::<T>::get(who).map_or(0, |agent| agent.reserved);
            ensure!(
                debt > 0 && debt <= claimed,
                "a debt that no round has a claim on"
            );
        }
        Ok(())
    }

    /// The held funds are the sum of bonds and unbonding parts.
    fn try_holds() -> Result<(), DispatchError> {
        let mut owed: BTreeMap<T::AccountId, Balance> = Agents::<T>::iter()
            .map(|(who, agent)| (who, agent.bond))
            .collect();
        for (who, chunks) in Unbonding::<T>::iter() {
            ensure!(!chunks.is_empty(), "an empty list of unbonding parts");
            ensure!(
                chunks.iter().all(|chunk| !chunk.amount.is_zero()),
                "an empty chunk"
            );
            ensure!(
                chunks.is_sorted_by(|a, b| a.due < b.due),
                "chunks out of order"
            );
            let sum = owed.entry(who).or_default();
            *sum = sum.saturating_add(unbonding(&chunks));
        }
        for (who, sum) in owed {
            let held = T::Currency::balance_on_hold(&HoldReason::Bond.into(), &who);
            ensure!(held == sum, "the held funds are not those on record");
        }
        Ok(())
    }

    /// The candidates are active, appear once, with their bonds, and in order.
    fn try_candidates() -> Result<(), DispatchError> {
        let list = Candidates::<T>::get();
        ensure!(
            list.is_sorted_by(|a, b| a.bond >= b.bond),
            "candidates out of order"
        );
        let mut seen = BTreeSet::new();
        for candidate in list {
            let agent = Agents::<T>::get(&candidate.who).ok_or("a candidate is not an agent")?;
            ensure!(agent.activation.is_some(), "a candidate is not active");
            ensure!(
                agent.bond == candidate.bond,
                "a candidate's bond is not its bond"
            );
            ensure!(
                seen.insert(candidate.who),
                "a candidate is twice on the list"
            );
        }
        Ok(())
    }
}
