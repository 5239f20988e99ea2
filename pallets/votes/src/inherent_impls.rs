// SPDX-License-Identifier: Apache-2.0
//! What the author of a block gives to the chain.

use codec::{Decode, Encode};
use frame_system::pallet_prelude::HeaderFor;
use sp_consensus_grandpa::{AuthorityId, Commit, GrandpaJustification, RoundNumber};
use sp_inherents::InherentIdentifier;
use sp_runtime::traits::Header;

use crate::{Config, Pallet, Voters};

/// The place of the votes in the data for inherents.
pub const INHERENT_IDENTIFIER: InherentIdentifier = *b"strlvote";

/// The votes of a justification.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence<H: Header> {
    /// The round of GRANDPA.
    pub round: RoundNumber,
    /// The votes.
    pub commit: Commit<H>,
}

impl<H: Header> From<GrandpaJustification<H>> for Evidence<H> {
    fn from(justification: GrandpaJustification<H>) -> Self {
        Self {
            round: justification.round,
            commit: justification.commit,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// The votes that the chain does not know yet, if there are any. Votes of another set, and those
    /// for blocks that this chain lacks, are left out.
    pub(crate) fn news(
        evidence: Evidence<HeaderFor<T>>,
    ) -> Option<(RoundNumber, Commit<HeaderFor<T>>)> {
        let Evidence { round, mut commit } = evidence;
        let electorate = Self::electorate();
        let mut voters: alloc::collections::BTreeSet<AuthorityId> = Voters::<T>::get().into();
        commit.precommits.retain(|vote| {
            electorate.accepts(round, vote.precommit.clone(), &vote.id, &vote.signature)
                && voters.insert(vote.id.clone())
        });
        (!commit.precommits.is_empty()).then_some((round, commit))
    }
}
