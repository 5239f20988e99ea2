// SPDX-License-Identifier: Apache-2.0
//! The verification of finality proofs from a forced change on.

use std::{error::Error, sync::Arc};

use codec::{DecodeAll, Encode};
use sc_consensus_grandpa::{find_scheduled_change, warp_proof::WarpSyncFragment};
use sc_network_sync::strategy::warp::{
    EncodedProof, VerificationResult, Verifier, WarpSyncProvider,
};
use sp_consensus_grandpa::{AuthorityList, SetId, GRANDPA_ENGINE_ID};
use sp_runtime::Justifications;
use starling_chain_spec::finality::FinalityFork;
use starling_runtime::{opaque::Block, BlockNumber, Hash, Header};

/// A proof as nodes of the SDK send it: the last block of each set with its justification, then the
/// latest final block, and whether that is all.
type Proof = (Vec<WarpSyncFragment<Block>>, bool);

/// Finality proofs that begin at the latest forced change, if there is one.
pub struct Provider {
    /// Generates proofs, and verifies those from the genesis on.
    inner: Arc<dyn WarpSyncProvider<Block>>,
    fork: Option<FinalityFork>,
}

impl Provider {
    /// Verifies from the last of `forks` on, and leaves the rest to `inner`.
    pub fn new(inner: Arc<dyn WarpSyncProvider<Block>>, forks: &[FinalityFork]) -> Self {
        Self {
            inner,
            fork: forks.last().cloned(),
        }
    }
}

impl WarpSyncProvider<Block> for Provider {
    fn generate(&self, start: Hash) -> Result<EncodedProof, Box<dyn Error + Send + Sync>> {
        self.inner.generate(start)
    }

    fn create_verifier(&self) -> Box<dyn Verifier<Block>> {
        match &self.fork {
            None => self.inner.create_verifier(),
            Some(fork) => {
                log::info!(
                    "finality proofs are verified from the forced change of block {} on, which the \
                     chain specification names",
                    fork.in_force.number
                );
                Box::new(AfterFork::new(fork))
            },
        }
    }
}

/// Verifies proofs that begin at a forced change.
struct AfterFork {
    set_id: SetId,
    authorities: AuthorityList,
    /// Proofs follow this block.
    start: Hash,
    last_final: BlockNumber,
    in_force: BlockNumber,
    eras: usize,
}

impl AfterFork {
    fn new(fork: &FinalityFork) -> Self {
        Self {
            set_id: fork.set_id,
            authorities: fork.authorities.clone(),
            start: fork.last_final.hash,
            last_final: fork.last_final.number,
            in_force: fork.in_force.number,
            eras: 0,
        }
    }

    /// Checks the fragments of a proof one after the other. Returns the number and the members of
    /// the set that follows.
    fn follow(
        &self,
        fragments: &[WarpSyncFragment<Block>],
        is_finished: bool,
    ) -> Result<(SetId, AuthorityList), String> {
        let (mut set_id, mut authorities) = (self.set_id, self.authorities.clone());
        let mut rest = fragments.iter().peekable();
        while let Some(WarpSyncFragment {
            header,
            justification,
        }) = rest.next()
        {
            let number = header.number;
            justification
                .verify(set_id, &authorities)
                .map_err(|error| format!("block {number}: {error}"))?;
            if justification.target().1 != header.hash() {
                return Err(format!("the justification of block {number} is another's"));
            }
            if let Some(change) = find_scheduled_change::<Block>(header) {
                authorities = change.next_authorities;
                set_id = set_id.saturating_add(1);
            } else if rest.peek().is_some() || !is_finished {
                return Err(format!("block {number} announces no set"));
            }
        }
        Ok((set_id, authorities))
    }
}

impl Verifier<Block> for AfterFork {
    fn verify(
        &mut self,
        proof: &EncodedProof,
    ) -> Result<VerificationResult<Block>, Box<dyn Error + Send + Sync>> {
        let (mut fragments, is_finished) = Proof::decode_all(&mut &proof.0[..])
            .map_err(|error| format!("no finality proof: {error}"))?;
        // The last final block may have ended a set by itself before the forced change did.
        fragments.retain(|fragment| fragment.header.number > self.last_final);
        let last = fragments
            .last()
            .map(|fragment| fragment.header.clone())
            .ok_or("the proof is empty")?;
        if is_finished && last.number <= self.in_force {
            // The state there does not know the new set yet.
            return Err("the proof ends before the forced change is in force".into());
        }
        let (set_id, authorities) = self.follow(&fragments, is_finished)?;
        self.set_id = set_id;
        self.authorities = authorities;
        self.start = last.hash();
        self.eras = self.eras.saturating_add(fragments.len());
        let proven = fragments.into_iter().map(proven).collect();
        Ok(if is_finished {
            VerificationResult::Complete(last, proven)
        } else {
            VerificationResult::Partial(proven)
        })
    }

    fn next_proof_context(&self) -> Hash {
        self.start
    }

    fn status(&self) -> Option<String> {
        Some(format!("{} eras synced", self.eras))
    }
}

fn proven(fragment: WarpSyncFragment<Block>) -> (Header, Justifications) {
    let justification = (GRANDPA_ENGINE_ID, fragment.justification.encode());
    (fragment.header, Justifications::from(justification))
}
