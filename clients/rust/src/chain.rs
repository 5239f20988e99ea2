// SPDX-License-Identifier: Apache-2.0
//! A connection to a node, and the chain as of one block.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use codec::{Decode, DecodeAll, Encode};
use serde::de::DeserializeOwned;
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_primitives::{
    api::{AgentView, CapabilityView, OutcomeView, QuestionView, RoundAnswer, RoundView},
    choice::{Choice, REQUESTS_PER_ANSWER},
    round::BlockNumber,
    Balance, InferenceKey, RoundId, H256,
};
use subxt::{
    backend::LegacyBackend,
    client::{Block, Blocks},
    config::RpcConfigFor,
    dynamic::{constant, storage, Value},
    error::BlocksError,
    rpcs::{
        self, client::RpcParams, methods::legacy::Bytes, rpc_params, LegacyRpcMethods, RpcClient,
    },
    OnlineClient, OnlineClientAtBlock, SubstrateConfig,
};
use subxt_signer::sr25519::Keypair;

use crate::{
    account,
    amount::Currency,
    line::{Folder, Line, Messages},
    text::excerpt,
    turn::Turn,
    Error, Result,
};

/// The address of a node on this machine.
pub const DEFAULT_URL: &str = "ws://127.0.0.1:9944";

/// The pallet of known answers, and its runtime API.
const CAPABILITIES: &str = "Capabilities";
const CAPABILITIES_API: &str = "CapabilitiesApi";

/// The most characters of a currency's symbol.
const MOST_SYMBOL: usize = 16;

/// The most decimals of a currency: the largest amount has one digit more.
const MOST_DECIMALS: u32 = 38;

/// A stream of blocks.
pub type Headers = Blocks<SubstrateConfig>;

/// A connection to a node.
#[derive(Clone)]
pub struct Chain {
    pub(crate) api: OnlineClient<SubstrateConfig>,
    pub(crate) rpc: RpcClient,
    line: Arc<Line>,
    /// A folder for what runs of the client share.
    shared: Option<PathBuf>,
    methods: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
    url: String,
    currency: Currency,
    development: bool,
}

/// The chain as of one block.
#[derive(Clone)]
pub struct At {
    pub(crate) inner: OnlineClientAtBlock<SubstrateConfig>,
}

/// Turns an error of the node's interface into ours.
pub(crate) fn protocol(error: impl std::fmt::Display) -> Error {
    Error::Protocol(error.to_string())
}

impl Chain {
    /// Connects to the node at a `ws://` or `wss://` address. `insecure` allows an unencrypted
    /// connection to another machine.
    pub async fn connect(url: &str, insecure: bool) -> Result<Self> {
        Self::connect_with(url, insecure, None).await
    }

    /// As [`Self::connect`]. Programs that name the same folder share the metadata that this node
    /// tells, and take turns with the transactions of an account.
    pub async fn connect_with(url: &str, insecure: bool, shared: Option<&Path>) -> Result<Self> {
        let unreachable = |reason: String| Error::Unreachable {
            url: url.into(),
            reason,
        };
        let rpc = match insecure {
            true => RpcClient::from_insecure_url(url).await,
            false => RpcClient::from_url(url).await,
        }
        .map_err(|error| unreachable(why_no_connection(&error)))?;
        let folder = shared.map(|shared| Folder::new(&shared.join("metadata"), url));
        let line = Arc::new(Line::new(rpc, folder));
        let rpc = RpcClient::new(line.clone());
        let methods = LegacyRpcMethods::new(rpc.clone());
        let lost = |error: subxt::rpcs::Error| unreachable(error.to_string());
        let properties = methods.system_properties().await.map_err(lost)?;
        let chain_type = methods.system_chain_type().await.map_err(lost)?;
        // Its subscriptions bring whole headers, and a read is one request: the newer interface
        // answers each with events, and has blocks pinned and unpinned.
        let backend = LegacyBackend::<SubstrateConfig>::builder().build(rpc.clone());
        let api = OnlineClient::from_backend_with_config(SubstrateConfig::new(), Arc::new(backend))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Self {
            api,
            rpc,
            line,
            shared: shared.map(Path::to_owned),
            methods,
            url: url.into(),
            currency: currency(&properties),
            development: matches!(chain_type.as_str(), "Development" | "Local"),
        })
    }

    /// The messages to the node and from it so far.
    pub fn messages(&self) -> Messages {
        self.line.messages()
    }

    /// The chain's currency.
    pub fn currency(&self) -> &Currency {
        &self.currency
    }

    /// Whether the chain is one for development, whose accounts are well known.
    pub fn is_development(&self) -> bool {
        self.development
    }

    /// The hash of the genesis block.
    pub fn genesis(&self) -> H256 {
        H256(self.api.genesis_hash().0)
    }

    /// The name of an account: its short address, or on a development chain its well-known name.
    pub fn name(&self, account: &AccountId32) -> String {
        Some(account)
            .filter(|_| self.development)
            .and_then(account::development_name)
            .unwrap_or_else(|| account::short(account))
    }

    /// The ed25519 public key of the node's network identity.
    pub async fn network_key(&self) -> Result<[u8; 32]> {
        let peer: String = self.read("system_localPeerId").await?;
        key_of_peer(&peer).ok_or_else(|| {
            protocol(format!(
                "the node's peer id `{peer}` is not that of an ed25519 key"
            ))
        })
    }

    /// Whether the node has the blocks of its peers.
    pub async fn is_synced(&self) -> Result<bool> {
        let health = self.methods.system_health().await.map_err(protocol)?;
        Ok(!health.is_syncing)
    }

    /// The specification of the chain with its genesis state, in JSON, as light clients read it.
    pub async fn specification(&self) -> Result<serde_json::Value> {
        self.read("starling_chainSpec").await
    }

    /// The addresses that the node listens on for other nodes, with its peer id.
    pub async fn addresses(&self) -> Result<Vec<String>> {
        self.read("system_localListenAddresses").await
    }

    /// The layers that nodes compute for each other, as the node sees them, in JSON.
    pub async fn layers(&self) -> Result<serde_json::Value> {
        self.read("starling_holders").await
    }

    /// The trace of an answer that its author shows, through the node, in SCALE: a `Shown` of
    /// `starling-sketch`.
    pub async fn trace(&self, round: RoundId, agent: &AccountId32) -> Result<Vec<u8>> {
        let params = rpc_params![round, agent.to_ss58check()];
        let read: Result<Bytes, _> = self.rpc.request("starling_trace", params).await;
        match read {
            Ok(bytes) => Ok(bytes.0),
            Err(rpcs::Error::User(refusal)) => Err(Error::NotFound(format!(
                "starling_trace: {}",
                refusal.message
            ))),
            Err(error) => Err(protocol(format!("starling_trace: {error}"))),
        }
    }

    /// The hash of the block of this number on the best chain of the node.
    pub async fn hash(&self, number: BlockNumber) -> Result<H256> {
        let hash = self.methods.chain_get_block_hash(Some(number.into()));
        let hash = hash.await.map_err(protocol)?;
        let hash = hash.ok_or_else(|| protocol(format!("the node has no block {number}")))?;
        Ok(H256(hash.0))
    }

    /// The result of a method of the node without parameters.
    async fn read<T: DeserializeOwned>(&self, method: &str) -> Result<T> {
        let read = self.rpc.request(method, RpcParams::new()).await;
        read.map_err(|error| protocol(format!("{method}: {error}")))
    }

    /// The best block, which may not be final.
    pub async fn best(&self) -> Result<At> {
        let hash = self.methods.chain_get_block_hash(None).await;
        let hash = hash
            .map_err(protocol)?
            .ok_or_else(|| protocol("the node has no block"))?;
        self.at(hash.0.into()).await
    }

    /// The last final block.
    pub async fn finalized(&self) -> Result<At> {
        let inner = self.api.at_current_block().await.map_err(protocol)?;
        Ok(At { inner })
    }

    /// The block of this hash.
    pub async fn at(&self, hash: H256) -> Result<At> {
        let hash = subxt::utils::H256(hash.0);
        let inner = self.api.at_block(hash).await.map_err(protocol)?;
        Ok(At { inner })
    }

    /// The block of this number on the best chain of the node.
    pub async fn at_number(&self, number: BlockNumber) -> Result<At> {
        let inner = self.api.at_block(number).await.map_err(protocol)?;
        Ok(At { inner })
    }

    /// All blocks that the node imports from now on, those of forks included.
    pub async fn all_blocks(&self) -> Result<Headers> {
        self.api.stream_all_blocks().await.map_err(protocol)
    }

    /// The best blocks, from the present one on.
    pub async fn best_blocks(&self) -> Result<Headers> {
        self.api.stream_best_blocks().await.map_err(protocol)
    }

    /// The finalised blocks from now on.
    pub async fn finalized_blocks(&self) -> Result<Headers> {
        self.api.stream_blocks().await.map_err(protocol)
    }

    /// Waits for the turn to send a transaction of a key's account.
    pub(crate) async fn turn(&self, key: &Keypair) -> Option<Turn> {
        let shared = self.shared.as_ref()?;
        Turn::take(shared.join("turns"), self.genesis(), key.public_key().0).await
    }

    /// The nonce of the next transaction of a key's account.
    pub(crate) async fn next_nonce(&self, key: &Keypair) -> Result<u64> {
        let account = key.public_key().to_account_id();
        let nonce = self.methods.system_account_next_index(&account).await;
        nonce.map_err(protocol)
    }

    /// Finds out whether an error of the interface is a lost connection.
    pub async fn diagnose(&self, error: Error) -> Error {
        let Error::Protocol(reason) = error else {
            return error;
        };
        match self.methods.system_name().await {
            Ok(_) => Error::Protocol(reason),
            Err(_) => Error::Unreachable {
                url: self.url.clone(),
                reason: "the node closed the connection".into(),
            },
        }
    }
}

/// An item of a stream of blocks.
pub(crate) type Header = Option<std::result::Result<Block<SubstrateConfig>, BlocksError>>;

/// The chain as of an item of a stream of blocks.
pub(crate) async fn at_header(header: Header) -> Result<At> {
    let block = header
        .ok_or_else(|| protocol("the node closed the connection"))?
        .map_err(protocol)?;
    let inner = block.at().await.map_err(protocol)?;
    Ok(At { inner })
}

/// The currency as the node names it: a short word, and decimals of which an amount has enough.
fn currency(properties: &subxt::rpcs::methods::legacy::SystemProperties) -> Currency {
    let standard = Currency::default();
    Currency {
        symbol: properties
            .get("tokenSymbol")
            .and_then(|symbol| symbol.as_str())
            .map_or(standard.symbol, |symbol| excerpt(symbol, MOST_SYMBOL)),
        decimals: properties
            .get("tokenDecimals")
            .and_then(|decimals| decimals.as_u64())
            .and_then(|decimals| decimals.try_into().ok())
            .filter(|decimals| *decimals <= MOST_DECIMALS)
            .unwrap_or(standard.decimals),
    }
}

/// The public key in the peer id of an ed25519 key: a multihash of the kind identity, around the
/// protobuf message of the key.
fn key_of_peer(peer: &str) -> Option<[u8; 32]> {
    const HEAD: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    let bytes = bs58::decode(peer).into_vec().ok()?;
    bytes.strip_prefix(&HEAD)?.try_into().ok()
}

fn why_no_connection(error: &subxt::rpcs::Error) -> String {
    match error {
        subxt::rpcs::Error::InsecureUrl(_) => {
            "the address is not encrypted (wss://) and not on this machine; --insecure allows it"
                .into()
        },
        other => {
            let reason = other.to_string();
            let reason = reason.trim_start_matches("RPC error: client error: ");
            format!("{reason}; is the node running?")
        },
    }
}

impl At {
    /// The number of the block.
    pub fn number(&self) -> BlockNumber {
        self.inner
            .block_number()
            .try_into()
            .unwrap_or(BlockNumber::MAX)
    }

    /// The hash of the block.
    pub fn hash(&self) -> H256 {
        H256(self.inner.block_hash().0)
    }

    /// The parent block, `None` at genesis.
    pub(crate) async fn parent(&self, chain: &Chain) -> Result<Option<Self>> {
        if self.inner.block_number() == 0 {
            return Ok(None);
        }
        let header = self.inner.block_header().await.map_err(protocol)?;
        chain.at(H256(header.parent_hash.0)).await.map(Some)
    }

    async fn rounds_api<T: Decode>(&self, method: &str, arguments: impl Encode) -> Result<T> {
        self.runtime_api("RoundsApi", method, arguments).await
    }

    /// The result of a method of `CapabilitiesApi`. Nothing if the chain's runtime does not have it.
    async fn capabilities_api<T: Decode + Default>(
        &self,
        method: &str,
        arguments: impl Encode,
    ) -> Result<T> {
        if !self.has_capabilities() {
            return Ok(T::default());
        }
        self.runtime_api(CAPABILITIES_API, method, arguments).await
    }

    /// The result of a method of a runtime API.
    pub(crate) async fn runtime_api<T: Decode>(
        &self,
        api: &str,
        method: &str,
        arguments: impl Encode,
    ) -> Result<T> {
        let function = format!("{api}_{method}");
        let answer = self
            .inner
            .runtime_apis()
            .call_raw(&function, Some(&arguments.encode()))
            .await
            .map_err(|error| protocol(format!("{function}: {error}")))?;
        decode(&function, &answer)
    }

    /// The open rounds, the next one to change its phase first.
    pub async fn open_rounds(&self) -> Result<Vec<RoundId>> {
        self.rounds_api("open_rounds", ()).await
    }

    /// The public state of a round, if it is stored.
    pub async fn round(&self, id: RoundId) -> Result<Option<RoundView<AccountId32>>> {
        self.rounds_api("round", id).await
    }

    /// The answer of a round, if it is stored.
    pub async fn answer(&self, id: RoundId) -> Result<Option<RoundAnswer<AccountId32>>> {
        self.rounds_api("answer", id).await
    }

    /// The state of an agent.
    pub async fn agent(&self, who: &AccountId32) -> Result<Option<AgentView>> {
        self.rounds_api("agent", who).await
    }

    /// The agent that an inference key serves.
    pub async fn agent_of(&self, key: &InferenceKey) -> Result<Option<AccountId32>> {
        self.rounds_api("agent_of", key).await
    }

    /// The account of an inference key, in force or not.
    pub async fn owner_of(&self, key: &InferenceKey) -> Result<Option<AccountId32>> {
        self.rounds_api("owner_of", key).await
    }

    /// Whether the chain's runtime counts equal answers and knows the agents' capabilities.
    pub fn has_capabilities(&self) -> bool {
        self.has_api(CAPABILITIES_API)
    }

    /// Whether the chain's runtime has this runtime API.
    pub(crate) fn has_api(&self, name: &str) -> bool {
        let metadata = self.inner.metadata_ref();
        metadata.runtime_api_trait_by_name(name).is_some()
    }

    /// Fails if the chain's runtime does not count equal answers.
    pub fn require_capabilities(&self) -> Result<()> {
        match self.has_capabilities() {
            true => Ok(()),
            false => Err(Error::Usage(
                "this chain does not count equal answers, because its runtime has no pallet \
                 `Capabilities`; ask for answers in free form"
                    .into(),
            )),
        }
    }

    /// The form of a stored round's answers, and its commitment. `None` if it was asked in free
    /// form through `Rounds.request`.
    pub async fn question(&self, id: RoundId) -> Result<Option<QuestionView>> {
        self.capabilities_api("question", id).await
    }

    /// The votes behind the best answer of a stored round. `None` where no answers were counted: in
    /// free form, under the choice `Paper`, or without an eligible response. A round below the
    /// threshold has one.
    pub async fn outcome(&self, id: RoundId) -> Result<Option<OutcomeView>> {
        self.capabilities_api("outcome", id).await
    }

    /// An agent's record with known answers, by form.
    pub async fn capabilities(&self, who: &AccountId32) -> Result<Vec<CapabilityView>> {
        self.capabilities_api("capabilities", who).await
    }

    /// The choice in force.
    pub async fn choice(&self) -> Result<Choice> {
        if !self.has_capabilities() {
            return Ok(Choice::Paper);
        }
        let choice = self.value(CAPABILITIES, "Chosen").await?;
        Ok(choice.unwrap_or(Choice::Paper))
    }

    /// The accounts that may reveal known answers.
    pub async fn examiners(&self) -> Result<Vec<AccountId32>> {
        let examiners = self.value(CAPABILITIES, "Examiners").await?;
        Ok(examiners.unwrap_or_default())
    }

    /// The pool of questions with known answers.
    pub async fn known_pool(&self) -> Result<Option<KnownPool>> {
        self.value(CAPABILITIES, "Pool").await
    }

    /// The requests of an examiner, and the answers that it revealed.
    pub async fn traffic(&self, examiner: &AccountId32) -> Result<Traffic> {
        let traffic = self.of_account(CAPABILITIES, "Traffic", examiner).await?;
        Ok(traffic.unwrap_or_default())
    }

    /// The price of a ticket in a round with this fee.
    pub async fn ticket_price(&self, fee: Balance) -> Result<Balance> {
        self.rounds_api("ticket_price", fee).await
    }

    /// The cost of a request besides its fee: the amount that is burnt, and the amount on hold
    /// until the round is purged.
    pub async fn request_cost(&self, max_responses: u32) -> Result<(Balance, Balance)> {
        self.rounds_api("request_cost", max_responses).await
    }

    /// The number of the next round.
    pub async fn next_round(&self) -> Result<RoundId> {
        let id: Option<RoundId> = self.value("Rounds", "NextRound").await?;
        Ok(id.unwrap_or_default())
    }

    /// The registration of an agent.
    pub async fn registration(&self, who: &AccountId32) -> Result<Option<Registration>> {
        self.of_account("Agents", "Agents", who).await
    }

    /// All registered agents.
    pub async fn registrations(&self) -> Result<Vec<(AccountId32, Registration)>> {
        self.of_all_accounts("Agents", "Agents").await
    }

    /// The unbonding parts of an account's bond, the oldest first.
    pub async fn unbonding(&self, who: &AccountId32) -> Result<Vec<Unbonding>> {
        let parts = self.of_account("Agents", "Unbonding", who).await?;
        Ok(parts.unwrap_or_default())
    }

    /// The validators of the present session.
    pub async fn validators(&self) -> Result<Vec<AccountId32>> {
        let validators = self.value("Session", "Validators").await?;
        Ok(validators.unwrap_or_default())
    }

    /// The least bond that gets one more seat among the validators; `None` until a session has been
    /// planned by a runtime that notes it.
    pub async fn seat_price(&self) -> Result<Option<Balance>> {
        let metadata = self.inner.metadata_ref();
        let agents = metadata.pallet_by_name("Agents");
        let storage = agents.and_then(|agents| agents.storage());
        if storage.is_none_or(|storage| storage.entry_by_name("SeatPrice").is_none()) {
            return Ok(None);
        }
        // Until then the chain answers with the default.
        let price: Option<Balance> = self.value("Agents", "SeatPrice").await?;
        Ok(price.filter(|price| *price > 0))
    }

    /// The tickets of an account.
    pub async fn tickets(&self, who: &AccountId32) -> Result<Tickets> {
        let tickets = self.of_account("Tickets", "Accounts", who).await?;
        Ok(tickets.unwrap_or_default())
    }

    /// All tickets.
    pub async fn all_tickets(&self) -> Result<Vec<(AccountId32, Tickets)>> {
        self.of_all_accounts("Tickets", "Accounts").await
    }

    /// The amount that an account can spend without being removed.
    pub async fn spendable(&self, who: &AccountId32) -> Result<Balance> {
        let account: Option<AccountInfo> = self.of_account("System", "Account", who).await?;
        let least = self.constant("Balances", "ExistentialDeposit")?;
        Ok(account.map_or(0, |account| account.spendable(least)))
    }

    /// The number of open rounds that an account asked for.
    pub async fn open_requests(&self, who: &AccountId32) -> Result<u32> {
        let open = self.of_account("Rounds", "Requests", who).await?;
        Ok(open.unwrap_or_default())
    }

    /// A constant of a pallet.
    pub fn constant<T: Decode>(&self, pallet: &str, name: &str) -> Result<T> {
        let place = format!("{pallet}.{name}");
        let bytes = self
            .inner
            .constants()
            .entry_bytes(constant::<Value>(pallet, name))
            .map_err(|error| protocol(format!("{place}: {error}")))?;
        decode(&place, &bytes)
    }

    /// A value that a pallet stores without keys; `None` if it stores none.
    pub async fn value<T: Decode>(&self, pallet: &str, entry: &str) -> Result<Option<T>> {
        let address = storage::<(), Value>(pallet, entry);
        let value = self.inner.storage().try_fetch(address, ()).await;
        value
            .map_err(protocol)?
            .map(|value| decode(entry, value.bytes()))
            .transpose()
    }

    async fn of_account<T: Decode>(
        &self,
        pallet: &str,
        entry: &str,
        who: &AccountId32,
    ) -> Result<Option<T>> {
        let address = storage::<([u8; 32],), Value>(pallet, entry);
        let key: [u8; 32] = *who.as_ref();
        let value = self.inner.storage().try_fetch(address, (key,)).await;
        value
            .map_err(protocol)?
            .map(|value| decode(entry, value.bytes()))
            .transpose()
    }

    async fn of_all_accounts<T: Decode>(
        &self,
        pallet: &str,
        entry: &str,
    ) -> Result<Vec<(AccountId32, T)>> {
        let address = storage::<([u8; 32],), Value>(pallet, entry);
        let entries = self.inner.storage().iter(address, ()).await;
        let mut entries = entries.map_err(protocol)?;
        let mut all = vec![];
        while let Some(found) = entries.next().await {
            let found = found.map_err(protocol)?;
            // `Blake2_128Concat` keeps the account at the end of the key.
            let account = found
                .key_bytes()
                .last_chunk::<32>()
                .ok_or_else(|| protocol(format!("{pallet}.{entry}: a key is too short")))?;
            all.push((
                AccountId32::new(*account),
                decode(entry, found.value().bytes())?,
            ));
        }
        all.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(all)
    }
}

/// An account, as `frame-system` and `pallet-balances` store it.
#[derive(Decode)]
struct AccountInfo {
    _references: [u32; 4],
    free: Balance,
    reserved: Balance,
    frozen: Balance,
    _flags: u128,
}

impl AccountInfo {
    /// The free amount without the frozen part that no hold covers, and without what keeps the
    /// account.
    fn spendable(&self, least: Balance) -> Balance {
        let frozen = self.frozen.saturating_sub(self.reserved);
        self.free.saturating_sub(frozen.max(least))
    }
}

/// A registered agent, as `pallet-agents` stores it.
#[derive(Clone, Debug, PartialEq, Eq, Decode)]
pub struct Registration {
    /// The inference key in force.
    pub key: InferenceKey,
    /// The key that replaces it once no round of the agent is open.
    pub next_key: Option<InferenceKey>,
    /// The announced name of the model, in UTF-8.
    pub model: Vec<u8>,
    /// The announced hash of the model's file.
    pub model_hash: H256,
    /// The bond, with its reserved part and without its unbonding parts.
    pub bond: Balance,
    /// The part of the bond that is reserved for rounds.
    pub reserved: Balance,
    /// The number of rounds with a reservation.
    pub open: u32,
    /// True if the agent has chosen to stay out of new rounds.
    pub chilled: bool,
    /// The ordinal of its activation, if it is active.
    pub activation: Option<u64>,
}

impl Registration {
    /// The announced name of the model.
    pub fn model_name(&self) -> String {
        crate::text::printable(&String::from_utf8_lossy(&self.model))
    }
}

/// An unbonding part of a bond.
#[derive(Clone, Debug, PartialEq, Eq, Decode)]
pub struct Unbonding {
    /// The amount.
    pub amount: Balance,
    /// The first block in which it can be withdrawn.
    pub due: BlockNumber,
}

/// A pool of questions with known answers, as `pallet-capabilities` stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Decode)]
pub struct KnownPool {
    /// The root of its Merkle tree.
    pub root: H256,
    /// The number of its questions.
    pub questions: u32,
}

/// The requests of an examiner, as `pallet-capabilities` stores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Decode)]
pub struct Traffic {
    /// The number of its requests since it became an examiner.
    pub asked: u32,
    /// The number of answers that it revealed.
    pub revealed: u32,
}

impl Traffic {
    /// Whether there are enough requests for one more answer.
    pub fn has_room(&self) -> bool {
        let revealed = self.revealed.saturating_add(1);
        revealed.saturating_mul(REQUESTS_PER_ANSWER) <= self.asked
    }
}

/// The tickets of an account, as `pallet-tickets` stores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Decode)]
pub struct Tickets {
    /// The amount that can be staked or refunded.
    pub free: Balance,
    /// The amount that is staked in open rounds.
    pub staked: Balance,
}

/// Decodes all of `bytes`.
pub(crate) fn decode<T: Decode>(what: &str, bytes: &[u8]) -> Result<T> {
    T::decode_all(&mut &*bytes).map_err(|error| {
        protocol(format!(
            "{what} cannot be decoded: {error}; the chain may run another release than this client"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_needs_ten_requests() {
        for (asked, revealed, has_room) in [(9, 0, false), (10, 0, true), (19, 1, false)] {
            assert_eq!(Traffic { asked, revealed }.has_room(), has_room, "{asked}");
        }
    }

    #[test]
    fn a_currency_is_what_a_node_says_as_far_as_it_makes_sense() {
        let read = |symbol: &str, decimals: u64| {
            let properties =
                serde_json::json!({ "tokenSymbol": symbol, "tokenDecimals": decimals });
            let read = currency(properties.as_object().unwrap());
            (read.symbol, read.decimals)
        };
        assert_eq!(read("DOT", 10), ("DOT".into(), 10));
        assert_eq!(read("\u{1b}[2J", 39), ("\u{fffd}[2J".into(), 12));
        let (symbol, decimals) = read(&"X".repeat(1_000), u64::MAX);
        assert_eq!((symbol.chars().count(), decimals), (MOST_SYMBOL, 12));
        assert_eq!(currency(&serde_json::Map::new()), Currency::default());
    }

    #[test]
    fn a_peer_id_tells_the_key_of_an_ed25519_identity_alone() {
        // The identity whose secret is 31 zeros and a one.
        let peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let key = key_of_peer(peer).unwrap();
        assert_eq!(key[..4], [0x4c, 0xb5, 0xab, 0xf6]);
        for other in [
            "",
            "0",
            "12D3KooW",
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        ] {
            assert_eq!(key_of_peer(other), None, "{other}");
        }
    }

    #[test]
    fn frozen_and_last_amounts_are_not_spendable() {
        let account = |frozen| AccountInfo {
            _references: [0; 4],
            free: 100,
            reserved: 30,
            frozen,
            _flags: 0,
        };
        for (frozen, spendable) in [(0, 99), (30, 99), (70, 60), (200, 0)] {
            assert_eq!(account(frozen).spendable(1), spendable, "{frozen}");
        }
    }
}
