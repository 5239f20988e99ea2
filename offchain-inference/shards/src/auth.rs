// SPDX-License-Identifier: Apache-2.0
//! Authentication: agents, their inference keys, and the statements that they sign.
//!
//! The signed bytes are those of `starling-evidence`, which the chain checks, too.

pub use starling_evidence::{signed::signed_bytes, Account, Identity, Key, Signed, Statement};

/// An agent as registered on chain.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRecord {
    /// Its account.
    pub account: Account,
    /// Its inference key.
    pub key: Key,
    /// Its bond, in the smallest unit of the currency.
    pub bond: u128,
    /// Its rating: the weight of its votes, at least 0.
    pub rating: f64,
    /// Whether it takes part in rounds: bonded enough, and not leaving.
    pub active: bool,
}

/// The chain's registry of agents, and its clock.
pub trait Directory: Send + Sync + 'static {
    /// The agent of an account.
    fn agent(&self, account: &Account) -> Option<AgentRecord>;

    /// The account of an inference key, in force or not. The account need not be an agent's any
    /// more.
    fn owner(&self, key: &Key) -> Option<Account>;

    /// Hash of the genesis block.
    fn network(&self) -> [u8; 32];

    /// Milliseconds since the Unix epoch.
    fn now(&self) -> u64;
}
