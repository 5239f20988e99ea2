// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::fungible, BoundedVec};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::{traits::ConstU32, Permill};
use starling_evidence::{messages::Accusation, Evidence, Exhibit, Finding, ModelId, Ruling};
pub use starling_primitives::{
    api::disputes::{CaseId, Phase},
    round::BlockNumber,
};
use starling_primitives::{Balance, H256};

use crate::Config;

/// Maximum number of members of a committee.
pub const MAX_MEMBERS: u32 = 21;
/// Maximum number of executors that a case pays: those of both committees.
pub const MAX_EARNERS: u32 = 2 * MAX_MEMBERS;
/// Maximum number of models that an agent holds for disputes.
pub const MAX_MODELS: u32 = 8;
/// The factor between the bond of an appellant and the least one of an accuser.
pub const APPEAL_FACTOR: Balance = 3;
/// The accuser's share of a slash.
pub const ACCUSER: Permill = Permill::from_percent(20);
/// The most that executors get of a slash together. At least half is the treasury's.
pub const EXECUTORS: Permill = Permill::from_percent(30);
/// The most by which a claim may be ahead of the chain's clock, in milliseconds.
pub const AHEAD_MS: u64 = 60_000;
/// Maximum number of doublings of a bond or of a slash.
pub const MAX_DOUBLINGS: u32 = 10;
/// The part of the places for open cases that doubles the bond of an accusation once it is taken.
pub const LOAD_STEPS: u32 = 8;

/// Bytes that are hashed for a row besides its own, at most: the digest of the rows before it, the
/// mark and the length behind it, and the rest of a block of 64 bytes.
pub const ROW_PADDING: usize = 32 + 9 + 63;

/// An amount that was taken from one account and not yet given to another.
pub type CreditOf<T> =
    fungible::Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// The members of a committee, in the order of draws.
pub type MembersOf<T> = BoundedVec<<T as frame_system::Config>::AccountId, ConstU32<MAX_MEMBERS>>;

/// Models, in ascending order.
pub type Models = BoundedVec<ModelId, ConstU32<MAX_MODELS>>;

/// A case on this chain.
pub type CaseOf<T> = Case<<T as frame_system::Config>::AccountId>;

/// The values that governance sets.
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
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Members of a first committee, at most.
    pub committee: u32,
    /// Members without which no committee judges.
    pub least: u32,
    /// Members of the committee of an appeal, at most; 0 for no appeals.
    pub appeal: u32,
    /// Blocks between the opening of a case and its draw.
    pub drawing: BlockNumber,
    /// Blocks in which executors compute.
    pub commit_window: BlockNumber,
    /// Blocks in which executors reveal.
    pub reveal_window: BlockNumber,
    /// Blocks in which a ruling may be appealed.
    pub appeal_window: BlockNumber,
    /// Blocks for which a closed case stays stored, if open ones do not need its place.
    pub retention: BlockNumber,
    /// Greatest age of a claim, in milliseconds.
    pub evidence_life: u64,
    /// Blocks for which an agent must have held a model, and had its bond, before it is drawn.
    pub holder_delay: BlockNumber,
    /// Blocks after which a conviction no longer doubles the slash of the next one.
    pub conviction_memory: BlockNumber,
    /// The fee of an executor that agrees with the others.
    pub member_fee: Balance,
    /// The loss of an executor that is silent, or far from the others.
    pub member_stake: Balance,
    /// The part of an accuser's bond that goes beyond the fees of a committee.
    pub deposit: Balance,
    /// The part of the bond, and of what is unbonding, that the first conviction costs; 0 if nobody
    /// can be accused.
    pub slash: Permill,
}

impl Parameters {
    /// For a chain whose currency has a value. `unit` is one coin. Nobody can be accused until
    /// governance decides so: the stakes of executors do not grow yet with what they can take.
    pub const fn production(unit: Balance) -> Self {
        Self {
            committee: 9,
            least: 9,
            appeal: 21,
            drawing: 16,
            commit_window: 120,
            reveal_window: 30,
            appeal_window: 600,
            retention: 600,
            evidence_life: 86_400_000,
            holder_delay: 86_400,
            conviction_memory: 30 * 86_400,
            member_fee: unit,
            member_stake: unit.saturating_mul(10),
            deposit: unit.saturating_mul(10),
            slash: Permill::zero(),
        }
    }

    /// For development: short windows, small committees and no appeal.
    pub const fn dev(unit: Balance) -> Self {
        Self {
            least: 3,
            appeal: 0,
            drawing: 4,
            commit_window: 40,
            reveal_window: 10,
            appeal_window: 20,
            retention: 60,
            evidence_life: 300_000,
            holder_delay: 10,
            slash: Permill::from_percent(10),
            ..Self::production(unit)
        }
    }

    /// Whether the values fit together, on a chain with blocks of `slot` milliseconds on which a bond
    /// stays slashable for `unbonding` blocks.
    pub fn is_sound(&self, unbonding: BlockNumber, slot: u64) -> bool {
        let life = self.evidence_blocks(slot);
        let sizes = self.committee.max(self.appeal);
        // Three are the fewest of which one liar is less than two thirds.
        (3..=self.committee).contains(&self.least)
            && sizes <= MAX_MEMBERS
            && (self.appeal == 0 || self.appeal >= self.least)
            && [self.drawing, self.commit_window, self.reveal_window]
                .into_iter()
                .all(|window| window > 0)
            && self.appeal_window > 0
            && self.retention > 0
            && life.is_some_and(|life| life > 0 && life < unbonding)
            // Growths of bonds are on record for that long.
            && self.holder_delay <= unbonding
            && self.member_fee > 0
            && self.deposit >= self.member_fee.saturating_mul(2)
    }

    /// Whether agents can be accused.
    pub fn are_open(&self) -> bool {
        !self.slash.is_zero()
    }

    /// The greatest age of a claim in blocks of `slot` milliseconds.
    pub fn evidence_blocks(&self, slot: u64) -> Option<BlockNumber> {
        BlockNumber::try_from(self.evidence_life.checked_div(slot)?).ok()
    }

    /// Blocks of one committee, at most.
    const fn instance(&self) -> BlockNumber {
        self.drawing
            .saturating_add(self.commit_window)
            .saturating_add(self.reveal_window)
    }

    /// Blocks from the opening of a case to its end, at most, if no transition waits: each committee
    /// may be drawn twice.
    pub const fn longest(&self) -> BlockNumber {
        self.instance()
            .saturating_mul(4)
            .saturating_add(self.appeal_window)
    }

    /// The bond of an accuser that has `own` open cases, where `open` of `most` places are taken. It
    /// doubles with each of its own, and with each eighth of all: honest bits differ, so evidence
    /// costs nothing.
    pub fn accusation_bond(&self, own: u32, open: u32, most: u32) -> Balance {
        let fees = self.member_fee.saturating_mul(self.committee.into());
        let load = open
            .saturating_mul(LOAD_STEPS)
            .checked_div(most)
            .unwrap_or(0);
        doubled(fees.saturating_add(self.deposit), own.saturating_add(load))
    }
}

/// The bytes that a check of an exhibit hashes, at most. Rows of few elements are mostly padding.
pub fn hashed(exhibit: &Exhibit) -> u32 {
    let rows = exhibit.tokens.len().saturating_mul(ROW_PADDING);
    let bytes = exhibit.encoded_size().saturating_add(rows);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// An amount, doubled so many times.
pub fn doubled(amount: Balance, times: u32) -> Balance {
    let factor = Balance::from(2u8).saturating_pow(times.min(MAX_DOUBLINGS));
    amount.saturating_mul(factor)
}

/// A case.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Case<AccountId> {
    /// The agent that accuses.
    pub accuser: AccountId,
    /// The evidence, and the node that shows the exhibit.
    pub accusation: Accusation,
    /// The block in which it was opened.
    pub opened: BlockNumber,
    /// Its phase.
    pub phase: Phase,
    /// The first block in which the phase ends.
    pub due: BlockNumber,
    /// The number of the draw: two for each instance.
    pub attempt: u8,
    /// Whether the committee is that of an appeal.
    pub appealed: bool,
    /// The seed of the last draw.
    pub draw: H256,
    /// The committee of the last draw, in the order of draws.
    pub committee: BoundedVec<AccountId, ConstU32<MAX_MEMBERS>>,
    /// The committee of the first instance, once there is an appeal.
    pub former: BoundedVec<AccountId, ConstU32<MAX_MEMBERS>>,
    /// Number of commitments.
    pub committed: u32,
    /// Number of findings.
    pub revealed: u32,
    /// The accuser's bond.
    pub bond: Balance,
    /// The agent that appealed, and its bond.
    pub appellant: Option<(AccountId, Balance)>,
    /// The amounts that are locked of the two agents: of the first, and of the second.
    pub stakes: (Balance, Balance),
    /// The executors that are paid.
    pub earners: BoundedVec<AccountId, ConstU32<MAX_EARNERS>>,
    /// The ruling, once there is one.
    pub ruling: Option<Ruling>,
}

impl<AccountId> Case<AccountId> {
    /// The evidence.
    pub const fn evidence(&self) -> &Evidence {
        &self.accusation.evidence
    }

    /// Whether it is not closed.
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Closed
    }
}

/// The models that an agent holds.
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
pub struct Holding {
    /// The models.
    pub models: Models,
    /// The block that the agent named when it said so.
    pub at: BlockNumber,
}

/// The work of a member of a committee.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Work {
    /// The commitment to its finding.
    pub commitment: H256,
    /// The finding, once it is revealed.
    pub finding: Option<Finding>,
}

/// The standing of a claim.
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
pub enum Known {
    /// A case about it is open.
    #[codec(index = 0)]
    Open,
    /// It was judged: guilty or cleared.
    #[codec(index = 1)]
    Judged,
}

/// Past convictions of an agent.
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
pub struct Convictions {
    /// Their number, each within the memory of the one before.
    pub count: u32,
    /// The block of the last one.
    pub last: BlockNumber,
}
