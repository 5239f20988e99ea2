// SPDX-License-Identifier: Apache-2.0
//! Runs this runtime on state that the runtime of the first release wrote.
//!
//! The old runtime, as WebAssembly, builds a genesis, opens a round and takes the first responses.
//! From then on the code of this crate goes on, natively.

// The lints are for code on chain: a test that cannot be set up must stop.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::{borrow::Cow, fs::File, path::Path};

use codec::{Decode, Encode};
use frame_support::traits::{
    fungible::Inspect, GetStorageVersion, OnRuntimeUpgrade, PalletInfoAccess, StorageVersion,
};
use frame_system::offchain::CreateAuthorizedTransaction;
use pallet_rounds::{Call, Proof, ScoresOf};
use sc_executor::WasmExecutor;
use serde_json::Value;
use sp_consensus_aura::{Slot as AuraSlot, AURA_ENGINE_ID};
use sp_core::{
    crypto::VrfSecret,
    traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode},
    H256,
};
use sp_io::{SubstrateHostFunctions, TestExternalities};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve};
use sp_runtime::{
    generic::{Digest, DigestItem},
    traits::{BlakeTwo256, Hash as _, Header as _},
    ApplyExtrinsicResult, MultiAddress, MultiSignature, Permill, StateVersion,
};
use starling_primitives::{
    api::{runtime_decl_for_rounds_api::RoundsApiV2, Task},
    beacon::{input, Output},
    choice::{Capability, Choice, Form, Votes},
    fixed::ONE,
    messages::{payload, Message},
    round::Phase,
    sealing::{Format, Slot},
    traits::AgentRegistry,
    Position, RoundId, Score, Secret,
};
use starling_runtime::{
    genesis_config_presets::LOCAL_TESTNET, migrations::Migrations, parameters::Preset, Agents,
    Attestations, Balance, Balances, Capabilities, Disputes, Executive, Header, Historical, Lanes,
    Parameters, Ratings, Rewards, Rounds, Runtime, RuntimeCall, Session, SignedPayload, System,
    Tickets, UncheckedExtrinsic, SLOT_DURATION, UNIT,
};

const OLD_CODE: &[u8] = include_bytes!("../../tests/runtimes/starling-1.compact.compressed.wasm");
const OLD_SPEC_VERSION: u32 = 1;

const AGENTS: [Sr25519Keyring; 4] = [Alice, Bob, Charlie, Dave];
const ROUND: RoundId = 0;
const FEE: Balance = 100 * UNIT;

/// A chain of one node, without a network.
struct Chain {
    state: TestExternalities,
    genesis: H256,
    head: Header,
    slot: u64,
    /// The old runtime's executor, until this one takes over.
    old: Option<WasmExecutor<SubstrateHostFunctions>>,
}

impl Chain {
    /// A chain of the first release.
    fn new() -> Self {
        // The tests run at the same time, in processes of their own; only one of them needs to
        // compile the old runtime, with its first call.
        let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("old-runtime");
        let compiling = File::create(compiled.with_extension("lock")).unwrap();
        compiling.lock().unwrap();
        let empty = Default::default();
        let mut chain = Self {
            state: TestExternalities::new_with_code_and_state(OLD_CODE, empty, StateVersion::V1),
            genesis: H256::zero(),
            head: Header::new(
                0,
                BlakeTwo256::ordered_trie_root(vec![], StateVersion::V1),
                H256::zero(),
                H256::zero(),
                Digest::default(),
            ),
            slot: 1_700_000_000,
            old: Some(WasmExecutor::builder().with_cache_path(compiled).build()),
        };
        let mut genesis = chain.preset(None);
        drop(compiling);
        merge(&mut genesis, chain.preset(Some(LOCAL_TESTNET)));
        let genesis = serde_json::to_vec(&genesis).unwrap();
        let built: Result<(), String> = chain.ask_old("GenesisBuilder_build_state", &genesis);
        built.unwrap();
        chain.state.commit_all().unwrap();
        chain.head.state_root = *chain.state.as_backend().root();
        chain.genesis = chain.head.hash();
        chain
    }

    /// The genesis configuration that the old runtime has under this name, or its default.
    fn preset(&mut self, name: Option<&str>) -> Value {
        let json: Option<Vec<u8>> = self.ask_old("GenesisBuilder_get_preset", &name);
        serde_json::from_slice(&json.unwrap()).unwrap()
    }

    /// Makes this runtime the chain's from the next block on.
    fn upgrade(&mut self) {
        self.old = None;
    }

    /// Calls the old runtime.
    fn ask_old<R: Decode>(&mut self, method: &str, arguments: &impl Encode) -> R {
        let code = RuntimeCode {
            code_fetcher: &WrappedRuntimeCode(Cow::Borrowed(OLD_CODE)),
            heap_pages: None,
            hash: vec![1],
        };
        let (result, _) = self.old.as_ref().unwrap().call(
            &mut self.state.ext(),
            &code,
            method,
            &arguments.encode(),
            CallContext::Offchain,
        );
        R::decode(&mut result.unwrap().as_slice()).unwrap()
    }

    /// Builds the next block, in which every transaction must succeed.
    fn block(&mut self, transactions: Vec<UncheckedExtrinsic>) {
        self.slot += 1;
        let slot = DigestItem::PreRuntime(AURA_ENGINE_ID, AuraSlot::from(self.slot).encode());
        let header = Header::new(
            self.head.number + 1,
            H256::zero(),
            H256::zero(),
            self.head.hash(),
            Digest { logs: vec![slot] },
        );
        let now = pallet_timestamp::Call::set {
            now: self.slot * SLOT_DURATION,
        };
        let mut extrinsics = vec![UncheckedExtrinsic::new_bare(now.into())];
        if self.old.is_none() {
            let output = self.output();
            let reveal = pallet_beacon::Call::reveal { output };
            extrinsics.push(UncheckedExtrinsic::new_bare(reveal.into()));
        }
        extrinsics.extend(transactions);
        self.head = if self.old.is_some() {
            self.ask_old::<sp_runtime::ExtrinsicInclusionMode>("Core_initialize_block", &header);
            for extrinsic in &extrinsics {
                let applied: ApplyExtrinsicResult =
                    self.ask_old("BlockBuilder_apply_extrinsic", extrinsic);
                assert_eq!(applied, Ok(Ok(())), "{extrinsic:?}");
            }
            self.ask_old("BlockBuilder_finalize_block", &())
        } else {
            self.state.execute_with(|| {
                Executive::initialize_block(&header);
                for extrinsic in extrinsics {
                    let applied = Executive::apply_extrinsic(extrinsic.clone());
                    assert_eq!(applied, Ok(Ok(())), "{extrinsic:?}");
                }
                Executive::finalize_block()
            })
        };
        self.state.commit_all().unwrap();
    }

    /// The output of the author of the present slot.
    fn output(&mut self) -> Output {
        let (genesis, slot) = (self.genesis, self.slot);
        self.state.execute_with(|| {
            let authorities = pallet_aura::Authorities::<Runtime>::get();
            let public = &authorities[slot as usize % authorities.len()];
            let public: &sp_core::sr25519::Public = public.as_ref();
            let author = AGENTS.iter().find(|who| who.public() == *public).unwrap();
            let seed = pallet_beacon::Seed::<Runtime>::get();
            author.pair().vrf_sign(&input(genesis, seed, slot)).into()
        })
    }

    /// The first transaction of `who`, for the old runtime.
    fn signed(&self, who: Sr25519Keyring, call: RuntimeCall) -> UncheckedExtrinsic {
        // Its parts are those of the old runtime.
        let extension = <Runtime as CreateAuthorizedTransaction<RuntimeCall>>::create_extension();
        let implicit = (
            (),
            (),
            OLD_SPEC_VERSION,
            1,
            self.genesis,
            self.genesis,
            (),
            (),
            (),
            None,
            (),
        );
        let signed = SignedPayload::from_raw(call.clone(), extension.clone(), implicit);
        UncheckedExtrinsic::new_signed(
            call,
            MultiAddress::Id(who.to_account_id()),
            MultiSignature::Sr25519(signed.using_encoded(|bytes| who.sign(bytes))),
            extension,
        )
    }

    /// A message of an agent, whose inference key is that of its account.
    fn message(&self, agent: Sr25519Keyring, message: &Message) -> UncheckedExtrinsic {
        let signed_at = self.head.number;
        let signature = self.slot_of(agent, |slot| payload(&slot, signed_at, message));
        let proof = Proof {
            signed_at,
            signature: agent.sign(&signature).into(),
        };
        let (round, agent) = (ROUND, agent.to_account_id());
        let call: Call<Runtime> = match *message {
            Message::Commit {
                sealed,
                key_commitment,
            } => Call::commit {
                round,
                agent,
                sealed: sealed.to_vec(),
                key_commitment,
                proof,
            },
            Message::Reveal { key } => Call::reveal {
                round,
                agent,
                key: *key,
                proof: Some(proof),
            },
            Message::CommitScores { seed, commitment } => Call::commit_scores {
                round,
                agent,
                seed,
                commitment,
                proof,
            },
            Message::Disclose { scores, salt } => Call::disclose {
                round,
                agent,
                scores: bounded(scores),
                salt: *salt,
                proof: Some(proof),
            },
            Message::Pass => unreachable!("nobody passes"),
        };
        <Runtime as CreateAuthorizedTransaction<Call<Runtime>>>::create_authorized_transaction(
            call.into(),
        )
    }

    fn slot_of<R>(
        &self,
        agent: Sr25519Keyring,
        work: impl FnOnce(Slot<'_, starling_runtime::AccountId>) -> R,
    ) -> R {
        work(Slot {
            genesis: self.genesis,
            round: ROUND,
            agent: &agent.to_account_id(),
        })
    }

    fn commit(&self, agent: Sr25519Keyring) -> UncheckedExtrinsic {
        let key = key_of(agent);
        // The old runtime opens no padding, and this one opens both.
        let format = match self.old {
            Some(_) => Format::Plain,
            None => Format::Padded,
        };
        let (sealed, key_commitment) = self.slot_of(agent, |slot| {
            let sealed = slot.seal(&key, &answer_of(agent), 128, format).unwrap();
            (sealed, slot.key_commitment(&key))
        });
        let message = Message::Commit {
            sealed: &sealed,
            key_commitment,
        };
        self.message(agent, &message)
    }

    fn reveal(&self, agent: Sr25519Keyring) -> UncheckedExtrinsic {
        let key = key_of(agent);
        self.message(agent, &Message::Reveal { key: &key })
    }

    /// The scores of the responses assigned to an agent: Alice's response is the best one.
    fn scores(&mut self, agent: Sr25519Keyring) -> (H256, Vec<(Position, Score)>) {
        let owed = self
            .state
            .execute_with(|| Rounds::owed(&agent.to_account_id()));
        let [owed] = &owed[..] else {
            panic!("{owed:?}")
        };
        let Task::Rank {
            seed, responses, ..
        } = &owed.task
        else {
            panic!("{owed:?}")
        };
        let score = |text: &[u8]| {
            let points = if text == answer_of(Alice).as_bytes() {
                60_000
            } else {
                20_000 + u16::from(text.last().copied().unwrap_or_default())
            };
            Score(points)
        };
        let scores = responses
            .iter()
            .map(|(position, _, text)| (*position, score(text)));
        (*seed, scores.collect())
    }

    fn phase(&mut self) -> Phase {
        self.state.execute_with(|| {
            let view = Rounds::round_view(ROUND).unwrap();
            view.round.phase
        })
    }
}

/// The state holds the maximum number of scores. There is no state here, and production allows
/// enough.
fn bounded(scores: &[(Position, Score)]) -> ScoresOf<Runtime> {
    TestExternalities::default().execute_with(|| scores.to_vec().try_into().unwrap())
}

fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        },
        (base, patch) => *base = patch,
    }
}

fn key_of(agent: Sr25519Keyring) -> Secret {
    agent.to_raw_public()
}

fn answer_of(agent: Sr25519Keyring) -> String {
    format!("the answer of {agent}")
}

/// A chain whose old runtime has opened a round and taken two of four responses.
fn with_an_open_round() -> Chain {
    let mut chain = Chain::new();
    // From block 1 on the state knows the hash of the genesis block.
    chain.block(vec![]);
    let tickets = pallet_tickets::Call::buy { amount: 10 * UNIT };
    let request = Call::request {
        prompt: b"What survives an upgrade?".to_vec(),
        fee: FEE,
        max_tokens: 16,
        min_responses: 3,
        max_responses: 8,
    };
    let mut transactions = vec![chain.signed(Eve, request.into())];
    transactions.extend(AGENTS.map(|agent| chain.signed(agent, tickets.clone().into())));
    chain.block(transactions);
    let commits = [Alice, Bob].map(|agent| chain.commit(agent));
    chain.block(commits.into());
    chain
}

/// Asserts that the state of the old runtime is unchanged.
/// The parameters of the first release, which its chains keep.
fn old_parameters() -> starling_runtime::parameters::Parameters {
    let mut parameters = Preset::Dev.parameters();
    parameters.rewards.loser = Permill::from_percent(10);
    parameters.rewards.forfeits = Permill::from_percent(20);
    parameters
}

fn assert_old_state(chain: &mut Chain) {
    chain.state.execute_with(|| {
        assert_eq!(Parameters::in_force(), old_parameters());
        let view = Rounds::round_view(ROUND).unwrap();
        assert_eq!(view.round.phase, Phase::Committing);
        assert_eq!(view.round.terms.fee, FEE);
        assert_eq!(view.round.counts.commits, 2);
        assert_eq!(view.prompt, b"What survives an upgrade?");
        let mut agents: Vec<_> = view.responses.into_iter().map(|one| one.agent).collect();
        agents.sort();
        let mut expected = [Alice, Bob].map(|agent| agent.to_account_id());
        expected.sort();
        assert_eq!(agents, expected);
        for agent in AGENTS {
            assert!(Agents::is_active(&agent.to_account_id()));
        }
    });
}

fn version<Pallet: GetStorageVersion + PalletInfoAccess>() -> (&'static str, StorageVersion) {
    (Pallet::name(), Pallet::on_chain_storage_version())
}

#[test]
fn between_the_new_code_and_its_migrations_the_old_state_is_read() {
    let mut chain = with_an_open_round();
    assert_old_state(&mut chain);
    chain.upgrade();
    assert!(!chain.state.execute_with(Runtime::is_migrated));
    chain.block(vec![]);
    assert!(chain.state.execute_with(Runtime::is_migrated));
    assert_old_state(&mut chain);
}

#[test]
fn every_pallet_of_the_protocol_gets_its_version_once() {
    let mut chain = with_an_open_round();
    chain.state.execute_with(|| {
        // Twice, like on a chain that already has the migrations.
        for _ in 0..2 {
            Executive::execute_on_runtime_upgrade();
            let versions = [
                version::<Parameters>(),
                version::<Agents>(),
                version::<Tickets>(),
                version::<Ratings>(),
                version::<Rewards>(),
                version::<Rounds>(),
                version::<Capabilities>(),
                version::<Lanes>(),
                version::<Attestations>(),
                version::<Disputes>(),
            ];
            for (name, version) in versions {
                let latest = if name == "Ratings" { 3 } else { 1 };
                assert_eq!(version, StorageVersion::new(latest), "{name}");
            }
        }
        let weight = <Migrations as OnRuntimeUpgrade>::on_runtime_upgrade();
        assert!(weight.all_lte(System::remaining_block_weight().remaining()));
    });
    assert_old_state(&mut chain);
}

#[test]
fn the_history_of_sessions_begins_empty_and_sessions_go_on() {
    let mut chain = Chain::new();
    chain.block(vec![]);
    chain.upgrade();
    chain.block(vec![]);
    let (first, validators) = chain.state.execute_with(|| {
        let session = Session::current_index();
        assert_eq!(Historical::historical_root(session), None);
        (session, Session::validators())
    });
    assert_eq!(validators.len(), AGENTS.len());
    for session in first + 1..first + 4 {
        while chain.state.execute_with(Session::current_index) < session {
            chain.block(vec![]);
        }
        chain.state.execute_with(|| {
            // The set of the next session is planned, and its keys are noted.
            let (_, planned) = Historical::historical_root(session + 1).unwrap();
            assert_eq!(planned as usize, validators.len());
            let keys = pallet_agents::ActiveKeys::<Runtime>::get(session + 1);
            assert_eq!(keys.len(), validators.len());
            let mut sitting = Session::validators();
            sitting.sort();
            let mut expected = validators.clone();
            expected.sort();
            assert_eq!(sitting, expected);
            assert_eq!(Agents::do_try_state(), Ok(()));
        });
    }
    // The authors are noted, so that the silent can be told from them.
    for _ in AGENTS {
        chain.block(vec![]);
    }
    let authors = chain
        .state
        .execute_with(pallet_agents::Authors::<Runtime>::get);
    assert_eq!(authors.len(), AGENTS.len());
}

#[test]
fn the_validators_of_the_old_runtime_have_proven_seats() {
    let mut chain = Chain::new();
    chain.block(vec![]);
    chain.upgrade();
    chain.block(vec![]);
    chain.state.execute_with(|| {
        let seats = pallet_agents::Seats::<Runtime>::get();
        assert_eq!(seats.len(), AGENTS.len());
        assert!(seats.iter().all(|seat| seat.proven()));
    });
}

#[test]
fn a_round_of_the_old_runtime_is_finished_and_paid_by_the_new_one() {
    let mut chain = with_an_open_round();
    chain.upgrade();
    let before = chain
        .state
        .execute_with(|| AGENTS.map(|agent| Balances::total_balance(&agent.to_account_id())));
    finish(&mut chain);

    chain.state.execute_with(|| {
        let answer = Rounds::answer(ROUND).unwrap();
        assert_eq!(answer.agent, Some(Alice.to_account_id()));
        assert_eq!(answer.text, Some(answer_of(Alice).into_bytes()));
        let won = Balances::total_balance(&Alice.to_account_id()) - before[0];
        assert!(won > FEE * 7 / 10, "the winner got {won}");
        // Nothing is on hold for the round any more, except for its storage deposit.
        let open = Rounds::open_rounds();
        assert_eq!(open, Vec::<RoundId>::new());
        for agent in AGENTS {
            assert_eq!(Agents::reservations(&agent.to_account_id()), (0, 0));
        }
        assert_eq!(Rounds::do_try_state(), Ok(()));
        assert_eq!(Agents::do_try_state(), Ok(()));
        assert_eq!(Tickets::do_try_state(), Ok(()));
        assert_eq!(Ratings::do_try_state(), Ok(()));
        assert_eq!(Rewards::do_try_state(), Ok(()));
        assert_eq!(Parameters::do_try_state(), Ok(()));
    });
}

#[test]
fn votes_of_proven_agents_choose_on_the_real_runtime() {
    let mut chain = with_an_open_round();
    chain.upgrade();
    chain.block(vec![]);
    chain.state.execute_with(|| {
        let mut parameters = Parameters::in_force();
        parameters.rounds.retention_period = 2;
        pallet_protocol_parameters::InForce::<Runtime>::put(parameters);
        let chosen = pallet_capabilities::Chosen::<Runtime>::get();
        assert_eq!(chosen, Choice::Paper, "an upgraded chain goes on as it was");
        let votes = Votes {
            rankers: 2,
            authors: 1,
            ..Votes::default()
        };
        pallet_capabilities::Chosen::<Runtime>::put(Choice::Votes(votes));
        // As if the round had been asked for a few words.
        let question = pallet_capabilities::Question {
            form: Form::Short,
            commitment: H256::zero(),
            revealed: false,
        };
        pallet_capabilities::Questions::<Runtime>::insert(ROUND, question);
        for agent in AGENTS {
            let known = 15 * ONE;
            let capability = Capability {
                rounds: 20,
                right: if agent == Charlie { known } else { 0 },
                answers: known,
                chance: known / 20,
                ..Default::default()
            };
            let record = pallet_capabilities::Record {
                capability,
                last: System::block_number(),
                examiners: Default::default(),
            };
            let who = agent.to_account_id();
            pallet_capabilities::Capabilities::<Runtime>::insert(who, Form::Short, record);
        }
    });
    finish(&mut chain);
    chain.state.execute_with(|| {
        let answer = Rounds::answer(ROUND).unwrap();
        assert_eq!(answer.agent, Some(Charlie.to_account_id()), "by its vote");
        let outcome = Capabilities::outcome(ROUND).unwrap();
        assert!(outcome.is_voted);
        assert_eq!((outcome.votes, outcome.responses), (1, 4));
        assert!(outcome.share_of_weight > ONE / 2);
        assert_eq!(Rounds::do_try_state(), Ok(()));
        assert_eq!(Capabilities::do_try_state(), Ok(()));
    });
    // Ratings move, the round stays for two blocks, and a purge takes all of it.
    for _ in 0..6 {
        chain.block(vec![]);
    }
    chain.state.execute_with(|| {
        assert!(Rounds::round_view(ROUND).is_none());
        assert_eq!(Capabilities::question(ROUND), None);
        assert_eq!(Capabilities::outcome(ROUND), None);
    });
}

/// Plays the open round to its end.
fn finish(chain: &mut Chain) {
    let commits = [Charlie, Dave].map(|agent| chain.commit(agent));
    chain.block(commits.into());
    assert_eq!(chain.phase(), Phase::Revealing);
    chain.block(AGENTS.map(|agent| chain.reveal(agent)).into());
    assert_eq!(chain.phase(), Phase::Ranking);

    let salt = [7; 32];
    let scores = AGENTS.map(|agent| chain.scores(agent));
    let commitments = AGENTS
        .into_iter()
        .zip(&scores)
        .map(|(agent, (seed, scores))| {
            let commitment =
                chain.slot_of(agent, |slot| slot.scores_commitment(*seed, scores, &salt));
            let seed = *seed;
            chain.message(agent, &Message::CommitScores { seed, commitment })
        });
    let commitments = commitments.collect();
    chain.block(commitments);
    assert_eq!(chain.phase(), Phase::Disclosing);
    let disclosures = AGENTS.into_iter().zip(&scores).map(|(agent, (_, scores))| {
        let message = Message::Disclose {
            scores,
            salt: &salt,
        };
        chain.message(agent, &message)
    });
    let disclosures = disclosures.collect();
    chain.block(disclosures);
    assert_eq!(chain.phase(), Phase::Done);
}

#[cfg(feature = "try-runtime")]
#[test]
fn every_check_of_the_upgrade_passes_on_a_state_with_an_open_round() {
    let mut chain = with_an_open_round();
    chain.state.execute_with(|| {
        let checks = frame_try_runtime::UpgradeCheckSelect::All;
        Executive::try_runtime_upgrade(checks).expect("every check passes");
    });
    assert_old_state(&mut chain);
}
