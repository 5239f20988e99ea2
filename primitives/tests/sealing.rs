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
    sealing::{max_bytes, padded_len, Format, Slot, Spoiled, OVERHEAD, TAG},
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
        key: Secret, round: u64, agent: u64, response in "\\PC{1,200}", more in 0..300u32
    ) {
        let max = response.len() as u32 + more;
        for format in [Format::Plain, Format::Padded] {
            let sealed = slot(round, &agent).seal(&key, &response, max, format).unwrap();
            prop_assert!(sealed.len() <= (max + OVERHEAD) as usize);
            let opened = slot(round, &agent).open(&key, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), response.as_bytes());
        }
        let short = response.len() as u32 - 1;
        prop_assert_eq!(slot(round, &agent).seal(&key, &response, short, Format::Padded), None);
    }

    #[test]
    fn the_length_of_a_ciphertext_tells_one_bit_and_no_more(
        key: Secret, response in "[a-z]{1,900}", other in "[a-z]{1,900}", max in 900..5_000u32
    ) {
        let is_long = |text: &str| text.len() > 512;
        let seal = |text: &str| slot(1, &2).seal(&key, text, max, Format::Padded).unwrap();
        let expected = if is_long(&response) { max as usize + 5 } else { 517 };
        prop_assert_eq!(seal(&response).len(), expected + TAG as usize);
        let alike = is_long(&response) == is_long(&other);
        prop_assert_eq!(seal(&response).len() == seal(&other).len(), alike);
    }

    #[test]
    fn padding_is_between_the_text_and_the_longest_one(len: u32, max: u32) {
        let (len, max) = (len.min(max), max.max(len));
        let padded = padded_len(len, max);
        prop_assert!(padded >= len.saturating_add(5) && padded <= max.saturating_add(5));
    }

    #[test]
    fn it_opens_nowhere_else(
        key: Secret, round: u64, agent: u64, other_key: Secret, other_round: u64, other_agent: u64,
        other_genesis: [u8; 32], flip: prop::sample::Index, bit in 0..8u8
    ) {
        prop_assume!(key != other_key && round != other_round && agent != other_agent);
        prop_assume!(GENESIS != H256(other_genesis));
        let mine = slot(round, &agent);
        let mut sealed = mine.seal(&key, "an answer", 99, Format::Padded).unwrap();
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
    for format in [Format::Plain, Format::Padded] {
        let empty = mine.seal(&key, "", 9, format).unwrap();
        assert_eq!(mine.open(&key, &empty), Err(Spoiled::Empty));
    }
    assert_eq!(mine.open(&key, &[]), Err(Spoiled::DoesNotOpen));
    for binary in [&[0xfe][..], &[0xff, 1, 0, 0, 0, 0xfe]] {
        assert_eq!(open_bytes(&key, binary), Err(Spoiled::NotText));
    }
}

#[test]
fn a_length_or_padding_that_does_not_fit_is_spoiled() {
    let key = [1; 32];
    for bytes in [
        &[0xff][..],
        &[0xff, 1, 0, 0],
        &[0xff, 2, 0, 0, 0, b'a'],
        &[0xff, 255, 255, 255, 255, b'a'],
        &[0xff, 1, 0, 0, 0, b'a', 0, 1],
    ] {
        assert_eq!(
            open_bytes(&key, bytes),
            Err(Spoiled::BadPadding),
            "{bytes:?}"
        );
    }
    let padded = [0xff, 1, 0, 0, 0, b'a', 0, 0];
    assert_eq!(open_bytes(&key, &padded), Ok(b"a".to_vec()));
}

#[test]
fn the_length_of_a_response_is_bounded_by_its_tokens() {
    let bound = |tokens| max_bytes(tokens, 4_096);
    assert_eq!(
        [0, 1, 8, 9, 64, 512, 513].map(bound),
        [64, 64, 64, 72, 512, 4_096, 4_096]
    );
    assert_eq!(max_bytes(u32::MAX, u32::MAX), u32::MAX);
    assert_eq!(max_bytes(1, 48), 48);
}

#[test]
fn short_answers_have_one_length() {
    let seal = |text, max| {
        slot(1, &2)
            .seal(&[1; 32], text, max, Format::Padded)
            .unwrap()
    };
    assert_eq!(seal("yes", 4_096).len(), 517 + TAG as usize);
    assert_eq!(seal("yes", 4_096).len(), seal("no", 4_096).len());
    // In a round of short answers the longest one looks like the shortest.
    let longest = "a".repeat(512);
    assert_eq!(seal(&longest, 512).len(), seal("no", 512).len());
}

/// The entropy of a number that falls into parts of these sizes with equal chances, in bits.
fn entropy(parts: impl IntoIterator<Item = usize>) -> f64 {
    let parts: Vec<_> = parts.into_iter().map(|part| part as f64).collect();
    let all: f64 = parts.iter().sum();
    let bits = |part: &f64| -part / all * (part / all).log2();
    parts.iter().map(bits).sum()
}

#[test]
fn a_ciphertext_tells_less_than_an_eighth_of_the_length_of_its_text() {
    for max in 2..=4_096u32 {
        let mut parts = std::collections::BTreeMap::<u32, usize>::new();
        for len in 1..=max {
            *parts.entry(padded_len(len, max)).or_default() += 1;
        }
        let of_length = f64::from(max).log2();
        let told = entropy(parts.into_values());
        assert!(told < of_length / 8.0, "{max}: {told} of {of_length} bits");
    }
}

/// Seals bytes as they are, and opens them.
fn open_bytes(key: &Secret, bytes: &[u8]) -> Result<Vec<u8>, Spoiled> {
    let mine = slot(3, &4);
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(
            &mine.nonce().into(),
            Payload {
                msg: bytes,
                aad: &mine.associated_data(),
            },
        )
        .unwrap();
    mine.open(key, &sealed)
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
