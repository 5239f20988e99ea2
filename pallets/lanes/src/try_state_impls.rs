// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use alloc::collections::BTreeMap;
use frame_support::{
    ensure,
    traits::{fungible::InspectHold, Get},
};
use sp_runtime::DispatchError;
use starling_primitives::Balance;

use crate::{
    place, Config, Escalations, HoldReason, InForce, Lanes, Marked, Now, Oldest, Pallet, Progress,
    Settlements, VolunteerCount, Volunteers,
};

impl<T: Config> Pallet<T> {
    /// Checks the invariants between blocks. Native only.
    pub fn do_try_state() -> Result<(), DispatchError> {
        // The chain's least slash may have grown since. Above `lane_bond`, nothing is settled.
        ensure!(
            InForce::<T>::get().is_sound(0),
            "the parameters do not fit together"
        );
        Self::try_escrows()?;
        Self::try_requests()?;
        Self::try_epochs()
    }

    /// Each unit of a deposit is somewhere, and what is free or pending is on hold.
    fn try_escrows() -> Result<(), DispatchError> {
        let mut held: BTreeMap<T::AccountId, Balance> = BTreeMap::new();
        let mut pending: BTreeMap<_, Balance> = BTreeMap::new();
        for (_, settlement) in Settlements::<T>::iter() {
            let sum = pending.entry(settlement.lane).or_default();
            *sum = sum.saturating_add(settlement.fees);
        }
        for (id, lane) in Lanes::<T>::iter() {
            ensure!(lane.is_balanced(), "deposits are lost, or counted twice");
            let settled = pending.remove(&id).unwrap_or_default();
            ensure!(
                lane.pending == settled,
                "the pending fees are not those settled"
            );
            let sum = held.entry(lane.requester).or_default();
            *sum = sum.saturating_add(lane.free).saturating_add(lane.pending);
        }
        ensure!(pending.is_empty(), "a settlement of no lane");
        for (who, sum) in held {
            let on_hold = T::Currency::balance_on_hold(&HoldReason::Escrow.into(), &who);
            ensure!(on_hold == sum, "the escrow on hold is not that on record");
        }
        Ok(())
    }

    /// No request is settled twice, or settled and escalated.
    fn try_requests() -> Result<(), DispatchError> {
        // The oldest epoch may be forgotten in part.
        let oldest = Oldest::<T>::get();
        let marked = Marked::<T>::iter().filter(|(epoch, ..)| *epoch > oldest);
        for (epoch, (lane, first), marks) in marked {
            ensure!(
                marks.settled & marks.escalated == 0,
                "a request is settled and escalated"
            );
            ensure!(
                marks.shown & marks.escalated == 0,
                "a request with a certificate is escalated"
            );
            let is_passed = first < Progress::<T>::get(epoch, lane);
            ensure!(
                is_passed || marks.settled == 0,
                "a block may be settled again"
            );
        }
        let escalations = Escalations::<T>::iter().filter(|(epoch, ..)| *epoch > oldest);
        for (epoch, (lane, seq), _) in escalations {
            let (first, bit) = place(seq).ok_or("no place for a request")?;
            ensure!(
                Marked::<T>::get(epoch, (lane, first)).escalated & bit != 0,
                "an escalated request may be settled"
            );
        }
        let mut paid: BTreeMap<_, u64> = BTreeMap::new();
        for (_, settlement) in Settlements::<T>::iter() {
            let place = (settlement.epoch, settlement.lane, settlement.first);
            let known = paid.entry(place).or_default();
            ensure!(
                *known & settlement.bitmap == 0,
                "a request is settled twice"
            );
            *known |= settlement.bitmap;
        }
        Ok(())
    }

    /// Volunteers are counted.
    fn try_epochs() -> Result<(), DispatchError> {
        let (oldest, present) = (Oldest::<T>::get(), Now::<T>::get().epoch);
        ensure!(
            oldest <= present,
            "an epoch is forgotten that has not begun"
        );
        for (epoch, count) in VolunteerCount::<T>::iter() {
            // The oldest one may be forgotten in part.
            let number = Volunteers::<T>::iter_prefix(epoch).count();
            ensure!(
                epoch == oldest || u32::try_from(number) == Ok(count),
                "the count of volunteers is wrong"
            );
            ensure!(
                count <= T::MaxVolunteers::get(),
                "an epoch has too many volunteers"
            );
        }
        Ok(())
    }
}
