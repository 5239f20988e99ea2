// SPDX-License-Identifier: Apache-2.0
//! A chain of headers with a forced change, and the proofs that nodes send about it.

use std::{error::Error, sync::Arc};

use codec::Encode;
use sc_consensus_grandpa::{
    warp_proof::WarpSyncFragment, AuthoritySetChanges, GrandpaJustification,
};
use sc_network_sync::strategy::warp::{
    EncodedProof, VerificationResult, Verifier, WarpSyncProvider,
};
use sp_blockchain::{BlockStatus, HeaderBackend, Info};
use sp_consensus_grandpa::{
    AuthorityList, ConsensusLog, ScheduledChange, SetId, GRANDPA_ENGINE_ID,
};
use sp_core::{ed25519, Pair};
use sp_runtime::{Digest, DigestItem};
use starling_chain_spec::finality::{check, FinalityFork, Place};
use starling_runtime::{opaque::Block, BlockNumber, Hash, Header};

use crate::{ensure_on_chain, forks, Provider};

const ROUND: u64 = 7;
/// The last final block before the forced change, its announcement, and the block with which it
/// came into force.
const LAST_FINAL: BlockNumber = 25;
const ANNOUNCED: BlockNumber = 50;
const IN_FORCE: BlockNumber = 55;
const DELAY: BlockNumber = IN_FORCE - ANNOUNCED;

fn pair(n: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[n; 32])
}

fn set(members: &[u8]) -> AuthorityList {
    let member = |n: &u8| (pair(*n).public().into(), 1);
    members.iter().map(member).collect()
}

fn header(number: BlockNumber, log: Option<ConsensusLog<BlockNumber>>) -> Header {
    let log = log.map(|log| DigestItem::Consensus(GRANDPA_ENGINE_ID, log.encode()));
    Header {
        parent_hash: Hash::zero(),
        number,
        state_root: Hash::zero(),
        extrinsics_root: Hash::zero(),
        digest: Digest {
            logs: log.into_iter().collect(),
        },
    }
}

fn scheduled(members: &[u8]) -> ConsensusLog<BlockNumber> {
    ConsensusLog::ScheduledChange(change(members, 0))
}

fn change(members: &[u8], delay: BlockNumber) -> ScheduledChange<BlockNumber> {
    ScheduledChange {
        next_authorities: set(members),
        delay,
    }
}

/// A block that these members of a set have finalised.
fn fragment(header: &Header, set: SetId, members: &[u8]) -> WarpSyncFragment<Block> {
    const PRECOMMIT: u8 = 1;
    let target = (header.hash(), header.number);
    let payload = (PRECOMMIT, target, ROUND, set).encode();
    let votes: Vec<_> = members
        .iter()
        .map(|n| (target, pair(*n).sign(&payload), pair(*n).public()))
        .collect();
    let justification = (ROUND, (target, votes), Vec::<Header>::new()).encode();
    WarpSyncFragment {
        header: header.clone(),
        justification: GrandpaJustification::decode(&justification).unwrap(),
    }
}

fn proof(fragments: Vec<WarpSyncFragment<Block>>, is_finished: bool) -> EncodedProof {
    EncodedProof((fragments, is_finished).encode())
}

/// A provider that is never asked for a verifier.
struct Peer;

impl WarpSyncProvider<Block> for Peer {
    fn generate(&self, _: Hash) -> Result<EncodedProof, Box<dyn Error + Send + Sync>> {
        Ok(proof(vec![], true))
    }

    fn create_verifier(&self) -> Box<dyn Verifier<Block>> {
        panic!("proofs from the genesis on do not pass the forced change")
    }
}

fn fork() -> FinalityFork {
    let place = |number| Place {
        number,
        hash: header(number, None).hash(),
    };
    FinalityFork {
        last_final: place(LAST_FINAL),
        in_force: place(IN_FORCE),
        set_id: 3,
        authorities: set(&[1, 2]),
    }
}

fn verifier() -> Box<dyn Verifier<Block>> {
    Provider::new(Arc::new(Peer), &[fork()]).create_verifier()
}

/// The heights of the blocks that a result has proven, and whether that is all.
fn proven(result: VerificationResult<Block>) -> (Vec<BlockNumber>, bool) {
    let (blocks, is_finished) = match result {
        VerificationResult::Complete(_, blocks) => (blocks, true),
        VerificationResult::Partial(blocks) => (blocks, false),
    };
    let heights = blocks.into_iter().map(|(header, _)| header.number);
    (heights.collect(), is_finished)
}

#[test]
fn proofs_begin_at_the_forced_change_and_follow_the_sets_from_there() {
    let mut verifier = verifier();
    assert_eq!(verifier.next_proof_context(), fork().last_final.hash);
    let first = header(60, Some(scheduled(&[2, 3])));
    let second = header(120, Some(scheduled(&[4])));
    let third = header(150, None);

    let part = proof(vec![fragment(&first, 3, &[1, 2])], false);
    let result = verifier.verify(&part).unwrap();
    assert_eq!(proven(result), (vec![60], false));
    assert_eq!(verifier.next_proof_context(), first.hash());

    let rest = vec![fragment(&second, 4, &[2, 3]), fragment(&third, 5, &[4])];
    let result = verifier.verify(&proof(rest, true)).unwrap();
    assert_eq!(proven(result), (vec![120, 150], true));
    assert_eq!(verifier.status().unwrap(), "3 eras synced");
}

#[test]
fn a_set_that_ended_with_the_last_final_block_is_passed_over() {
    let old = header(LAST_FINAL, Some(scheduled(&[8, 9])));
    let fragments = vec![
        fragment(&old, 1, &[9]),
        fragment(&header(150, None), 3, &[1, 2]),
    ];
    let result = verifier().verify(&proof(fragments, true)).unwrap();
    assert_eq!(proven(result), (vec![150], true));
}

#[test]
fn what_the_sets_from_the_fork_on_did_not_finalise_is_refused() {
    let next = header(60, Some(scheduled(&[2, 3])));
    let last = header(150, None);
    let right = || fragment(&next, 3, &[1, 2]);
    let mut of_another = fragment(&last, 3, &[1, 2]);
    of_another.header = header(151, None);
    for (what, fragments, is_finished) in [
        ("nothing", vec![], true),
        ("the old set", vec![fragment(&last, 3, &[8, 9])], true),
        (
            "the number of another set",
            vec![fragment(&last, 2, &[1, 2])],
            true,
        ),
        ("one of two", vec![fragment(&last, 3, &[1])], true),
        (
            "the set before",
            vec![right(), fragment(&last, 3, &[1, 2])],
            true,
        ),
        ("another block", vec![of_another], true),
        ("no set announced", vec![fragment(&last, 3, &[1, 2])], false),
        (
            "before it is in force",
            vec![fragment(&header(IN_FORCE, None), 3, &[1, 2])],
            true,
        ),
    ] {
        let verified = verifier().verify(&proof(fragments, is_finished));
        assert!(verified.is_err(), "{what}");
    }
    let mut verifier = verifier();
    assert!(verifier.verify(&EncodedProof(vec![1, 2, 3])).is_err());
    // A wrong proof moves nothing.
    assert_eq!(verifier.next_proof_context(), fork().last_final.hash);
    assert!(verifier.verify(&proof(vec![right()], false)).is_ok());
}

/// A chain of blocks 0, 1, 2, …, of which all up to `last` are final.
struct Chain {
    headers: Vec<Header>,
    last: BlockNumber,
}

impl Chain {
    /// Sets begin with blocks 10, 20 and 40; finality stops at 25, and the change is forced.
    fn forked(last: BlockNumber) -> Self {
        let headers = (0..=200).map(|number| {
            let log = match number {
                10 | 20 | 40 | 60 => Some(scheduled(&[1, 2])),
                ANNOUNCED => {
                    let change = change(&[1, 2], DELAY);
                    Some(ConsensusLog::ForcedChange(LAST_FINAL, change))
                },
                _ => None,
            };
            header(number, log)
        });
        Self {
            headers: headers.collect(),
            last,
        }
    }
}

impl HeaderBackend<Block> for Chain {
    fn header(&self, hash: Hash) -> sp_blockchain::Result<Option<Header>> {
        let mut headers = self.headers.iter();
        Ok(headers.find(|header| header.hash() == hash).cloned())
    }

    fn info(&self) -> Info<Block> {
        Info {
            best_hash: Hash::zero(),
            best_number: self.last,
            genesis_hash: Hash::zero(),
            finalized_hash: Hash::zero(),
            finalized_number: self.last,
            finalized_state: None,
            number_leaves: 1,
            block_gap: None,
        }
    }

    fn status(&self, _: Hash) -> sp_blockchain::Result<BlockStatus> {
        Ok(BlockStatus::InChain)
    }

    fn number(&self, hash: Hash) -> sp_blockchain::Result<Option<BlockNumber>> {
        Ok(self.header(hash)?.map(|header| header.number))
    }

    fn hash(&self, number: BlockNumber) -> sp_blockchain::Result<Option<Hash>> {
        let mut headers = self.headers.iter();
        let header = headers.find(|header| header.number == number);
        Ok(header.map(Header::hash))
    }
}

/// The last blocks of the sets on that chain, as a node notes them.
fn changes() -> AuthoritySetChanges<BlockNumber> {
    vec![(0, 10), (1, 20), (2, LAST_FINAL), (3, 60)].into()
}

#[test]
fn the_forced_change_is_found_in_the_database() {
    let chain = Chain::forked(200);
    let found = forks(&chain, &changes()).unwrap();
    let [only] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((only.set_id, &only.authorities), (3, &set(&[1, 2])));
    let places = [only.last_final, only.in_force];
    assert_eq!(places.map(|place| place.number), [LAST_FINAL, IN_FORCE]);
    assert_eq!(check(&found), Ok(()));
    assert_eq!(ensure_on_chain(&chain, &found), Ok(()));
    let none = vec![(0, 10), (1, 20)].into();
    assert_eq!(forks(&chain, &none), Ok(vec![]));
}

#[test]
fn a_change_forced_at_the_first_block_of_a_session_is_found() {
    let mut chain = Chain::forked(200);
    chain.headers[50] = header(50, Some(ConsensusLog::ForcedChange(20, change(&[1, 2], 5))));
    let changes = vec![(0, 10), (1, 20), (2, 20), (3, 60)].into();
    let found = forks(&chain, &changes).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].last_final.number, found[0].set_id), (20, 3));
}

#[test]
fn a_change_that_is_not_final_yet_is_no_fork_yet() {
    for (last, what) in [(49, "not final"), (54, "comes into force with block 55")] {
        let error = forks(&Chain::forked(last), &changes()).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    let mut pruned = Chain::forked(200);
    pruned.headers.remove(30);
    let error = forks(&pruned, &changes()).unwrap_err();
    assert!(error.contains("block 30 is not in the database"), "{error}");
}

#[test]
fn forks_of_another_chain_are_refused_as_far_as_the_chain_goes() {
    let chain = Chain::forked(54);
    let found = forks(&Chain::forked(200), &changes()).unwrap();
    let mut others = found.clone();
    others[0].in_force.hash = Hash::zero();
    assert_eq!(ensure_on_chain(&chain, &others), Ok(()), "not there yet");
    others[0].last_final.hash = Hash::zero();
    let error = ensure_on_chain(&chain, &others).unwrap_err();
    assert!(error.contains("block 25"), "{error}");
}
