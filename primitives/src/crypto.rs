// SPDX-License-Identifier: Apache-2.0
//! The agents' inference key: an sr25519 key of type `infr` in the node's keystore.

use sp_application_crypto::RuntimeAppPublic;
use sp_core::crypto::KeyTypeId;

/// The key type under which a keystore holds inference keys.
pub const INFERENCE: KeyTypeId = KeyTypeId(*b"infr");

mod app {
    use sp_application_crypto::{app_crypto, sr25519};

    app_crypto!(sr25519, super::INFERENCE);
}

/// The public half of an agent's inference key.
pub type InferenceKey = app::Public;

/// A signature by an inference key.
pub type InferenceSignature = app::Signature;

/// An inference key with its secret half.
pub type InferencePair = app::Pair;

/// The key with these bytes, such as the one in the terms of a lane.
pub fn key(bytes: [u8; 32]) -> InferenceKey {
    sp_core::sr25519::Public::from_raw(bytes).into()
}

/// Whether `key` made this raw signature under `payload`.
pub fn has_signed(key: &InferenceKey, payload: &[u8], signature: &[u8; 64]) -> bool {
    let signature = InferenceSignature::try_from(signature.as_slice());
    signature.is_ok_and(|signature| key.verify(&payload, &signature))
}
