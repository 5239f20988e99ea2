// SPDX-License-Identifier: Apache-2.0
//! Sending transactions.

use starling_primitives::{
    round::BlockNumber, Balance, InferenceKey, InferenceSignature, RoundId, H256,
};
use subxt::{
    client::OnlineClientAtBlockImpl,
    config::DefaultExtrinsicParamsBuilder,
    dynamic::{tx, Value},
    error::{BackendError, ExtrinsicError, RpcError, TransactionProgressError},
    ext::scale_value::Composite,
    rpcs,
    tx::{DynamicPayload, TransactionInBlock, TransactionProgress, TransactionStatus},
    SubstrateConfig,
};
use subxt_signer::sr25519::Keypair;

use crate::{
    chain::protocol,
    error,
    events::{self, Event},
    Chain, Error, Result,
};

/// A call, by names.
pub type Call = DynamicPayload<Composite<()>>;

/// A request, see `pallet-rounds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub prompt: String,
    /// What is paid for the answer.
    pub fee: Balance,
    /// The longest answer, in tokens of the agent's model.
    pub max_tokens: u32,
    /// With fewer answers the round fails.
    pub min_responses: u32,
    /// So many agents get in at most.
    pub max_responses: u32,
}

impl Request {
    /// The call that asks.
    pub fn call(&self) -> Call {
        call(
            "Rounds",
            "request",
            vec![
                ("prompt", Value::from_bytes(&self.prompt)),
                ("fee", Value::u128(self.fee)),
                ("max_tokens", Value::u128(self.max_tokens.into())),
                ("min_responses", Value::u128(self.min_responses.into())),
                ("max_responses", Value::u128(self.max_responses.into())),
            ],
        )
    }
}

/// What an agent says it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its file.
    pub hash: H256,
}

impl Model {
    fn value(&self) -> Value {
        Value::named_composite([
            ("name", Value::from_bytes(&self.name)),
            ("hash", Value::from_bytes(self.hash)),
        ])
    }
}

/// Becomes an agent.
pub fn register(
    key: &InferenceKey,
    proof: &InferenceSignature,
    model: &Model,
    bond: Balance,
) -> Call {
    call(
        "Agents",
        "register",
        vec![
            ("key", Value::from_bytes(key)),
            ("proof", Value::from_bytes(proof)),
            ("model", model.value()),
            ("bond", Value::u128(bond)),
        ],
    )
}

/// Gives an agent a new inference key.
pub fn rotate_key(key: &InferenceKey, proof: &InferenceSignature) -> Call {
    call(
        "Agents",
        "rotate_key",
        vec![
            ("key", Value::from_bytes(key)),
            ("proof", Value::from_bytes(proof)),
        ],
    )
}

/// Says that an agent runs another model.
pub fn set_model(model: &Model) -> Call {
    call("Agents", "set_model", vec![("model", model.value())])
}

/// A call that takes an amount: `bond_extra` and `unbond` of `Agents`, `buy` and `refund` of
/// `Tickets`.
pub fn with_amount(pallet: &str, name: &str, amount: Balance) -> Call {
    call(pallet, name, vec![("amount", Value::u128(amount))])
}

/// A call without arguments.
pub fn call_of(pallet: &str, name: &str) -> Call {
    call(pallet, name, vec![])
}

fn call(pallet: &str, name: &str, arguments: Vec<(&str, Value)>) -> Call {
    tx(pallet, name, Composite::named(arguments))
}

/// A transaction that is in a block.
type InBlock = TransactionInBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

/// A transaction on its way.
pub struct Submitted {
    progress: TransactionProgress<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>,
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// In no block yet, or not any more.
    Pending,
    /// In a block that is not final.
    InBlock(Success),
    /// In a block that is final.
    Final(Success),
}

/// A transaction that is in a block and did what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// The number of the block.
    pub block: BlockNumber,
    /// The round that it opened, if it is a request.
    pub round: Option<RoundId>,
}

/// Signs `call` and gives it to the node.
pub async fn submit(chain: &Chain, call: &Call, signer: &Keypair) -> Result<Submitted> {
    // The node counts what waits in its pool; the last final block does not know it yet.
    let nonce = chain.next_nonce(signer).await?;
    let parameters = DefaultExtrinsicParamsBuilder::new().nonce(nonce).build();
    let mut transactions = chain.api.transactions().await.map_err(protocol)?;
    let progress = transactions
        .sign_and_submit_then_watch(call, signer, parameters)
        .await
        .map_err(of_submission)?;
    Ok(Submitted { progress })
}

/// Signs `call`, sends it, and waits until it is in a final block.
pub async fn send(chain: &Chain, call: &Call, signer: &Keypair) -> Result<Success> {
    let mut submitted = submit(chain, call, signer).await?;
    loop {
        if let Status::Final(success) = submitted.next(chain).await? {
            return Ok(success);
        }
    }
}

/// What the node says of a transaction, not looked into yet.
pub(crate) type News = Option<
    std::result::Result<
        TransactionStatus<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>,
        TransactionProgressError,
    >,
>;

impl Submitted {
    /// Waits for news. An error if the transaction failed or will never be in a block.
    pub async fn next(&mut self, chain: &Chain) -> Result<Status> {
        let news = self.news().await;
        look_into(chain, news).await
    }

    /// Waits for news. Nothing is lost when the caller stops waiting.
    pub(crate) async fn news(&mut self) -> News {
        self.progress.next().await
    }
}

/// What news means.
pub(crate) async fn look_into(chain: &Chain, news: News) -> Result<Status> {
    let status = news
        .ok_or_else(|| protocol("the node does not follow the transaction any more"))?
        .map_err(protocol)?;
    match status {
        TransactionStatus::InBestBlock(block) => Ok(Status::InBlock(success(chain, &block).await?)),
        TransactionStatus::InFinalizedBlock(block) => {
            Ok(Status::Final(success(chain, &block).await?))
        },
        TransactionStatus::Invalid { message } | TransactionStatus::Dropped { message } => {
            Err(Error::Refused(error::pool_words(&message)))
        },
        TransactionStatus::Error { message } => Err(protocol(message)),
        TransactionStatus::Validated
        | TransactionStatus::Broadcasted
        | TransactionStatus::NoLongerInBestBlock => Ok(Status::Pending),
    }
}

async fn success(chain: &Chain, block: &InBlock) -> Result<Success> {
    let events = block
        .wait_for_success()
        .await
        .map_err(|error| error::of_events(error, chain.currency()))?;
    let mut round = None;
    for event in events.iter() {
        let event = event.map_err(protocol)?;
        let known = events::decode(event.pallet_name(), event.event_name(), event.field_bytes())?;
        if let Some((id, Event::Requested { .. })) = known {
            round = Some(id);
        }
    }
    let at = chain.at(H256(block.block_hash().0)).await?;
    Ok(Success {
        block: at.number(),
        round,
    })
}

fn of_submission(error: ExtrinsicError) -> Error {
    match error {
        ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
            rpcs::Error::User(refusal),
        ))) => Error::Refused(error::of_pool(&refusal)),
        other => protocol(other),
    }
}
