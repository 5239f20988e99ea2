// SPDX-License-Identifier: Apache-2.0
//! The interface for clients and nodes.

use alloc::vec::Vec;
use codec::Codec;
use starling_attestation::{Key, View};
use starling_primitives::round::BlockNumber;

sp_api::decl_runtime_apis! {
    /// Attestations of agents, and what their verification needs.
    pub trait AttestationsApi<AccountId> where AccountId: Codec {
        /// The attestation of an agent, if it counts now.
        fn attestation(who: AccountId) -> Option<View>;

        /// The report data that the measured code of an agent asks its quote for: with the identity
        /// of its node, the key to which hidden states are sealed, and a recent block. `None` if it
        /// is no agent, or the block is too old or unknown.
        fn report_data(
            who: AccountId,
            peer: [u8; 32],
            hop_key: [u8; 32],
            block: BlockNumber,
        ) -> Option<[u8; 64]>;

        /// The items of collateral, each with the last second in which it counts.
        fn collateral() -> Vec<(Key, u64)>;
    }
}
