// SPDX-License-Identifier: Apache-2.0
//! The interface for clients and nodes.

use alloc::vec::Vec;
use codec::Codec;
use starling_attestation::{Key, View};

sp_api::decl_runtime_apis! {
    /// Attestations of agents, and what their verification needs.
    pub trait AttestationsApi<AccountId> where AccountId: Codec {
        /// The attestation of an agent, if it counts now.
        fn attestation(who: AccountId) -> Option<View>;

        /// The items of collateral, each with the last second in which it counts.
        fn collateral() -> Vec<(Key, u64)>;
    }
}
