// SPDX-License-Identifier: Apache-2.0
//! The interface for nodes that have seen two blocks of one author in one slot.

use sp_consensus_aura::sr25519::AuthorityId;
use sp_consensus_slots::EquivocationProof;
use sp_session::MembershipProof;

sp_api::decl_runtime_apis! {
    /// Proves and reports that an author has made two blocks in one slot.
    pub trait AuthoringApi {
        /// The owner of a key among the authors of the block after this one. The proof is of no use
        /// if the key is none of theirs.
        fn generate_key_ownership_proof(author: AuthorityId) -> Option<MembershipProof>;

        /// Puts a report into the node's own pool. `None` if the pool refuses it, since the report
        /// is wrong or the chain has it.
        fn submit_report_equivocation(
            proof: EquivocationProof<Block::Header, AuthorityId>,
            ownership: MembershipProof,
        ) -> Option<()>;
    }
}
