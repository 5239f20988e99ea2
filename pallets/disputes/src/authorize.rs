// SPDX-License-Identifier: Apache-2.0
//! Authorization of feeless calls.
//!
//! Nobody pays for a call that is let into a block and fails there. So an authorization makes all
//! checks of the dispatch, the cheap ones first and the signatures last.

use alloc::{boxed::Box, vec::Vec};
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
use starling_evidence::{
    messages::{self, Accusation},
    Digest, Finding, ModelId,
};
use starling_primitives::{crypto, traits::AgentRegistry, H256};

use crate::{BlockNumber, CaseId, Config, Error, Pallet};

impl<T: Config> Pallet<T> {
    /// Lets `accuse` into the pool and into a block.
    // The macro needs the type of the arguments.
    #[allow(clippy::borrowed_box)]
    pub(crate) fn authorize_accuse(
        _source: TransactionSource,
        agent: &T::AccountId,
        accusation: &Box<Accusation>,
        signature: &Option<[u8; 64]>,
    ) -> TransactionValidityWithRefund {
        let payload = messages::accuse(&Self::genesis(), agent.as_ref(), accusation);
        Self::check_key(agent, &payload, signature.as_ref())
            .and_then(|()| Self::check_accuse(agent, accusation))
            .map_err(Self::refusal)?;
        // One in the pool is enough, whoever accuses.
        Self::admit(("accuse", accusation.evidence.name()))
    }

    /// Lets `hold` into the pool and into a block.
    // The macro needs the type of the arguments.
    #[allow(clippy::ptr_arg)]
    pub(crate) fn authorize_hold(
        _source: TransactionSource,
        agent: &T::AccountId,
        models: &Vec<ModelId>,
        at: &BlockNumber,
        signature: &Option<[u8; 64]>,
    ) -> TransactionValidityWithRefund {
        let payload = messages::hold(&Self::genesis(), agent.as_ref(), models, *at);
        Self::check_hold(agent, models, *at)
            .and_then(|_| Self::check_key(agent, &payload, signature.as_ref()))
            .map_err(Self::refusal)?;
        Self::admit(("hold", agent, at))
    }

    /// Lets `commit` into the pool and into a block.
    pub(crate) fn authorize_commit(
        _source: TransactionSource,
        case: &CaseId,
        agent: &T::AccountId,
        commitment: &H256,
        signature: &[u8; 64],
    ) -> TransactionValidityWithRefund {
        let draw = Self::check_commit(*case, agent)
            .and_then(|stored| {
                let draw = stored.draw;
                let payload = messages::commit(
                    &Self::genesis(),
                    agent.as_ref(),
                    *case,
                    &draw.0,
                    &commitment.0,
                );
                Self::check_key(agent, &payload, Some(signature)).map(|()| draw)
            })
            .map_err(Self::refusal)?;
        Self::admit(("commit", case, agent, draw))
    }

    /// Lets `reveal` into the pool and into a block.
    pub(crate) fn authorize_reveal(
        _source: TransactionSource,
        case: &CaseId,
        agent: &T::AccountId,
        finding: &Finding,
        salt: &[u8; 32],
    ) -> TransactionValidityWithRefund {
        let (stored, _) = Self::check_reveal(*case, agent, finding, salt).map_err(Self::refusal)?;
        Self::admit(("reveal", case, agent, stored.draw))
    }

    /// Checks the signature of an agent's key in force.
    fn check_key(
        agent: &T::AccountId,
        payload: &Digest,
        signature: Option<&[u8; 64]>,
    ) -> Result<(), Error<T>> {
        let key = T::Agents::inference_key(agent).ok_or(Error::NotAnAgent)?;
        let signature = signature.ok_or(Error::BadSignature)?;
        if crypto::has_signed(&key, payload, signature) {
            Ok(())
        } else {
            Err(Error::BadSignature)
        }
    }

    /// Translates an error for the pool. A peer may be a block behind, so a call that may soon
    /// become valid is unknown, not invalid: the pool bans invalid ones and blames the peer that
    /// sent them. A late call or a duplicate is stale. All other errors carry their index.
    fn refusal(error: Error<T>) -> TransactionValidityError {
        match error {
            Error::UnknownCase
            | Error::WrongPhase
            | Error::NoCommitment
            | Error::TooEarly
            | Error::FromTheFuture
            | Error::TooManyCases
            | Error::TooManyAgainst
            | Error::TooManyHolders
            | Error::BondNotFree => UnknownTransaction::CannotLookup.into(),
            Error::TooLate
            | Error::TooOld
            | Error::Twice
            | Error::AlreadyAccused
            | Error::AlreadyJudged => InvalidTransaction::Stale.into(),
            Error::BadSignature => InvalidTransaction::BadProof.into(),
            other => {
                let index = other.encode().first().copied().unwrap_or(u8::MAX);
                InvalidTransaction::Custom(index).into()
            },
        }
    }

    fn admit(tag: impl Encode) -> TransactionValidityWithRefund {
        ValidTransaction::with_tag_prefix("StarlingDisputes")
            .priority(T::CallPriority::get())
            .and_provides(tag)
            .longevity(T::Longevity::get().into())
            .propagate(true)
            .build()
            .map(|valid| (valid, Weight::zero()))
    }
}
