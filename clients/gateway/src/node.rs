// SPDX-License-Identifier: Apache-2.0
//! The connection to a node, made again whenever it is lost.

use std::time::Duration;

use starling_client::{amount::Currency, At, Chain, Error};
use starling_primitives::{Balance, H256};
use tokio::{sync::RwLock, time::timeout};

use crate::failure::Failure;

/// The longest time that a node may take for one small answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A node.
pub struct Node {
    url: String,
    insecure: bool,
    genesis: H256,
    chain: RwLock<Chain>,
}

/// Limits of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum length of a prompt, in bytes.
    pub max_prompt: usize,
    /// The maximum length of an answer, in tokens.
    pub max_tokens: u32,
    /// The least fee.
    pub min_fee: Balance,
    /// The least number of answers.
    pub min_responses: u32,
    /// The maximum number of open rounds.
    pub max_open: u32,
    /// The maximum number of open rounds of one account.
    pub max_requests: u32,
    /// Whether the chain counts equal answers.
    pub counts_answers: bool,
}

impl Bounds {
    fn read(at: &At) -> Result<Self, Error> {
        Ok(Self {
            max_prompt: at
                .constant::<u32>("Rounds", "MaxPrompt")?
                .try_into()
                .unwrap_or(usize::MAX),
            max_tokens: at.constant("Rounds", "MaxTokens")?,
            min_fee: at.constant("Rounds", "MinFee")?,
            min_responses: at.constant("Rounds", "MinResponses")?,
            max_open: at.constant("Rounds", "MaxOpenRounds")?,
            max_requests: at.constant("Rounds", "MaxRequests")?,
            counts_answers: at.has_capabilities(),
        })
    }
}

impl Node {
    /// Connects. `insecure` allows an unencrypted connection to another machine.
    pub async fn connect(url: &str, insecure: bool) -> Result<Self, Error> {
        let chain = Chain::connect(url, insecure).await?;
        Ok(Self {
            url: url.into(),
            insecure,
            genesis: chain.genesis(),
            chain: RwLock::new(chain),
        })
    }

    /// The hash of the genesis block.
    pub fn genesis(&self) -> &H256 {
        &self.genesis
    }

    /// The currency of the chain.
    pub async fn currency(&self) -> Currency {
        self.chain.read().await.currency().clone()
    }

    /// A connection that works, and whether the node has the blocks of its peers.
    async fn connection(&self) -> Result<(Chain, bool), Failure> {
        let chain = self.chain.read().await.clone();
        if let Ok(Ok(synced)) = timeout(PATIENCE, chain.is_synced()).await {
            return Ok((chain, synced));
        }
        let mut kept = self.chain.write().await;
        // Another caller may have connected meanwhile.
        if let Ok(Ok(synced)) = timeout(PATIENCE, kept.is_synced()).await {
            return Ok((kept.clone(), synced));
        }
        let new = timeout(PATIENCE, Chain::connect(&self.url, self.insecure)).await;
        let chain = match new {
            Ok(Ok(chain)) if chain.genesis() == self.genesis => chain,
            _ => return Err(Failure::NodeUnreachable),
        };
        let synced = chain.is_synced().await;
        *kept = chain.clone();
        Ok((chain, synced.map_err(unreachable)?))
    }

    /// A connection to read with.
    pub async fn chain(&self) -> Result<Chain, Failure> {
        self.connection().await.map(|(chain, _)| chain)
    }

    /// A connection to a node that is synced.
    pub async fn synced(&self) -> Result<Chain, Failure> {
        match self.connection().await? {
            (chain, true) => Ok(chain),
            _ => Err(Failure::NodeUnreachable),
        }
    }

    /// The best block of a synced node, and what the chain accepts there.
    pub async fn best(&self) -> Result<(Chain, At, Bounds), Failure> {
        let chain = self.synced().await?;
        let at = timeout(PATIENCE, chain.best())
            .await
            .map_err(|_| Failure::NodeUnreachable)?
            .map_err(unreachable)?;
        let bounds = Bounds::read(&at).map_err(unreachable)?;
        Ok((chain, at, bounds))
    }
}

/// The failure of a call that reads.
pub fn unreachable(_: Error) -> Failure {
    Failure::NodeUnreachable
}
