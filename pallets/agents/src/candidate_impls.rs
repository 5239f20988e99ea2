// SPDX-License-Identifier: Apache-2.0
//! The activation of agents, and the bounded, sorted list of those with the highest bonds.

use frame_support::{pallet_prelude::*, traits::defensive_prelude::*};
use sp_runtime::Saturating;
use starling_primitives::{traits::OnInactive, Balance};

use crate::{
    Activations, ActiveCount, Agent, Agents, Candidate, Candidates, Config, Error, Event, Pallet,
};

impl<T: Config> Pallet<T> {
    /// Changes a registered agent by `f`, and all values that follow from it: its activation, the
    /// count of active agents, and the list of candidates. Every change of a bond or a chill goes
    /// this way.
    pub(crate) fn mutate_agent<R>(
        who: &T::AccountId,
        f: impl FnOnce(&mut Agent) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Agents::<T>::try_mutate(who, |slot| {
            let agent = slot.as_mut().ok_or(Error::<T>::NotRegistered)?;
            let before = agent.activation.map(|_| agent.bond);
            let result = f(agent)?;
            Self::refresh(who, agent, before);
            Ok(result)
        })
    }

    /// Updates the values that follow from the bond and the chill of `who`. `before` is its bond
    /// while it was active, if it was.
    pub(crate) fn refresh(who: &T::AccountId, agent: &mut Agent, before: Option<Balance>) {
        let active = !agent.chilled && agent.bond >= T::MinBond::get();
        let now = active.then_some(agent.bond);
        match (before, now) {
            (None, Some(_)) => {
                agent.activation = Some(Self::next_activation());
                ActiveCount::<T>::mutate(|count| count.saturating_inc());
            },
            (Some(_), None) => {
                if let Some(ordinal) = agent.activation.take() {
                    T::OnInactive::on_inactive(who, ordinal);
                }
                ActiveCount::<T>::mutate(|count| count.saturating_dec());
            },
            _ => {},
        }
        if before != now {
            Self::place(who, now);
        }
    }

    pub(crate) fn next_activation() -> u64 {
        Activations::<T>::mutate(|next| {
            let ordinal = *next;
            next.saturating_inc();
            ordinal
        })
    }

    /// Puts `who` at the place of a candidate with this bond, or takes it off the list if there is
    /// no bond or no place. Returns whether it is on the list now.
    ///
    /// The list is sorted, so places are found by bisection. Among equal bonds the newcomer comes
    /// last: only a higher bond pushes another agent off the list.
    pub(crate) fn place(who: &T::AccountId, bond: Option<Balance>) -> bool {
        let mut list = Candidates::<T>::get();
        let was = list.iter().position(|candidate| &candidate.who == who);
        if let Some(index) = was {
            list.remove(index);
        }
        let is = bond.is_some_and(|bond| Self::insert(&mut list, who, bond));
        if was.is_some() || is {
            Candidates::<T>::put(list);
        }
        match (was.is_some(), is) {
            (false, true) => Self::deposit_event(Event::CandidateAdded { who: who.clone() }),
            (true, false) => Self::deposit_event(Event::CandidateRemoved { who: who.clone() }),
            _ => {},
        }
        is
    }

    /// Inserts a candidate that is not on the list. If the list is full, the last candidate drops
    /// out.
    fn insert(
        list: &mut BoundedVec<Candidate<T::AccountId>, T::MaxCandidates>,
        who: &T::AccountId,
        bond: Balance,
    ) -> bool {
        let index = list.partition_point(|candidate| candidate.bond >= bond);
        if list.is_full() {
            if index == list.len() {
                return false;
            }
            if let Some(last) = list.pop() {
                Self::deposit_event(Event::CandidateRemoved { who: last.who });
            }
        }
        list.try_insert(
            index,
            Candidate {
                who: who.clone(),
                bond,
            },
        )
        .defensive_proof("a full list lost its last candidate; qed")
        .is_ok()
    }
}
