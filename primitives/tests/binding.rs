// SPDX-License-Identifier: Apache-2.0
//! Signatures and commitments bind everything that they are about.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use proptest::prelude::*;
use sp_application_crypto::Pair as _;
use sp_runtime::Permill;
use starling_primitives::{
    crypto::InferencePair,
    draw::draw,
    messages::{ownership_payload, payload, verify, verify_ownership, Message},
    sealing::Slot,
    ticket, Score, H256,
};

const GENESIS: H256 = H256::repeat_byte(9);

fn slot(agent: &u64) -> Slot<'_, u64> {
    Slot {
        genesis: GENESIS,
        round: 1,
        agent,
    }
}

#[test]
fn a_signature_is_for_one_chain_round_account_block_and_message() {
    let pair = InferencePair::from_seed(&[1; 32]);
    let other = InferencePair::from_seed(&[2; 32]);
    let key = [3; 32];
    let message = Message::Reveal { key: &key };
    let mine = slot(&5);
    let signature = pair.sign(&payload(&mine, 10, &message));
    let check = |key: &InferencePair, slot: &Slot<u64>, at, message: &Message| {
        verify(&key.public(), slot, at, message, &signature)
    };
    assert!(check(&pair, &mine, 10, &message));
    assert!(!check(&other, &mine, 10, &message));
    assert!(!check(&pair, &mine, 11, &message));
    assert!(!check(&pair, &slot(&6), 10, &message));
    assert!(!check(&pair, &Slot { round: 2, ..mine }, 10, &message));
    assert!(!check(
        &pair,
        &Slot {
            genesis: H256::zero(),
            ..mine
        },
        10,
        &message
    ));
    assert!(!check(&pair, &mine, 10, &Message::Reveal { key: &[4; 32] }));
    assert!(!check(&pair, &mine, 10, &Message::Pass));
}

#[test]
fn a_proof_of_ownership_is_for_one_chain_and_account() {
    let pair = InferencePair::from_seed(&[1; 32]);
    let proof = pair.sign(&ownership_payload(GENESIS, &5u64));
    assert!(verify_ownership(&pair.public(), GENESIS, &5u64, &proof));
    assert!(!verify_ownership(&pair.public(), GENESIS, &6u64, &proof));
    assert!(!verify_ownership(
        &pair.public(),
        H256::zero(),
        &5u64,
        &proof
    ));
}

proptest! {
    #[test]
    fn a_scores_commitment_binds_seed_scores_and_salt(
        seed: [u8; 32], other_seed: [u8; 32], salt: [u8; 32], other_salt: [u8; 32],
        scores in prop::collection::vec((any::<u16>(), any::<u16>()), 1..16),
        at: prop::sample::Index
    ) {
        prop_assume!(seed != other_seed && salt != other_salt);
        let agent = 5;
        let mine = slot(&agent);
        let mut scores: Vec<_> = scores.into_iter().map(|(at, x)| (at, Score(x))).collect();
        let commitment = mine.scores_commitment(H256(seed), &scores, &salt);
        prop_assert_ne!(commitment, mine.scores_commitment(H256(other_seed), &scores, &salt));
        prop_assert_ne!(commitment, mine.scores_commitment(H256(seed), &scores, &other_salt));
        prop_assert_ne!(commitment, slot(&6).scores_commitment(H256(seed), &scores, &salt));
        let at = at.index(scores.len());
        scores[at].1 .0 ^= 1;
        prop_assert_ne!(commitment, mine.scores_commitment(H256(seed), &scores, &salt));
    }

    #[test]
    fn a_higher_bond_never_has_a_worse_draw(hash: [u8; 32], agent: u64, bond in 1..u64::MAX, more: u64) {
        let of = |bond: u128| draw(H256(hash), 1, &agent, bond);
        prop_assert!(of(u128::from(bond) + u128::from(more)) <= of(bond.into()));
        prop_assert!(of(0) >= of(bond.into()));
    }

    #[test]
    fn a_ticket_costs_its_share_rounded_up_and_at_least_the_minimum(
        reward in prop_oneof![0..1u128 << 30, 0..1u128 << 100],
        share in 0..=1_000_000u32, minimum in 0..1u128 << 30
    ) {
        let price = ticket::price(reward, Permill::from_parts(share), minimum);
        let exact = (reward * u128::from(share)).div_ceil(1_000_000);
        prop_assert_eq!(price, exact.max(minimum));
    }
}

#[test]
fn a_split_bond_does_not_improve_the_best_draw() {
    // Of two bonds of 1 and two halves of 1, each half should win the lowest draw about half as
    // often as a whole one.
    let mut wins = [0u32; 3];
    for number in 0..3000u64 {
        let hash = H256::from_low_u64_be(number);
        let draws = [
            draw(hash, 1, &1u64, 1000),
            draw(hash, 1, &2u64, 500),
            draw(hash, 1, &3u64, 500),
        ];
        let (best, _) = draws
            .iter()
            .enumerate()
            .min_by_key(|(_, draw)| **draw)
            .unwrap();
        wins[best] += 1;
    }
    // Exactly half would be 1500; the quotient of uniform draws favours the whole bond a little.
    assert!(wins[0] >= 1500 && wins[1] + wins[2] >= 1100, "{wins:?}");
}
