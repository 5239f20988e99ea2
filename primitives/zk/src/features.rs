// SPDX-License-Identifier: Apache-2.0
//! Features of a prompt and a response: 256 numbers that everybody derives alike (section 6).
//!
//! | features | content |
//! |---|---|
//! | 0 to 63 | trigrams of the prompt |
//! | 64 to 191 | trigrams of the response |
//! | 192 to 253 | trigrams that both have |
//! | 254 | the share of the response's trigrams that the prompt has; 127 is all of them |
//! | 255 | the root of the response's length in bytes, at most 127 |
//!
//! A trigram is three bytes in a row, with letters of ASCII in lower case. Each text counts a
//! trigram once. Its hash names its feature and its sign: the trigram as a number, low byte first
//! and with a fourth byte of zero, through the finaliser of MurmurHash3; the lowest bit is the
//! sign, set for −1, and the other 31 bits `h` name feature `⌊h · n / 2³¹⌋` of `n`. The sum of a
//! feature is multiplied by 256, divided by the root of the number of trigrams, and clamped to
//! ±127. Roots and quotients are rounded towards zero.

use alloc::{vec, vec::Vec};
use codec::Encode;

use crate::WIDTH;

const OF_PROMPT: usize = 64;
const OF_RESPONSE: usize = 128;
const OF_BOTH: usize = 62;

/// A sum of 1 from a text of one trigram.
const UNIT: i64 = 256;

/// The largest feature, and the smallest with a minus.
const MOST: i8 = 127;

/// 256 numbers from −127 to 127.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Features([i8; WIDTH]);

impl Features {
    /// The features of a response to a prompt.
    pub fn of(prompt: &[u8], response: &[u8]) -> Self {
        let length = response.len();
        let prompt = trigrams(prompt);
        let response = trigrams(response);
        let both: Vec<u32> = response
            .iter()
            .filter(|trigram| prompt.binary_search(trigram).is_ok())
            .copied()
            .collect();
        let share = both
            .len()
            .saturating_mul(MOST as usize)
            .checked_div(response.len())
            .unwrap_or(0);
        let ends = [share, length.isqrt()].map(|end| i8::try_from(end).unwrap_or(MOST));

        let mut features = [0; WIDTH];
        let values = summed::<OF_PROMPT>(&prompt)
            .into_iter()
            .chain(summed::<OF_RESPONSE>(&response))
            .chain(summed::<OF_BOTH>(&both))
            .chain(ends);
        for (feature, value) in features.iter_mut().zip(values) {
            *feature = value;
        }
        Self(features)
    }

    /// The numbers.
    pub const fn values(&self) -> &[i8; WIDTH] {
        &self.0
    }
}

/// The trigrams of a text in order, each once.
fn trigrams(text: &[u8]) -> Vec<u32> {
    let mut found: Vec<u32> = text
        .windows(3)
        .filter_map(|window| match window {
            [a, b, c] => Some([*a, *b, *c, 0]),
            _ => None,
        })
        .map(|bytes| u32::from_le_bytes(bytes.map(|byte| byte.to_ascii_lowercase())))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The sums of trigrams in `N` features.
fn summed<const N: usize>(trigrams: &[u32]) -> Vec<i8> {
    let mut sums = vec![0i64; N];
    for trigram in trigrams {
        let hash = mixed(*trigram);
        let feature = u64::from(hash >> 1).saturating_mul(N as u64) >> 31;
        if let Some(sum) = sums.get_mut(feature as usize) {
            *sum = sum.saturating_add(if hash & 1 == 1 { -1 } else { 1 });
        }
    }
    let root = trigrams.len().isqrt().max(1) as i64;
    let most = i64::from(MOST);
    sums.into_iter()
        .map(|sum| {
            let scaled = sum.saturating_mul(UNIT).checked_div(root).unwrap_or(0);
            // The clamped value fits.
            scaled.clamp(most.saturating_neg(), most) as i8
        })
        .collect()
}

/// The finaliser of MurmurHash3.
fn mixed(trigram: u32) -> u32 {
    let mut hash = trigram;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
