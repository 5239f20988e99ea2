// SPDX-License-Identifier: Apache-2.0
//! Sealing a response: `R_i = E(r_i, k_i)` [3.2, (1)].
//!
//! `E` is XChaCha20-Poly1305. The nonce follows from round and agent, so it need not be sent; that
//! is safe because a key seals only one response. The associated data are `genesis ‖ round ‖
//! agent`. So a ciphertext does not open if another agent commits it, or in another round, or on
//! another chain.
//!
//! An AEAD does not commit to its key: a ciphertext can be made that opens to two texts under two
//! keys. So an agent also commits to the key itself, with [`Slot::key_commitment`], before it can
//! know which text would be better.
//!
//! The length of a ciphertext is public long before its key, and tells "yes" from "no". So a text
//! is padded before it is sealed: see [`padded_len`]. Texts without padding open, too: those of the
//! first release were sealed so.

use alloc::vec::Vec;

use chacha20poly1305::{
    aead::{Aead, Payload},
    KeyInit, XChaCha20Poly1305,
};
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_io::hashing::blake2_256;

use crate::{RoundId, Secret};

/// Length of the Poly1305 tag, in bytes.
pub const TAG: u32 = 16;

/// Length of the header of a padded text, in bytes: its first byte, and the length of the text.
const HEADER: u32 = 5;

/// Maximum difference between the length of a ciphertext and the maximum length of its text, in
/// bytes.
pub const OVERHEAD: u32 = TAG.saturating_add(HEADER);

/// Maximum length of a response to a request for few tokens, in bytes.
pub const SHORTEST: u32 = 64;

/// Length of a padded text with its header, in bytes, if the text has at most 512 bytes: as many as
/// 64 tokens may have. Any longer text has the length of the longest one of its round.
pub const COMMON: u32 = HEADER.saturating_add(512);

/// Maximum length of a response for each token that the requester asks for, in bytes. A token of
/// natural language has four or five; with rare characters a token is one byte, and a response of
/// many tokens would hold up its rankers.
pub const BYTES_PER_TOKEN: u32 = 8;

/// First byte of a padded text. No text in UTF-8 begins with it.
const PADDED: u8 = 0xff;

/// The form of a text before it is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Format {
    /// The text alone. Chains of spec version 1 open nothing else.
    #[codec(index = 0)]
    Plain,
    /// The text with its length, and zeros up to one of a few lengths.
    #[codec(index = 1)]
    Padded,
}

const NONCE_DOMAIN: &[u8] = b"starling/nonce/1";
const KEY_DOMAIN: &[u8] = b"starling/key/1";

/// One agent's slot in one round of one chain. All messages of the agent are bound to it.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a, AccountId> {
    /// The hash of the chain's genesis block.
    pub genesis: H256,
    /// The round.
    pub round: RoundId,
    /// The agent's account; not its key, which may rotate.
    pub agent: &'a AccountId,
}

/// The reason why a sealed response counts as spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiled {
    /// The ciphertext does not open with this key in this slot.
    DoesNotOpen,
    /// It opens to a length and padding that do not fit.
    BadPadding,
    /// It opens to nothing.
    Empty,
    /// It opens to something that is not UTF-8.
    NotText,
}

impl<AccountId: Encode> Slot<'_, AccountId> {
    /// Seals a response in a round whose responses have at most `max_bytes` bytes. A key must seal
    /// only one response: repeated messages send the stored ciphertext, byte for byte.
    ///
    /// `None` for a longer response.
    pub fn seal(
        &self,
        key: &Secret,
        response: &str,
        max_bytes: u32,
        format: Format,
    ) -> Option<Vec<u8>> {
        let max = usize::try_from(max_bytes).ok()?;
        if response.len() > max {
            return None;
        }
        match format {
            Format::Plain => self.seal_bytes(key, response.as_bytes()),
            Format::Padded => self.seal_bytes(key, &pad(response, max_bytes)?),
        }
    }

    /// Opens a sealed response: `r_i = D(R_i, k_i)`.
    pub fn open(&self, key: &Secret, sealed: &[u8]) -> Result<Vec<u8>, Spoiled> {
        let aad = self.associated_data();
        let opened = XChaCha20Poly1305::new(key.into())
            .decrypt(
                &self.nonce().into(),
                Payload {
                    msg: sealed,
                    aad: &aad,
                },
            )
            .map_err(|_| Spoiled::DoesNotOpen)?;
        let response = match opened.split_first() {
            Some((&PADDED, rest)) => unpad(rest).ok_or(Spoiled::BadPadding)?,
            _ => &opened,
        };
        if response.is_empty() {
            return Err(Spoiled::Empty);
        }
        match core::str::from_utf8(response) {
            Ok(_) => Ok(response.to_vec()),
            Err(_) => Err(Spoiled::NotText),
        }
    }

    /// `H(domain ‖ genesis ‖ round ‖ agent ‖ k_i)`.
    pub fn key_commitment(&self, key: &Secret) -> H256 {
        blake2_256(&(KEY_DOMAIN, self.genesis, self.round, self.agent, key).encode()).into()
    }

    /// The nonce of this slot: the first 24 bytes of `H(domain ‖ round ‖ agent)`.
    pub fn nonce(&self) -> [u8; 24] {
        let hash = blake2_256(&(NONCE_DOMAIN, self.round, self.agent).encode());
        let mut nonce = [0; 24];
        for (to, from) in nonce.iter_mut().zip(hash) {
            *to = from;
        }
        nonce
    }

    /// `genesis ‖ round ‖ agent`.
    pub fn associated_data(&self) -> Vec<u8> {
        (self.genesis, self.round, self.agent).encode()
    }

    fn seal_bytes(&self, key: &Secret, plaintext: &[u8]) -> Option<Vec<u8>> {
        let aad = self.associated_data();
        XChaCha20Poly1305::new(key.into())
            .encrypt(
                &self.nonce().into(),
                Payload {
                    msg: plaintext,
                    aad: &aad,
                },
            )
            .ok()
    }
}

/// Maximum length of a response of `max_tokens` tokens, in bytes, on a chain where it has at most
/// `most`. Short answers are not cut: padded they cost no more.
pub fn max_bytes(max_tokens: u32, most: u32) -> u32 {
    max_tokens
        .saturating_mul(BYTES_PER_TOKEN)
        .max(SHORTEST)
        .min(most)
}

/// Length to which a text of `len` bytes is padded, with its header: [`COMMON`], or that of the
/// longest text of the round for a longer one. A ciphertext tells at most one bit about the length
/// of its text, and none in a round of short answers.
pub fn padded_len(len: u32, max_bytes: u32) -> u32 {
    let needed = len.saturating_add(HEADER);
    let longest = max_bytes.saturating_add(HEADER);
    let length = match needed <= COMMON {
        true => longest.min(COMMON),
        false => longest,
    };
    length.max(needed)
}

/// `PADDED ‖ length ‖ text ‖ zeros`.
fn pad(text: &str, max_bytes: u32) -> Option<Vec<u8>> {
    let len = u32::try_from(text.len()).ok()?;
    let mut padded = (PADDED, len).encode();
    padded.extend_from_slice(text.as_bytes());
    padded.resize(usize::try_from(padded_len(len, max_bytes)).ok()?, 0);
    Some(padded)
}

/// The text of `length ‖ text ‖ zeros`; `None` for anything else behind the text.
pub(crate) fn unpad(rest: &[u8]) -> Option<&[u8]> {
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (text, zeros) = rest.split_at_checked(len)?;
    zeros.iter().all(|zero| *zero == 0).then_some(text)
}
