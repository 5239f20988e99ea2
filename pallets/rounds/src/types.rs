// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::fungible, BoundedVec, CloneNoBound, DebugNoBound, PartialEqNoBound};
use scale_info::TypeInfo;
use starling_primitives::{
    round::{BlockNumber, Round},
    sealing::Slot,
    selection::Tally,
    InferenceSignature, Position, RoundId, Score, Secret, H256,
};

use crate::Config;

/// An amount that was taken from one account and not yet given to another.
pub type CreditOf<T> =
    fungible::Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// A round of this runtime.
pub type RoundOf<T> = Round<<T as frame_system::Config>::AccountId>;

/// A participant of this runtime.
pub type ParticipantOf<T> = Participant<<T as Config>::MaxRankings>;

/// Scores with their responses.
pub type ScoresOf<T> = BoundedVec<(Position, Score), <T as Config>::MaxRankings>;

/// A place in a round of this runtime's chain.
pub(crate) type SlotOf<'a, T> = Slot<'a, <T as frame_system::Config>::AccountId>;

/// The proof that makes an agent's message feeless.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Proof {
    /// The block number at signing. A message is valid only for a while, and a later one replaces
    /// an earlier one.
    pub signed_at: BlockNumber,
    /// Signature over call, genesis, round, account, `signed_at` and the whole content.
    pub signature: InferenceSignature,
}

/// State of a response.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Response {
    /// Not revealed yet, or never.
    #[codec(index = 0)]
    Sealed,
    /// The key fits the commitment, but opens no valid response.
    #[codec(index = 1)]
    Spoiled,
    /// Revealed.
    #[codec(index = 2)]
    Valid {
        /// The key.
        key: Secret,
        /// Its position in the shuffled order, from Ranking on.
        position: Position,
        /// The agent's rating at the assignment; 32 fractional bits.
        rating: u64,
        /// `w`, read at the same time.
        weight: u64,
    },
}

/// State of the responses that an agent has to rank.
#[derive(
    CloneNoBound,
    DebugNoBound,
    PartialEqNoBound,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
#[scale_info(skip_type_params(MaxRankings))]
pub enum Ranking<MaxRankings: frame_support::traits::Get<u32>> {
    /// No scores yet.
    #[codec(index = 0)]
    None,
    /// The agent committed scores.
    #[codec(index = 1)]
    Committed(H256),
    /// The agent disclosed scores for responses other than the assigned ones.
    #[codec(index = 2)]
    Spoiled,
    /// The agent disclosed its scores.
    #[codec(index = 3)]
    Disclosed(BoundedVec<(Position, Score), MaxRankings>),
}

/// One agent in one round.
#[derive(
    CloneNoBound,
    DebugNoBound,
    PartialEqNoBound,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
#[scale_info(skip_type_params(MaxRankings))]
pub struct Participant<MaxRankings: frame_support::traits::Get<u32>> {
    /// `H(domain ‖ genesis ‖ round ‖ agent ‖ k_i)`.
    pub key_commitment: H256,
    /// State of its response.
    pub response: Response,
    /// State of its scores.
    pub ranking: Ranking<MaxRankings>,
}

/// An agent that no round waits for.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Rest {
    /// The first round that does not wait for it.
    pub since: RoundId,
    /// The first block in which a commit ends the rest.
    pub until: BlockNumber,
}

/// A valid response in the shuffled order, with its scores.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Entry<AccountId> {
    /// The agent that gave it.
    pub agent: AccountId,
    /// The scores so far.
    pub tally: Tally,
}

/// A round on the agenda. Sorted by (due, round).
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Due {
    /// The block at the end of which the round changes phase.
    pub at: BlockNumber,
    /// The round.
    pub round: RoundId,
    /// The block since which more than a third of the authorities must have authored; `None` if no
    /// more messages can arrive.
    pub since: Option<BlockNumber>,
    /// Maximum number of agents that the transition handles.
    pub agents: u32,
}

/// Room for transitions in a block.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Room {
    /// Number of transitions.
    pub transitions: u32,
    /// Number of agents of these transitions together.
    pub agents: u32,
}

impl Room {
    /// The room left after the transition of a round with `agents` agents, if it fits.
    pub(crate) fn without(self, agents: u32) -> Option<Self> {
        Some(Self {
            transitions: self.transitions.checked_sub(1)?,
            agents: self.agents.checked_sub(agents)?,
        })
    }
}

/// The last block of an author.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Authored<AccountId> {
    /// The author.
    pub author: AccountId,
    /// The block.
    pub at: BlockNumber,
}

/// A queue of finished rounds that wait for their purge, in the order in which they ended.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Queue {
    /// The index of the round that is purged next.
    pub head: u64,
    /// The index of the round that ends next.
    pub tail: u64,
}

impl Queue {
    /// Number of rounds in the queue.
    pub(crate) fn len(&self) -> u64 {
        self.tail.saturating_sub(self.head)
    }

    /// The queue with one more round, and the index of that round.
    pub(crate) fn pushed(self) -> (u64, Self) {
        let tail = self.tail.saturating_add(1);
        (self.tail, Self { tail, ..self })
    }

    /// The queue without its first round.
    pub(crate) fn popped(self) -> Self {
        let head = self.head.saturating_add(1).min(self.tail);
        Self { head, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame_support::traits::ConstU32;

    #[test]
    fn stored_participants_keep_their_bytes() {
        let valid = Response::Valid {
            key: [1; 32],
            position: 2,
            rating: 3,
            weight: 4,
        };
        for (index, response) in (0u8..).zip([Response::Sealed, Response::Spoiled, valid]) {
            assert_eq!(response.encode().first(), Some(&index));
        }
        let rankings = [
            Ranking::<ConstU32<1>>::None,
            Ranking::Committed(H256::zero()),
            Ranking::Spoiled,
            Ranking::Disclosed(BoundedVec::new()),
        ];
        for (index, ranking) in (0u8..).zip(rankings) {
            assert_eq!(ranking.encode().first(), Some(&index));
        }
    }
}
