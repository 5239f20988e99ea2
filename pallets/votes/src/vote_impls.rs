// SPDX-License-Identifier: Apache-2.0
//! The rule by which a vote counts, and the record of those that did.

use alloc::vec::Vec;
use core::marker::PhantomData;
use frame_support::ensure;
use frame_system::pallet_prelude::{BlockNumberFor, HeaderFor};
use sp_consensus_grandpa::{
    check_message_signature, AuthorityId, AuthorityList, Message, Precommit, RoundNumber, SetId,
};
use sp_runtime::{DispatchError, DispatchResult};

use crate::{Config, Error, Pallet, Since, VoteOf, Voters};

/// Those who vote in this session, and on what.
pub(crate) struct Electorate<T: Config> {
    set: SetId,
    authorities: AuthorityList,
    since: BlockNumberFor<T>,
    _runtime: PhantomData<T>,
}

impl<T: Config> Electorate<T> {
    /// Whether this is a vote of the present set on a block of this chain.
    pub(crate) fn accepts(&self, round: RoundNumber, vote: &VoteOf<T>) -> bool {
        let precommit = Precommit::<HeaderFor<T>> {
            target_hash: vote.hash,
            target_number: vote.number,
        };
        // The signature last: it costs the most.
        self.authorities.iter().any(|(key, _)| *key == vote.voter)
            && vote.number >= self.since
            && frame_system::BlockHash::<T>::get(vote.number) == vote.hash
            && check_message_signature(
                &Message::<HeaderFor<T>>::Precommit(precommit),
                &vote.voter,
                &vote.signature,
                round,
                self.set,
            )
            .is_valid()
    }
}

impl<T: Config> Pallet<T> {
    pub(crate) fn electorate() -> Electorate<T> {
        Electorate {
            set: pallet_grandpa::CurrentSetId::<T>::get(),
            authorities: pallet_grandpa::Pallet::<T>::grandpa_authorities(),
            since: Since::<T>::get(),
            _runtime: PhantomData,
        }
    }

    pub(crate) fn do_note(round: RoundNumber, votes: &[VoteOf<T>]) -> DispatchResult {
        ensure!(!votes.is_empty(), Error::<T>::NoVotes);
        let electorate = Self::electorate();
        Voters::<T>::try_mutate(|voters| {
            for vote in votes {
                ensure!(electorate.accepts(round, vote), Error::<T>::WrongVote);
                let noted = voters.try_insert(vote.voter.clone());
                ensure!(noted == Ok(true), Error::<T>::WrongVote);
            }
            Ok::<_, DispatchError>(())
        })
    }

    /// Ends a session with this block: returns the keys whose votes were noted, and forgets them.
    /// GRANDPA names its next set after it, in the same block.
    pub fn take() -> Vec<AuthorityId> {
        Self::note_set();
        Self::follow_forced_change();
        Since::<T>::put(frame_system::Pallet::<T>::block_number());
        Voters::<T>::take().into_iter().collect()
    }

    /// Checks that there are no more voters than the set may have, and that the session has begun.
    #[cfg(any(feature = "std", feature = "try-runtime"))]
    pub fn do_try_state() -> DispatchResult {
        ensure!(
            Since::<T>::get() <= frame_system::Pallet::<T>::block_number(),
            "the session begins in the future"
        );
        Ok(())
    }
}
