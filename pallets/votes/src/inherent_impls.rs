// SPDX-License-Identifier: Apache-2.0
//! The inherent of a block's author.

use alloc::{collections::BTreeSet, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode};
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature, GrandpaJustification, RoundNumber};
use sp_inherents::InherentIdentifier;
use sp_runtime::traits::Header;

use crate::{Config, Pallet, Voters};

/// The place of the votes in the data for inherents.
pub const INHERENT_IDENTIFIER: InherentIdentifier = *b"strlvote";

/// A validator's precommit in a round of GRANDPA.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Vote<Hash, Number> {
    /// The block.
    pub hash: Hash,
    /// Its number.
    pub number: Number,
    /// The validator's key.
    pub voter: AuthorityId,
    /// Its signature over the vote, the round and the set.
    pub signature: AuthoritySignature,
}

/// A vote on a block of `T`.
pub type VoteOf<T> = Vote<<T as frame_system::Config>::Hash, BlockNumberFor<T>>;

/// The votes of a justification.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence<Hash, Number> {
    /// The round.
    pub round: RoundNumber,
    /// The votes.
    pub votes: Vec<Vote<Hash, Number>>,
}

impl<H: Header> From<GrandpaJustification<H>> for Evidence<H::Hash, H::Number> {
    fn from(justification: GrandpaJustification<H>) -> Self {
        let votes = justification.commit.precommits.into_iter();
        Self {
            round: justification.round,
            votes: votes
                .map(|vote| Vote {
                    hash: vote.precommit.target_hash,
                    number: vote.precommit.target_number,
                    voter: vote.id,
                    signature: vote.signature,
                })
                .collect(),
        }
    }
}

impl<T: Config> Pallet<T> {
    /// The votes that the chain does not know yet, if there are any. Votes of another set, and
    /// those for blocks that this chain lacks, are left out.
    pub(crate) fn news(
        evidence: Evidence<T::Hash, BlockNumberFor<T>>,
    ) -> Option<(RoundNumber, Vec<VoteOf<T>>)> {
        let Evidence { round, mut votes } = evidence;
        let electorate = Self::electorate();
        let mut voters: BTreeSet<_> = Voters::<T>::get().into();
        votes.retain(|vote| electorate.accepts(round, vote) && voters.insert(vote.voter.clone()));
        (!votes.is_empty()).then_some((round, votes))
    }
}
