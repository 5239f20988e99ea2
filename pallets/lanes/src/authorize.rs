// SPDX-License-Identifier: Apache-2.0
//! Authorization of feeless calls.
//!
//! Nobody pays for a call that is let into a block and fails there. So an authorization makes all
//! checks of the dispatch, the cheap ones first and the signatures last.

use alloc::boxed::Box;
use codec::Encode;
use frame_support::{
    pallet_prelude::{
        InvalidTransaction, TransactionSource, TransactionValidityError, UnknownTransaction,
        ValidTransaction,
    },
    traits::Get,
    weights::Weight,
};
use sp_runtime::transaction_validity::TransactionValidityWithRefund;
use starling_lane_primitives::{
    checkpoint::Checkpoint,
    messages::{payload, Message},
    volunteer, Certificate, Phase, Slot,
};
use starling_primitives::{crypto, traits::AgentRegistry, H256};

use crate::{Config, Epoch, Error, LaneId, Pallet, SignedMessage, WeightInfo};

impl<T: Config> Pallet<T> {
    /// Lets `join` into the pool and into a block.
    pub(crate) fn authorize_join(
        _source: TransactionSource,
        agent: &T::AccountId,
        epoch: &Epoch,
        point: &[u8; 32],
        peer: &[u8; 32],
        signature: &[u8; 64],
    ) -> TransactionValidityWithRefund {
        let payload = volunteer::join(&Self::genesis(), agent.as_ref(), *epoch, point, peer);
        Self::check_join(agent, *epoch, point)
            .and_then(|()| {
                let key = T::Agents::inference_key(agent).ok_or(Error::NotActive)?;
                crypto::has_signed(&key, &payload, signature)
                    .then_some(())
                    .ok_or(Error::BadSignature)
            })
            .map_err(Self::refusal)?;
        Self::admit(("join", epoch, agent), Weight::zero())
    }

    /// Lets `leave` into the pool and into a block.
    pub(crate) fn authorize_leave(
        _source: TransactionSource,
        agent: &T::AccountId,
        epoch: &Epoch,
        signature: &[u8; 64],
    ) -> TransactionValidityWithRefund {
        let payload = volunteer::leave(&Self::genesis(), agent.as_ref(), *epoch);
        Self::check_leave(agent, *epoch)
            .and_then(|_| Self::check_signature(*epoch, agent, &payload, signature))
            .map_err(Self::refusal)?;
        Self::admit(("leave", epoch, agent), Weight::zero())
    }

    /// Lets `settle` into the pool and into a block.
    pub(crate) fn authorize_settle(
        _source: TransactionSource,
        checkpoint: &Checkpoint,
        certificate: &Certificate,
    ) -> TransactionValidityWithRefund {
        let hash = checkpoint.hash(&Self::genesis());
        let settleable = Self::check_settle(checkpoint, certificate)
            .and_then(|(settleable, signers)| {
                for (who, signature) in signers {
                    Self::check_signature(checkpoint.epoch, &who, &hash, signature)?;
                }
                Ok(settleable)
            })
            .map_err(Self::refusal)?;
        let tag = (
            "settle",
            checkpoint.lane,
            checkpoint.epoch,
            checkpoint.first,
        );
        Self::admit(tag, Self::unread(settleable.drawn.volunteers))
    }

    /// Lets `equivocation` into the pool and into a block.
    // The macro needs the type of the arguments.
    #[allow(clippy::borrowed_box)]
    pub(crate) fn authorize_equivocation(
        _source: TransactionSource,
        offender: &T::AccountId,
        a: &Box<SignedMessage>,
        b: &Box<SignedMessage>,
    ) -> TransactionValidityWithRefund {
        let proven = Self::check_equivocation(offender, a, b).map_err(Self::refusal)?;
        // One in the pool is enough, whatever else the member has signed.
        let tag = ("equivocation", proven.lane, proven.epoch, offender);
        Self::admit(tag, Self::unread(proven.volunteers))
    }

    /// Lets `show_certificate` into the pool and into a block.
    pub(crate) fn authorize_show_certificate(
        _source: TransactionSource,
        lane: &LaneId,
        epoch: &Epoch,
        seq: &u32,
        outcome: &H256,
        certificate: &Certificate,
    ) -> TransactionValidityWithRefund {
        let slot = Slot {
            genesis: Self::genesis(),
            lane: *lane,
            epoch: *epoch,
            seq: *seq,
            phase: Phase::Scores,
        };
        let vote = Message::Vote(outcome.0);
        let volunteers = Self::check_shown(*lane, *epoch, *seq, certificate)
            .and_then(|shown| {
                for (who, signature) in &shown.signers {
                    // Each member signs its own account with its vote.
                    let signed = payload(&slot, who.as_ref(), &vote);
                    Self::check_signature(*epoch, who, &signed, signature)?;
                }
                Ok(shown.volunteers)
            })
            .map_err(Self::refusal)?;
        Self::admit(("show", lane, epoch, seq), Self::unread(volunteers))
    }

    /// The weight of the volunteers that were not read for a draw.
    fn unread(volunteers: u32) -> Weight {
        T::WeightInfo::draw(T::MaxVolunteers::get()).saturating_sub(T::WeightInfo::draw(volunteers))
    }

    /// Translates an error for the pool. A peer may be a block behind, so a call that may soon
    /// become valid is unknown, not invalid: the pool bans invalid ones and blames the peer that
    /// sent them. A late call or a duplicate is stale. All other errors carry their index.
    fn refusal(error: Error<T>) -> TransactionValidityError {
        match error {
            Error::TooEarly
            | Error::UnknownLane
            | Error::BondNotFree
            | Error::EscrowTooSmall
            | Error::NotEscalated
            | Error::AlreadyEscalated
            | Error::TooMuchPending
            | Error::TooManySettlements => UnknownTransaction::CannotLookup.into(),
            Error::TooLate
            | Error::AlreadyJoined
            | Error::AlreadySettled
            | Error::AlreadyPunished => InvalidTransaction::Stale.into(),
            Error::BadSignature => InvalidTransaction::BadProof.into(),
            other => {
                let index = other.encode().first().copied().unwrap_or(u8::MAX);
                InvalidTransaction::Custom(index).into()
            },
        }
    }

    fn admit(tag: impl Encode, refund: Weight) -> TransactionValidityWithRefund {
        ValidTransaction::with_tag_prefix("StarlingLanes")
            .priority(T::CallPriority::get())
            .and_provides(tag)
            .longevity(T::Longevity::get().into())
            .propagate(true)
            .build()
            .map(|valid| (valid, refund))
    }
}
