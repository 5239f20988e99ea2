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

use alloc::vec::Vec;

use chacha20poly1305::{
    aead::{Aead, Payload},
    KeyInit, XChaCha20Poly1305,
};
use codec::Encode;
use sp_core::H256;
use sp_io::hashing::blake2_256;

use crate::{RoundId, Secret};

/// Difference between the length of a ciphertext and that of its text, in bytes: the Poly1305 tag.
pub const OVERHEAD: u32 = 16;

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
    /// It opens to nothing.
    Empty,
    /// It opens to something that is not UTF-8.
    NotText,
}

impl<AccountId: Encode> Slot<'_, AccountId> {
    /// Seals a response. A key must seal only one response: repeated messages send the stored
    /// ciphertext, byte for byte.
    ///
    /// `None` only for texts beyond the cipher's own limit of 256 GiB.
    pub fn seal(&self, key: &Secret, response: &str) -> Option<Vec<u8>> {
        self.seal_bytes(key, response.as_bytes())
    }

    /// Opens a sealed response: `r_i = D(R_i, k_i)`.
    pub fn open(&self, key: &Secret, sealed: &[u8]) -> Result<Vec<u8>, Spoiled> {
        let aad = self.associated_data();
        let response = XChaCha20Poly1305::new(key.into())
            .decrypt(
                &self.nonce().into(),
                Payload {
                    msg: sealed,
                    aad: &aad,
                },
            )
            .map_err(|_| Spoiled::DoesNotOpen)?;
        if response.is_empty() {
            return Err(Spoiled::Empty);
        }
        match core::str::from_utf8(&response) {
            Ok(_) => Ok(response),
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
