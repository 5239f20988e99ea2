// SPDX-License-Identifier: Apache-2.0
//! Implementation of [`starling_primitives::api::lanes::LanesApi`].

use alloc::{boxed::Box, vec::Vec};
use codec::Encode;
use frame_support::traits::Get;
use frame_system::offchain::CreateAuthorizedTransaction;
use starling_lane_primitives::{checkpoint::Checkpoint, Certificate};
use starling_primitives::{
    api::lanes::{
        CommitteeView, EpochView, LaneView, MemberView, PendingView, ProgressView, RulesView,
        SeatView,
    },
    RoundId, H256,
};

use crate::{
    committee::Roll, Call, Config, Epoch, Escalations, InForce, Lane, LaneId, Lanes, Marked,
    MembersOf, Now, Pallet, Progress, Settings, Settlement, Settlements, SignedMessage, Volunteers,
};

impl<T: Config> Pallet<T> {
    /// The present epoch.
    pub fn epoch_view() -> EpochView {
        let present = Now::<T>::get();
        EpochView {
            epoch: present.epoch,
            began: present.began,
            ends: present.ends,
        }
    }

    /// The rules in force.
    pub fn rules() -> RulesView<T::AccountId> {
        let parameters = InForce::<T>::get();
        let (winner, rankers) = T::Shares::get();
        RulesView {
            genesis: Self::genesis().into(),
            treasury: T::TreasuryAccount::get(),
            min_committee: parameters.min_committee,
            min_fee: T::MinFee::get(),
            min_deposit: parameters.least_deposit(Lanes::<T>::count(), T::MaxLanes::get()),
            burnt: parameters.burnt,
            lane_bond: parameters.lane_bond,
            dispute_window: parameters.dispute_window,
            winner,
            rankers,
            min_rankings: T::MinRankings::get(),
            max_rankings: T::MaxRankings::get(),
            approval_threshold: T::ApprovalThreshold::get(),
        }
    }

    fn view(id: LaneId, lane: Lane<T::AccountId>) -> LaneView<T::AccountId> {
        let size = lane.terms.committee();
        let max_pending = size.map_or(0, |size| {
            InForce::<T>::get().max_pending(size, T::MinSlash::get())
        });
        LaneView {
            id,
            first_epoch: lane.first_epoch(),
            requester: lane.requester,
            terms: lane.terms,
            last_epoch: lane.closing.map(|closing| closing.last_epoch),
            reclaimable: lane.closing.map(|closing| closing.reclaimable),
            deposited: lane.deposited,
            free: lane.free,
            pending: lane.pending,
            paid: lane.paid,
            burnt: lane.burnt,
            returned: lane.returned,
            max_pending,
        }
    }

    /// A lane.
    pub fn lane(id: LaneId) -> Option<LaneView<T::AccountId>> {
        Some(Self::view(id, Lanes::<T>::get(id)?))
    }

    /// The lanes of a requester. Walks over all lanes.
    pub fn lanes_of(requester: &T::AccountId) -> Vec<LaneView<T::AccountId>> {
        let mut lanes: Vec<_> = Lanes::<T>::iter()
            .filter(|(_, lane)| lane.requester == *requester)
            .map(|(id, lane)| Self::view(id, lane))
            .collect();
        lanes.sort_unstable_by_key(|lane| lane.id);
        lanes
    }

    /// Members, as they were when they joined for an epoch, and its way to choose.
    fn views(members: MembersOf<T>, epoch: Epoch) -> Option<CommitteeView<T::AccountId>> {
        let members = members
            .into_iter()
            .map(|agent| {
                let volunteer = Volunteers::<T>::get(epoch, &agent)?;
                Some(MemberView {
                    agent,
                    key: volunteer.key,
                    point: volunteer.point,
                    peer: volunteer.peer,
                    bond: volunteer.bond,
                    rating: volunteer.rating,
                    known: volunteer.known,
                })
            })
            .collect::<Option<_>>()?;
        let choice = Settings::<T>::get(epoch)?.choice;
        Some(CommitteeView { choice, members })
    }

    /// The committee of a lane in an epoch.
    pub fn committee_view(id: LaneId, epoch: Epoch) -> Option<CommitteeView<T::AccountId>> {
        let drawn = Self::committee(id, &Lanes::<T>::get(id)?, epoch).ok()?;
        Self::views(drawn.members, epoch)
    }

    /// All seats of an agent in an epoch. For an agent that serves in it, walks over all lanes, and
    /// once over the volunteers.
    pub fn seats(agent: &T::AccountId, epoch: Epoch) -> Vec<SeatView<T::AccountId>> {
        let serves = Self::has_joined(agent, epoch);
        let Some(roll) = serves.then(|| Roll::<T>::of(epoch)).flatten() else {
            return Vec::new();
        };
        let mut seats: Vec<_> = Lanes::<T>::iter()
            .filter_map(|(id, lane)| {
                let members = roll.members(id, &lane)?;
                let member = members.iter().position(|member| member == agent)?;
                Some(SeatView {
                    lane: Self::view(id, lane),
                    committee: Self::views(members, epoch)?,
                    member: u8::try_from(member).ok()?,
                })
            })
            .collect();
        seats.sort_unstable_by_key(|seat| seat.lane.id);
        seats
    }

    /// Whether an agent serves in an epoch.
    pub fn has_joined(agent: &T::AccountId, epoch: Epoch) -> bool {
        Volunteers::<T>::get(epoch, agent).is_some_and(|volunteer| !volunteer.has_left)
    }

    /// The progress of a lane's settlement in an epoch.
    pub fn progress_view(id: LaneId, epoch: Epoch) -> ProgressView {
        let next = Progress::<T>::get(epoch, id);
        ProgressView {
            next,
            escalated: Self::escalations(id, epoch, next),
        }
    }

    /// The escalated requests of a block of 64.
    pub fn escalations(id: LaneId, epoch: Epoch, first: u32) -> u64 {
        Marked::<T>::get(epoch, (id, first)).escalated
    }

    /// The settlements of a lane that are not paid yet. Walks over all of them.
    pub fn pending_view(lane: LaneId) -> Vec<PendingView> {
        let mut pending: Vec<_> = Settlements::<T>::iter()
            .filter(|(_, settlement)| settlement.lane == lane)
            .map(|(id, settlement)| PendingView {
                id,
                due: settlement.due,
                checkpoint: Self::checkpoint(settlement),
            })
            .collect();
        pending.sort_unstable_by_key(|settlement| settlement.id);
        pending
    }

    fn checkpoint(settlement: Settlement<T::AccountId>) -> Checkpoint {
        let payouts = settlement.payouts.into_iter();
        Checkpoint {
            lane: settlement.lane,
            epoch: settlement.epoch,
            first: settlement.first,
            bitmap: settlement.bitmap,
            fees: settlement.fees,
            payouts: payouts
                .map(|(account, amount)| (account.into(), amount))
                .collect(),
            transcripts: settlement.transcripts,
        }
    }

    /// The round that a request was escalated to.
    pub fn escalated(lane: LaneId, epoch: Epoch, seq: u32) -> Option<RoundId> {
        Escalations::<T>::get(epoch, (lane, seq))
    }

    /// Whether `settle` would succeed with good signatures; the reason why not.
    pub fn can_settle(checkpoint: &Checkpoint) -> Result<(), Vec<u8>> {
        match Self::check_checkpoint(checkpoint) {
            Ok(_) => Ok(()),
            Err(error) => {
                let name: &'static str = error.into();
                Err(name.as_bytes().to_vec())
            },
        }
    }
}

impl<T: Config + CreateAuthorizedTransaction<Call<T>>> Pallet<T> {
    fn transaction(call: Call<T>) -> Vec<u8> {
        T::create_authorized_transaction(call.into()).encode()
    }

    /// The transaction of `join`.
    pub fn join_transaction(
        agent: T::AccountId,
        epoch: Epoch,
        point: [u8; 32],
        peer: [u8; 32],
        signature: [u8; 64],
    ) -> Vec<u8> {
        Self::transaction(Call::join {
            agent,
            epoch,
            point,
            peer,
            signature,
        })
    }

    /// The transaction of `settle`.
    pub fn settle_transaction(checkpoint: Checkpoint, certificate: Certificate) -> Vec<u8> {
        Self::transaction(Call::settle {
            checkpoint,
            certificate,
        })
    }

    /// The transaction of `equivocation`; `None` if the chain would refuse it.
    pub fn equivocation_transaction(
        offender: T::AccountId,
        a: SignedMessage,
        b: SignedMessage,
    ) -> Option<Vec<u8>> {
        Self::check_equivocation(&offender, &a, &b).ok()?;
        Some(Self::transaction(Call::equivocation {
            offender,
            a: Box::new(a),
            b: Box::new(b),
        }))
    }

    /// The transaction of `show_certificate`.
    pub fn show_transaction(
        lane: LaneId,
        epoch: Epoch,
        seq: u32,
        outcome: H256,
        certificate: Certificate,
    ) -> Vec<u8> {
        Self::transaction(Call::show_certificate {
            lane,
            epoch,
            seq,
            outcome,
            certificate,
        })
    }
}
