// SPDX-License-Identifier: Apache-2.0
//! Keys of the actors, each derived from its name alone.

use codec::Encode as _;
use rand_chacha_03::{rand_core::SeedableRng, ChaCha8Rng};
use schnorrkel::context::{attach_rng, signing_context};
use sp_core::{
    crypto::VrfSecret as _, ed25519, proof_of_possession::statement_of_ownership, sr25519,
    sr25519::vrf::VrfSignData, Pair as _,
};
use sp_io::hashing::blake2_256;
use starling_primitives::{beacon::Output, InferenceKey, InferenceSignature};
use starling_runtime::{AccountId, SessionKeys};

/// The account key of an actor, its inference key, and its key for votes on finality.
#[derive(Clone)]
pub struct Keys {
    account: sr25519::Pair,
    inference: sr25519::Pair,
    finality: ed25519::Pair,
}

impl Keys {
    /// The keys of the actor called `name`.
    pub fn of(name: &str) -> Self {
        Self {
            account: sr25519::Pair::from_seed(&seed("account", name)),
            inference: sr25519::Pair::from_seed(&seed("inference", name)),
            finality: ed25519::Pair::from_seed(&seed("finality", name)),
        }
    }

    /// The same keys, but the key for votes on finality of the actor called `name`.
    pub fn voting_as(self, name: &str) -> Self {
        Self {
            finality: ed25519::Pair::from_seed(&seed("finality", name)),
            ..self
        }
    }

    /// The actor's account.
    pub fn account_id(&self) -> AccountId {
        AccountId::from(self.account.public().0)
    }

    /// The key that signs blocks, if the actor is a validator.
    pub fn authority(&self) -> sr25519::Public {
        self.account.public()
    }

    /// The key's output for the randomness.
    pub fn output(&self, input: &VrfSignData) -> Output {
        self.account.vrf_sign(input).into()
    }

    /// The key for votes on finality.
    pub fn finality(&self) -> ed25519::Public {
        self.finality.public()
    }

    /// The keys with which the actor is a validator.
    pub fn session(&self) -> SessionKeys {
        SessionKeys {
            aura: self.authority().into(),
            grandpa: self.finality().into(),
        }
    }

    /// The proof that these keys are the actor's own.
    pub fn session_proof(&self) -> Vec<u8> {
        let statement = statement_of_ownership(&self.account.public().0);
        (self.sign(&statement), self.finality.sign(&statement)).encode()
    }

    /// The key that signs an agent's messages.
    pub fn inference_key(&self) -> InferenceKey {
        self.inference.public().into()
    }

    /// Signs a transaction.
    pub fn sign(&self, message: &[u8]) -> sr25519::Signature {
        sign(&self.account, message)
    }

    /// Signs a vote on finality.
    pub fn sign_vote(&self, message: &[u8]) -> ed25519::Signature {
        self.finality.sign(message)
    }

    /// Signs a message of an agent.
    pub fn sign_inference(&self, message: &[u8]) -> InferenceSignature {
        sign(&self.inference, message).into()
    }
}

fn seed(purpose: &str, name: &str) -> [u8; 32] {
    blake2_256(format!("{purpose}/{name}").as_bytes())
}

/// Signs like `Pair::sign`, but without a random number in the nonce. With one, the hashes of
/// blocks, and all that follows from them, would differ from run to run. The nonce follows from
/// secret key and message alone.
fn sign(pair: &sr25519::Pair, message: &[u8]) -> sr25519::Signature {
    let transcript = signing_context(b"substrate").bytes(message);
    let nothing = ChaCha8Rng::from_seed([0; 32]);
    pair.as_ref().sign(attach_rng(transcript, nothing)).into()
}
