// SPDX-License-Identifier: Apache-2.0
//! Sealing binds a response to one key, agent, round and chain.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use chacha20::{
    cipher::{KeyIvInit, StreamCipher},
    XChaCha20,
};
use chacha20poly1305::{
    aead::{Aead, Payload},
    KeyInit, XChaCha20Poly1305,
};
use num_bigint::BigUint;
use proptest::prelude::*;
use starling_primitives::{
    sealing::{Slot, Spoiled, OVERHEAD},
    Secret, H256,
};

const GENESIS: H256 = H256::repeat_byte(7);

fn slot(round: u64, agent: &u64) -> Slot<'_, u64> {
    Slot {
        genesis: GENESIS,
        round,
        agent,
    }
}

proptest! {
    #[test]
    fn a_response_opens_with_its_key_in_its_slot(
        key: Secret, round: u64, agent: u64, response in "\\PC{1,200}"
    ) {
        let sealed = slot(round, &agent).seal(&key, &response).unwrap();
        prop_assert_eq!(sealed.len(), response.len() + OVERHEAD as usize);
        let opened = slot(round, &agent).open(&key, &sealed).unwrap();
        prop_assert_eq!(opened, response.into_bytes());
    }

    #[test]
    fn it_opens_nowhere_else(
        key: Secret, round: u64, agent: u64, other_key: Secret, other_round: u64, other_agent: u64,
        other_genesis: [u8; 32], flip: prop::sample::Index, bit in 0..8u8
    ) {
        prop_assume!(key != other_key && round != other_round && agent != other_agent);
        prop_assume!(GENESIS != H256(other_genesis));
        let mine = slot(round, &agent);
        let mut sealed = mine.seal(&key, "an answer").unwrap();
        let shut = Err(Spoiled::DoesNotOpen);
        prop_assert_eq!(mine.open(&other_key, &sealed), shut.clone());
        prop_assert_eq!(slot(other_round, &agent).open(&key, &sealed), shut.clone());
        prop_assert_eq!(slot(round, &other_agent).open(&key, &sealed), shut.clone());
        let elsewhere = Slot { genesis: H256(other_genesis), ..mine };
        prop_assert_eq!(elsewhere.open(&key, &sealed), shut.clone());
        let at = flip.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert_eq!(mine.open(&key, &sealed), shut);
    }

    #[test]
    fn a_key_commitment_binds_key_agent_round_and_genesis(
        key: Secret, round: u64, agent: u64, other_key: Secret, other_round: u64, other_agent: u64,
        other_genesis: [u8; 32]
    ) {
        prop_assume!(key != other_key && round != other_round && agent != other_agent);
        prop_assume!(GENESIS != H256(other_genesis));
        let mine = slot(round, &agent);
        let commitment = mine.key_commitment(&key);
        prop_assert_eq!(commitment, mine.key_commitment(&key));
        prop_assert_ne!(commitment, mine.key_commitment(&other_key));
        prop_assert_ne!(commitment, slot(other_round, &agent).key_commitment(&key));
        prop_assert_ne!(commitment, slot(round, &other_agent).key_commitment(&key));
        let elsewhere = Slot { genesis: H256(other_genesis), ..mine };
        prop_assert_ne!(commitment, elsewhere.key_commitment(&key));
    }
}

#[test]
fn a_nonce_is_of_one_round_and_agent() {
    assert_ne!(slot(1, &4).nonce(), slot(2, &4).nonce());
    assert_ne!(slot(1, &4).nonce(), slot(1, &5).nonce());
    assert_eq!(slot(1, &4).nonce(), slot(1, &4).nonce());
}

#[test]
fn an_empty_response_or_one_that_is_no_text_is_spoiled() {
    let key = [1; 32];
    let mine = slot(3, &4);
    let empty = mine.seal(&key, "").unwrap();
    assert_eq!(mine.open(&key, &empty), Err(Spoiled::Empty));
    assert_eq!(mine.open(&key, &[]), Err(Spoiled::DoesNotOpen));
    let binary = XChaCha20Poly1305::new(&key.into())
        .encrypt(
            &mine.nonce().into(),
            Payload {
                msg: &[0xff],
                aad: &mine.associated_data(),
            },
        )
        .unwrap();
    assert_eq!(mine.open(&key, &binary), Err(Spoiled::NotText));
}

/// The one-time key of Poly1305 that XChaCha20-Poly1305 derives: `r` and `s`.
fn one_time_key(key: &Secret, nonce: &[u8; 24]) -> (BigUint, BigUint) {
    let mut block = [0u8; 32];
    XChaCha20::new(key.into(), nonce.into()).apply_keystream(&mut block);
    let mut r: [u8; 16] = block[..16].try_into().unwrap();
    for i in [3, 7, 11, 15] {
        r[i] &= 15;
    }
    for i in [4, 8, 12] {
        r[i] &= 252;
    }
    (
        BigUint::from_bytes_le(&r),
        BigUint::from_bytes_le(&block[16..]),
    )
}

/// The numbers that Poly1305 forms from whole blocks of 16 bytes.
fn numbers(bytes: &[u8]) -> Vec<BigUint> {
    let one = BigUint::from(1u8) << 128;
    bytes
        .chunks(16)
        .map(|chunk| {
            let mut block = [0u8; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            BigUint::from_bytes_le(&block) + &one
        })
        .collect()
}

/// A ciphertext of three blocks, with its tag, that opens under both keys. The first two blocks
/// solve the two linear equations that make the tags equal. The third one is varied until the
/// solution consists of blocks.
fn opens_under_two_keys(slot: &Slot<u64>, keys: [&Secret; 2]) -> Vec<u8> {
    let p = (BigUint::from(1u8) << 130) - BigUint::from(5u8);
    let whole = BigUint::from(1u8) << 128;
    let aad = slot.associated_data();
    let [(r, s), (r2, s2)] = keys.map(|key| one_time_key(key, &slot.nonce()));
    let inverse = |x: &BigUint| x.modpow(&(&p - BigUint::from(2u8)), &p);
    let minus = |a: &BigUint, b: &BigUint| ((a % &p) + &p - (b % &p)) % &p;
    let mut lengths = (aad.len() as u64).to_le_bytes().to_vec();
    lengths.extend(48u64.to_le_bytes());
    let last = numbers(&lengths).remove(0);
    let tag = BigUint::from(0x5eed_u32);
    for third in 0u128.. {
        let third = numbers(&third.to_le_bytes()).remove(0);
        // The sum of the blocks besides the first two, for one `r`.
        let fixed = |r: &BigUint| {
            let mut sum = BigUint::from(0u8);
            for block in numbers(&aad) {
                sum = (sum + block) * r % &p;
            }
            // Past the two unknown blocks.
            sum = sum * r * r % &p;
            sum = (sum + &third) * r % &p;
            (sum + &last) * r % &p
        };
        let goal = |r: &BigUint, s: &BigUint| {
            let accumulated = (&tag + &whole - s) % &whole;
            minus(&accumulated, &fixed(r))
        };
        // x·r⁴ + y·r³ = goal, for both keys.
        let (g, g2) = (goal(&r, &s), goal(&r2, &s2));
        let (a, b) = (r.modpow(&4u8.into(), &p), r.modpow(&3u8.into(), &p));
        let (a2, b2) = (r2.modpow(&4u8.into(), &p), r2.modpow(&3u8.into(), &p));
        let determinant = minus(&(&a * &b2), &(&a2 * &b));
        let x = minus(&(&g * &b2), &(&g2 * &b)) * inverse(&determinant) % &p;
        let y = minus(&(&a * &g2), &(&a2 * &g)) * inverse(&determinant) % &p;
        let is_block = |n: &BigUint| *n >= whole && *n < &whole + &whole;
        if is_block(&x) && is_block(&y) {
            let bytes = |n: &BigUint| {
                let mut bytes = (n % &whole).to_bytes_le();
                bytes.resize(16, 0);
                bytes
            };
            return [bytes(&x), bytes(&y), bytes(&third), bytes(&tag)].concat();
        }
    }
    unreachable!("one try in sixteen succeeds")
}

#[test]
fn a_ciphertext_that_opens_under_two_keys_is_bound_by_the_key_commitment() {
    let (one, two) = ([1; 32], [2; 32]);
    let mine = slot(5, &6);
    let sealed = opens_under_two_keys(&mine, [&one, &two]);
    let raw = |key: &Secret| {
        XChaCha20Poly1305::new(key.into())
            .decrypt(
                &mine.nonce().into(),
                Payload {
                    msg: &sealed,
                    aad: &mine.associated_data(),
                },
            )
            .expect("the ciphertext opens")
    };
    assert_ne!(raw(&one), raw(&two), "one ciphertext, two texts");
    assert_ne!(
        mine.key_commitment(&one),
        mine.key_commitment(&two),
        "a commitment to one key excludes the other"
    );
}
