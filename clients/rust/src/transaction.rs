// SPDX-License-Identifier: Apache-2.0
//! Sending transactions.

use codec::Decode;
use serde::Deserialize;
use starling_primitives::{
    api::lanes::LaneId, round::BlockNumber, Balance, InferenceKey, InferenceSignature, RoundId,
    H256,
};
use subxt::{
    client::OnlineClientAtBlockImpl,
    config::DefaultExtrinsicParamsBuilder,
    dynamic::{tx, Value},
    error::{BackendError, DispatchError, ExtrinsicError, RpcError, TransactionProgressError},
    ext::scale_value::Composite,
    rpcs::{self, methods::legacy::Bytes},
    tx::{DynamicPayload, TransactionInBlock, TransactionProgress, TransactionStatus},
    SubstrateConfig,
};
use subxt_signer::sr25519::Keypair;

use crate::{
    answers::{self, Answers},
    chain::protocol,
    error,
    events::{self, Event},
    lane::calls::LANES,
    At, Chain, Error, Result,
};

/// The length of a session key, in bytes.
const SESSION_KEY: usize = 32;

/// A call, by names.
pub type Call = DynamicPayload<Composite<()>>;

/// A request, see `pallet-rounds` and `pallet-capabilities`.
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
    /// The form of the answers.
    pub answers: Answers,
}

impl Request {
    /// The call of the request.
    pub fn call(&self) -> Call {
        let mut arguments = vec![
            ("prompt", Value::from_bytes(&self.prompt)),
            ("fee", Value::u128(self.fee)),
            ("max_tokens", Value::u128(self.max_tokens.into())),
            ("min_responses", Value::u128(self.min_responses.into())),
            ("max_responses", Value::u128(self.max_responses.into())),
        ];
        match self.answers {
            Answers::Free => call("Rounds", "request", arguments),
            Answers::Declared { form, commitment } => {
                arguments.push(("form", answers::value(form)));
                arguments.push(("commitment", Value::from_bytes(commitment)));
                call("Capabilities", "ask", arguments)
            },
        }
    }
}

/// A known answer that becomes public, see `pallet-capabilities`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reveal {
    /// The round of the question.
    pub round: RoundId,
    /// The index of the question in the pool.
    pub index: u32,
    /// The hashes of the keys of the right answer.
    pub keys: Vec<H256>,
    /// The share of right answers by chance, in millionths.
    pub chance: u32,
    /// The salt of the commitment.
    pub salt: [u8; 32],
    /// The proof that the question is in the pool.
    pub proof: Vec<H256>,
}

impl Reveal {
    /// The call of the reveal.
    pub fn call(&self) -> Call {
        let keys = self.keys.iter().map(Value::from_bytes);
        let proof = self.proof.iter().map(Value::from_bytes);
        call(
            "Capabilities",
            "reveal_answer",
            vec![
                ("round", Value::u128(self.round.into())),
                ("index", Value::u128(self.index.into())),
                ("keys", Value::unnamed_composite(keys)),
                ("chance", Value::u128(self.chance.into())),
                ("salt", Value::from_bytes(self.salt)),
                ("proof", Value::unnamed_composite(proof)),
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

/// Session keys with the proof of their owner, as `starling-node key session --json` prints them.
#[derive(Clone, Debug, Deserialize)]
pub struct SessionKeys {
    keys: Bytes,
    proof: Bytes,
}

/// Announces session keys of a validator.
///
/// # Errors
///
/// If they are no keys of this chain.
pub fn set_session_keys(made: &SessionKeys) -> Result<Call> {
    let parts = made.keys.0.split_at_checked(SESSION_KEY);
    let parts = parts.filter(|(_, grandpa)| grandpa.len() == SESSION_KEY);
    let (aura, grandpa) = parts.ok_or_else(|| protocol("these are not two session keys"))?;
    let keys = Value::named_composite([
        ("aura", Value::from_bytes(aura)),
        ("grandpa", Value::from_bytes(grandpa)),
    ]);
    let proof = Value::from_bytes(&made.proof.0);
    let arguments = vec![("keys", keys), ("proof", proof)];
    Ok(call("Session", "set_keys", arguments))
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

/// A call with named arguments.
pub(crate) fn call(pallet: &str, name: &str, arguments: Vec<(&str, Value)>) -> Call {
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
    /// The lane that was opened.
    pub lane: Option<LaneId>,
}

/// Number of nonces that are tried while other transactions of the account take them.
const TRIES: usize = 32;

/// Number of blocks in which a transaction can be included after it was signed.
const MORTALITY: BlockNumber = 64;

/// A signed transaction. Sending its bytes twice pays once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The encoded transaction.
    pub bytes: Vec<u8>,
    /// Its hash.
    pub hash: H256,
    /// Its nonce.
    pub nonce: u64,
    /// The block as of which it was signed, which is final. Later blocks can include it.
    pub signed_at: BlockNumber,
    /// The last block that can include it.
    pub last: BlockNumber,
}

impl Signed {
    async fn new(chain: &Chain, call: &Call, signer: &Keypair, nonce: u64) -> Result<Self> {
        let at = chain.finalized().await?;
        let parameters = DefaultExtrinsicParamsBuilder::new()
            .nonce(nonce)
            .mortal(MORTALITY.into())
            .build();
        let mut transactions = at.inner.transactions();
        let signed = transactions.create_signed(call, signer, parameters).await;
        let signed = signed.map_err(protocol)?;
        Ok(Self {
            bytes: signed.encoded().to_vec(),
            hash: H256(signed.hash().0),
            nonce,
            signed_at: at.number(),
            last: at.number().saturating_add(MORTALITY),
        })
    }

    /// Submits the transaction to the node, and waits for its first report.
    ///
    /// Fails with [`Error::Refused`] if the node's pool does not take it, as when it is in a block
    /// already.
    pub async fn send(&self, chain: &Chain) -> Result<Submitted> {
        let transactions = chain.api.transactions().await.map_err(protocol)?;
        let transaction = transactions.from_bytes(self.bytes.clone());
        let mut progress = transaction
            .submit_and_watch()
            .await
            .map_err(of_submission)?;
        match progress.next().await {
            Some(Ok(
                TransactionStatus::Invalid { message } | TransactionStatus::Dropped { message },
            )) => Err(error::of_loss(&message)),
            first => Ok(Submitted { progress, first }),
        }
    }
}

/// Signs `call` and submits it to the node. Another transaction of the account may take its nonce
/// at the same time; the call then gets the next one.
pub async fn submit(chain: &Chain, call: &Call, signer: &Keypair) -> Result<Submitted> {
    submit_kept(chain, call, signer, &mut |_| Ok(())).await
}

/// As [`submit`]. `keep` gets each signed transaction before it is sent, and stops it by an error.
/// The node's pool has refused all of them but the last.
pub async fn submit_kept(
    chain: &Chain,
    call: &Call,
    signer: &Keypair,
    keep: &mut Keep<'_>,
) -> Result<Submitted> {
    let mut tries = 1;
    let _turn = chain.turn(signer).await;
    loop {
        // The node counts the transactions in its pool, which the last final block does not have.
        let nonce = chain.next_nonce(signer).await?;
        let signed = Signed::new(chain, call, signer, nonce).await?;
        keep(&signed)?;
        let refused = match signed.send(chain).await {
            Err(refused @ Error::Refused(_)) => refused,
            done => return done,
        };
        // The node's interfaces word a refusal in many ways; a nonce that is taken is a fact.
        if tries == TRIES || chain.next_nonce(signer).await? <= nonce {
            return Err(refused);
        }
        tries += 1;
    }
}

/// Keeps a signed transaction before it is sent.
pub type Keep<'a> = dyn FnMut(&Signed) -> Result<()> + Send + 'a;

/// The fate of a transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It succeeded; a request opened this round.
    Succeeded(Option<RoundId>),
    /// It failed, for this reason.
    Failed(String),
    /// It is in the block, and the node no longer has the block's events.
    Unread,
}

/// The fate of a transaction in this block, if it is there.
pub async fn fate(chain: &Chain, at: &At, hash: H256) -> Result<Option<Fate>> {
    let extrinsics = at.inner.extrinsics().fetch().await.map_err(protocol)?;
    for extrinsic in extrinsics.iter() {
        let extrinsic = extrinsic.map_err(protocol)?;
        if extrinsic.hash().0 != hash.0 {
            continue;
        }
        let events = match extrinsic.events().await.map_err(protocol) {
            Ok(events) => events,
            Err(error) => {
                return match chain.diagnose(error).await {
                    Error::Protocol(_) => Ok(Some(Fate::Unread)),
                    lost => Err(lost),
                }
            },
        };
        let mut round = None;
        for event in events.iter() {
            let event = event.map_err(protocol)?;
            if (event.pallet_name(), event.event_name()) == ("System", "ExtrinsicFailed") {
                let failed = DispatchError::decode_from(event.field_bytes(), at.inner.metadata());
                let words = error::dispatch_error(&failed.map_err(protocol)?, chain.currency());
                return Ok(Some(Fate::Failed(words)));
            }
            round = opened(&event)?.or(round);
        }
        return Ok(Some(Fate::Succeeded(round)));
    }
    Ok(None)
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
            Err(error::of_loss(&message))
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
    let (mut round, mut lane) = (None, None);
    for event in events.iter() {
        let event = event.map_err(protocol)?;
        round = opened(&event)?.or(round);
        lane = opened_lane(&event)?.or(lane);
    }
    let at = chain.at(H256(block.block_hash().0)).await?;
    Ok(Success {
        block: at.number(),
        round,
        lane,
    })
}

/// The lane that an event says was opened: its first field.
fn opened_lane(event: &subxt::events::Event<'_, SubstrateConfig>) -> Result<Option<LaneId>> {
    if (event.pallet_name(), event.event_name()) != (LANES, "Opened") {
        return Ok(None);
    }
    let lane = LaneId::decode(&mut event.field_bytes());
    lane.map(Some).map_err(protocol)
}

/// The round that an event says was opened.
fn opened(event: &subxt::events::Event<'_, SubstrateConfig>) -> Result<Option<RoundId>> {
    let known = events::decode(event.pallet_name(), event.event_name(), event.field_bytes())?;
    Ok(match known {
        Some((id, Event::Requested { .. })) => Some(id),
        _ => None,
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
