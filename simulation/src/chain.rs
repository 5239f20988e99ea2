// SPDX-License-Identifier: Apache-2.0
//! The chain: the real runtime, executed natively, block after block.
//!
//! Follows the order of a node: `initialize_block` with the author's slot in the digest, the
//! inherents, extrinsics until the block is full, and `finalize_block`. Except for the genesis
//! block, nothing is written into the state in any other way.

use anyhow::{anyhow, bail, ensure, Context, Result};
use codec::Encode;
use frame_support::{
    dispatch::GetDispatchInfo,
    inherent::{InherentData, ProvideInherent},
    storage::with_transaction_unchecked,
    weights::Weight,
};
use pallet_protocol_parameters::InForce;
use sp_consensus_aura::{Slot, AURA_ENGINE_ID};
use sp_core::{sr25519, H256};
use sp_io::TestExternalities;
use sp_runtime::{
    generic::{Digest, DigestItem, Era},
    traits::{BlakeTwo256, Hash as _, Header as _},
    transaction_validity::{InvalidTransaction, TransactionValidityError},
    BuildStorage, DispatchError, MultiAddress, MultiSignature, Perbill, TransactionOutcome,
};
use starling_primitives::{
    beacon::{self, Output},
    traits::Randomness as _,
};
use starling_runtime::{
    configs::RuntimeBlockWeights,
    parameters::{Parameters, Preset},
    AccountId, AgentsConfig, Balance, BalancesConfig, BlockNumber, DisputesConfig, Executive,
    Header, ParametersConfig, Rounds, Runtime, RuntimeCall, RuntimeGenesisConfig, Session,
    SessionConfig, SignedPayload, System, UncheckedExtrinsic, SLOT_DURATION, UNIT,
};

use crate::keys::Keys;

/// Initial funds of an account, besides its bond.
pub const ENDOWMENT: Balance = 10_000_000 * UNIT;

/// The slot of the genesis block.
const FIRST_SLOT: u64 = 1_700_000_000;

/// Contents of the genesis block.
pub struct Genesis {
    /// The parameters of the chain.
    pub parameters: Parameters,
    /// The parameters of disputes; none for those of production, where nobody can be accused.
    pub disputes: Option<pallet_disputes::Parameters>,
    /// Number of validators. They author blocks and take no part in rounds.
    pub validators: usize,
    /// The agents with their bonds.
    pub agents: Vec<(Keys, Balance)>,
    /// Other accounts that hold funds.
    pub accounts: Vec<AccountId>,
}

/// Options for authoring a block.
#[derive(Clone, Copy, Debug)]
pub struct Authoring {
    /// Index of its author among the validators; `None` means the next one in turn.
    pub author: Option<usize>,
    /// Share of a block that the author fills, of both its weight and its length.
    pub fill: Perbill,
    /// True to measure the size of the storage proof.
    pub prove: bool,
}

impl Default for Authoring {
    fn default() -> Self {
        Self {
            author: None,
            fill: Perbill::one(),
            prove: false,
        }
    }
}

/// An extrinsic that was refused, or that was included and failed.
#[derive(Clone, Debug)]
pub enum Rejection {
    /// Refused: not included.
    Refused(TransactionValidityError),
    /// Failed: included and paid for, but without effect.
    Failed(DispatchError),
}

/// Observations of a block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its number.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: H256,
    /// Weight of the hooks alone, which no author can leave out.
    pub hooks: Weight,
    /// Total weight.
    pub weight: Weight,
    /// Bytes of the extrinsics, without the inherents.
    pub bytes: usize,
    /// Number of extrinsics, without the inherents.
    pub extrinsics: usize,
    /// Bytes of the trie nodes that it touches, if they were measured.
    pub proof: Option<usize>,
    /// The extrinsics that did not succeed.
    pub rejected: Vec<(UncheckedExtrinsic, Rejection)>,
}

impl Block {
    /// Share of a block's computation limit that this weight uses.
    pub fn share(weight: Weight) -> f64 {
        weight.ref_time() as f64 / RuntimeBlockWeights::get().max_block.ref_time() as f64
    }
}

/// A chain of one node.
pub struct Chain {
    state: TestExternalities,
    head: Header,
    genesis: H256,
    slot: u64,
    validators: Vec<Keys>,
    /// The other agents, which may become validators.
    agents: Vec<Keys>,
}

impl Chain {
    /// A chain with its genesis block and two more, in which the validators leave the swarm. They
    /// keep authoring blocks, and no round waits for them.
    pub fn new(genesis: Genesis) -> Result<Self> {
        let bonds = genesis.agents.iter().map(|(_, bond)| *bond);
        // Above all others, so that these validators are in the first session.
        let bond = bonds.max().unwrap_or(0).max(genesis.parameters.min_bond) + UNIT;
        let validators: Vec<(Keys, Balance)> = (0..genesis.validators.max(1))
            .map(|index| (Keys::of(&format!("validator {index}")), bond))
            .collect();
        let mut parameters = genesis.parameters;
        // They leave the swarm and go on to author.
        parameters.min_validators = validators.len().try_into()?;
        let mut chain = Self::start(
            parameters,
            genesis.disputes,
            validators,
            genesis.agents,
            &genesis.accounts,
        )?;
        let leave = RuntimeCall::Agents(pallet_agents::Call::chill {});
        let validators = chain.validators.clone();
        let leave = validators
            .iter()
            .map(|validator| (validator, leave.clone()));
        chain.send(leave.collect())?;
        Ok(chain)
    }

    /// A chain with its genesis block and one more, of these validators and other agents with their
    /// bonds, and of other accounts that hold funds. `disputes` are as in [`Genesis`].
    pub fn start(
        parameters: Parameters,
        disputes: Option<pallet_disputes::Parameters>,
        validators: Vec<(Keys, Balance)>,
        agents: Vec<(Keys, Balance)>,
        accounts: &[AccountId],
    ) -> Result<Self> {
        let mut state = genesis_state(parameters, disputes, &validators, &agents, accounts)?;
        let root = *state.as_backend().root();
        let head = Header::new(
            0,
            BlakeTwo256::ordered_trie_root(Vec::new(), Default::default()),
            root,
            Default::default(),
            Default::default(),
        );
        let keys = |bonded: Vec<(Keys, Balance)>| -> Vec<Keys> {
            bonded.into_iter().map(|(keys, _)| keys).collect()
        };
        let mut chain = Self {
            state,
            genesis: head.hash(),
            head,
            slot: FIRST_SLOT,
            validators: keys(validators),
            agents: keys(agents),
        };
        // A transaction signs the hash of the genesis block, which the state holds from block 1 on.
        chain.author(&mut Vec::new(), Authoring::default())?;
        Ok(chain)
    }

    /// The hash of the genesis block.
    pub fn genesis(&self) -> H256 {
        self.genesis
    }

    /// The hash of the last block.
    pub fn head_hash(&self) -> H256 {
        self.head.hash()
    }

    /// The number of the last block.
    pub fn number(&self) -> BlockNumber {
        self.head.number
    }

    /// Index of the validator that authors the next block.
    pub fn next_author(&self) -> usize {
        (self.slot.wrapping_add(1) % self.validators.len() as u64) as usize
    }

    /// Reads the state after the last block. Writes by `read` are discarded.
    pub fn read<R>(&mut self, read: impl FnOnce() -> R) -> R {
        let result = self.state.execute_with(read);
        self.state.reset_overlay();
        result
    }

    /// Signs the next transaction of `sender`.
    pub fn sign(&mut self, sender: &Keys, call: RuntimeCall) -> Result<UncheckedExtrinsic> {
        let who = sender.account_id();
        let payload = self.read(|| {
            let nonce = System::account_nonce(&who);
            let extension: starling_runtime::TxExtension = (
                frame_system::AuthorizeCall::new(),
                frame_system::CheckNonZeroSender::new(),
                frame_system::CheckSpecVersion::new(),
                frame_system::CheckTxVersion::new(),
                frame_system::CheckGenesis::new(),
                frame_system::CheckEra::from(Era::Immortal),
                frame_system::CheckNonce::from(nonce),
                frame_system::CheckWeight::new(),
                pallet_transaction_payment::ChargeTransactionPayment::from(0),
                frame_metadata_hash_extension::CheckMetadataHash::new(false),
                frame_system::WeightReclaim::new(),
            );
            SignedPayload::new(call, extension)
        });
        let payload =
            payload.map_err(|error| anyhow!("the transaction cannot be signed: {error:?}"))?;
        let signature = payload.using_encoded(|bytes| sender.sign(bytes));
        let (call, extension, _) = payload.deconstruct();
        Ok(UncheckedExtrinsic::new_signed(
            call,
            MultiAddress::Id(who),
            MultiSignature::Sr25519(signature),
            extension,
        ))
    }

    /// Sends one transaction of each sender and authors blocks until all of them are included. All
    /// of them must succeed.
    pub fn send(&mut self, calls: Vec<(&Keys, RuntimeCall)>) -> Result<Vec<Block>> {
        let mut queue = Vec::with_capacity(calls.len());
        for (sender, call) in calls {
            queue.push(self.sign(sender, call)?);
        }
        let mut blocks = Vec::new();
        while !queue.is_empty() {
            let before = queue.len();
            let block = self.author(&mut queue, Authoring::default())?;
            if let Some((_, rejection)) = block.rejected.first() {
                bail!("a transaction was rejected: {rejection:?}");
            }
            ensure!(queue.len() < before, "a transaction fits into no block");
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// Authors a block with as many extrinsics from the front of the queue as fit.
    pub fn author(
        &mut self,
        queue: &mut Vec<UncheckedExtrinsic>,
        authoring: Authoring,
    ) -> Result<Block> {
        let built = self.build(queue, authoring, 0);
        self.adopt(queue, built)
    }

    /// Like [`Self::author`], but the next `candidates` slots belong to colluding authors. They
    /// leave out the slots before the one after which the randomness is `best` for them.
    pub fn grind(
        &mut self,
        queue: &mut Vec<UncheckedExtrinsic>,
        authoring: Authoring,
        candidates: u32,
        mut best: impl FnMut(H256) -> f64,
    ) -> Result<Block> {
        let mut chosen = (f64::NEG_INFINITY, 0);
        for skipped in 0..candidates {
            let built = self.build(queue, authoring, skipped);
            self.state.reset_overlay();
            let value = best(built.randomness);
            if value > chosen.0 {
                chosen = (value, skipped);
            }
        }
        let built = self.build(queue, authoring, chosen.1);
        self.adopt(queue, built)
    }

    /// Like [`Self::author`], in the next slot whose author is awake and not disabled. Also returns
    /// the number of slots before it that stay empty.
    pub fn author_awake(
        &mut self,
        queue: &mut Vec<UncheckedExtrinsic>,
        is_awake: impl Fn(&AccountId) -> bool,
    ) -> Result<(Block, u32)> {
        let (validators, disabled) =
            self.read(|| (Session::validators(), Session::disabled_validators()));
        let next = self.slot + 1;
        let empty = (0..validators.len()).find(|ahead| {
            let place = (next + *ahead as u64) % validators.len() as u64;
            !disabled.contains(&(place as u32)) && is_awake(&validators[place as usize])
        });
        let empty = empty.context("all validators are asleep or disabled")? as u32;
        let built = self.build(queue, Authoring::default(), empty);
        Ok((self.adopt(queue, built)?, empty))
    }

    /// Builds the next block of an author, or one that many slots later.
    fn build(&mut self, queue: &[UncheckedExtrinsic], authoring: Authoring, skipped: u32) -> Built {
        let ahead = match authoring.author {
            None => 1,
            Some(author) => {
                let next = self.next_author() as u64;
                let validators = self.validators.len() as u64;
                let turn = author as u64 % validators;
                1 + (turn + validators - next) % validators
            },
        };
        let slot = self.slot + ahead + u64::from(skipped);
        let logs = vec![DigestItem::PreRuntime(
            AURA_ENGINE_ID,
            Slot::from(slot).encode(),
        )];
        let output = self.output(slot);
        let header = Header::new(
            self.head.number + 1,
            Default::default(),
            Default::default(),
            self.head.hash(),
            Digest { logs },
        );
        let work = || execute(&header, slot, output, queue, authoring.fill);
        let (mut built, proof) = if authoring.prove {
            let (built, proof) = self.state.execute_and_prove(work);
            (built, Some(proof.encoded_size()))
        } else {
            (self.state.execute_with(work), None)
        };
        built.slot = slot;
        built.block.proof = proof;
        built
    }

    /// The output of a slot's author.
    fn output(&mut self, slot: u64) -> Option<Output> {
        let (authorities, seed) = self.read(|| {
            let authorities = pallet_aura::Authorities::<Runtime>::get();
            (authorities, pallet_beacon::Seed::<Runtime>::get())
        });
        let place = slot.checked_rem(authorities.len() as u64)?;
        let author: sr25519::Public = authorities.get(place as usize)?.clone().into();
        let mut keys = self.validators.iter().chain(&self.agents);
        let author = keys.find(|keys| keys.authority() == author)?;
        Some(author.output(&beacon::input(self.genesis, seed, slot)))
    }

    fn adopt(&mut self, queue: &mut Vec<UncheckedExtrinsic>, built: Built) -> Result<Block> {
        self.state
            .commit_all()
            .map_err(|error| anyhow!("the state cannot be written: {error}"))?;
        self.slot = built.slot;
        self.head = built.header;
        queue.drain(..built.taken);
        Ok(built.block)
    }
}

/// A block that is not part of the chain yet.
struct Built {
    header: Header,
    randomness: H256,
    slot: u64,
    taken: usize,
    block: Block,
}

/// Executes a block. Runs inside the externalities.
fn execute(
    header: &Header,
    slot: u64,
    output: Option<Output>,
    queue: &[UncheckedExtrinsic],
    fill: Perbill,
) -> Built {
    Executive::initialize_block(header);
    let hooks = System::block_weight().total();
    let now = RuntimeCall::Timestamp(pallet_timestamp::Call::set {
        now: slot * SLOT_DURATION,
    });
    let reveal = output.map(|output| RuntimeCall::Beacon(pallet_beacon::Call::reveal { output }));
    let silence = Rounds::create_inherent(&InherentData::new()).map(RuntimeCall::Rounds);
    for call in [now].into_iter().chain(reveal).chain(silence) {
        let inherent = Executive::apply_extrinsic(UncheckedExtrinsic::new_bare(call));
        assert!(
            matches!(inherent, Ok(Ok(()))),
            "an inherent was refused: {inherent:?}"
        );
    }

    let limits = RuntimeBlockWeights::get();
    // If the hooks alone take that much, the author has to fill the block.
    let most = match fill.mul_floor(limits.max_block.ref_time()) {
        most if hooks.ref_time() < most => most,
        _ => limits.max_block.ref_time(),
    };
    let (mut taken, mut bytes, mut extrinsics) = (0, 0, 0);
    let mut rejected = Vec::new();
    for extrinsic in queue {
        let weight = extrinsic.get_dispatch_info().total_weight();
        let used = System::block_weight().total();
        if used.saturating_add(weight).ref_time() > most {
            break;
        }
        match apply(extrinsic.clone()) {
            Err(TransactionValidityError::Invalid(InvalidTransaction::ExhaustsResources)) => break,
            Err(refused) => rejected.push((extrinsic.clone(), Rejection::Refused(refused))),
            Ok(outcome) => {
                bytes += extrinsic.encoded_size();
                extrinsics += 1;
                if let Err(failed) = outcome {
                    rejected.push((extrinsic.clone(), Rejection::Failed(failed)));
                }
            },
        }
        taken += 1;
    }
    let header = Executive::finalize_block();
    let block = Block {
        number: header.number,
        hash: header.hash(),
        hooks,
        weight: System::block_weight().total(),
        bytes,
        extrinsics,
        proof: None,
        rejected,
    };
    Built {
        header,
        randomness: starling_runtime::Beacon::value(),
        slot,
        taken,
        block,
    }
}

/// Applies an extrinsic. A refused one leaves no trace, as in a node's block builder.
fn apply(
    extrinsic: UncheckedExtrinsic,
) -> core::result::Result<core::result::Result<(), DispatchError>, TransactionValidityError> {
    with_transaction_unchecked(|| match Executive::apply_extrinsic(extrinsic) {
        Ok(outcome) => TransactionOutcome::Commit(Ok(outcome)),
        Err(refused) => TransactionOutcome::Rollback(Err(refused)),
    })
}

fn genesis_state(
    parameters: Parameters,
    disputes: Option<pallet_disputes::Parameters>,
    validators: &[(Keys, Balance)],
    agents: &[(Keys, Balance)],
    accounts: &[AccountId],
) -> Result<TestExternalities> {
    let model = |keys: &Keys, bond: Balance| pallet_agents::GenesisAgent {
        account: keys.account_id(),
        inference_key: keys.inference_key(),
        model_name: "simulated".into(),
        model_hash: H256::zero(),
        bond,
    };
    let bonded: Vec<&(Keys, Balance)> = validators.iter().chain(agents).collect();
    let others = accounts.iter().map(|who| (who.clone(), ENDOWMENT));
    let config = RuntimeGenesisConfig {
        parameters: ParametersConfig {
            preset: Some(Preset::Production),
        },
        agents: AgentsConfig {
            agents: bonded
                .iter()
                .map(|(keys, bond)| model(keys, *bond))
                .collect(),
        },
        balances: BalancesConfig {
            balances: bonded
                .iter()
                .map(|(keys, bond)| (keys.account_id(), bond + ENDOWMENT))
                .chain(others)
                .collect(),
            ..Default::default()
        },
        disputes: DisputesConfig {
            parameters: disputes,
            ..Default::default()
        },
        session: SessionConfig {
            keys: validators
                .iter()
                .map(|(keys, _)| (keys.account_id(), keys.account_id(), keys.session()))
                .collect(),
            ..Default::default()
        },
        ..Default::default()
    };
    let mut storage = config.build_storage().map_err(|error| anyhow!(error))?;
    // The parameters of a scenario have no name that a genesis block could hold.
    storage.top.insert(
        InForce::<Runtime>::hashed_key().to_vec(),
        parameters.encode(),
    );
    Ok(storage.into())
}
