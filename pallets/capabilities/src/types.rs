// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_runtime::traits::BlakeTwo256;
use starling_primitives::{
    choice::{Capability, Form, Known, Outcome},
    round::BlockNumber,
    H256,
};

pub use starling_primitives::choice::REQUESTS_PER_ANSWER;

/// Maximum value of `Spacing`, for which each record has room.
pub const MAX_SPACING: u32 = 2;

/// A sum is below 2^64, so that nothing is left of it after so many halves.
const HALVES: BlockNumber = 64;

/// The question of a request, besides its terms.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Question {
    /// The form of the answers.
    pub form: Form,
    /// The commitment to a known answer, or 32 random bytes.
    pub commitment: H256,
    /// Whether the known answer is public.
    pub revealed: bool,
}

/// The requests of an examiner.
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
pub struct ExaminerTraffic {
    /// Number of its requests since it became an examiner.
    pub asked: u32,
    /// Number of answers that it revealed.
    pub revealed: u32,
}

impl ExaminerTraffic {
    /// One more request.
    pub(crate) fn asking(self) -> Self {
        let asked = self.asked.saturating_add(1);
        Self { asked, ..self }
    }

    /// One more answer; `None` if there are too few requests for it.
    pub(crate) fn revealing(self) -> Option<Self> {
        let revealed = self.revealed.checked_add(1)?;
        let more = Self { revealed, ..self };
        more.is_sparse().then_some(more)
    }

    /// Whether there are enough requests for all answers.
    pub(crate) fn is_sparse(self) -> bool {
        self.revealed.saturating_mul(REQUESTS_PER_ANSWER) <= self.asked
    }
}

/// The questions with known answers that may be asked.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct QuestionPool {
    /// The root of the tree of all questions: `starling_primitives::choice::leaf`.
    pub root: H256,
    /// Number of questions.
    pub questions: u32,
}

impl QuestionPool {
    /// Whether the leaf is that of the question in this place.
    pub(crate) fn has(&self, index: u32, leaf: H256, proof: &[H256]) -> bool {
        binary_merkle_tree::verify_proof::<BlakeTwo256, _, _>(
            &self.root,
            proof.iter().copied(),
            self.questions,
            index,
            binary_merkle_tree::Leaf::Hash(leaf),
        )
    }
}

/// An agent's record with known answers of one form.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Record<AccountId> {
    /// The sums, as of the last answer.
    pub capability: Capability,
    /// The block of the last answer.
    pub last: BlockNumber,
    /// The examiners of the last answers, the latest one last.
    pub examiners: BoundedVec<AccountId, ConstU32<MAX_SPACING>>,
}

impl<AccountId> Default for Record<AccountId> {
    fn default() -> Self {
        Self {
            capability: Capability::default(),
            last: 0,
            examiners: BoundedVec::new(),
        }
    }
}

impl<AccountId: Clone + PartialEq> Record<AccountId> {
    /// The sums as of now: halved for each whole `idle` period since the last answer.
    pub(crate) fn as_of(&self, now: BlockNumber, idle: BlockNumber) -> Capability {
        let mut capability = self.capability;
        let periods = now.saturating_sub(self.last).checked_div(idle);
        for _ in 0..periods.unwrap_or_default().min(HALVES) {
            capability.fade();
        }
        capability
    }

    /// Whether the examiner gave one of the last `spacing` answers.
    pub(crate) fn is_recent(&self, examiner: &AccountId, spacing: u32) -> bool {
        let spacing = usize::try_from(spacing).unwrap_or(usize::MAX);
        let mut recent = self.examiners.iter().rev().take(spacing);
        recent.any(|recent| recent == examiner)
    }

    /// Adds an answer.
    pub(crate) fn learn(
        &mut self,
        known: &Known,
        examiner: &AccountId,
        now: BlockNumber,
        idle: BlockNumber,
    ) {
        self.capability = self.as_of(now, idle);
        self.capability.learn(known);
        self.last = now;
        if self.examiners.is_full() {
            self.examiners.remove(0);
        }
        // There is room now.
        let _ = self.examiners.try_push(examiner.clone());
    }
}

/// The outcome of a round: the evidence for its best response.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Summary {
    /// Whether votes decided, and not equation (3).
    pub is_voted: bool,
    /// Number of responses that give the answer.
    pub votes: u32,
    /// Number of all valid responses.
    pub responses: u32,
    /// The share of the responses that give the answer, 32 fractional bits.
    pub share_of_votes: u64,
    /// The share of the weight of votes that is behind the answer, 32 fractional bits.
    pub share_of_weight: u64,
}

impl<AccountId> From<&Outcome<AccountId>> for Summary {
    fn from(outcome: &Outcome<AccountId>) -> Self {
        Self {
            is_voted: outcome.is_voted,
            votes: outcome.votes,
            responses: outcome.responses,
            share_of_votes: outcome.share_of_votes(),
            share_of_weight: outcome.share_of_weight(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::fixed::ONE;

    const RIGHT: Known = Known {
        is_right: true,
        chance: ONE / 20,
        pairs: starling_primitives::choice::Pairs { halves: 2, all: 1 },
    };

    #[test]
    fn stored_types_keep_their_bytes() {
        let question = Question {
            form: Form::Short,
            commitment: H256::repeat_byte(1),
            revealed: true,
        };
        assert_eq!(question.encode(), [&[3u8][..], &[1; 32], &[1]].concat());
        let traffic = ExaminerTraffic {
            asked: 1,
            revealed: 2,
        };
        assert_eq!(traffic.encode(), [1u8, 0, 0, 0, 2, 0, 0, 0]);
        let pool = QuestionPool {
            root: H256::repeat_byte(1),
            questions: 2,
        };
        assert_eq!(pool.encode(), [&[1u8; 32][..], &[2, 0, 0, 0]].concat());
        assert_eq!(Record::<u64>::default().encode(), [0u8; 4 + 5 * 8 + 4 + 1]);
        let summary = Summary {
            is_voted: true,
            votes: 2,
            responses: 3,
            share_of_votes: 4,
            share_of_weight: 5,
        };
        assert_eq!(summary.encode().len(), 1 + 4 + 4 + 8 + 8);
    }

    #[test]
    fn an_answer_needs_ten_requests() {
        let asked = |asked, revealed| ExaminerTraffic { asked, revealed };
        assert_eq!(asked(9, 0).revealing(), None);
        assert_eq!(asked(10, 0).revealing(), Some(asked(10, 1)));
        assert_eq!(asked(19, 1).revealing(), None);
        assert_eq!(asked(19, 1).asking().revealing(), Some(asked(20, 2)));
        assert_eq!(asked(u32::MAX, u32::MAX).revealing(), None);
        assert_eq!(asked(u32::MAX, 0).asking().asked, u32::MAX);
    }

    #[test]
    fn what_is_known_halves_with_each_idle_period() {
        let mut record = Record::<u64>::default();
        record.learn(&RIGHT, &1, 100, 50);
        let right = record.capability.right;
        assert_eq!(record.as_of(149, 50).right, right);
        assert_eq!(record.as_of(150, 50).right, right / 2);
        assert_eq!(record.as_of(249, 50).right, right / 4);
        assert_eq!(record.as_of(u32::MAX, 50).right, 0);
        assert_eq!(
            record.as_of(0, 50),
            record.capability,
            "time does not go back"
        );
        record.learn(&RIGHT, &1, 150, 50);
        assert!(record.capability.right < right + right / 2);
        assert_eq!(record.capability.rounds, 2);
    }

    #[test]
    fn a_record_remembers_the_last_examiners() {
        let mut record = Record::<u64>::default();
        for examiner in [1, 2, 3] {
            record.learn(&RIGHT, &examiner, 1, 50);
        }
        assert_eq!(record.examiners.to_vec(), [2, 3]);
        assert!(!record.is_recent(&3, 0));
        assert!(record.is_recent(&3, 1) && !record.is_recent(&2, 1));
        assert!(record.is_recent(&2, 2) && !record.is_recent(&1, 2));
    }
}
