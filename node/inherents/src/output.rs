// SPDX-License-Identifier: Apache-2.0
//! The output of the author's VRF. See [`starling_primitives::beacon`].

use std::sync::Arc;

use codec::Decode;
use pallet_beacon::{Seed, INHERENT_IDENTIFIER};
use sc_client_api::{Backend, StorageProvider};
use sc_consensus_aura::standalone::slot_author;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_consensus_aura::{
    sr25519::{AuthorityId, AuthorityPair},
    AuraApi, Slot,
};
use sp_core::{crypto::key_types::AURA, sr25519, storage::StorageKey};
use sp_keystore::KeystorePtr;
use starling_primitives::beacon;
use starling_runtime::{opaque::Block, Hash, Runtime};

use crate::Given;

/// The authors whose keys this node has.
pub struct Author<Client> {
    client: Arc<Client>,
    keystore: KeystorePtr,
}

impl<Client> Clone for Author<Client> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            keystore: self.keystore.clone(),
        }
    }
}

impl<Client> Author<Client> {
    /// The authors with keys in this keystore.
    pub fn new(client: Arc<Client>, keystore: KeystorePtr) -> Self {
        Self { client, keystore }
    }

    /// The output for a block of `slot` on `parent`. Nothing if the slot is another node's.
    pub fn output<B>(&self, parent: Hash, slot: Slot) -> Given<beacon::Output>
    where
        B: Backend<Block>,
        Client: HeaderBackend<Block> + ProvideRuntimeApi<Block> + StorageProvider<Block, B>,
        Client::Api: AuraApi<Block, AuthorityId>,
    {
        let value = self.sign(parent, slot).unwrap_or_else(|error| {
            log::error!("the randomness of the next block cannot be computed: {error}");
            None
        });
        Given {
            place: INHERENT_IDENTIFIER,
            value,
        }
    }

    fn sign<B>(&self, parent: Hash, slot: Slot) -> Result<Option<beacon::Output>, String>
    where
        B: Backend<Block>,
        Client: HeaderBackend<Block> + ProvideRuntimeApi<Block> + StorageProvider<Block, B>,
        Client::Api: AuraApi<Block, AuthorityId>,
    {
        let authorities = self.client.runtime_api().authorities(parent);
        let authorities = authorities.map_err(|error| error.to_string())?;
        let Some(author) = slot_author::<AuthorityPair>(slot, &authorities) else {
            return Ok(None);
        };
        let author: &sr25519::Public = author.as_ref();
        if !self.keystore.has_keys(&[(author.0.to_vec(), AURA)]) {
            return Ok(None);
        }
        let key = StorageKey(Seed::<Runtime>::hashed_key().to_vec());
        let stored = self.client.storage(parent, &key);
        // A chain that was not upgraded yet has no seed, and ignores the output.
        let seed = match stored.map_err(|error| error.to_string())? {
            Some(stored) => {
                Hash::decode(&mut stored.0.as_slice()).map_err(|error| error.to_string())?
            },
            None => Hash::zero(),
        };
        let input = beacon::input(self.client.info().genesis_hash, seed, slot.into());
        let signed = self.keystore.sr25519_vrf_sign(AURA, author, &input);
        Ok(signed.map_err(|error| error.to_string())?.map(Into::into))
    }
}
