// SPDX-License-Identifier: Apache-2.0

//! The lane's questions to the chain, and the node's client behind it.

use std::{marker::PhantomData, sync::Arc};

use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_core::{sr25519, H256};
use sp_keystore::KeystorePtr;
use sp_runtime::traits::{Block as BlockT, Header, UniqueSaturatedInto};
use starling_lane::{book::Evidence, transport::Peer, wire::Place};
use starling_lane_primitives::{
    certificate::Signature, checkpoint::Checkpoint, seal::Point, Certificate, Hash,
};
use starling_primitives::{
    api::{
        lanes::{
            CommitteeView, Epoch, EpochView, LaneId, LaneView, LanesApi, ProgressView, RulesView,
            SeatView,
        },
        RoundsApi,
    },
    round::BlockNumber,
    InferenceKey, INFERENCE,
};

use crate::{chain::submit, AccountId, LOG_TARGET};

/// The promise of an agent to serve in an epoch, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The agent.
    pub agent: AccountId,
    /// The epoch.
    pub epoch: Epoch,
    /// The point that shares are encrypted to.
    pub point: Point,
    /// The key of its node.
    pub peer: Peer,
}

/// The rules in force on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The rules of lanes.
    pub rules: RulesView<AccountId>,
    /// The rating up to which a member has no weight as a ranker.
    pub weight_floor: u64,
    /// The time between two blocks, in milliseconds.
    pub slot_ms: u64,
}

/// The lane's questions to the chain, all as of the best block. Blocking, but for `sign`.
pub trait LaneChain: Send + Sync + 'static {
    /// The number of the best block, and the present epoch. `None` if the chain has no lanes.
    fn now(&self) -> Result<Option<(BlockNumber, EpochView)>, String>;

    /// The rules in force.
    fn in_force(&self) -> Result<InForce, String>;

    /// A lane.
    fn lane(&self, id: LaneId) -> Result<Option<LaneView<AccountId>>, String>;

    /// The committee of a lane.
    fn committee(
        &self,
        lane: LaneId,
        epoch: Epoch,
    ) -> Result<Option<CommitteeView<AccountId>>, String>;

    /// The agents whose keys this node has.
    fn agents(&self) -> Result<Vec<(AccountId, InferenceKey)>, String>;

    /// The seats of an agent.
    fn seats(&self, agent: &AccountId, epoch: Epoch) -> Result<Vec<SeatView<AccountId>>, String>;

    /// Whether an agent has joined.
    fn has_joined(&self, agent: &AccountId, epoch: Epoch) -> Result<bool, String>;

    /// The progress of a lane's settlement.
    fn progress(&self, lane: LaneId, epoch: Epoch) -> Result<ProgressView, String>;

    /// The requests of the block of 64 from `first` on that were escalated: bit `i` is request
    /// `first + i`.
    fn escalations(&self, lane: LaneId, epoch: Epoch, first: u32) -> Result<u64, String>;

    /// Whether the bond of an agent's seat is locked, or can be.
    fn is_liable(&self, agent: &AccountId, lane: LaneId, epoch: Epoch) -> Result<bool, String>;

    /// Joins.
    fn join(&self, join: Join, signature: Signature) -> Result<(), String>;

    /// Settles, if the chain would take it.
    fn settle(&self, checkpoint: Checkpoint, certificate: Certificate) -> Result<(), String>;

    /// Shows the certificate of a request that was escalated.
    fn show(&self, place: Place, outcome: Hash, certificate: Certificate) -> Result<(), String>;

    /// Reports a member that has signed two things of which it may sign one. False if the chain
    /// would refuse it: it knows of that member already, or the evidence is none.
    fn report(&self, evidence: Evidence) -> Result<bool, String>;

    /// Signs with an inference key of this node.
    fn sign(&self, key: &InferenceKey, payload: &Hash) -> Option<Signature>;
}

/// The node's client with its keystore and its pool.
pub struct LaneClient<Block: BlockT, C> {
    client: Arc<C>,
    keystore: KeystorePtr,
    pool: OffchainTransactionPoolFactory<Block>,
    slot_ms: u64,
    block: PhantomData<Block>,
}

impl<Block, C> LaneClient<Block, C>
where
    Block: BlockT<Hash = H256>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: LanesApi<Block, AccountId> + RoundsApi<Block, AccountId>,
{
    /// From the parts of the node. `slot_ms` is the time between two blocks.
    pub fn new(
        client: Arc<C>,
        keystore: KeystorePtr,
        pool: OffchainTransactionPoolFactory<Block>,
        slot_ms: u64,
    ) -> Self {
        Self {
            client,
            keystore,
            pool,
            slot_ms,
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

impl<Block, C> LaneChain for LaneClient<Block, C>
where
    Block: BlockT<Hash = H256>,
    <Block::Header as Header>::Number: UniqueSaturatedInto<BlockNumber>,
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
    C::Api: LanesApi<Block, AccountId> + RoundsApi<Block, AccountId>,
{
    fn now(&self) -> Result<Option<(BlockNumber, EpochView)>, String> {
        let info = self.client.info();
        let api = self.client.runtime_api();
        let has_lanes = api.has_api::<dyn LanesApi<Block, AccountId>>(info.best_hash);
        if !has_lanes.map_err(text)? {
            return Ok(None);
        }
        let epoch = api.epoch(info.best_hash).map_err(text)?;
        Ok(Some((info.best_number.unique_saturated_into(), epoch)))
    }

    fn in_force(&self) -> Result<InForce, String> {
        let (api, at) = (self.client.runtime_api(), self.best());
        Ok(InForce {
            rules: api.rules(at).map_err(text)?,
            weight_floor: api.weight_floor(at).map_err(text)?,
            slot_ms: self.slot_ms,
        })
    }

    fn lane(&self, id: LaneId) -> Result<Option<LaneView<AccountId>>, String> {
        self.client
            .runtime_api()
            .lane(self.best(), id)
            .map_err(text)
    }

    fn committee(
        &self,
        lane: LaneId,
        epoch: Epoch,
    ) -> Result<Option<CommitteeView<AccountId>>, String> {
        let api = self.client.runtime_api();
        api.committee(self.best(), lane, epoch).map_err(text)
    }

    fn agents(&self) -> Result<Vec<(AccountId, InferenceKey)>, String> {
        let (api, at) = (self.client.runtime_api(), self.best());
        let keys = self.keystore.sr25519_public_keys(INFERENCE).into_iter();
        let mut agents = vec![];
        for key in keys.map(InferenceKey::from) {
            if let Some(agent) = api.agent_of(at, key.clone()).map_err(text)? {
                agents.push((agent, key));
            }
        }
        Ok(agents)
    }

    fn seats(&self, agent: &AccountId, epoch: Epoch) -> Result<Vec<SeatView<AccountId>>, String> {
        let api = self.client.runtime_api();
        api.seats(self.best(), agent.clone(), epoch).map_err(text)
    }

    fn has_joined(&self, agent: &AccountId, epoch: Epoch) -> Result<bool, String> {
        let api = self.client.runtime_api();
        api.has_joined(self.best(), agent.clone(), epoch)
            .map_err(text)
    }

    fn progress(&self, lane: LaneId, epoch: Epoch) -> Result<ProgressView, String> {
        let api = self.client.runtime_api();
        api.progress(self.best(), lane, epoch).map_err(text)
    }

    fn escalations(&self, lane: LaneId, epoch: Epoch, first: u32) -> Result<u64, String> {
        let api = self.client.runtime_api();
        api.escalations(self.best(), lane, epoch, first)
            .map_err(text)
    }

    fn is_liable(&self, agent: &AccountId, lane: LaneId, epoch: Epoch) -> Result<bool, String> {
        let api = self.client.runtime_api();
        api.is_liable(self.best(), agent.clone(), lane, epoch)
            .map_err(text)
    }

    fn join(&self, join: Join, signature: Signature) -> Result<(), String> {
        let Join {
            agent,
            epoch,
            point,
            peer,
        } = join;
        let api = self.client.runtime_api();
        let bytes = api.join(self.best(), agent, epoch, point, peer, signature);
        self.submit(bytes.map_err(text)?)
    }

    fn settle(&self, checkpoint: Checkpoint, certificate: Certificate) -> Result<(), String> {
        let (api, at) = (self.client.runtime_api(), self.best());
        let can = api.can_settle(at, checkpoint.clone()).map_err(text)?;
        can.map_err(|reason| String::from_utf8_lossy(&reason).into_owned())?;
        let bytes = api.settle(at, checkpoint, certificate).map_err(text)?;
        self.submit(bytes)
    }

    fn show(&self, place: Place, outcome: Hash, certificate: Certificate) -> Result<(), String> {
        let Place { lane, epoch, seq } = place;
        let api = self.client.runtime_api();
        let bytes = api.show_certificate(self.best(), lane, epoch, seq, H256(outcome), certificate);
        self.submit(bytes.map_err(text)?)
    }

    fn report(&self, evidence: Evidence) -> Result<bool, String> {
        let Evidence { by, first, second } = evidence;
        let api = self.client.runtime_api();
        let bytes = api.equivocation(self.best(), by.into(), first, second);
        match bytes.map_err(text)? {
            Some(bytes) => self.submit(bytes).map(|()| true),
            None => Ok(false),
        }
    }

    fn sign(&self, key: &InferenceKey, payload: &Hash) -> Option<Signature> {
        let key: sr25519::Public = key.clone().into();
        match self.keystore.sr25519_sign(INFERENCE, &key, payload) {
            Ok(signature) => Some(signature?.0),
            Err(error) => {
                log::warn!(target: LOG_TARGET, "the keystore cannot sign: {error}");
                None
            },
        }
    }
}
