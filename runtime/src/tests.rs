// SPDX-License-Identifier: Apache-2.0
//! Tests of the composed runtime.

mod contradicting_blocks;
mod equivocations;

use codec::Encode;
use frame_support::{
    assert_ok,
    dispatch::GetDispatchInfo,
    traits::{Authorize, Get, GetCallName, Hooks, InstanceFilter, IntegrityTest},
};
use sp_core::crypto::Ss58Codec;
use sp_genesis_builder::{runtime_decl_for_genesis_builder::GenesisBuilderV1, PresetId};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};
use sp_runtime::{
    traits::{BlakeTwo256, Dispatchable, Hash},
    transaction_validity::TransactionSource,
    BuildStorage,
};
use starling_primitives::choice::{Choice, Form};

use crate::{
    configs::{ProxyType, RuntimeBlockWeights, TheCommittee},
    genesis_config_presets as presets,
    parameters::{Preset, Stateless},
    AccountId, AllPalletsWithSystem, Aura, Balance, Balances, Capabilities, Committee, Grandpa,
    Parameters, Rewards, Rounds, Runtime, RuntimeCall, RuntimeGenesisConfig, RuntimeHoldReason,
    RuntimeOrigin, Session, TransactionPayment, TxExtension, Whitelist, EXISTENTIAL_DEPOSIT, UNIT,
};

/// The state of a preset, merged into the default genesis like a chain specification does.
fn state_of(preset: &str) -> TestExternalities {
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
    let patch = presets::get_preset(&PresetId::from(preset)).unwrap();
    merge(&mut config, serde_json::from_slice(&patch).unwrap());
    serde_json::from_value::<RuntimeGenesisConfig>(config)
        .unwrap()
        .build_storage()
        .unwrap()
        .into()
}

fn merge(base: &mut serde_json::Value, patch: serde_json::Value) {
    match (base, patch) {
        (serde_json::Value::Object(base), serde_json::Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(serde_json::Value::Null), value);
            }
        },
        (base, patch) => *base = patch,
    }
}

/// polkadot-api makes TypeScript of the metadata, with the names of parameters as they are.
#[test]
fn no_parameter_of_the_runtime_api_is_a_word_of_javascript() {
    const WORDS: &str =
        "await break case catch class const continue debugger default delete do else enum export \
         extends false finally for function if implements import in instanceof interface let new \
         null package private protected public return static super switch this throw true try \
         typeof var void while with yield";
    // Constants of the metadata are read from the state.
    let metadata = state_of(presets::DEVELOPMENT).execute_with(Runtime::metadata_ir);
    for api in metadata.apis {
        for method in api.methods {
            for input in method.inputs {
                let (api, method, name) = (api.name, method.name, input.name);
                let is_free = WORDS.split_whitespace().all(|word| word != name);
                assert!(is_free, "{api}::{method}: {name}");
            }
        }
    }
}

#[test]
fn every_preset_builds_a_state() {
    for name in presets::preset_names() {
        state_of(name.as_str());
    }
    assert!(presets::get_preset(&PresetId::from("nonsense")).is_none());
}

#[test]
fn session_keys_of_the_presets_author_and_finalise() {
    for (preset, validators) in [(presets::DEVELOPMENT, 1), (presets::LOCAL_TESTNET, 4)] {
        state_of(preset).execute_with(|| {
            assert_eq!(Session::validators().len(), validators);
            assert_eq!(pallet_aura::Authorities::<Runtime>::get().len(), validators);
            assert_eq!(Grandpa::grandpa_authorities().len(), validators);
            assert_eq!(Aura::slot_duration(), crate::SLOT_DURATION);
        });
    }
}

#[test]
fn the_testnet_template_holds_no_well_known_key() {
    let json = presets::get_preset(&PresetId::from(presets::TESTNET)).unwrap();
    let json = String::from_utf8(json).unwrap();
    for key in Sr25519Keyring::iter() {
        assert!(
            !json.contains(&key.to_account_id().to_ss58check()),
            "{key:?}"
        );
    }
    state_of(presets::TESTNET).execute_with(|| {
        assert!(Session::validators().is_empty());
        assert!(pallet_sudo::Key::<Runtime>::get().is_none());
        // The treasury's account.
        assert_eq!(Balances::total_issuance(), EXISTENTIAL_DEPOSIT);
    });
}

#[test]
#[should_panic(expected = "is not an agent: name it in `agents`")]
fn a_genesis_whose_validators_are_no_agents_is_refused() {
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
    let patch = presets::get_preset(&PresetId::from(presets::LOCAL_TESTNET)).unwrap();
    merge(&mut config, serde_json::from_slice(&patch).unwrap());
    merge(
        &mut config,
        serde_json::json!({ "agents": { "agents": [] } }),
    );
    let config: RuntimeGenesisConfig = serde_json::from_value(config).unwrap();
    let _ = config.build_storage();
}

#[test]
fn authorized_calls_are_recognised_before_anything_else_is_checked() {
    let first = <TxExtension as sp_runtime::traits::TransactionExtension<RuntimeCall>>::metadata();
    assert_eq!(
        first.first().map(|extension| extension.identifier),
        Some("AuthorizeCall")
    );
}

#[test]
fn a_transfer_costs_less_than_the_existential_deposit() {
    state_of(presets::DEVELOPMENT).execute_with(|| {
        let call = RuntimeCall::Balances(pallet_balances::Call::transfer_keep_alive {
            dest: Sr25519Keyring::Bob.to_account_id().into(),
            value: 1,
        });
        let len = u32::try_from(call.encoded_size() + 150).unwrap();
        let fee = TransactionPayment::compute_fee(len, &call.get_dispatch_info(), 0);
        assert!(fee > 0 && fee < EXISTENTIAL_DEPOSIT, "fee {fee}");
    });
}

#[test]
fn a_block_is_computed_in_half_a_slot() {
    let weights = RuntimeBlockWeights::get();
    assert_eq!(
        weights.max_block.ref_time()
            / frame_support::weights::constants::WEIGHT_REF_TIME_PER_MILLIS,
        crate::SLOT_DURATION / 2
    );
}

#[test]
fn a_narrow_proxy_cannot_move_funds_or_become_root() {
    let transfer = RuntimeCall::Balances(pallet_balances::Call::transfer_all {
        dest: Sr25519Keyring::Eve.to_account_id().into(),
        keep_alive: false,
    });
    let sudo = RuntimeCall::Sudo(pallet_sudo::Call::sudo {
        call: Box::new(transfer.clone()),
    });
    let purge = RuntimeCall::Session(pallet_session::Call::purge_keys {});
    for narrow in [ProxyType::NonTransfer, ProxyType::SessionKeys] {
        assert!(!narrow.filter(&transfer));
        assert!(!narrow.filter(&sudo));
        assert_eq!(narrow.filter(&purge), narrow == ProxyType::SessionKeys);
        assert!(ProxyType::Any.is_superset(&narrow));
        assert!(!narrow.is_superset(&ProxyType::Any));
    }
}

/// Lets these members agree on a call, all that propose, vote and close.
fn decide(members: &[Sr25519Keyring], call: impl Into<RuntimeCall>) {
    let motion = Box::new(call.into());
    let length_bound = u32::try_from(motion.encoded_size()).unwrap();
    let proposal_weight_bound = motion.get_dispatch_info().call_weight;
    let proposal = BlakeTwo256::hash_of(&motion);
    let index = pallet_collective::ProposalCount::<Runtime, TheCommittee>::get();
    let by = |member: &Sr25519Keyring| RuntimeOrigin::signed(member.to_account_id());
    let (first, _) = members.split_first().unwrap();
    let threshold = u32::try_from(members.len()).unwrap();
    assert_ok!(Committee::propose(
        by(first),
        threshold,
        motion,
        length_bound
    ));
    for member in members {
        assert_ok!(Committee::vote(by(member), proposal, index, true));
    }
    assert_ok!(Committee::close(
        by(first),
        proposal,
        index,
        proposal_weight_bound,
        length_bound
    ));
}

#[test]
fn two_thirds_of_the_committee_are_root_and_fewer_are_not() {
    let members = [Alice, Bob, Charlie, Dave];
    let remark = RuntimeCall::System(frame_system::Call::set_storage {
        items: vec![(b"by root".to_vec(), vec![1])],
    });
    let call_hash = BlakeTwo256::hash_of(&remark);
    let whitelist = pallet_whitelist::Call::whitelist_call { call_hash };
    let dispatch = |who: Sr25519Keyring| {
        let origin = RuntimeOrigin::signed(who.to_account_id());
        Whitelist::dispatch_whitelisted_call_with_preimage(origin, Box::new(remark.clone()))
    };
    let done = || sp_io::storage::get(b"by root").is_some();
    for votes in 2..=4 {
        state_of(presets::LOCAL_TESTNET).execute_with(|| {
            decide(&members[..votes], whitelist.clone());
            // A stranger cannot, whatever the committee says.
            assert!(dispatch(Eve).is_err());
            assert!(!done());
            // Nor can a member whose committee did not agree: the call waits.
            assert_ok!(dispatch(Dave));
            assert_eq!(done(), votes >= 3, "{votes} of 4");
        });
    }
}

#[test]
fn the_committee_spends_slashes_and_changes_itself() {
    let eve = Eve.to_account_id();
    let bond = || Rounds::agent_view(&Dave.to_account_id()).unwrap().bond;
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        let treasury = Rewards::treasury();
        assert_ok!(Balances::transfer_allow_death(
            RuntimeOrigin::signed(Ferdie.to_account_id()),
            treasury.into(),
            10 * UNIT
        ));
        let spend = pallet_rewards::Call::spend {
            to: eve.clone(),
            amount: UNIT,
        };
        let before = Balances::free_balance(&eve);
        decide(&[Alice, Bob], spend.clone());
        assert_eq!(Balances::free_balance(&eve), before, "half is no majority");
        decide(&[Alice, Bob, Charlie], spend);
        assert_eq!(Balances::free_balance(&eve), before + UNIT);

        let slash = pallet_agents::Call::slash {
            who: Dave.to_account_id(),
            amount: UNIT,
        };
        let before = bond();
        decide(&[Alice, Bob], slash.clone());
        assert_eq!(bond(), before, "half is less than two thirds");
        decide(&[Alice, Bob, Charlie], slash);
        assert_eq!(bond(), before - UNIT);

        let swap = pallet_membership::Call::<Runtime, TheCommittee>::swap_member {
            remove: Dave.to_account_id().into(),
            add: eve.clone().into(),
        };
        decide(&[Alice, Bob, Charlie], swap);
        let members = pallet_collective::Members::<Runtime, TheCommittee>::get();
        assert!(members.contains(&eve) && !members.contains(&Dave.to_account_id()));
    });
}

#[test]
fn a_proxy_without_transfers_changes_no_key() {
    let key = starling_primitives::InferenceKey::from(Sr25519Keyring::Eve.public());
    let proof = Sr25519Keyring::Eve.sign(b"").into();
    let rotate = pallet_agents::Call::<Runtime>::rotate_key { key, proof };
    let chill = pallet_agents::Call::<Runtime>::chill {};
    let narrow = ProxyType::NonTransfer;
    assert!(!narrow.filter(&rotate.into()));
    assert!(narrow.filter(&chill.into()));
    assert!(!narrow.is_superset(&ProxyType::SessionKeys));
}

#[test]
fn the_parameters_of_every_preset_fit_together() {
    for preset in [Preset::Production, Preset::Dev, Preset::Paper] {
        // FRAME checks the constants of each pallet without any state.
        Stateless::set(preset.parameters());
        AllPalletsWithSystem::integrity_test();
    }
}

#[test]
fn parameters_that_do_not_fit_together_are_noticed() {
    let mut parameters = Preset::Production.parameters();
    parameters.rounds.min_responses = 1;
    Stateless::set(parameters);
    assert!(std::panic::catch_unwind(AllPalletsWithSystem::integrity_test).is_err());
}

#[test]
fn the_testnet_template_has_the_parameters_of_production() {
    state_of(presets::TESTNET).execute_with(|| {
        assert_eq!(Parameters::in_force(), Preset::Production.parameters());
    });
}

#[test]
fn new_chains_choose_by_votes_and_simulations_of_the_paper_do_not() {
    for (preset, parameters) in [
        (presets::DEVELOPMENT, Preset::Dev),
        (presets::LOCAL_TESTNET, Preset::Dev),
        (presets::TESTNET, Preset::Production),
    ] {
        state_of(preset).execute_with(|| {
            let chosen = pallet_capabilities::Chosen::<Runtime>::get();
            assert_eq!(chosen, parameters.choice());
            assert!(matches!(chosen, Choice::Votes(_)), "{preset}");
        });
    }
    assert_eq!(Preset::Paper.choice(), Choice::Paper);
}

#[test]
fn anybody_asks_for_a_form_and_root_alone_names_examiners() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        let eve = || RuntimeOrigin::signed(Eve.to_account_id());
        let ask = pallet_capabilities::Call::<Runtime>::ask {
            prompt: b"How much is 2 + 2?".to_vec(),
            fee: UNIT,
            max_tokens: 16,
            min_responses: 2,
            max_responses: 4,
            form: Form::Number,
            commitment: Default::default(),
        };
        assert_ok!(RuntimeCall::from(ask).dispatch(eve()));
        let question = Capabilities::question(0).unwrap();
        assert_eq!((question.form, question.revealed), (Form::Number, false));
        let round = Rounds::round_view(0).unwrap();
        assert_eq!(round.round.requester, Eve.to_account_id());

        let examiners = vec![Eve.to_account_id()].try_into().unwrap();
        let name = pallet_capabilities::Call::<Runtime>::set_examiners { examiners };
        let name = RuntimeCall::from(name);
        assert!(name.clone().dispatch(eve()).is_err());
        assert_ok!(name.dispatch(RuntimeOrigin::root()));
        assert_ok!(Capabilities::do_try_state());
    });
}

#[test]
fn a_genesis_that_chooses_no_parameters_is_refused() {
    let config = RuntimeGenesisConfig::default();
    let built = TestExternalities::default()
        .execute_with(|| Runtime::build_state(serde_json::to_vec(&config).unwrap()));
    assert!(built.unwrap_err().contains("parameters"));
}

#[test]
fn the_reasons_of_holds_and_the_kinds_of_proxies_keep_their_bytes() {
    let holds: [(RuntimeHoldReason, [u8; 2]); 5] = [
        (pallet_preimage::HoldReason::Preimage.into(), [26, 0]),
        (pallet_agents::HoldReason::Bond.into(), [31, 0]),
        (pallet_tickets::HoldReason::Tickets.into(), [32, 0]),
        (pallet_rounds::HoldReason::Fee.into(), [35, 0]),
        (pallet_rounds::HoldReason::Deposit.into(), [35, 1]),
    ];
    for (reason, bytes) in holds {
        assert_eq!(reason.encode(), bytes);
    }
    let proxies = (
        ProxyType::Any,
        ProxyType::NonTransfer,
        ProxyType::SessionKeys,
    );
    assert_eq!(proxies.encode(), [0, 1, 2]);
}

#[test]
fn the_validators_of_the_presets_are_agents_that_may_answer() {
    for preset in [presets::DEVELOPMENT, presets::LOCAL_TESTNET] {
        state_of(preset).execute_with(|| {
            assert_eq!(Parameters::in_force(), Preset::Dev.parameters());
            for validator in Session::validators() {
                let agent = Rounds::agent_view(&validator).unwrap();
                assert!(agent.active);
                let key = <[u8; 32]>::try_from(sp_core::ByteArray::as_slice(&agent.key)).unwrap();
                assert_eq!(AccountId::new(key), validator);
            }
            assert_eq!(
                pallet_agents::Candidates::<Runtime>::get().len(),
                Session::validators().len()
            );
        });
    }
}

/// Compares each call of the protocol with the source of its pallet's measured weights.
#[test]
fn every_call_of_the_protocol_has_a_weight_that_was_measured() {
    fn check<Call: GetCallName, Weights>(pallet: &str, generated: &str) {
        let weights = core::any::type_name::<Weights>();
        let expected = format!("starling_runtime::weights::{pallet}::WeightInfo<");
        assert!(weights.starts_with(&expected), "{pallet} uses {weights}");
        for call in Call::get_call_names() {
            assert!(
                generated.contains(&format!("fn {call}(")),
                "{pallet}::{call} has no measured weight: run scripts/weights {pallet}"
            );
        }
    }

    check::<pallet_agents::Call<Runtime>, <Runtime as pallet_agents::Config>::WeightInfo>(
        "pallet_agents",
        include_str!("weights/pallet_agents.rs"),
    );
    type OfAttestations = <Runtime as pallet_attestations::Config>::WeightInfo;
    check::<pallet_attestations::Call<Runtime>, OfAttestations>(
        "pallet_attestations",
        include_str!("weights/pallet_attestations.rs"),
    );
    check::<pallet_authoring::Call<Runtime>, <Runtime as pallet_authoring::Config>::WeightInfo>(
        "pallet_authoring",
        include_str!("weights/pallet_authoring.rs"),
    );
    check::<pallet_beacon::Call<Runtime>, <Runtime as pallet_beacon::Config>::WeightInfo>(
        "pallet_beacon",
        include_str!("weights/pallet_beacon.rs"),
    );
    type OfCapabilities = <Runtime as pallet_capabilities::Config>::WeightInfo;
    check::<pallet_capabilities::Call<Runtime>, OfCapabilities>(
        "pallet_capabilities",
        include_str!("weights/pallet_capabilities.rs"),
    );
    check::<pallet_disputes::Call<Runtime>, <Runtime as pallet_disputes::Config>::WeightInfo>(
        "pallet_disputes",
        include_str!("weights/pallet_disputes.rs"),
    );
    check::<pallet_lanes::Call<Runtime>, <Runtime as pallet_lanes::Config>::WeightInfo>(
        "pallet_lanes",
        include_str!("weights/pallet_lanes.rs"),
    );
    check::<pallet_rewards::Call<Runtime>, <Runtime as pallet_rewards::Config>::WeightInfo>(
        "pallet_rewards",
        include_str!("weights/pallet_rewards.rs"),
    );
    check::<pallet_rounds::Call<Runtime>, <Runtime as pallet_rounds::Config>::WeightInfo>(
        "pallet_rounds",
        include_str!("weights/pallet_rounds.rs"),
    );
    check::<pallet_tickets::Call<Runtime>, <Runtime as pallet_tickets::Config>::WeightInfo>(
        "pallet_tickets",
        include_str!("weights/pallet_tickets.rs"),
    );
    check::<pallet_votes::Call<Runtime>, <Runtime as pallet_votes::Config>::WeightInfo>(
        "pallet_votes",
        include_str!("weights/pallet_votes.rs"),
    );
}

#[test]
fn an_attestation_takes_a_twentieth_of_a_block() {
    use pallet_attestations::WeightInfo as _;

    type OfAttestations = <Runtime as pallet_attestations::Config>::WeightInfo;
    let block = RuntimeBlockWeights::get().max_block;
    for call in [
        OfAttestations::put_collateral(),
        OfAttestations::attest_dcap(),
        OfAttestations::attest_snp(),
    ] {
        assert!(call.ref_time() <= block.ref_time() / 20);
    }
}

#[test]
fn a_rotated_key_ends_an_attestation() {
    use pallet_attestations::{Attestation, Attested, Claim};
    use starling_attestation::{Basis, Kind, Product, SnpTcb, Status};
    use starling_primitives::traits::{Identities, OnAgentChange};

    state_of(presets::DEVELOPMENT).execute_with(|| {
        let who = Session::validators().remove(0);
        let (key, model) = crate::Agents::identity(&who).unwrap();
        let attestation = Attestation {
            kind: Kind::Snp,
            measurement: model,
            key,
            model,
            claim: Claim {
                peer: [1; 32],
                hop_key: [2; 32],
                block: 0,
            },
            platform: model,
            status: Status::UpToDate,
            advisories: Default::default(),
            basis: Basis::Amd {
                product: Product::Milan,
                tcb: SnpTcb::default(),
            },
            at: 0,
            until: 1,
        };
        Attested::<Runtime>::insert(&who, attestation);
        type Hears = <Runtime as pallet_agents::Config>::OnAgentChange;
        Hears::on_agent_change(&who);
        assert!(!Attested::<Runtime>::contains_key(&who));
    });
}

#[test]
fn a_settlement_of_sixteen_members_takes_a_hundredth_of_a_block() {
    use pallet_lanes::WeightInfo as _;

    type OfLanes = <Runtime as pallet_lanes::Config>::WeightInfo;
    let settlement = OfLanes::settle().saturating_add(OfLanes::authorize_settle());
    let block = RuntimeBlockWeights::get().max_block;
    assert!(settlement.ref_time() <= block.ref_time() / 100);
}

#[test]
fn the_phases_of_disputes_that_end_in_a_block_take_a_fifth_of_it() {
    use pallet_disputes::{WeightInfo as _, MAX_MEMBERS};

    type OfDisputes = <Runtime as pallet_disputes::Config>::WeightInfo;
    let draw = OfDisputes::draw(256).saturating_add(OfDisputes::close());
    let judge = OfDisputes::judge(MAX_MEMBERS).saturating_add(OfDisputes::close());
    let block = RuntimeBlockWeights::get().max_block;
    assert!(draw.max(judge).saturating_mul(2).ref_time() <= block.ref_time() / 5);
}

#[test]
fn disputes_of_each_preset_fit_its_bonds() {
    for preset in [Preset::Production, Preset::Dev, Preset::Paper] {
        let unbonding = preset.parameters().unbonding_period;
        assert!(preset.disputes().is_sound(unbonding, crate::SLOT_DURATION));
    }
}

/// Sends a feeless call as the pool and a block do.
fn send_feeless(call: pallet_lanes::Call<Runtime>) {
    let call = RuntimeCall::Lanes(call);
    let verdict = call.authorize(TransactionSource::External).unwrap();
    assert!(verdict.is_ok(), "{verdict:?}");
    assert_ok!(call.dispatch(frame_system::RawOrigin::Authorized.into()));
}

#[test]
fn four_agents_answer_a_lane_of_the_local_network_and_are_paid() {
    use crate::{Lanes, System};
    use starling_lane_primitives::{
        checkpoint::Checkpoint,
        messages::{self, Message},
        seal::DecryptionKey,
        volunteer, Certificate, Phase, Slot, Terms,
    };

    const EPOCH: u32 = 4;

    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        let agents = [Alice, Bob, Charlie, Dave];
        let to_epoch = |epoch| {
            while Lanes::epoch_view().epoch < epoch {
                let next = System::block_number() + 1;
                System::set_block_number(next);
                Lanes::on_initialize(next);
            }
        };
        to_epoch(EPOCH - volunteer::AHEAD);
        let terms = Terms {
            members: 4,
            max_fee: UNIT,
            max_tokens: 64,
            answer_ms: 1_000,
            rank_ms: 1_000,
            key: Eve.to_raw_public(),
            peer: None,
        };
        let requester = RuntimeOrigin::signed(Eve.to_account_id());
        assert_ok!(Lanes::open(requester, 100 * UNIT, terms));
        let rules = Lanes::rules();
        for agent in agents {
            let account = agent.to_account_id();
            let (point, peer) = (DecryptionKey::from_bytes(&[7; 64]).public(), [9; 32]);
            let genesis = &rules.genesis.0;
            let payload = volunteer::join(genesis, account.as_ref(), EPOCH, &point, &peer);
            send_feeless(pallet_lanes::Call::join {
                agent: account,
                epoch: EPOCH,
                point,
                peer,
                signature: agent.sign(&payload).into(),
            });
        }
        to_epoch(EPOCH);
        let committee = Lanes::committee_view(0, EPOCH).unwrap();
        assert_eq!(
            committee.choice,
            pallet_capabilities::Chosen::<Runtime>::get()
        );
        let members = committee.members;
        let member = |place: usize| members[place].agent.clone();
        let mut payouts: Vec<([u8; 32], Balance)> = vec![
            (member(0).into(), UNIT * 7 / 10),
            (member(1).into(), UNIT * 2 / 10),
            (rules.treasury.clone().into(), UNIT / 10),
        ];
        payouts.sort_unstable();
        let checkpoint = Checkpoint {
            lane: 0,
            epoch: EPOCH,
            first: 0,
            bitmap: 1,
            fees: UNIT,
            payouts,
            transcripts: [0; 32],
        };
        let hash = checkpoint.hash(&rules.genesis.0);
        let signed = (0u8..3).map(|place| {
            let who = member(place.into());
            let signer = agents.iter().find(|agent| agent.to_account_id() == who);
            (place, signer.unwrap().sign(&hash).into())
        });
        let certificate = Certificate::new(signed);
        assert_eq!(Lanes::can_settle(&checkpoint), Ok(()));
        send_feeless(pallet_lanes::Call::settle {
            checkpoint,
            certificate,
        });
        assert_ok!(Lanes::do_try_state());
        let before = Balances::free_balance(member(0));
        let due = System::block_number() + rules.dispute_window;
        System::set_block_number(due);
        Lanes::on_idle(due, frame_support::weights::Weight::MAX);
        assert_eq!(Balances::free_balance(member(0)) - before, UNIT * 7 / 10);
        assert_eq!(Lanes::lane(0).unwrap().paid, UNIT);
        assert_ok!(Lanes::do_try_state());

        // A member that votes twice is reported without an account.
        let guilty = member(2);
        let vote = |outcome| {
            let slot = Slot {
                genesis: rules.genesis.0,
                lane: 0,
                epoch: EPOCH,
                seq: 9,
                phase: Phase::Scores,
            };
            let message = Message::Vote([outcome; 32]);
            let signed = messages::payload(&slot, guilty.as_ref(), &message);
            let mut signers = agents.iter();
            let signer = signers.find(|agent| agent.to_account_id() == guilty);
            let signature: [u8; 64] = signer.unwrap().sign(&signed).into();
            (slot, message, signature)
        };
        let transaction =
            |second| Lanes::equivocation_transaction(guilty.clone(), vote(1), vote(second));
        assert!(transaction(1).is_none());
        assert!(transaction(2).is_some());
        assert!(Lanes::is_liable(&guilty, 0, EPOCH));
        send_feeless(pallet_lanes::Call::equivocation {
            offender: guilty.clone(),
            a: Box::new(vote(1)),
            b: Box::new(vote(2)),
        });
        assert!(transaction(2).is_none());
        assert!(!Lanes::is_liable(&guilty, 0, EPOCH));
        assert_ok!(Lanes::do_try_state());
    });
}

/// Sets the parameters as the admin.
fn set(parameters: &crate::parameters::Parameters) -> sp_runtime::DispatchResult {
    let parameters = Box::new(parameters.clone());
    let call = RuntimeCall::Parameters(pallet_protocol_parameters::Call::set { parameters });
    let set = call.dispatch(frame_system::RawOrigin::Root.into());
    set.map(|_| ()).map_err(|failed| failed.error)
}

#[test]
fn the_admin_changes_parameters_that_fit_together() {
    state_of(presets::DEVELOPMENT).execute_with(|| {
        let mut parameters = Parameters::in_force();
        parameters.min_fee *= 2;
        parameters.rounds.commit_window = 90;
        parameters.rounds.max_rankings = 20;
        assert_eq!(set(&parameters), Ok(()));
        assert_eq!(Parameters::in_force(), parameters);
        assert_eq!(
            <Runtime as pallet_rounds::Config>::MinFee::get(),
            parameters.min_fee
        );
        AllPalletsWithSystem::integrity_test();
    });
}

#[test]
fn parameters_that_do_not_fit_together_are_refused_with_the_rule_and_change_nothing() {
    use crate::parameters::Parameters as Values;
    use pallet_protocol_parameters::Error;
    use sp_runtime::Permill;

    type Case = (Error<Runtime>, fn(&mut Values));
    let cases: [Case; 21] = [
        (Error::BondChanged, |them| them.min_bond += 1),
        (Error::RankingsLowered, |them| them.rounds.max_rankings -= 1),
        (Error::NoValidator, |them| them.min_validators = 0),
        (Error::TooManyValidators, |them| them.min_validators = 65),
        (Error::UnbondingTooShort, |them| them.unbonding_period = 280),
        (Error::FreeTicket, |them| them.min_ticket = 0),
        (Error::TicketTooCheap, |them| {
            them.ticket_share = Permill::zero()
        }),
        (Error::RatingAboveOne, |them| {
            them.ratings.initial_rating = 1 << 33
        }),
        (Error::SpreadAboveOne, |them| {
            them.ratings.min_spread = 1 << 33
        }),
        (Error::NewcomersWeighNothing, |them| {
            them.ratings.weight_floor = them.ratings.initial_rating;
        }),
        (Error::SharesExceedPot, |them| {
            them.rewards.rankers = Permill::from_percent(31)
        }),
        (Error::NoFee, |them| them.min_fee = 0),
        (Error::SelfDealingGains, |them| {
            them.rewards.subsidy = Permill::from_percent(12)
        }),
        (Error::EmptyWindow, |them| them.rounds.rank_window = 0),
        (Error::TooFewToRank, |them| them.rounds.min_responses = 1),
        (Error::MinResponsesAboveMax, |them| {
            them.rounds.min_responses = 33
        }),
        (Error::RoundExceedsBlock, |them| {
            them.rounds.max_responses = 501;
            // A ticket of more losers would pay a requester that owns them.
            them.rewards.forfeits = Permill::zero();
        }),
        (Error::MinRankingsAboveMax, |them| {
            them.rounds.min_rankings = 17
        }),
        (Error::TooManyRankings, |them| {
            them.rounds.max_rankings = 10_000
        }),
        (Error::MessagesExpireAtOnce, |them| {
            them.rounds.longevity = 0
        }),
        (Error::MinSlashAboveMax, |them| {
            them.min_slash = them.min_bond / 10 + 1
        }),
    ];
    state_of(presets::DEVELOPMENT).execute_with(|| {
        let before = Parameters::in_force();
        for (error, change) in cases {
            let mut parameters = before.clone();
            change(&mut parameters);
            assert_eq!(set(&parameters), Err(error.into()));
            assert_eq!(Parameters::in_force(), before);
        }
    });
}
