// SPDX-License-Identifier: Apache-2.0
//! The RPC methods that this node adds to those of `sc-service` (`chainHead`, `chainSpec`,
//! `transaction`, `archive`, and the older `author`, `chain`, `state`, `system`).

mod lanes;
mod traces;

use std::{error::Error, sync::Arc};

use jsonrpsee::RpcModule;
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_consensus_grandpa::{
    FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
use sc_rpc::SubscriptionTaskExecutor;
use sc_transaction_pool_api::TransactionPool;
use starling_runtime::{opaque::Block, BlockNumber, Hash};
use starling_worker::lanes::Lanes;
use substrate_frame_rpc_system::{System, SystemApiServer};

use crate::{
    client::{FullBackend, FullClient},
    traces::Desk,
};

/// Dependencies of the methods.
pub struct Deps<P> {
    /// The methods about the chain's specification and the swarm.
    pub swarm: RpcModule<()>,
    /// The chain.
    pub client: Arc<FullClient>,
    /// The transaction pool, for the next nonce of an account.
    pub pool: Arc<P>,
    /// Dependencies of the GRANDPA methods.
    pub grandpa: GrandpaDeps,
    /// The lanes.
    pub lanes: Lanes,
    /// The traces of answers.
    pub(crate) traces: Desk,
}

/// Dependencies of the GRANDPA methods.
#[derive(Clone)]
pub struct GrandpaDeps {
    /// Votes of the current round.
    pub voter_state: SharedVoterState,
    /// The authorities that vote.
    pub authority_set: SharedAuthoritySet<Hash, BlockNumber>,
    /// New justifications.
    pub justifications: GrandpaJustificationStream<Block>,
    /// Proofs of finality of past blocks.
    pub proofs: Arc<FinalityProofProvider<FullBackend, Block>>,
}

/// The methods, for one RPC server.
///
/// # Errors
/// When two methods have one name.
pub fn methods<P>(
    deps: Deps<P>,
    executor: SubscriptionTaskExecutor,
) -> Result<RpcModule<()>, Box<dyn Error + Send + Sync>>
where
    P: TransactionPool<Block = Block> + 'static,
{
    let Deps {
        swarm,
        client,
        pool,
        grandpa,
        lanes,
        traces,
    } = deps;
    let mut module = swarm;
    module.merge(System::new(client.clone(), pool).into_rpc())?;
    module.merge(TransactionPayment::new(client).into_rpc())?;
    module.merge(
        Grandpa::new(
            executor,
            grandpa.authority_set,
            grandpa.voter_state,
            grandpa.justifications,
            grandpa.proofs,
        )
        .into_rpc(),
    )?;
    module.merge(lanes::methods(lanes)?)?;
    module.merge(traces::methods(traces)?)?;
    Ok(module)
}
