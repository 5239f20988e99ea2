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
    /// The prompt.
    pub prompt: String,
    /// The fee for the answer.
    pub fee: Balance,
    /// The maximum length of an answer, in tokens of the agent's model.
    pub max_tokens: u32,
    /// The minimum number of answers for the round to succeed.
    pub min_responses: u32,
    /// The maximum number of answers.
    pub max_responses: u32,
}

impl Request {
    /// The call of the request.
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

/// The model that an agent announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name.
    pub name: String,
    /// The SHA-256 of the file.
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

/// Registers an agent.
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

/// Announces another model of an agent.
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

/// A submitted transaction.
pub struct Submitted {
    /// The first report, which was waited for already.
    first: News,
    progress: TransactionProgress<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>,
}

/// The status of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not in a block.
    Pending,
    /// In a block that is not final.
    InBlock(Success),
    /// In a block that is final.
    Final(Success),
}

/// A successful transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// The number of the block.
    pub block: BlockNumber,
    /// The round that a request opened.
    pub round: Option<RoundId>,
}

/// Number of nonces that are tried while other transactions of the account take them.
const TRIES: usize = 32;

/// Signs `call` and submits it to the node. Another transaction of the account may take its nonce
/// at the same time; the call then gets the next one.
pub async fn submit(chain: &Chain, call: &Call, signer: &Keypair) -> Result<Submitted> {
    let mut transactions = chain.api.transactions().await.map_err(protocol)?;
    let mut tries = 1;
    loop {
        // The node counts the transactions in its pool, which the last final block does not have.
        let nonce = chain.next_nonce(signer).await?;
        let parameters = DefaultExtrinsicParamsBuilder::new().nonce(nonce).build();
        let sent = transactions.sign_and_submit_then_watch(call, signer, parameters);
        let refused = match sent.await {
            Ok(mut progress) => match progress.next().await {
                Some(Ok(
                    refused @ (TransactionStatus::Invalid { .. }
                    | TransactionStatus::Dropped { .. }),
                )) => Ok(Submitted {
                    progress,
                    first: Some(Ok(refused)),
                }),
                first => return Ok(Submitted { progress, first }),
            },
            Err(error) => match of_submission(error) {
                refused @ Error::Refused(_) => Err(refused),
                // It may be in the pool all the same, where a second one would pay again.
                lost => return Err(lost),
            },
        };
        // The node's interfaces word a refusal in many ways; a nonce that is taken is a fact.
        if tries == TRIES || chain.next_nonce(signer).await? <= nonce {
            return refused;
        }
        tries += 1;
    }
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

/// A report of the node about a transaction, unread.
pub(crate) type News = Option<
    std::result::Result<
        TransactionStatus<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>,
        TransactionProgressError,
    >,
>;

impl Submitted {
    /// Waits for news. Fails if the transaction failed or will never be in a block.
    pub async fn next(&mut self, chain: &Chain) -> Result<Status> {
        let news = self.news().await;
        look_into(chain, news).await
    }

    /// Waits for news. Nothing is lost if the caller stops waiting.
    pub(crate) async fn news(&mut self) -> News {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.progress.next().await,
        }
    }
}

/// Reads news.
pub(crate) async fn look_into(chain: &Chain, news: News) -> Result<Status> {
    let status = news
        .ok_or_else(|| protocol("the node no longer follows the transaction"))?
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
