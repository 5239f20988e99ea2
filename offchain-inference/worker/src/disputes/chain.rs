// SPDX-License-Identifier: Apache-2.0

//! The questions of the court to the chain, and the node's client behind it.

use std::{marker::PhantomData, sync::Arc};

use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header, UniqueSaturatedInto};
use starling_evidence::{messages::Accusation, Finding, ModelId};
use starling_primitives::{
    api::disputes::{CaseId, CaseView, DisputesApi, DutyView},
    round::BlockNumber,
};

use crate::{chain::submit, AccountId};

/// A signature by an inference key.
pub type Signature = [u8; 64];

/// The questions of the court to the chain, all as of the best block. Blocking.
pub trait CourtChain: Send + Sync + 'static {
    /// The number of the best block. `None` if the chain has no disputes.
    fn now(&self) -> Result<Option<BlockNumber>, String>;

    /// Whether agents can be accused.
    fn are_open(&self) -> Result<bool, String>;

    /// The hash of the genesis block.
    fn genesis(&self) -> [u8; 32];

    /// The work that an agent owes to committees.
    fn duties(&self, agent: &AccountId) -> Result<Vec<DutyView>, String>;

    /// A stored case.
    fn case(&self, id: CaseId) -> Result<Option<CaseView<AccountId>>, String>;

    /// The published exhibit of a case, encoded.
    fn exhibit(&self, id: CaseId) -> Result<Option<Vec<u8>>, String>;

    /// The models that an agent holds on the chain.
    fn held(&self, agent: &AccountId) -> Result<Vec<ModelId>, String>;

    /// Whether the chain would take an accusation; the name of the error if not.
    fn can_accuse(
        &self,
        agent: &AccountId,
        accusation: &Accusation,
    ) -> Result<Result<(), String>, String>;

    /// Accuses.
    fn accuse(
        &self,
        agent: &AccountId,
        accusation: Accusation,
        signature: Signature,
    ) -> Result<(), String>;

    /// Says which models an agent holds.
    fn hold(
        &self,
        agent: &AccountId,
        models: Vec<ModelId>,
        at: BlockNumber,
        signature: Signature,
    ) -> Result<(), String>;

    /// Commits to a finding.
    fn commit(
        &self,
        case: CaseId,
        agent: &AccountId,
        commitment: H256,
        signature: Signature,
    ) -> Result<(), String>;

    /// Reveals a finding.
    fn reveal(
        &self,
        case: CaseId,
        agent: &AccountId,
        finding: Finding,
        salt: [u8; 32],
    ) -> Result<(), String>;
}

/// The node's client with its pool.
pub struct CourtClient<Block: BlockT, C> {
    client: Arc<C>,
    pool: OffchainTransactionPoolFactory<Block>,
    block: PhantomData<Block>,
}

impl<Block, C> CourtClient<Block, C>
where
    Block: BlockT<Hash = H256>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: DisputesApi<Block, AccountId>,
{
    /// From the parts of the node.
    pub fn new(client: Arc<C>, pool: OffchainTransactionPoolFactory<Block>) -> Self {
        Self {
            client,
            pool,
            block: PhantomData,
        }
    }

    fn best(&self) -> H256 {
        self.client.info().best_hash
    }

    /// Puts a transaction into the pool.
    fn submit(&self, transaction: Vec<u8>) -> Result<(), String> {
        submit(&self.pool, self.best(), transaction)
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl<Block, C> CourtChain for CourtClient<Block, C>
where
    Block: BlockT<Hash = H256>,
    <Block::Header as Header>::Number: UniqueSaturatedInto<BlockNumber>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: DisputesApi<Block, AccountId>,
{
    fn now(&self) -> Result<Option<BlockNumber>, String> {
        let info = self.client.info();
        let api = self.client.runtime_api();
        let has_disputes = api.has_api::<dyn DisputesApi<Block, AccountId>>(info.best_hash);
        let number: BlockNumber = info.best_number.unique_saturated_into();
        Ok(has_disputes.map_err(text)?.then_some(number))
    }

    fn are_open(&self) -> Result<bool, String> {
        let api = self.client.runtime_api();
        api.are_open(self.best()).map_err(text)
    }

    fn genesis(&self) -> [u8; 32] {
        self.client.info().genesis_hash.0
    }

    fn duties(&self, agent: &AccountId) -> Result<Vec<DutyView>, String> {
        let api = self.client.runtime_api();
        api.duties(self.best(), agent.clone()).map_err(text)
    }

    fn case(&self, id: CaseId) -> Result<Option<CaseView<AccountId>>, String> {
        let api = self.client.runtime_api();
        api.case(self.best(), id).map_err(text)
    }

    fn exhibit(&self, id: CaseId) -> Result<Option<Vec<u8>>, String> {
        let api = self.client.runtime_api();
        api.exhibit(self.best(), id).map_err(text)
    }

    fn held(&self, agent: &AccountId) -> Result<Vec<ModelId>, String> {
        let api = self.client.runtime_api();
        let (models, _) = api.held(self.best(), agent.clone()).map_err(text)?;
        Ok(models)
    }

    fn can_accuse(
        &self,
        agent: &AccountId,
        accusation: &Accusation,
    ) -> Result<Result<(), String>, String> {
        let api = self.client.runtime_api();
        let can = api.can_accuse(self.best(), agent.clone(), accusation.clone());
        let can = can.map_err(text)?;
        Ok(can.map_err(|name| String::from_utf8_lossy(&name).into_owned()))
    }

    fn accuse(
        &self,
        agent: &AccountId,
        accusation: Accusation,
        signature: Signature,
    ) -> Result<(), String> {
        let api = self.client.runtime_api();
        let bytes = api.accuse(self.best(), agent.clone(), accusation, signature);
        self.submit(bytes.map_err(text)?)
    }

    fn hold(
        &self,
        agent: &AccountId,
        models: Vec<ModelId>,
        at: BlockNumber,
        signature: Signature,
    ) -> Result<(), String> {
        let api = self.client.runtime_api();
        let bytes = api.hold(self.best(), agent.clone(), models, at, signature);
        self.submit(bytes.map_err(text)?)
    }

    fn commit(
        &self,
        case: CaseId,
        agent: &AccountId,
        commitment: H256,
        signature: Signature,
    ) -> Result<(), String> {
        let api = self.client.runtime_api();
        let bytes = api.commit(self.best(), case, agent.clone(), commitment, signature);
        self.submit(bytes.map_err(text)?)
    }

    fn reveal(
        &self,
        case: CaseId,
        agent: &AccountId,
        finding: Finding,
        salt: [u8; 32],
    ) -> Result<(), String> {
        let api = self.client.runtime_api();
        let bytes = api.reveal(self.best(), case, agent.clone(), finding, salt);
        self.submit(bytes.map_err(text)?)
    }
}
