// SPDX-License-Identifier: Apache-2.0

//! The worker's questions to the chain, and the node's client behind it.

use std::{marker::PhantomData, sync::Arc};

use codec::Decode;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_core::{
    offchain::{
        storage::OffchainDb, DbExternalities, OffchainDbExt, OffchainStorage, OffchainWorkerExt,
        StorageKind,
    },
    H256,
};
use sp_keystore::{KeystoreExt, KeystorePtr};
use sp_offchain::OffchainWorkerApi;
use sp_runtime::traits::{Block as BlockT, Header, One, UniqueSaturatedInto, Zero};
use starling_primitives::{
    api::{
        job_board_key, v1, AgentView, CapabilitiesApi, JobBoard, RoundView, RoundsApi, Sent,
        StoredJobBoard, VaultEntry, ROUNDS_API,
    },
    choice::Form,
    round::{BlockNumber, Terms},
    InferenceKey, RoundId, INFERENCE,
};

use crate::{externalities::Offline, AccountId};

/// The most headers that are read to prove the first block: some seconds' work, once for a vault.
const MOST_HEADERS: BlockNumber = 1_000_000;

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Its hash.
    pub hash: H256,
    /// Its number.
    pub number: BlockNumber,
}

/// The chain's view of one of this node's inference keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The key.
    pub key: InferenceKey,
    /// The agent that it serves, if any.
    pub agent: Option<(AccountId, AgentView)>,
    /// Whether the node can sign with it.
    pub opens: bool,
}

/// The worker's questions to the chain. Blocking.
pub trait Chain: Send + Sync + 'static {
    /// True if the state after block `at` is of the runtime's version. The block that replaces the
    /// runtime leaves the old state, and the next block migrates it. In between, the runtime's
    /// views of rounds do not count.
    fn is_migrated(&self, at: At) -> Result<bool, String>;

    /// Runs the runtime's hook after block `at`, and reads the job boards that it wrote.
    fn boards(&self, at: At) -> Result<Vec<JobBoard<AccountId>>, String>;

    /// A round as of block `at`.
    fn round(&self, at: At, id: RoundId) -> Result<Option<RoundView<AccountId>>, String>;

    /// The form of a round's answers as of block `at`: free where the request declares none.
    fn form(&self, at: At, id: RoundId) -> Result<Form, String>;

    /// The inference keys of this node, and the agents that they serve as of block `at`.
    fn standings(&self, at: At) -> Result<Vec<Standing>, String>;

    /// Lets the runtime sign and send the messages that are due.
    fn submit(
        &self,
        at: At,
        results: Vec<VaultEntry<AccountId>>,
        finalized: BlockNumber,
    ) -> Result<Vec<(RoundId, AccountId, Sent)>, String>;

    /// The best block.
    fn best(&self) -> At;

    /// The last finalised block.
    fn finalized(&self) -> At;

    /// The hash of the genesis block.
    fn genesis(&self) -> H256;

    /// The hash of the block of this number in the best chain.
    fn hash(&self, number: BlockNumber) -> Result<H256, String>;

    /// The hash of the first block after genesis, once it is final. It tells apart two chains that
    /// began with the same genesis. `None` too while a node that was synced from finality proofs
    /// lacks the history.
    fn first_block(&self) -> Option<H256>;

    /// Whether the last final block descends from this first one, by the headers in between. A node
    /// that was synced from finality proofs takes the history from any peer, unverified. False where
    /// there are more headers than are read.
    fn descends_from(&self, first_block: H256) -> bool;
}

/// The node's client with the parts of the node that the runtime may use.
pub struct Client<Block: BlockT, C, Storage> {
    client: Arc<C>,
    keystore: KeystorePtr,
    storage: OffchainDb<Storage>,
    pool: OffchainTransactionPoolFactory<Block>,
    is_validator: bool,
    block: PhantomData<Block>,
}

impl<Block, C, Storage> Client<Block, C, Storage>
where
    Block: BlockT<Hash = H256>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + 'static,
    C::Api: OffchainWorkerApi<Block> + RoundsApi<Block, AccountId>,
    Storage: OffchainStorage + 'static,
{
    /// From the parts of the node. `storage` is the backend's persistent off-chain storage.
    pub fn new(
        client: Arc<C>,
        keystore: KeystorePtr,
        storage: Storage,
        pool: OffchainTransactionPoolFactory<Block>,
        is_validator: bool,
    ) -> Self {
        Self {
            client,
            keystore,
            storage: OffchainDb::new(storage),
            pool,
            is_validator,
            block: PhantomData,
        }
    }

    /// Runs the runtime's hook after block `at`.
    pub fn run_hook(&self, at: At) -> Result<(), String> {
        let header = self.client.header(at.hash).map_err(text)?;
        let header = header.ok_or("the block's header is gone")?;
        let mut api = self.client.runtime_api();
        api.register_extension(KeystoreExt(self.keystore.clone()));
        api.register_extension(OffchainDbExt::new(self.storage.clone()));
        api.register_extension(self.pool.offchain_transaction_pool(at.hash));
        api.register_extension(OffchainWorkerExt::new(Offline {
            is_validator: self.is_validator,
        }));
        api.offchain_worker(at.hash, &header).map_err(text)
    }

    /// The version of the rounds' interface after block `at`.
    fn version(&self, at: At) -> Result<u32, String> {
        let api = self.client.runtime_api();
        let version = api.api_version::<dyn RoundsApi<Block, AccountId>>(at.hash);
        match version.map_err(text)? {
            Some(version) if (1..=ROUNDS_API).contains(&version) => Ok(version),
            Some(newer) => Err(format!(
                "the chain's runtime has version {newer} of the rounds' interface, and this node \
                 knows those up to {ROUNDS_API}: upgrade the node"
            )),
            None => Err("the chain's runtime knows no rounds".into()),
        }
    }

    /// The job board that a runtime of the present version wrote.
    fn board(value: &[u8]) -> Result<JobBoard<AccountId>, String> {
        match StoredJobBoard::decode(&mut &*value) {
            Ok(StoredJobBoard::V2(board)) => Ok(board),
            Err(_) => Err(
                "the job board has a format that this node does not know: upgrade the \
                           node"
                    .into(),
            ),
        }
    }

    /// The job board that a runtime of version 1 wrote, with the terms that it does not say.
    fn board_1(&self, at: At, value: &[u8]) -> Result<JobBoard<AccountId>, String> {
        let board = v1::JobBoard::<AccountId>::decode(&mut &*value)
            .map_err(|_| "the job board is not in the format of its runtime")?;
        board.upgrade(|round| self.terms(at, round))
    }

    /// The terms of a round.
    fn terms(&self, at: At, id: RoundId) -> Result<Terms, String> {
        let view = self.client.runtime_api().round(at.hash, id).map_err(text)?;
        let view = view.ok_or_else(|| format!("round {id} is on a job board and not stored"))?;
        Ok(view.round.terms)
    }

    fn keys(&self) -> Vec<InferenceKey> {
        let keys = self.keystore.sr25519_public_keys(INFERENCE);
        keys.into_iter().map(Into::into).collect()
    }

    fn at(&self, hash: H256, number: impl UniqueSaturatedInto<BlockNumber>) -> At {
        At {
            hash,
            number: number.unique_saturated_into(),
        }
    }
}

/// The reason why a transaction that the chain may take is not in the pool: the pool names none.
pub(crate) const NOT_POOLED: &str = "the pool does not take the transaction";

/// Puts a transaction into a node's pool, as of this block.
pub(crate) fn submit<Block: BlockT>(
    pool: &OffchainTransactionPoolFactory<Block>,
    at: Block::Hash,
    transaction: Vec<u8>,
) -> Result<(), String> {
    let mut pool = pool.offchain_transaction_pool(at);
    let taken = pool.submit_transaction(transaction);
    taken.map_err(|()| NOT_POOLED.into())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Whether a keystore signs with a key. One that was stored under another password than the node's
/// is there and does not open.
fn opens(keystore: &KeystorePtr, key: &InferenceKey) -> bool {
    let signed = keystore.sr25519_sign(INFERENCE, key.as_ref(), b"starling/opens");
    matches!(signed, Ok(Some(_)))
}

impl<Block, C, Storage> Chain for Client<Block, C, Storage>
where
    Block: BlockT<Hash = H256>,
    <Block::Header as Header>::Number: UniqueSaturatedInto<BlockNumber>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api:
        OffchainWorkerApi<Block> + RoundsApi<Block, AccountId> + CapabilitiesApi<Block, AccountId>,
    Storage: OffchainStorage + 'static,
{
    fn is_migrated(&self, at: At) -> Result<bool, String> {
        // A runtime of version 1 is the first one: there was nothing to migrate.
        if self.version(at)? < 2 {
            return Ok(true);
        }
        self.client.runtime_api().is_migrated(at.hash).map_err(text)
    }

    fn boards(&self, at: At) -> Result<Vec<JobBoard<AccountId>>, String> {
        let version = self.version(at)?;
        self.run_hook(at)?;
        let mut storage = self.storage.clone();
        let mut read = |key: &[u8]| storage.local_storage_get(StorageKind::PERSISTENT, key);
        let boards = self.keys().into_iter().filter_map(|key| match version {
            1 => read(&v1::job_board_key(&key)).map(|value| self.board_1(at, &value)),
            _ => read(&job_board_key(&key)).map(|value| Self::board(&value)),
        });
        boards.collect()
    }

    fn round(&self, at: At, id: RoundId) -> Result<Option<RoundView<AccountId>>, String> {
        self.client.runtime_api().round(at.hash, id).map_err(text)
    }

    fn form(&self, at: At, id: RoundId) -> Result<Form, String> {
        let api = self.client.runtime_api();
        // Runtimes that know no forms have no such interface.
        let knows = api.has_api::<dyn CapabilitiesApi<Block, AccountId>>(at.hash);
        if !knows.map_err(text)? {
            return Ok(Form::Free);
        }
        let question = api.question(at.hash, id).map_err(text)?;
        Ok(question.map_or(Form::Free, |question| question.form))
    }

    fn standings(&self, at: At) -> Result<Vec<Standing>, String> {
        let api = self.client.runtime_api();
        let standings = self.keys().into_iter().map(|key| {
            let account = api.agent_of(at.hash, key.clone()).map_err(text)?;
            let agent = match account {
                Some(account) => {
                    let view = api.agent(at.hash, account.clone()).map_err(text)?;
                    view.map(|view| (account, view))
                },
                None => None,
            };
            let opens = opens(&self.keystore, &key);
            Ok(Standing { key, agent, opens })
        });
        standings.collect()
    }

    fn submit(
        &self,
        at: At,
        results: Vec<VaultEntry<AccountId>>,
        finalized: BlockNumber,
    ) -> Result<Vec<(RoundId, AccountId, Sent)>, String> {
        let mut api = self.client.runtime_api();
        api.register_extension(KeystoreExt(self.keystore.clone()));
        api.register_extension(self.pool.offchain_transaction_pool(at.hash));
        api.submit(at.hash, results, finalized).map_err(text)
    }

    fn best(&self) -> At {
        let info = self.client.info();
        self.at(info.best_hash, info.best_number)
    }

    fn finalized(&self) -> At {
        let info = self.client.info();
        self.at(info.finalized_hash, info.finalized_number)
    }

    fn genesis(&self) -> H256 {
        self.client.info().genesis_hash
    }

    fn hash(&self, number: BlockNumber) -> Result<H256, String> {
        let hash = self.client.hash(number.into()).map_err(text)?;
        hash.ok_or_else(|| format!("there is no block {number}"))
    }

    fn first_block(&self) -> Option<H256> {
        let is_final = !self.client.info().finalized_number.is_zero();
        let hash = || self.client.hash(One::one()).ok().flatten();
        is_final.then(hash).flatten()
    }

    fn descends_from(&self, first_block: H256) -> bool {
        let parent = |hash| {
            let header = self.client.header(hash).ok().flatten()?;
            Some(*header.parent_hash())
        };
        first_ancestor(self.finalized(), parent) == Some(first_block)
    }
}

/// The first block after genesis from which a block descends.
fn first_ancestor(at: At, parent: impl Fn(H256) -> Option<H256>) -> Option<H256> {
    let headers = at.number.checked_sub(1)?;
    let headers = Some(headers).filter(|headers| *headers <= MOST_HEADERS)?;
    (0..headers).try_fold(at.hash, |hash, _| parent(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_keystore::LocalKeystore;
    use sp_core::{sr25519, Pair};

    #[test]
    fn the_first_block_is_proven_by_all_headers_after_it() {
        let block = |number: BlockNumber| At {
            hash: H256::from_low_u64_be(number.into()),
            number,
        };
        let known_from = |least: u64| {
            move |hash: H256| {
                let number = hash.to_low_u64_be();
                let above = number.checked_sub(1).filter(|_| number >= least)?;
                Some(H256::from_low_u64_be(above))
            }
        };
        assert_eq!(first_ancestor(block(0), known_from(1)), None);
        for number in [1, 2, 9, 1_000] {
            let found = first_ancestor(block(number), known_from(1));
            assert_eq!(found, Some(block(1).hash), "{number}");
        }
        // A header is missing, or there are too many.
        assert_eq!(first_ancestor(block(9), known_from(5)), None);
        assert_eq!(first_ancestor(block(MOST_HEADERS + 2), known_from(1)), None);
    }

    #[test]
    fn a_key_that_was_stored_under_another_password_is_there_and_does_not_open() {
        const URI: &str = "//Ferdie";
        let folder = tempfile::tempdir().unwrap();
        let public = sr25519::Pair::from_string(URI, None).unwrap().public();
        for (password, expected) in [(None, true), (Some("secret"), false)] {
            let password = password.map(|password: &str| password.to_owned().into());
            let keystore = LocalKeystore::open(folder.path(), password).unwrap();
            let keystore: KeystorePtr = Arc::new(keystore);
            keystore.insert(INFERENCE, URI, public.as_ref()).unwrap();
            assert_eq!(keystore.sr25519_public_keys(INFERENCE), [public]);
            assert_eq!(opens(&keystore, &public.into()), expected);
        }
    }
}
