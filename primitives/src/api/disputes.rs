// SPDX-License-Identifier: Apache-2.0
//! The runtime API of disputes, for executors, accusers and clients.

use alloc::vec::Vec;
use codec::{Codec, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use starling_evidence::{messages::Accusation, Finding, ModelId, Ruling};

use crate::{round::BlockNumber, Balance, H256};

/// The number of a case. Never reused.
pub type CaseId = u64;

/// A step of a case.
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
pub enum Phase {
    /// The randomness that draws the committee is not there yet.
    #[codec(index = 0)]
    Drawing,
    /// Executors compute, and commit to their findings.
    #[codec(index = 1)]
    Committing,
    /// Executors reveal their findings.
    #[codec(index = 2)]
    Revealing,
    /// There is a ruling, which may be appealed.
    #[codec(index = 3)]
    Judged,
    /// The case is over and paid.
    #[codec(index = 4)]
    Closed,
}

/// A member of a committee, and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct ExecutorView<AccountId> {
    /// The agent.
    pub agent: AccountId,
    /// Its commitment, if it has committed.
    pub commitment: Option<H256>,
    /// Its finding, if it has revealed.
    pub finding: Option<Finding>,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CaseView<AccountId> {
    /// Its number.
    pub id: CaseId,
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
    /// Whether the committee is that of an appeal.
    pub appealed: bool,
    /// The seed of the last draw: zero before it.
    pub draw: H256,
    /// The committee, in the order of draws.
    pub committee: Vec<ExecutorView<AccountId>>,
    /// The accuser's bond.
    pub bond: Balance,
    /// The amounts that are locked of the two agents.
    pub stakes: (Balance, Balance),
    /// Whether the exhibit is on chain.
    pub published: bool,
    /// The ruling, once there is one.
    pub ruling: Option<Ruling>,
}

/// Work that an executor owes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct DutyView {
    /// The case.
    pub case: CaseId,
    /// The seed of the draw.
    pub draw: H256,
    /// Its phase: [`Phase::Committing`] or [`Phase::Revealing`].
    pub phase: Phase,
    /// The first block in which it is too late.
    pub due: BlockNumber,
    /// The evidence, and the node that shows the exhibit.
    pub accusation: Accusation,
}

sp_api::decl_runtime_apis! {
    /// Disputes.
    ///
    /// The functions that return bytes make the transaction of a feeless call. Whoever has a node
    /// gives it to the pool.
    #[api_version(1)]
    pub trait DisputesApi<AccountId> where AccountId: Codec {
        /// Whether agents can be accused.
        fn are_open() -> bool;
        /// The stored cases, the newest first.
        fn cases() -> Vec<CaseId>;
        /// A case.
        fn case(id: CaseId) -> Option<CaseView<AccountId>>;
        /// The work that an agent owes to committees now.
        fn duties(agent: AccountId) -> Vec<DutyView>;
        /// The exhibit of a case, encoded, if it was published.
        fn exhibit(id: CaseId) -> Option<Vec<u8>>;
        /// The models that an agent holds for disputes, and the block in which it said so.
        fn held(agent: AccountId) -> (Vec<ModelId>, BlockNumber);
        /// The bond of an accusation by this agent now.
        fn accusation_bond(agent: AccountId) -> Balance;
        /// Whether `accuse` would succeed with a good signature; the reason why not.
        fn can_accuse(agent: AccountId, accusation: Accusation) -> Result<(), Vec<u8>>;
        /// The transaction of `accuse`.
        fn accuse(agent: AccountId, accusation: Accusation, signature: [u8; 64]) -> Vec<u8>;
        /// The transaction of `hold`.
        fn hold(
            agent: AccountId,
            models: Vec<ModelId>,
            at: BlockNumber,
            signature: [u8; 64],
        ) -> Vec<u8>;
        /// The transaction of `commit`.
        fn commit(
            id: CaseId,
            agent: AccountId,
            commitment: H256,
            signature: [u8; 64],
        ) -> Vec<u8>;
        /// The transaction of `reveal`.
        fn reveal(id: CaseId, agent: AccountId, finding: Finding, salt: [u8; 32]) -> Vec<u8>;
    }
}
