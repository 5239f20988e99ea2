// SPDX-License-Identifier: Apache-2.0

//! The agents of the chain, and the agent of this node.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::{sr25519, H256};
use sp_keystore::KeystorePtr;
use sp_runtime::traits::Block as BlockT;
use starling_primitives::{
    api::{AgentView, RoundsApi},
    fixed::ONE,
    INFERENCE,
};
use starling_shards::auth::{Account, AgentRecord, Directory, Identity, Key};

use crate::{traces::Keys, AccountId, Accounts, LOG_TARGET};

/// Reads the agents from the state after the best block, once per block, and signs with the
/// keystore.
pub struct Members<Block, C> {
    client: Arc<C>,
    keystore: KeystorePtr,
    accounts: Accounts,
    genesis: H256,
    known: Mutex<Known>,
    block: PhantomData<Block>,
}

/// The agents read after one block.
#[derive(Default)]
struct Known {
    at: H256,
    agents: BTreeMap<Account, Option<AgentRecord>>,
    own: Option<Option<(Account, Key)>>,
}

impl<Block, C> Members<Block, C>
where
    Block: BlockT<Hash = H256>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: RoundsApi<Block, AccountId>,
{
    /// Creates the directory from parts of the node. It signs for an agent of `accounts`.
    pub fn new(client: Arc<C>, keystore: KeystorePtr, accounts: Accounts) -> Self {
        Self {
            genesis: client.info().genesis_hash,
            client,
            keystore,
            accounts,
            known: Mutex::default(),
            block: PhantomData,
        }
    }

    /// Answers from the state after the best block.
    fn after_best<T>(&self, answer: impl FnOnce(&mut Known, H256) -> T) -> T {
        let best = self.client.info().best_hash;
        let mut known = self.known.lock();
        if known.at != best {
            *known = Known {
                at: best,
                ..Known::default()
            };
        }
        answer(&mut known, best)
    }

    fn read(&self, at: H256, who: &AccountId) -> Option<AgentView> {
        let view = self.client.runtime_api().agent(at, who.clone());
        view.unwrap_or_else(|error| {
            log::debug!(target: LOG_TARGET, "cannot read an agent: {error}");
            None
        })
    }

    /// Signs with a key of the keystore.
    fn sign_with(&self, key: &sr25519::Public, message: &[u8]) -> Option<[u8; 64]> {
        match self.keystore.sr25519_sign(INFERENCE, key, message) {
            Ok(signature) => Some(signature?.0),
            Err(error) => {
                log::warn!(target: LOG_TARGET, "the keystore cannot sign: {error}");
                None
            },
        }
    }

    fn find_own(&self, at: H256) -> Option<(Account, Key)> {
        let keys = self.keystore.sr25519_public_keys(INFERENCE).into_iter();
        let agents = keys.filter_map(|key| {
            let agent = self.client.runtime_api().agent_of(at, key.into());
            Some((agent.ok()??, key.0))
        });
        let is_active = |account: &AccountId| {
            let view = self.read(at, account);
            view.is_some_and(|view| view.active)
        };
        own(agents, &self.accounts, is_active)
    }

    fn own(&self) -> Option<(Account, Key)> {
        self.after_best(|known, at| *known.own.get_or_insert_with(|| self.find_own(at)))
    }
}

/// Of the agents of the keystore's keys, the first active one of `accounts`, or else the first one.
fn own(
    agents: impl Iterator<Item = (AccountId, Key)>,
    accounts: &Accounts,
    is_active: impl Fn(&AccountId) -> bool,
) -> Option<(Account, Key)> {
    let mut found = None;
    for (account, key) in agents.filter(|(account, _)| accounts.contains(account)) {
        let active = is_active(&account);
        let own = Some((account.into(), key));
        if active {
            return own;
        }
        found = found.or(own);
    }
    found
}

fn record(account: Account, view: AgentView) -> AgentRecord {
    let key: sr25519::Public = view.key.into();
    AgentRecord {
        account,
        key: key.0,
        bond: view.bond,
        rating: view.rating as f64 / ONE as f64,
        active: view.active,
    }
}

impl<Block, C> Directory for Members<Block, C>
where
    Block: BlockT<Hash = H256>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: RoundsApi<Block, AccountId>,
{
    fn agent(&self, account: &Account) -> Option<AgentRecord> {
        self.after_best(|known, at| {
            let read = || {
                let view = self.read(at, &(*account).into())?;
                Some(record(*account, view))
            };
            known.agents.entry(*account).or_insert_with(read).clone()
        })
    }

    fn owner(&self, key: &Key) -> Option<Account> {
        let best = self.client.info().best_hash;
        let key = sr25519::Public::from_raw(*key);
        match self.client.runtime_api().owner_of(best, key.into()) {
            Ok(owner) => owner.map(Into::into),
            Err(error) => {
                log::debug!(target: LOG_TARGET, "cannot read the owner of a key: {error}");
                None
            },
        }
    }

    fn network(&self) -> [u8; 32] {
        self.genesis.0
    }

    fn now(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        since.as_millis().try_into().unwrap_or(u64::MAX)
    }
}

impl<Block, C> Identity for Members<Block, C>
where
    Block: BlockT<Hash = H256>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: RoundsApi<Block, AccountId>,
{
    fn account(&self) -> Option<Account> {
        Some(self.own()?.0)
    }

    fn key(&self) -> Option<Key> {
        Some(self.own()?.1)
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        self.sign_with(&sr25519::Public::from_raw(self.key()?), message)
    }
}

impl<Block, C> Keys for Members<Block, C>
where
    Block: BlockT<Hash = H256>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: RoundsApi<Block, AccountId>,
{
    fn genesis(&self) -> Key {
        self.genesis.0
    }

    fn is_of(&self, key: &Key, agent: &Account) -> bool {
        self.owner(key).as_ref() == Some(agent)
    }

    fn sign_as(&self, agent: &Account, message: &[u8]) -> Option<(Key, [u8; 64])> {
        let keys = self.keystore.sr25519_public_keys(INFERENCE).into_iter();
        let mut own = keys.filter(|key| self.is_of(&key.0, agent));
        own.find_map(|key| Some((key.0, self.sign_with(&key, message)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_signs_for_an_account_that_its_configuration_names() {
        let accounts = Accounts::default();
        let choose = |agents: &[u8], active: &[u8]| {
            let agents = agents
                .iter()
                .map(|id| (AccountId::new([*id; 32]), [*id; 32]));
            let is_active = |account: &AccountId| {
                let mut active = active.iter().map(|id| AccountId::new([*id; 32]));
                active.any(|one| one == *account)
            };
            let (account, key) = own(agents, &accounts, is_active)?;
            assert_eq!(account, key);
            Some(account[0])
        };
        assert_eq!(choose(&[1, 2, 3], &[1, 2, 3]), None);
        accounts.configure(
            &toml::from_str(&format!(
                "accounts = [\"{}\", \"{}\"]",
                AccountId::new([2; 32]),
                AccountId::new([3; 32])
            ))
            .unwrap(),
        );
        assert_eq!(choose(&[1, 2, 3], &[1, 3]), Some(3));
        assert_eq!(choose(&[1, 2, 3], &[1]), Some(2));
        assert_eq!(choose(&[1], &[1]), None);
    }

    #[test]
    fn an_agent_is_as_the_chain_says() {
        let view = AgentView {
            key: sr25519::Public::from_raw([7; 32]).into(),
            active: true,
            bond: 5,
            open_rounds: 0,
            reserved: 0,
            staked_tickets: 0,
            rating: 3 << 31,
            weight: ONE,
        };
        let expected = AgentRecord {
            account: [1; 32],
            key: [7; 32],
            bond: 5,
            rating: 1.5,
            active: true,
        };
        assert_eq!(record([1; 32], view), expected);
    }
}
