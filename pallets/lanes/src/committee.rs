// SPDX-License-Identifier: Apache-2.0
//! Committees: who is in them, and what their members signed.

use alloc::vec::Vec;
use frame_support::{ensure, BoundedVec};
use starling_lane_primitives::{Certificate, Committee};
use starling_primitives::{crypto, draw::lane_draw, locks::LockId, traits::AgentRegistry, Balance};

use crate::{
    Committees, Config, Epoch, Error, InForce, Lane, LaneId, MembersOf, Pallet, Punished, Seeds,
    Volunteers,
};

/// A committee, and how it came to be known.
pub(crate) struct Drawn<T: Config> {
    /// Its members, in the order of draws.
    pub members: MembersOf<T>,
    /// Number of volunteers that were read for it: 0 if it was on record.
    pub volunteers: u32,
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

    /// Draws the lowest `n` of the volunteers that are not the requester.
    pub(crate) fn draw(
        id: LaneId,
        lane: &Lane<T::AccountId>,
        epoch: Epoch,
    ) -> Result<Drawn<T>, Error<T>> {
        let seed = Seeds::<T>::get(epoch).ok_or(Error::NoCommittee)?;
        let mut volunteers: u32 = 0;
        let mut draws: Vec<_> = Volunteers::<T>::iter_prefix(epoch)
            .inspect(|_| volunteers = volunteers.saturating_add(1))
            .filter(|(who, volunteer)| !volunteer.has_left && *who != lane.requester)
            .map(|(who, volunteer)| (lane_draw(seed, id, &who, volunteer.bond), who))
            .collect();
        let n = usize::from(lane.terms.members);
        ensure!(draws.len() >= n, Error::NoCommittee);
        draws.sort_unstable();
        let members = draws.into_iter().take(n).map(|(_, who)| who).collect();
        Ok(Drawn {
            members: BoundedVec::truncate_from(members),
            volunteers,
        })
    }

    /// The signers of a certificate with their signatures: a quorum of the members, each once.
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
