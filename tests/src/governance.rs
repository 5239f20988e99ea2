// SPDX-License-Identifier: Apache-2.0
//! The committee at work. It also works on a chain that finalises nothing: what it sends waits for
//! the best chain, has no time limit, and takes its nonce from the pool.

use std::sync::Arc;

use anyhow::{bail, ensure, Context, Result};
use futures::future::try_join_all;
use subxt::{
    backend::LegacyBackend,
    config::{DefaultExtrinsicParamsBuilder, RpcConfigFor},
    dynamic::{storage, Value},
    rpcs::{methods::legacy::NumberOrHex, LegacyRpcMethods},
    tx::{Payload, TransactionStatus},
    utils::H256,
    OnlineClient, SubstrateConfig,
};
use subxt_signer::sr25519::Keypair;

use crate::{
    chain::{account_id, call, AtBlock, Call},
    Api, Node,
};

/// Bound on the weight of what the committee executes: a tenth of a second.
const WEIGHT: [(&str, u128); 2] = [("ref_time", 100_000_000_000), ("proof_size", 500_000)];

/// Some members of the committee, through one node.
pub struct Committee<'a> {
    members: &'a [Keypair],
    api: Api,
    rpc: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
}

impl<'a> Committee<'a> {
    /// These members, who agree about everything.
    pub async fn new(members: &'a [Keypair], node: &Node) -> Result<Self> {
        // The other backend pins every block until it is final.
        let backend = LegacyBackend::builder().build(node.rpc().await?);
        Ok(Self {
            members,
            api: OnlineClient::from_backend(Arc::new(backend)).await?,
            rpc: node.methods().await?,
        })
    }

    /// The best block.
    pub async fn best(&self) -> Result<AtBlock> {
        let best = self.rpc.chain_get_block_hash(None::<NumberOrHex>).await?;
        Ok(self
            .api
            .at_block(best.context("the chain is empty")?)
            .await?)
    }

    /// Height of the last final block.
    pub async fn finalised(&self) -> Result<u64> {
        let hash = self.rpc.chain_get_finalized_head().await?;
        Ok(self.api.at_block(hash).await?.block_number())
    }

    /// Hash of the block of this height.
    pub async fn hash(&self, height: u64) -> Result<H256> {
        let hash = self.rpc.chain_get_block_hash(Some(height.into())).await?;
        hash.context("the chain is not that long")
    }

    /// Waits for a best block after which `condition` holds.
    pub async fn until<Condition>(&self, condition: Condition) -> Result<AtBlock>
    where
        Condition: AsyncFn(&AtBlock) -> Result<bool>,
    {
        let mut blocks = self.api.stream_best_blocks().await?;
        loop {
            let block = blocks.next().await.context("no more blocks")??;
            let at = block.at().await?;
            if condition(&at).await? {
                return Ok(at);
            }
        }
    }

    /// Sends a call and waits until the best chain has it and it has succeeded.
    pub async fn send(&self, call: &impl Payload, signer: &Keypair) -> Result<()> {
        let nonce = self
            .rpc
            .system_account_next_index(&account_id(signer))
            .await?;
        let parameters = DefaultExtrinsicParamsBuilder::new().immortal().nonce(nonce);
        let mut transactions = self.api.transactions().await?;
        let sent = transactions.sign_and_submit_then_watch(call, signer, parameters.build());
        let mut progress = sent.await?;
        while let Some(status) = progress.next().await {
            match status? {
                TransactionStatus::InBestBlock(block)
                | TransactionStatus::InFinalizedBlock(block) => {
                    block.wait_for_success().await?;
                    return Ok(());
                },
                TransactionStatus::Error { message }
                | TransactionStatus::Invalid { message }
                | TransactionStatus::Dropped { message } => bail!("not sent: {message}"),
                _ => {},
            }
        }
        bail!("the node forgot a transaction")
    }

    /// Proposes a call, votes for it with every member, and has it executed with the committee's
    /// origin.
    pub async fn decide(&self, motion: Call) -> Result<()> {
        let (proposer, others) = self.members.split_first().context("no members")?;
        let bytes = self.api.transactions().await?.call_data(&motion)?;
        let hash = Value::from_bytes(sp_io::hashing::blake2_256(&bytes));
        let length = Value::u128(bytes.len().try_into()?);
        let count = storage::<(), u32>("Committee", "ProposalCount");
        let index = match self.best().await?.storage().try_fetch(count, ()).await? {
            Some(index) => index.decode()?,
            None => 0,
        };
        let index = Value::u128(index.into());

        let threshold = Value::u128(self.members.len().try_into()?);
        let propose = vec![threshold, motion.into_value(), length.clone()];
        self.send(&call("Committee", "propose", propose), proposer)
            .await?;
        let vote = vec![hash.clone(), index.clone(), Value::bool(true)];
        let vote = call("Committee", "vote", vote);
        self.send(&vote, proposer).await?;
        try_join_all(others.iter().map(|member| self.send(&vote, member))).await?;
        let close = vec![hash.clone(), index, weight(), length];
        self.send(&call("Committee", "close", close), proposer)
            .await?;

        let open = storage::<(), Vec<[u8; 32]>>("Committee", "Proposals");
        let best = self.best().await?;
        let open = best.storage().fetch(open, ()).await?.decode()?;
        ensure!(open.is_empty(), "the committee is not done");
        Ok(())
    }

    /// Whitelists a call and dispatches it as root.
    pub async fn as_root(&self, inner: Call) -> Result<()> {
        let proposer = self.members.first().context("no members")?;
        let bytes = self.api.transactions().await?.call_data(&inner)?;
        let hash = Value::from_bytes(sp_io::hashing::blake2_256(&bytes));
        self.decide(call("Whitelist", "whitelist_call", vec![hash]))
            .await?;
        let dispatch = call(
            "Whitelist",
            "dispatch_whitelisted_call_with_preimage",
            vec![inner.into_value()],
        );
        self.send(&dispatch, proposer).await
    }
}

fn weight() -> Value {
    Value::named_composite(WEIGHT.map(|(name, value)| (name, Value::u128(value))))
}
