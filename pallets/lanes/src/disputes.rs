// SPDX-License-Identifier: Apache-2.0
//! The exhibits of members and requesters: messages that nobody may sign both of, requests that
//! expired, and certificates of requests that became rounds.

use alloc::vec::Vec;
use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::{hold::Mutate as _, Balanced as _},
        tokens::{imbalance::Imbalance, Precision::Exact},
        OnUnbalanced,
    },
};
use starling_lane_primitives::{
    messages::{is_equivocation, payload, Ask, Message},
    Certificate,
};
use starling_primitives::{
    crypto,
    locks::LockId,
    traits::{AgentRegistry, KnownAnswers, Requests},
    Balance, RoundId,
};

use crate::{
    committee::Signed, place, Config, Epoch, Error, Escalations, Event, HoldReason, InForce, Lane,
    LaneId, Lanes, Marked, Now, Oldest, Pallet, Punished, SignedMessage, ESCALATION_DELAY,
    MAX_REQUESTS, REPORTER,
};

/// Votes for the outcome of a request that became a round.
pub(crate) struct Shown<'a, T: Config> {
    /// The round.
    pub round: RoundId,
    /// The voters.
    pub signers: Vec<Signed<'a, T>>,
    /// Number of volunteers that were read.
    pub volunteers: u32,
}

/// A proven offence.
pub(crate) struct Equivocation {
    /// The lane.
    pub lane: LaneId,
    /// The epoch.
    pub epoch: Epoch,
    /// Number of volunteers that were read.
    pub volunteers: u32,
}

impl<T: Config> Pallet<T> {
    /// Checks the evidence. The draw of a committee that is not on record comes last: only who has
    /// two signatures of a volunteer makes the chain do it.
    pub(crate) fn check_equivocation(
        offender: &T::AccountId,
        a: &SignedMessage,
        b: &SignedMessage,
    ) -> Result<Equivocation, Error<T>> {
        let longest = usize::try_from(T::MaxEvidence::get()).unwrap_or(usize::MAX);
        let fits = |message: &Message| message.encoded_size() <= longest;
        ensure!(fits(&a.1) && fits(&b.1), Error::<T>::EvidenceTooLong);
        ensure!(a.0.genesis == Self::genesis(), Error::<T>::WrongChain);
        ensure!(
            is_equivocation((&a.0, &a.1), (&b.0, &b.1)),
            Error::<T>::NoEquivocation
        );
        let (id, epoch) = (a.0.lane, a.0.epoch);
        let lane = Lanes::<T>::get(id).ok_or(Error::<T>::UnknownLane)?;
        // It may forget first that the member was punished, and last who was a volunteer.
        ensure!(!Self::is_over(epoch), Error::<T>::TooLate);
        ensure!(
            !Punished::<T>::contains_key(epoch, (id, offender)),
            Error::<T>::AlreadyPunished
        );
        for (slot, message, signature) in [a, b] {
            let signed = payload(slot, offender.as_ref(), message);
            Self::check_signature(epoch, offender, &signed, signature)?;
        }
        let drawn = Self::committee(id, &lane, epoch)?;
        ensure!(drawn.members.contains(offender), Error::<T>::NotMember);
        Ok(Equivocation {
            lane: id,
            epoch,
            volunteers: drawn.volunteers,
        })
    }

    /// Slashes a member for two messages of which nobody may sign both. Without a reporter all of
    /// it is the treasury's.
    pub(crate) fn do_equivocation(
        reporter: Option<T::AccountId>,
        offender: T::AccountId,
        a: &SignedMessage,
        b: &SignedMessage,
    ) -> DispatchResult {
        let Equivocation { lane, epoch, .. } = Self::check_equivocation(&offender, a, b)?;
        let mut slashed = T::Agents::slash_lock(&offender, LockId::Lanes);
        slashed.subsume(T::Agents::slash_lock(
            &offender,
            LockId::Seat { lane, epoch },
        ));
        let amount = slashed.peek();
        let (reward, rest) = slashed.split(REPORTER.mul_floor(amount));
        let undelivered = match &reporter {
            Some(reporter) => T::Currency::resolve(reporter, reward),
            None => Err(reward),
        };
        T::Treasury::on_unbalanced(match undelivered {
            Ok(()) => rest,
            Err(reward) => rest.merge(reward),
        });
        Punished::<T>::insert(epoch, (lane, &offender), ());
        Self::deposit_event(Event::Equivocated {
            lane,
            epoch,
            agent: offender,
            slashed: amount,
            reporter,
        });
        Ok(())
    }

    /// Checks that a request may become a round. Returns its lane.
    fn check_escalate(
        who: &T::AccountId,
        ask: &Ask,
        signature: &[u8; 64],
    ) -> Result<Lane<T::AccountId>, DispatchError> {
        let lane = Self::own(who, ask.lane)?;
        ensure!(ask.genesis == Self::genesis(), Error::<T>::WrongChain);
        let earliest = ask.expiry.saturating_add(ESCALATION_DELAY);
        ensure!(
            ask.epoch <= Now::<T>::get().epoch && earliest <= Self::now(),
            Error::<T>::TooEarly
        );
        ensure!(
            lane.is_served(ask.epoch) && ask.seq < MAX_REQUESTS,
            Error::<T>::NoCommittee
        );
        // Marks of the oldest epoch may be forgotten in part.
        ensure!(ask.epoch > Oldest::<T>::get(), Error::<T>::TooLate);
        // Members answer no request that expires before the second block of the epoch. So an
        // expiry before that is made up, to be over at once.
        let began = Self::began(ask.epoch).ok_or(Error::<T>::TooLate)?;
        ensure!(ask.expiry > began, Error::<T>::WrongExpiry);
        let fees = T::MinFee::get()..=lane.terms.max_fee;
        ensure!(fees.contains(&ask.fee), Error::<T>::WrongFees);
        let key = crypto::key(lane.terms.key);
        ensure!(
            crypto::has_signed(&key, &ask.hash(), signature),
            Error::<T>::BadSignature
        );
        Ok(lane)
    }

    /// The rest of the escrow after this fee, if that still covers all that members may have
    /// certified and not settled: otherwise escalations would empty it before they are paid.
    fn left_after(lane: &Lane<T::AccountId>, fee: Balance) -> Option<Balance> {
        let size = lane.terms.committee()?;
        let certified = InForce::<T>::get()
            .max_pending(size, T::MinSlash::get())
            .saturating_sub(lane.pending);
        lane.free.checked_sub(fee).filter(|left| *left >= certified)
    }

    pub(crate) fn do_escalate(
        who: T::AccountId,
        ask: Ask,
        signature: &[u8; 64],
        min_responses: u32,
        max_responses: u32,
    ) -> DispatchResult {
        let lane = Self::check_escalate(&who, &ask, signature)?;
        let commitment = ask.hash().into();
        let Ask {
            lane: id,
            epoch,
            seq,
            prompt,
            max_tokens,
            form,
            fee,
            ..
        } = ask;
        let (first, bit) = place(seq).ok_or(Error::<T>::NoCommittee)?;
        let mut marks = Marked::<T>::get(epoch, (id, first));
        ensure!(marks.settled & bit == 0, Error::<T>::AlreadySettled);
        ensure!(marks.escalated & bit == 0, Error::<T>::AlreadyEscalated);
        ensure!(marks.shown & bit == 0, Error::<T>::AlreadyCertified);
        marks.escalated |= bit;
        Marked::<T>::insert(epoch, (id, first), marks);
        let left = Self::left_after(&lane, fee);
        if left.is_some() {
            T::Currency::release(&HoldReason::Escrow.into(), &who, fee, Exact)?;
        }
        let round =
            T::Requests::request(who, prompt, fee, max_tokens, min_responses, max_responses)?;
        if form.is_counted() {
            // The hash of the ask commits to no known answer.
            T::KnownAnswers::note(round, form, commitment);
        }
        Escalations::<T>::insert(epoch, (id, seq), round);
        let lane = Lane {
            free: left.unwrap_or(lane.free),
            returned: lane.returned.saturating_add(left.map_or(0, |_| fee)),
            ..lane
        };
        Lanes::<T>::insert(id, lane);
        Self::deposit_event(Event::Escalated {
            lane: id,
            epoch,
            seq,
            round,
        });
        Ok(())
    }

    /// Makes all checks of `show_certificate` but those of the signatures, which the authorization
    /// makes.
    pub(crate) fn check_shown(
        id: LaneId,
        epoch: Epoch,
        seq: u32,
        certificate: &Certificate,
    ) -> Result<Shown<'_, T>, Error<T>> {
        let round = Escalations::<T>::get(epoch, (id, seq)).ok_or(Error::<T>::NotEscalated)?;
        ensure!(T::Requests::is_committing(round), Error::<T>::NotEscalated);
        let lane = Lanes::<T>::get(id).ok_or(Error::<T>::UnknownLane)?;
        let size = lane.terms.committee().ok_or(Error::<T>::InvalidCommittee)?;
        let drawn = Self::committee(id, &lane, epoch)?;
        Ok(Shown {
            round,
            signers: Self::signers(size, &drawn.members, certificate)?,
            volunteers: drawn.volunteers,
        })
    }

    pub(crate) fn do_show_certificate(
        id: LaneId,
        epoch: Epoch,
        seq: u32,
        certificate: &Certificate,
    ) -> DispatchResult {
        let round = Self::check_shown(id, epoch, seq, certificate)?.round;
        let (first, bit) = place(seq).ok_or(Error::<T>::NotEscalated)?;
        ensure!(T::Requests::withdraw(round), Error::<T>::NotEscalated);
        Escalations::<T>::remove(epoch, (id, seq));
        Marked::<T>::mutate(epoch, (id, first), |marks| {
            marks.escalated &= !bit;
            marks.shown |= bit;
        });
        Self::deposit_event(Event::CertificateShown {
            lane: id,
            epoch,
            seq,
            round,
        });
        Ok(())
    }
}
