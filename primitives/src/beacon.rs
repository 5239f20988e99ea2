// SPDX-License-Identifier: Apache-2.0
//! The rules of the chain's randomness.
//!
//! The author of each block reveals the output of a verifiable random function (VRF, as of
//! schnorrkel) of its key, over a seed and its slot. Key, seed and slot fix the output, so an
//! author has no choice but to reveal it or to leave out its block. An accumulator hashes all
//! outputs; the value after a block decides the draws of that block, and becomes the next epoch's
//! seed. No hash of a block enters: a block can be signed again, which gives another hash each
//! time.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{
    crypto::VrfPublic,
    sr25519::{
        vrf::{VrfSignData, VrfSignature, VrfTranscript},
        Public,
    },
    H256,
};
use sp_io::hashing::blake2_256;

/// Number of blocks for which a seed is in force.
pub const EPOCH: u32 = 60;

/// Separates the accumulator from every other hash.
const DOMAIN: &[u8] = b"starling/beacon";

/// The output of an author's VRF, with its proof.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Output {
    /// The point that key and input fix.
    pub pre_output: [u8; 32],
    /// The proof that it is that point.
    pub proof: [u8; 64],
}

impl Output {
    /// Whether this is the output of `author`'s key for `input`.
    pub fn is_of(&self, author: &Public, input: &VrfSignData) -> bool {
        let signature = VrfSignature::decode(&mut self.encode().as_slice());
        signature.is_ok_and(|signature| author.vrf_verify(input, &signature))
    }
}

impl From<VrfSignature> for Output {
    fn from(signature: VrfSignature) -> Self {
        Self {
            pre_output: *signature.pre_output.0.as_bytes(),
            proof: signature.proof.0.to_bytes(),
        }
    }
}

/// The input of `slot`'s author, on the chain with this genesis, while `seed` is in force.
pub fn input(genesis: H256, seed: H256, slot: u64) -> VrfSignData {
    VrfTranscript::new(
        b"starling beacon",
        &[
            (b"genesis", genesis.as_bytes()),
            (b"seed", seed.as_bytes()),
            (b"slot", &slot.to_le_bytes()),
        ],
    )
    .into_sign_data()
}

/// The accumulator after one more output.
pub fn accumulate(before: H256, output: &Output) -> H256 {
    let preimage: Vec<u8> = (DOMAIN, before, output.pre_output).encode();
    blake2_256(&preimage).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sp_core::{crypto::VrfSecret, sr25519::Pair, Pair as _};

    use super::*;

    const GENESIS: H256 = H256::repeat_byte(9);

    fn output(author: u8, seed: H256, slot: u64) -> (Public, Output) {
        let pair = Pair::from_seed(&[author; 32]);
        (
            pair.public(),
            pair.vrf_sign(&input(GENESIS, seed, slot)).into(),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn an_author_has_one_output_however_often_it_signs(author: u8, seed: [u8; 32], slot: u64) {
            let seed = H256(seed);
            let ((public, first), (_, second)) = (output(author, seed, slot), output(author, seed, slot));
            prop_assert!(first.is_of(&public, &input(GENESIS, seed, slot)));
            prop_assert!(second.is_of(&public, &input(GENESIS, seed, slot)));
            prop_assert_eq!(first.pre_output, second.pre_output);
            prop_assert_eq!(accumulate(seed, &first), accumulate(seed, &second));
        }

        #[test]
        fn nothing_else_passes_for_it(slot in 1..u64::MAX, byte in 0..96usize, bit in 0..8u32) {
            let seed = H256::repeat_byte(1);
            let (public, right) = output(1, seed, slot);
            let (stranger, other) = output(2, seed, slot);
            let asked = input(GENESIS, seed, slot);
            prop_assert!(!other.is_of(&public, &asked) && !right.is_of(&stranger, &asked));
            for elsewhere in [
                input(GENESIS, seed, slot - 1),
                input(GENESIS, H256::repeat_byte(2), slot),
                input(H256::repeat_byte(3), seed, slot),
            ] {
                prop_assert!(!right.is_of(&public, &elsewhere));
            }
            let mut bytes = right.encode();
            bytes[byte] ^= 1 << bit;
            let changed = Output::decode(&mut bytes.as_slice()).unwrap();
            prop_assert!(!changed.is_of(&public, &asked));
        }
    }

    #[test]
    fn the_accumulator_depends_on_every_output_and_their_order() {
        let seed = H256::repeat_byte(1);
        let outputs: Vec<_> = (0..4).map(|n| output(n, seed, 5).1).collect();
        let all = |order: [usize; 4]| {
            let outputs = order.into_iter().map(|n| &outputs[n]);
            outputs.fold(H256::zero(), accumulate)
        };
        assert_ne!(all([0, 1, 2, 3]), all([0, 1, 3, 2]));
        assert_ne!(all([0, 1, 2, 3]), all([1, 1, 2, 3]));
    }
}
