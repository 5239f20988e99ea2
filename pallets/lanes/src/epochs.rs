// SPDX-License-Identifier: Apache-2.0
//! Epochs: their beginning, the agents that serve in them, and what is forgotten after them.

use frame_support::pallet_prelude::*;
use starling_lane_primitives::{seal::is_point, volunteer::AHEAD};
use starling_primitives::{
    locks::LockId,
    traits::{AgentRegistry, KnownAnswers, Randomness, Ratings},
};

use crate::{
    BlockNumber, Committees, Config, Ended, Epoch, Error, Escalations, Event, InForce, Marked, Now,
    Oldest, Pallet, Present, Progress, Punished, Setting, Settings, Volunteer, VolunteerCount,
    Volunteers, WeightInfo,
};

/// Maximum number of entries of each map that a block forgets.
pub(crate) const PAGE: u32 = 32;

impl<T: Config> Pallet<T> {
    /// Begins the next epoch once the present one is over. The randomness of this moment draws the
    /// committees of the epoch after it: nobody knew it when their volunteers joined. They choose
    /// in the way that is in force now.
    pub(crate) fn begin_epoch() -> Weight {
        let now = Self::now();
        let past = Now::<T>::get();
        if now < past.ends {
            return T::DbWeight::get().reads(1);
        }
        let epoch = past.epoch.saturating_add(1);
        Ended::<T>::insert(past.epoch, now);
        let setting = Setting {
            seed: T::Randomness::value(),
            choice: T::KnownAnswers::choice(),
        };
        Settings::<T>::insert(epoch.saturating_add(1), setting);
        Now::<T>::put(Present {
            epoch,
            began: now,
            ends: now.saturating_add(InForce::<T>::get().epoch),
        });
        Self::deposit_event(Event::EpochBegan { epoch });
        T::WeightInfo::begin_epoch()
    }

    /// The first block of an epoch that has begun and is kept.
    pub(crate) fn began(epoch: Epoch) -> Option<BlockNumber> {
        let present = Now::<T>::get();
        if epoch == present.epoch {
            return Some(present.began);
        }
        Ended::<T>::get(epoch.checked_sub(1)?)
    }

    /// The last block for which a lock of an agent that joins now is needed.
    fn locked_until() -> BlockNumber {
        let parameters = InForce::<T>::get();
        let ahead = parameters.epoch.saturating_mul(AHEAD.saturating_add(1));
        Now::<T>::get()
            .ends
            .saturating_add(ahead)
            .saturating_add(parameters.kept())
    }

    pub(crate) fn check_join(
        agent: &T::AccountId,
        epoch: Epoch,
        point: &[u8; 32],
    ) -> Result<(), Error<T>> {
        let open = Now::<T>::get().epoch.saturating_add(AHEAD);
        ensure!(epoch <= open, Error::TooEarly);
        ensure!(epoch == open, Error::TooLate);
        ensure!(
            !Volunteers::<T>::contains_key(epoch, agent),
            Error::AlreadyJoined
        );
        ensure!(
            VolunteerCount::<T>::get(epoch) < T::MaxVolunteers::get(),
            Error::TooManyVolunteers
        );
        ensure!(T::Agents::is_active(agent), Error::NotActive);
        // For the lock of all epochs and that of a seat: without it the agent could settle nothing.
        let bond = InForce::<T>::get().lane_bond.saturating_mul(2);
        ensure!(
            T::Agents::can_lock(agent, LockId::Lanes, bond),
            Error::BondNotFree
        );
        ensure!(is_point(point), Error::InvalidPoint);
        Ok(())
    }

    pub(crate) fn do_join(
        agent: T::AccountId,
        epoch: Epoch,
        point: [u8; 32],
        peer: [u8; 32],
    ) -> DispatchResult {
        Self::check_join(&agent, epoch, &point)?;
        let key = T::Agents::inference_key(&agent).ok_or(Error::<T>::NotActive)?;
        let lane_bond = InForce::<T>::get().lane_bond;
        T::Agents::lock(&agent, LockId::Lanes, lane_bond, Self::locked_until())?;
        let volunteer = Volunteer {
            key,
            point,
            peer,
            bond: T::Agents::bond(&agent),
            rating: T::Ratings::rating(&agent),
            known: T::KnownAnswers::known(&agent),
            has_left: false,
        };
        Volunteers::<T>::insert(epoch, &agent, volunteer);
        VolunteerCount::<T>::mutate(epoch, |count| *count = count.saturating_add(1));
        Self::deposit_event(Event::Joined { epoch, agent });
        Ok(())
    }

    /// The entry of an agent that may still leave.
    pub(crate) fn check_leave(agent: &T::AccountId, epoch: Epoch) -> Result<Volunteer, Error<T>> {
        let volunteer = Volunteers::<T>::get(epoch, agent)
            .filter(|volunteer| !volunteer.has_left)
            .ok_or(Error::NotJoined)?;
        let open = Now::<T>::get().epoch.saturating_add(AHEAD);
        ensure!(epoch == open, Error::TooLate);
        Ok(volunteer)
    }

    pub(crate) fn do_leave(agent: T::AccountId, epoch: Epoch) -> DispatchResult {
        let volunteer = Self::check_leave(&agent, epoch)?;
        let volunteer = Volunteer {
            has_left: true,
            ..volunteer
        };
        Volunteers::<T>::insert(epoch, &agent, volunteer);
        Self::deposit_event(Event::Left { epoch, agent });
        Ok(())
    }

    /// Whether everything of the epoch may be forgotten.
    pub(crate) fn is_over(epoch: Epoch) -> bool {
        let kept = InForce::<T>::get().kept();
        // In the epoch after it something may still be settled, however long that one lasts.
        epoch.saturating_add(1) < Now::<T>::get().epoch
            && Ended::<T>::get(epoch).is_some_and(|ended| ended.saturating_add(kept) <= Self::now())
    }

    /// Forgets a page of the oldest epoch, if nothing needs it any more.
    pub(crate) fn retire(remaining: Weight) -> Weight {
        let weight = T::WeightInfo::retire();
        let epoch = Oldest::<T>::get();
        if !remaining.all_gte(weight) || !Self::is_over(epoch) {
            // The oldest epoch, the parameters, the present epoch, and the end of the oldest one.
            return T::DbWeight::get().reads(4);
        }
        let rests = [
            Volunteers::<T>::clear_prefix(epoch, PAGE, None),
            Committees::<T>::clear_prefix(epoch, PAGE, None),
            Progress::<T>::clear_prefix(epoch, PAGE, None),
            Marked::<T>::clear_prefix(epoch, PAGE, None),
            Escalations::<T>::clear_prefix(epoch, PAGE, None),
            Punished::<T>::clear_prefix(epoch, PAGE, None),
        ];
        if rests.iter().all(|rest| rest.maybe_cursor.is_none()) {
            Settings::<T>::remove(epoch);
            VolunteerCount::<T>::remove(epoch);
            Ended::<T>::remove(epoch);
            Oldest::<T>::put(epoch.saturating_add(1));
        }
        weight
    }
}
