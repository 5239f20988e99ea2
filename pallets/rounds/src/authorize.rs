// SPDX-License-Identifier: Apache-2.0
//! Authorization of feeless messages.
//!
//! Nobody pays for a message that is let into a block and fails there. So an authorization makes
//! all checks of the dispatch, the cheap ones first and the signature last.

use alloc::vec::Vec;
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
use starling_primitives::{
    messages::{self, Message},
    traits::AgentRegistry,
    RoundId, Salt, Secret, H256,
};

use crate::{BlockNumber, Config, Error, Pallet, Phase, Proof, ScoresOf, SlotOf};

impl<T: Config> Pallet<T> {
    /// Lets `commit` into the pool and into a block. The macro needs the type of the argument.
    #[allow(clippy::ptr_arg)]
    pub(crate) fn authorize_commit(
        _source: TransactionSource,
        round: &RoundId,
        agent: &T::AccountId,
        sealed: &Vec<u8>,
        key_commitment: &H256,
        proof: &Proof,
    ) -> TransactionValidityWithRefund {
        let message = Message::Commit {
            sealed,
            key_commitment: *key_commitment,
        };
        Self::check_age(proof.signed_at)
            .and_then(|_| Self::check_commit(*round, agent, sealed))
            .and_then(|_| Self::check_signature(*round, agent, &message, proof))
            .map_err(|error| Self::refusal(*round, error))?;
        Self::admit((round, Phase::Committing, agent), proof.signed_at)
    }

    /// Lets `pass` into the pool and into a block.
    pub(crate) fn authorize_pass(
        _source: TransactionSource,
        round: &RoundId,
        agent: &T::AccountId,
        proof: &Proof,
    ) -> TransactionValidityWithRefund {
        Self::check_age(proof.signed_at)
            .and_then(|_| Self::check_pass(*round, agent))
            .and_then(|_| Self::check_signature(*round, agent, &Message::Pass, proof))
            .map_err(|error| Self::refusal(*round, error))?;
        Self::admit((round, Phase::Committing, agent), proof.signed_at)
    }

    /// Lets `reveal` with a proof into the pool and into a block.
    pub(crate) fn authorize_reveal(
        _source: TransactionSource,
        round: &RoundId,
        agent: &T::AccountId,
        key: &Secret,
        proof: &Option<Proof>,
    ) -> TransactionValidityWithRefund {
        let proof = Self::required(*round, proof)?;
        let message = Message::Reveal { key };
        Self::check_age(proof.signed_at)
            .and_then(|_| Self::check_reveal(*round, agent, key))
            .and_then(|_| Self::check_signature(*round, agent, &message, proof))
            .map_err(|error| Self::refusal(*round, error))?;
        Self::admit((round, Phase::Revealing, agent), proof.signed_at)
    }

    /// Lets `commit_scores` into the pool and into a block.
    pub(crate) fn authorize_commit_scores(
        _source: TransactionSource,
        round: &RoundId,
        agent: &T::AccountId,
        seed: &H256,
        commitment: &H256,
        proof: &Proof,
    ) -> TransactionValidityWithRefund {
        let message = Message::CommitScores {
            seed: *seed,
            commitment: *commitment,
        };
        Self::check_age(proof.signed_at)
            .and_then(|_| Self::check_commit_scores(*round, agent, *seed))
            .and_then(|_| Self::check_signature(*round, agent, &message, proof))
            .map_err(|error| Self::refusal(*round, error))?;
        Self::admit((round, Phase::Ranking, agent, seed), proof.signed_at)
    }

    /// Lets `disclose` with a proof into the pool and into a block.
    pub(crate) fn authorize_disclose(
        _source: TransactionSource,
        round: &RoundId,
        agent: &T::AccountId,
        scores: &ScoresOf<T>,
        salt: &Salt,
        proof: &Option<Proof>,
    ) -> TransactionValidityWithRefund {
        let proof = Self::required(*round, proof)?;
        let message = Message::Disclose { scores, salt };
        Self::check_age(proof.signed_at)
            .and_then(|_| Self::check_disclose(*round, agent, scores, salt))
            .and_then(|_| Self::check_signature(*round, agent, &message, proof))
            .map_err(|error| Self::refusal(*round, error))?;
        Self::admit((round, Phase::Disclosing, agent), proof.signed_at)
    }

    /// The slot that a message is bound to.
    pub(crate) fn slot<'a>(round: RoundId, agent: &'a T::AccountId) -> SlotOf<'a, T> {
        SlotOf::<T> {
            genesis: Self::genesis(),
            round,
            agent,
        }
    }

    /// Checks that a message is neither from the future nor older than `Longevity` blocks.
    fn check_age(signed_at: BlockNumber) -> Result<(), Error<T>> {
        match Self::now().checked_sub(signed_at) {
            Some(age) if age <= T::Longevity::get() => Ok(()),
            Some(_) => Err(Error::MessageExpired),
            None => Err(Error::TooEarly),
        }
    }

    fn check_signature(
        round: RoundId,
        agent: &T::AccountId,
        message: &Message,
        proof: &Proof,
    ) -> Result<(), Error<T>> {
        let key = T::Agents::inference_key(agent).ok_or(Error::NotAgent)?;
        let slot = Self::slot(round, agent);
        messages::verify(&key, &slot, proof.signed_at, message, &proof.signature)
            .then_some(())
            .ok_or(Error::BadSignature)
    }

    fn required(round: RoundId, proof: &Option<Proof>) -> Result<&Proof, TransactionValidityError> {
        proof
            .as_ref()
            .ok_or_else(|| Self::refusal(round, Error::ProofMismatch))
    }

    /// Translates an error for the pool. A peer may be a block behind, so a message that may soon
    /// become valid is unknown, not invalid: the pool bans invalid ones for a while. The peer that
    /// sent it loses a little of its reputation in either case. A late message or a duplicate is
    /// stale. All other errors carry their index.
    fn refusal(round: RoundId, error: Error<T>) -> TransactionValidityError {
        match error {
            Error::TooEarly => UnknownTransaction::CannotLookup.into(),
            Error::UnknownRound if round >= crate::NextRound::<T>::get() => {
                UnknownTransaction::CannotLookup.into()
            },
            Error::UnknownRound | Error::TooLate | Error::AlreadySent | Error::MessageExpired => {
                InvalidTransaction::Stale.into()
            },
            Error::BadSignature => InvalidTransaction::BadProof.into(),
            other => {
                let index = other.encode().first().copied().unwrap_or(u8::MAX);
                InvalidTransaction::Custom(index).into()
            },
        }
    }

    /// Admits a message. A later message of an agent replaces its earlier one, because it has the
    /// same tag and a higher priority.
    fn admit(tag: impl Encode, signed_at: BlockNumber) -> TransactionValidityWithRefund {
        ValidTransaction::with_tag_prefix("StarlingRounds")
            .priority(T::MessagePriority::get().saturating_add(signed_at.into()))
            .and_provides(tag)
            .longevity(T::Longevity::get().into())
            .propagate(true)
            .build()
            .map(|valid| (valid, Weight::zero()))
    }
}
