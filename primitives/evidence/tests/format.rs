// SPDX-License-Identifier: Apache-2.0
//! Bytes that nodes sign and keep: they are those of the release before this crate, but for the
//! tokens of exhibits.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
#![cfg(feature = "std")]

use codec::{DecodeAll, Encode, MaxEncodedLen};
use proptest::prelude::*;
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
use sha2::{Digest as _, Sha256};
use starling_evidence::{
    messages::{self, Accusation},
    peer::MAX_PEER,
    Account, Claim, Code, Evidence, Exhibit, Finding, Identity, Key, Peer, Signed, SignedOutput,
};

fn claim() -> Claim {
    Claim {
        model: [1; 32],
        layers: (3, 9),
        wire: Code::Linear8Row,
        positions: 7,
        rows: 2,
        before: [2; 32],
        after: [3; 32],
        output: [4; 32],
        time: 1_700_000_000_123,
    }
}

fn output() -> SignedOutput {
    SignedOutput {
        peer: Peer::new([0, 1, 2]),
        claim: Signed {
            account: [7; 32],
            key: [8; 32],
            body: claim(),
            signature: [6; 64],
        },
    }
}

fn evidence() -> Evidence {
    Evidence {
        first: output(),
        second: output(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computed apart, over the SCALE encoding.
#[test]
fn what_a_server_signs_and_a_node_keeps_are_these_bytes() {
    let message = output().message(&[9; 32]);
    assert_eq!(message.len(), 281);
    assert_eq!(
        sha256(&message),
        "eebdb0099e2f8e3564543a260e479f7fd4d9eb3ad74e5a47658349f4f459fd02"
    );
    let kept = output().encode();
    assert_eq!(kept.len(), 285);
    assert_eq!(
        sha256(&kept),
        "3ce084b06d8ebaca554bbf3d1d22a8f1ec857f86ed05113817c0782e9ee530d0"
    );
    assert_eq!(evidence().encode(), [kept.clone(), kept].concat());
    let codes = [
        Code::F32,
        Code::F16,
        Code::Dynamic8,
        Code::Dynamic8Row,
        Code::Linear8,
        Code::Linear8Row,
    ];
    for (index, code) in (0u8..).zip(codes) {
        assert_eq!(code.encode(), [index]);
    }
}

#[test]
fn an_exhibit_has_its_tokens_last() {
    let exhibit = Exhibit {
        width: 1,
        inputs: vec![2],
        first: vec![3],
        second: vec![],
        tokens: vec![5],
    };
    let bytes: [u8; 14] = [1, 0, 0, 0, 4, 2, 4, 3, 0, 4, 5, 0, 0, 0];
    assert_eq!(exhibit.encode(), bytes);
    assert_eq!(Exhibit::decode_all(&mut &bytes[..]), Ok(exhibit));
}

#[test]
fn evidence_is_bounded_and_no_longer_peer_is_decoded() {
    let mut longest = evidence();
    longest.first.peer = Peer::new(vec![1; MAX_PEER]);
    longest.second.peer = longest.first.peer.clone();
    let bytes = longest.encode();
    assert_eq!(bytes.len(), Evidence::max_encoded_len());
    assert_eq!(Evidence::decode_all(&mut &bytes[..]), Ok(longest.clone()));
    longest.second.peer = Peer::new(vec![1; MAX_PEER + 1]);
    assert!(Evidence::decode_all(&mut &longest.encode()[..]).is_err());
}

struct Agent(Keypair);

impl Identity for Agent {
    fn account(&self) -> Option<Account> {
        Some([7; 32])
    }

    fn key(&self) -> Option<Key> {
        Some(self.0.public.to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        Some(self.0.sign_simple(b"substrate", message).to_bytes())
    }
}

#[test]
fn a_claim_is_genuine_on_its_chain_and_of_its_node_alone() {
    let seed = MiniSecretKey::from_bytes(&[1; 32]).unwrap();
    let agent = Agent(seed.expand_to_keypair(ExpansionMode::Ed25519));
    let peer = Peer::new([0, 1, 2]);
    let claim = Signed::new(claim(), &agent, &[9; 32], &peer, None).unwrap();
    let genuine = SignedOutput { peer, claim };
    assert!(genuine.is_genuine(&[9; 32]));
    assert!(!genuine.is_genuine(&[8; 32]), "of another chain");
    let change = |change: &dyn Fn(&mut SignedOutput)| {
        let mut changed = genuine.clone();
        change(&mut changed);
        changed.is_genuine(&[9; 32])
    };
    assert!(!change(&|output| output.peer = Peer::new([0, 1, 3])));
    assert!(!change(&|output| output.claim.body.rows += 1));
    assert!(!change(&|output| output.claim.account = [8; 32]));
    assert!(!change(&|output| output.claim.signature[0] ^= 1));
}

#[test]
fn every_part_changes_what_is_signed() {
    let accusation = |network, peer: u8| Accusation {
        network: [network; 32],
        evidence: evidence(),
        shown_by: Peer::new([peer]),
    };
    let all = [
        messages::accuse(&[1; 32], &[2; 32], &accusation(1, 1)),
        messages::accuse(&[9; 32], &[2; 32], &accusation(1, 1)),
        messages::accuse(&[1; 32], &[9; 32], &accusation(1, 1)),
        messages::accuse(&[1; 32], &[2; 32], &accusation(9, 1)),
        messages::accuse(&[1; 32], &[2; 32], &accusation(1, 9)),
        messages::hold(&[1; 32], &[2; 32], &[[3; 32]], 4),
        messages::hold(&[1; 32], &[2; 32], &[], 4),
        messages::hold(&[1; 32], &[2; 32], &[[3; 32]], 5),
        messages::commit(&[1; 32], &[2; 32], 3, &[4; 32], &[5; 32]),
        messages::commit(&[1; 32], &[2; 32], 4, &[4; 32], &[5; 32]),
        messages::commit(&[1; 32], &[2; 32], 3, &[5; 32], &[5; 32]),
        Finding::Unavailable.commitment(&[1; 32], &[2; 32], 3, &[4; 32], &[5; 32]),
        Finding::Unnatural.commitment(&[1; 32], &[2; 32], 3, &[4; 32], &[5; 32]),
        Finding::Unavailable.commitment(&[1; 32], &[9; 32], 3, &[4; 32], &[5; 32]),
        Finding::Unavailable.commitment(&[1; 32], &[2; 32], 3, &[4; 32], &[9; 32]),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

proptest! {
    #[test]
    fn any_bytes_are_evidence_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let _ = Evidence::decode_all(&mut &bytes[..]);
        let _ = Exhibit::decode_all(&mut &bytes[..]);
        let _ = Finding::decode_all(&mut &bytes[..]);
    }
}
