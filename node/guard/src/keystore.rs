// SPDX-License-Identifier: Apache-2.0
//! The keystore that GRANDPA gets.

use std::sync::Arc;

use sp_consensus_grandpa::KEY_TYPE;
use sp_core::{crypto::KeyTypeId, ecdsa, ed25519, sr25519};
use sp_keystore::{Error, Keystore, KeystorePtr};

use crate::{record::Vote, Guard};

/// A keystore that writes votes down before it signs them, and has no keys for votes while the
/// guard is silent. It is the inner keystore in everything else.
pub(crate) struct Guarded {
    inner: KeystorePtr,
    guard: Arc<Guard>,
}

impl Guarded {
    pub(crate) fn new(inner: KeystorePtr, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }
}

impl Keystore for Guarded {
    fn sr25519_public_keys(&self, key_type: KeyTypeId) -> Vec<sr25519::Public> {
        self.inner.sr25519_public_keys(key_type)
    }

    fn sr25519_generate_new(
        &self,
        key_type: KeyTypeId,
        seed: Option<&str>,
    ) -> Result<sr25519::Public, Error> {
        self.inner.sr25519_generate_new(key_type, seed)
    }

    fn sr25519_sign(
        &self,
        key_type: KeyTypeId,
        public: &sr25519::Public,
        msg: &[u8],
    ) -> Result<Option<sr25519::Signature>, Error> {
        self.inner.sr25519_sign(key_type, public, msg)
    }

    fn sr25519_vrf_sign(
        &self,
        key_type: KeyTypeId,
        public: &sr25519::Public,
        data: &sr25519::vrf::VrfSignData,
    ) -> Result<Option<sr25519::vrf::VrfSignature>, Error> {
        self.inner.sr25519_vrf_sign(key_type, public, data)
    }

    fn sr25519_vrf_pre_output(
        &self,
        key_type: KeyTypeId,
        public: &sr25519::Public,
        input: &sr25519::vrf::VrfInput,
    ) -> Result<Option<sr25519::vrf::VrfPreOutput>, Error> {
        self.inner.sr25519_vrf_pre_output(key_type, public, input)
    }

    fn ed25519_public_keys(&self, key_type: KeyTypeId) -> Vec<ed25519::Public> {
        self.inner.ed25519_public_keys(key_type)
    }

    fn ed25519_generate_new(
        &self,
        key_type: KeyTypeId,
        seed: Option<&str>,
    ) -> Result<ed25519::Public, Error> {
        self.inner.ed25519_generate_new(key_type, seed)
    }

    fn ed25519_sign(
        &self,
        key_type: KeyTypeId,
        public: &ed25519::Public,
        msg: &[u8],
    ) -> Result<Option<ed25519::Signature>, Error> {
        if let Some(vote) = Vote::of(msg).filter(|_| key_type == KEY_TYPE) {
            self.guard.note(vote).map_err(|error| {
                log::error!("the vote is not cast, because it cannot be written down: {error}");
                Error::Other(error.to_string())
            })?;
        }
        self.inner.ed25519_sign(key_type, public, msg)
    }

    fn ecdsa_public_keys(&self, key_type: KeyTypeId) -> Vec<ecdsa::Public> {
        self.inner.ecdsa_public_keys(key_type)
    }

    fn ecdsa_generate_new(
        &self,
        key_type: KeyTypeId,
        seed: Option<&str>,
    ) -> Result<ecdsa::Public, Error> {
        self.inner.ecdsa_generate_new(key_type, seed)
    }

    fn ecdsa_sign(
        &self,
        key_type: KeyTypeId,
        public: &ecdsa::Public,
        msg: &[u8],
    ) -> Result<Option<ecdsa::Signature>, Error> {
        self.inner.ecdsa_sign(key_type, public, msg)
    }

    fn ecdsa_sign_prehashed(
        &self,
        key_type: KeyTypeId,
        public: &ecdsa::Public,
        msg: &[u8; 32],
    ) -> Result<Option<ecdsa::Signature>, Error> {
        self.inner.ecdsa_sign_prehashed(key_type, public, msg)
    }

    fn insert(&self, key_type: KeyTypeId, suri: &str, public: &[u8]) -> Result<(), ()> {
        self.inner.insert(key_type, suri, public)
    }

    fn keys(&self, key_type: KeyTypeId) -> Result<Vec<Vec<u8>>, Error> {
        self.inner.keys(key_type)
    }

    /// GRANDPA asks this at the beginning of each round, and votes if the answer is yes.
    fn has_keys(&self, public_keys: &[(Vec<u8>, KeyTypeId)]) -> bool {
        let votes = public_keys
            .iter()
            .any(|(_, key_type)| *key_type == KEY_TYPE);
        !(votes && self.guard.is_silent()) && self.inner.has_keys(public_keys)
    }
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use sp_core::{crypto::key_types::AURA, H256};
    use sp_keystore::testing::MemoryKeystore;

    use super::*;

    const PREVOTE: u8 = 0;

    #[test]
    fn a_killed_node_has_no_key_for_votes_until_it_may_vote_and_ends_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-vote");
        let keys = MemoryKeystore::new();
        let public = keys.ed25519_generate_new(KEY_TYPE, None).unwrap();
        let other = keys.sr25519_generate_new(AURA, None).unwrap();
        let keys: KeystorePtr = Arc::new(keys);
        let vote = (PREVOTE, H256::repeat_byte(1), 4u32, 3u64, 8u64).encode();
        let owned = [(public.0.to_vec(), KEY_TYPE)];

        let guard = Guard::open(&path).unwrap();
        let guarded = guard.over(keys.clone());
        assert!(guarded.has_keys(&owned));
        assert!(guarded
            .ed25519_sign(KEY_TYPE, &public, &vote)
            .unwrap()
            .is_some());
        // It is killed here.
        drop(guarded);

        let guard = Guard::open(&path).unwrap();
        assert_eq!(guard.last, Some(Vote { set: 8, round: 3 }));
        let guarded = guard.over(keys);
        assert!(!guarded.has_keys(&owned));
        assert!(guarded.has_keys(&[(other.0.to_vec(), AURA)]));
        drop(guard.until_end());
        assert!(path.is_file(), "it ends before it is safe");
        guard
            .silent
            .store(false, std::sync::atomic::Ordering::Release);
        assert!(guarded.has_keys(&owned));
        drop(guard.until_end());
        assert!(!path.exists());
    }

    #[test]
    fn a_vote_that_cannot_be_written_down_is_not_signed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-vote");
        let keys = MemoryKeystore::new();
        let public = keys.ed25519_generate_new(KEY_TYPE, None).unwrap();
        let guard = Guard::open(&path).unwrap();
        *guard.record.lock() = crate::record::read_only(&path);
        let guarded = guard.over(Arc::new(keys));
        let vote = (PREVOTE, H256::repeat_byte(1), 4u32, 3u64, 8u64).encode();
        assert!(guarded.ed25519_sign(KEY_TYPE, &public, &vote).is_err());
        // Anything else is.
        assert!(guarded
            .ed25519_sign(KEY_TYPE, &public, b"other")
            .unwrap()
            .is_some());
    }
}
