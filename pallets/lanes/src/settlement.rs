// SPDX-License-Identifier: Apache-2.0
//! The settlement of checkpoints, and its payments.

use alloc::vec::Vec;
use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::{hold::Balanced as _, Balanced as _},
        tokens::imbalance::Imbalance,
        OnUnbalanced,
    },
};
use sp_runtime::{AccountId32, Permill, Saturating};
use starling_lane_primitives::{
    checkpoint::{Checkpoint, BLOCK},
    Certificate, Committee,
};
use starling_primitives::{locks::LockId, traits::AgentRegistry, Balance};

use crate::{
    committee::{Drawn, Signed},
    BlockNumber, Committees, Config, CreditOf, Error, Event, FirstSettlement, HoldReason, InForce,
    Lane, Lanes, Marked, Marks, MembersOf, NextSettlement, Now, Pallet, Progress, Settlement,
    Settlements, WeightInfo, LOG_TARGET, MAX_REQUESTS,
};

/// A checkpoint that may be settled, as far as its signatures are good.
pub(crate) struct Settleable<T: Config> {
    /// The lane.
    pub lane: Lane<T::AccountId>,
    /// The size of its committee.
    pub size: Committee,
    /// The committee.
    pub drawn: Drawn<T>,
    /// The ends of the block's requests.
    pub marks: Marks,
}

/// A checkpoint that may be settled, and a quorum of its signers.
type Checked<'a, T> = (Settleable<T>, Vec<Signed<'a, T>>);

impl<T: Config> Pallet<T> {
    /// Makes all checks of `settle` but those of the signers.
    pub(crate) fn check_checkpoint(checkpoint: &Checkpoint) -> Result<Settleable<T>, Error<T>> {
        let Checkpoint {
            lane: id,
            epoch,
            first,
            bitmap,
            ..
        } = checkpoint;
        ensure!(
            checkpoint.is_well_formed() && *first < MAX_REQUESTS,
            Error::<T>::Malformed
        );
        let lane = Lanes::<T>::get(id).ok_or(Error::<T>::UnknownLane)?;
        let size = lane.terms.committee().ok_or(Error::<T>::InvalidCommittee)?;
        let present = Now::<T>::get().epoch;
        ensure!(*epoch <= present, Error::<T>::TooEarly);
        ensure!(epoch.saturating_add(1) >= present, Error::<T>::TooLate);
        let next = Progress::<T>::get(epoch, id);
        ensure!(*first >= next, Error::<T>::AlreadySettled);
        let marks = Marked::<T>::get(epoch, (*id, *first));
        ensure!(bitmap & marks.settled == 0, Error::<T>::AlreadySettled);
        ensure!(bitmap & marks.escalated == 0, Error::<T>::AlreadyEscalated);
        Self::check_money(&lane, size, checkpoint)?;
        // One of each lane has a place in any case: nobody keeps the others from being paid.
        let has_room = Settlements::<T>::count() < T::MaxSettlements::get();
        ensure!(
            has_room || lane.pending.is_zero(),
            Error::<T>::TooManySettlements
        );
        let drawn = Self::committee(*id, &lane, *epoch)?;
        Self::check_payouts(&lane, &drawn.members, checkpoint)?;
        Ok(Settleable {
            lane,
            size,
            drawn,
            marks,
        })
    }

    fn check_money(
        lane: &Lane<T::AccountId>,
        size: Committee,
        checkpoint: &Checkpoint,
    ) -> Result<(), Error<T>> {
        let requests = Balance::from(checkpoint.bitmap.count_ones());
        let least = T::MinFee::get().saturating_mul(requests);
        let most = lane.terms.max_fee.saturating_mul(requests);
        let fees = checkpoint.fees;
        ensure!((least..=most).contains(&fees), Error::<T>::WrongFees);
        ensure!(fees <= lane.free, Error::<T>::EscrowTooSmall);
        let most = InForce::<T>::get().max_pending(size, T::MinSlash::get());
        ensure!(
            lane.pending.saturating_add(fees) <= most,
            Error::<T>::TooMuchPending
        );
        Ok(())
    }

    /// The treasury's share: the rest of the other two.
    pub(crate) fn treasury_share() -> Permill {
        let (winner, rankers) = T::Shares::get();
        Permill::one()
            .saturating_sub(winner)
            .saturating_sub(rankers)
    }

    /// The payments go to members, the treasury and the requester. Members split each fee, and the
    /// treasury gets the remainders: so it gets no less than its share of the sum.
    fn check_payouts(
        lane: &Lane<T::AccountId>,
        members: &MembersOf<T>,
        checkpoint: &Checkpoint,
    ) -> Result<(), Error<T>> {
        let treasury = T::TreasuryAccount::get();
        let mut to_treasury: Balance = 0;
        for (account, amount) in &checkpoint.payouts {
            let account = AccountId32::from(*account);
            if account == treasury {
                to_treasury = *amount;
            }
            let is_known =
                account == treasury || account == lane.requester || members.contains(&account);
            ensure!(is_known && *amount > 0, Error::<T>::WrongPayouts);
        }
        let least = Self::treasury_share().mul_floor(checkpoint.fees);
        ensure!(to_treasury >= least, Error::<T>::WrongPayouts);
        Ok(())
    }

    /// Makes all checks of `settle` but those of the signatures, which the authorization makes.
    ///
    /// The signers that it returns are liable, and a quorum to the number: one member without a
    /// free bond stops no settlement, and nobody makes the chain check more signatures than that.
    pub(crate) fn check_settle<'a>(
        checkpoint: &Checkpoint,
        certificate: &'a Certificate,
    ) -> Result<Checked<'a, T>, Error<T>> {
        let settleable = Self::check_checkpoint(checkpoint)?;
        let signers = Self::signers(settleable.size, &settleable.drawn.members, certificate)?;
        let quorum = usize::from(settleable.size.quorum());
        let (lane, epoch) = (checkpoint.lane, checkpoint.epoch);
        let bond = InForce::<T>::get().lane_bond;
        let liable: Vec<_> = signers
            .into_iter()
            .filter(|(who, _)| Self::can_lose(who, lane, epoch, bond))
            .take(quorum)
            .collect();
        ensure!(liable.len() == quorum, Error::<T>::BondNotFree);
        Ok((settleable, liable))
    }

    /// Settles a checkpoint. Returns the number of volunteers that were read.
    pub(crate) fn do_settle(
        checkpoint: Checkpoint,
        certificate: &Certificate,
    ) -> Result<u32, DispatchError> {
        let (settleable, signers) = Self::check_settle(&checkpoint, certificate)?;
        let Settleable {
            lane, drawn, marks, ..
        } = settleable;
        let parameters = InForce::<T>::get();
        let due = Self::now().saturating_add(parameters.dispute_window);
        let seat = LockId::Seat {
            lane: checkpoint.lane,
            epoch: checkpoint.epoch,
        };
        for (who, _) in &signers {
            let until = due.saturating_add(parameters.epoch);
            T::Agents::lock(who, seat, parameters.lane_bond, until)?;
        }
        let Checkpoint {
            lane: id,
            epoch,
            first,
            bitmap,
            fees,
            payouts,
            transcripts,
        } = checkpoint;
        let payouts = payouts
            .into_iter()
            .map(|(account, amount)| (AccountId32::from(account), amount))
            .collect::<Vec<_>>();
        let settlement = Settlement {
            lane: id,
            epoch,
            first,
            bitmap,
            fees,
            payouts: BoundedVec::try_from(payouts).map_err(|_| Error::<T>::WrongPayouts)?,
            transcripts,
            signers: BoundedVec::truncate_from(signers.into_iter().map(|(who, _)| who).collect()),
            due,
        };
        let number = NextSettlement::<T>::mutate(|next| {
            let number = *next;
            *next = next.saturating_add(1);
            number
        });
        Settlements::<T>::insert(number, settlement);
        let volunteers = drawn.volunteers;
        Committees::<T>::insert(epoch, id, drawn.members);
        Progress::<T>::insert(epoch, id, first.saturating_add(BLOCK));
        let marks = Marks {
            settled: marks.settled | bitmap,
            ..marks
        };
        Marked::<T>::insert(epoch, (id, first), marks);
        let lane = Lane {
            free: lane.free.saturating_sub(fees),
            pending: lane.pending.saturating_add(fees),
            ..lane
        };
        Lanes::<T>::insert(id, lane);
        Self::deposit_event(Event::Settled {
            id: number,
            lane: id,
            epoch,
            first,
            bitmap,
            fees,
            due,
        });
        Ok(volunteers)
    }

    pub(crate) fn do_finalise(id: u64) -> DispatchResult {
        let settlement = Settlements::<T>::get(id).ok_or(Error::<T>::UnknownSettlement)?;
        ensure!(settlement.due <= Self::now(), Error::<T>::NotDue);
        let lane = Lanes::<T>::get(settlement.lane).ok_or(Error::<T>::UnknownLane)?;
        Settlements::<T>::remove(id);
        let (returned, to_others): (Vec<_>, Vec<_>) = settlement
            .payouts
            .into_iter()
            .partition(|(account, _)| *account == lane.requester);
        let returned = returned
            .iter()
            .fold(0, |sum: Balance, (_, amount)| sum.saturating_add(*amount));
        let paid = settlement.fees.saturating_sub(returned);
        Self::pay_out(&lane.requester, paid, to_others);
        let lane = Lane {
            free: lane.free.saturating_add(returned),
            pending: lane.pending.saturating_sub(settlement.fees),
            paid: lane.paid.saturating_add(paid),
            ..lane
        };
        Lanes::<T>::insert(settlement.lane, lane);
        Self::deposit_event(Event::Paid {
            id,
            lane: settlement.lane,
            paid,
            returned,
        });
        Ok(())
    }

    /// Voids a settlement that is not paid: its fees are free again, and its signers lose what is
    /// locked for their seats. Others of the same lane and epoch stay, without that cover: whoever
    /// distrusts them voids each.
    pub(crate) fn do_void(id: u64) -> DispatchResult {
        let settlement = Settlements::<T>::get(id).ok_or(Error::<T>::UnknownSettlement)?;
        let lane = Lanes::<T>::get(settlement.lane).ok_or(Error::<T>::UnknownLane)?;
        Settlements::<T>::remove(id);
        let seat = LockId::Seat {
            lane: settlement.lane,
            epoch: settlement.epoch,
        };
        let mut slashes = CreditOf::<T>::zero();
        for who in &settlement.signers {
            slashes.subsume(T::Agents::slash_lock(who, seat));
        }
        let slashed = slashes.peek();
        T::Treasury::on_unbalanced(slashes);
        let lane = Lane {
            free: lane.free.saturating_add(settlement.fees),
            pending: lane.pending.saturating_sub(settlement.fees),
            ..lane
        };
        Lanes::<T>::insert(settlement.lane, lane);
        Self::deposit_event(Event::Voided {
            id,
            lane: settlement.lane,
            fees: settlement.fees,
            slashed,
        });
        Ok(())
    }

    /// Takes `sum` out of the escrow of `requester` for these payments. The treasury gets what
    /// cannot be delivered.
    fn pay_out(requester: &T::AccountId, sum: Balance, payouts: Vec<(T::AccountId, Balance)>) {
        if sum.is_zero() {
            return;
        }
        let (mut credit, missing): (CreditOf<T>, Balance) =
            T::Currency::slash(&HoldReason::Escrow.into(), requester, sum);
        if !missing.is_zero() {
            log::error!(target: LOG_TARGET, "an escrow lacks {missing}");
        }
        for (account, amount) in payouts {
            if let Err(rest) = T::Currency::resolve(&account, credit.extract(amount)) {
                T::Treasury::on_unbalanced(rest);
            }
        }
        T::Treasury::on_unbalanced(credit);
    }

    /// Pays settlements whose dispute windows are over, in order, as far as the block has room.
    pub(crate) fn pay_due(remaining: Weight) -> Weight {
        let look = T::DbWeight::get().reads_writes(3, 1);
        let each = T::WeightInfo::finalise().saturating_add(look);
        let mut used = look;
        let (start, end) = (FirstSettlement::<T>::get(), NextSettlement::<T>::get());
        let mut first = start;
        while first < end && remaining.all_gte(used.saturating_add(each)) {
            let due = Settlements::<T>::get(first).map(|settlement| settlement.due);
            if due.is_some_and(|due: BlockNumber| due > Self::now()) {
                break;
            }
            // One that somebody has paid by a call is not there any more.
            if due.is_some() {
                if let Err(error) = Self::do_finalise(first) {
                    log::error!(target: LOG_TARGET, "settlement {first} is not paid: {error:?}");
                    break;
                }
            }
            used = used.saturating_add(each);
            first = first.saturating_add(1);
        }
        if first > start {
            FirstSettlement::<T>::put(first);
        }
        used
    }
}
