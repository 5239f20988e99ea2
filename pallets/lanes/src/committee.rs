// SPDX-License-Identifier: Apache-2.0
//! Committees: who is in them, and what their members signed.

use alloc::vec::Vec;
use frame_support::{ensure, BoundedVec};
use starling_lane_primitives::{Certificate, Committee};
use starling_primitives::{
    crypto, draw::lane_draw, locks::LockId, traits::AgentRegistry, Balance, H256,
};

use crate::{
    Committees, Config, Epoch, Error, InForce, Lane, LaneId, MembersOf, Pallet, Punished, Settings,
    Volunteers,
};

/// A committee, and how it came to be known.
pub(crate) struct Drawn<T: Config> {
    /// Its members, in the order of draws.
    pub members: MembersOf<T>,
    /// Number of volunteers that were read for it: 0 if it was on record.
    pub volunteers: u32,
}

/// The volunteers of an epoch, and the seed that draws its committees from them.
pub(crate) struct Roll<T: Config> {
    epoch: Epoch,
    seed: H256,
    /// Those that have not left, with their bonds.
    willing: Vec<(T::AccountId, Balance)>,
    /// Number of all that were read.
    read: u32,
}

impl<T: Config> Roll<T> {
    /// Reads the volunteers of an epoch; `None` if it has no seed.
    pub(crate) fn of(epoch: Epoch) -> Option<Self> {
        let seed = Settings::<T>::get(epoch)?.seed;
        let mut read: u32 = 0;
        let willing = Volunteers::<T>::iter_prefix(epoch)
            .inspect(|_| read = read.saturating_add(1))
            .filter(|(_, volunteer)| !volunteer.has_left)
            .map(|(who, volunteer)| (who, volunteer.bond))
            .collect();
        Some(Self {
            epoch,
            seed,
            willing,
            read,
        })
    }

    /// Draws the lowest `n` of those that are not the requester; `None` if there are fewer.
    fn draw(&self, id: LaneId, lane: &Lane<T::AccountId>) -> Option<MembersOf<T>> {
        let mut draws: Vec<_> = self
            .willing
            .iter()
            .filter(|(who, _)| *who != lane.requester)
            .map(|(who, bond)| (lane_draw(self.seed, id, who, *bond), who))
            .collect();
        let n = usize::from(lane.terms.members);
        if draws.len() < n {
            return None;
        }
        draws.sort_unstable();
        let lowest = draws.into_iter().take(n).map(|(_, who)| who.clone());
        Some(BoundedVec::truncate_from(lowest.collect()))
    }

    /// The members of the committee of a lane: those on record, or drawn from this roll.
    pub(crate) fn members(&self, id: LaneId, lane: &Lane<T::AccountId>) -> Option<MembersOf<T>> {
        let on_record = Committees::<T>::get(self.epoch, id);
        let is_served = lane.is_served(self.epoch);
        on_record.or_else(|| is_served.then(|| self.draw(id, lane)).flatten())
    }
}

/// A member, and what it signed with.
pub(crate) type Signed<'a, T> = (<T as frame_system::Config>::AccountId, &'a [u8; 64]);

impl<T: Config> Pallet<T> {
    /// The committee of a lane in an epoch.
    pub(crate) fn committee(
        id: LaneId,
        lane: &Lane<T::AccountId>,
        epoch: Epoch,
    ) -> Result<Drawn<T>, Error<T>> {
        if let Some(members) = Committees::<T>::get(epoch, id) {
            return Ok(Drawn {
                members,
                volunteers: 0,
            });
        }
        ensure!(lane.is_served(epoch), Error::NoCommittee);
        Self::draw(id, lane, epoch)
    }

    /// Draws a committee that is not on record.
    pub(crate) fn draw(
        id: LaneId,
        lane: &Lane<T::AccountId>,
        epoch: Epoch,
    ) -> Result<Drawn<T>, Error<T>> {
        let roll = Roll::<T>::of(epoch).ok_or(Error::NoCommittee)?;
        Ok(Drawn {
            members: roll.draw(id, lane).ok_or(Error::NoCommittee)?,
            volunteers: roll.read,
        })
    }

    /// The signers of a certificate with their signatures: a quorum of the members or more, each
    /// once.
    pub(crate) fn signers<'a>(
        size: Committee,
        members: &MembersOf<T>,
        certificate: &'a Certificate,
    ) -> Result<Vec<Signed<'a, T>>, Error<T>> {
        let signed = certificate.signed().ok_or(Error::<T>::WrongSigners)?;
        ensure!(
            signed.len() >= usize::from(size.quorum()),
            Error::<T>::NoQuorum
        );
        signed
            .into_iter()
            .map(|(member, signature)| {
                let who = members
                    .get(usize::from(member))
                    .ok_or(Error::<T>::WrongSigners)?;
                Ok((who.clone(), signature))
            })
            .collect()
    }

    /// Whether an agent has a bond to lose for what it signs in this lane and epoch: one for its
    /// seat that is free or locked already. Who was punished there loses nothing more.
    pub fn is_liable(who: &T::AccountId, lane: LaneId, epoch: Epoch) -> bool {
        Self::can_lose(who, lane, epoch, InForce::<T>::get().lane_bond)
    }

    /// Whether an agent has this bond to lose: see [`Self::is_liable`].
    pub(crate) fn can_lose(
        who: &T::AccountId,
        lane: LaneId,
        epoch: Epoch,
        lane_bond: Balance,
    ) -> bool {
        let seat = LockId::Seat { lane, epoch };
        !Punished::<T>::contains_key(epoch, (lane, who))
            && T::Agents::can_lock(who, seat, lane_bond)
    }

    /// Checks the signature of a volunteer, by its key of that epoch.
    pub(crate) fn check_signature(
        epoch: Epoch,
        who: &T::AccountId,
        payload: &[u8; 32],
        signature: &[u8; 64],
    ) -> Result<(), Error<T>> {
        let volunteer = Volunteers::<T>::get(epoch, who).ok_or(Error::NotMember)?;
        ensure!(
            crypto::has_signed(&volunteer.key, payload, signature),
            Error::BadSignature
        );
        Ok(())
    }
}
