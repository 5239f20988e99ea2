// SPDX-License-Identifier: Apache-2.0
//! Genesis states by name: `development`, `local_testnet` and the template `testnet`.

use alloc::{vec, vec::Vec};

use frame_support::{build_struct_json_patch, BoundedVec};
use hex_literal::hex;
use pallet_agents::GenesisAgent;
use serde_json::Value;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_core::H256;
use sp_genesis_builder::PresetId;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

use crate::{
    parameters::Preset, AccountId, AgentsConfig, Balance, BalancesConfig, CapabilitiesConfig,
    CommitteeMembersConfig, DisputesConfig, LanesConfig, ParametersConfig, RuntimeGenesisConfig,
    SessionConfig, SessionKeys, SudoConfig, UNIT,
};

/// One validator and agent, Alice, who is also the committee and sudo. The well-known accounts hold
/// funds.
pub const DEVELOPMENT: &str = sp_genesis_builder::DEV_RUNTIME_PRESET;
/// Four validators and agents, Alice to Dave, who are also the committee. Alice is sudo. The
/// well-known accounts hold funds.
pub const LOCAL_TESTNET: &str = sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET;
/// No well-known key and no validator: the operator fills in agents, session keys, committee and
/// balances. No single key is root.
pub const TESTNET: &str = "testnet";

/// Funds of each well-known account in the development presets.
const DEVELOPMENT_ENDOWMENT: Balance = 1_000_000 * UNIT;

/// Bond of each genesis agent in the development presets.
const DEVELOPMENT_BOND: Balance = 1_000 * UNIT;

/// A model by the name and the hash that `starling-infer` fetches it with.
struct Model {
    name: &'static str,
    sha256: H256,
}

const SMOLLM2: Model = Model {
    name: "smollm2-135m-instruct",
    sha256: H256(hex!(
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    )),
};
const GEMMA3: Model = Model {
    name: "gemma-3-270m",
    sha256: H256(hex!(
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    )),
};

/// A validator with its session keys and its agent.
struct Validator {
    account: AccountId,
    keys: SessionKeys,
    agent: GenesisAgent<AccountId>,
}

/// The validator of a well-known key, whose agent declares that it runs `model`.
fn well_known(account: Sr25519Keyring, finality: Ed25519Keyring, model: &Model) -> Validator {
    Validator {
        account: account.to_account_id(),
        keys: SessionKeys {
            aura: AuraId::from(account.public()),
            grandpa: GrandpaId::from(finality.public()),
        },
        agent: GenesisAgent {
            account: account.to_account_id(),
            inference_key: account.public().into(),
            model_name: model.name.into(),
            model_hash: model.sha256,
            bond: DEVELOPMENT_BOND,
        },
    }
}

fn genesis(
    preset: Preset,
    validators: Vec<Validator>,
    endowed: Vec<AccountId>,
    sudo: Option<AccountId>,
) -> Value {
    build_struct_json_patch!(RuntimeGenesisConfig {
        parameters: ParametersConfig {
            preset: Some(preset)
        },
        committee_members: CommitteeMembersConfig {
            members: BoundedVec::truncate_from(
                validators
                    .iter()
                    .map(|validator| validator.account.clone())
                    .collect(),
            ),
        },
        agents: AgentsConfig {
            agents: validators
                .iter()
                .map(|validator| validator.agent.clone())
                .collect(),
        },
        balances: BalancesConfig {
            balances: endowed
                .into_iter()
                .map(|who| (who, DEVELOPMENT_ENDOWMENT))
                .collect(),
        },
        session: SessionConfig {
            keys: validators
                .into_iter()
                .map(|Validator { account, keys, .. }| (account.clone(), account, keys))
                .collect(),
        },
        capabilities: CapabilitiesConfig {
            choice: preset.choice(),
        },
        lanes: LanesConfig {
            parameters: Some(preset.lanes()),
        },
        disputes: DisputesConfig {
            parameters: Some(preset.disputes()),
        },
        sudo: SudoConfig { key: sudo },
    })
}

fn well_known_accounts() -> Vec<AccountId> {
    Sr25519Keyring::well_known()
        .map(|key| key.to_account_id())
        .collect()
}

fn development() -> Value {
    genesis(
        Preset::Dev,
        vec![well_known(
            Sr25519Keyring::Alice,
            Ed25519Keyring::Alice,
            &SMOLLM2,
        )],
        well_known_accounts(),
        Some(Sr25519Keyring::Alice.to_account_id()),
    )
}

fn local_testnet() -> Value {
    genesis(
        Preset::Dev,
        vec![
            well_known(Sr25519Keyring::Alice, Ed25519Keyring::Alice, &SMOLLM2),
            well_known(Sr25519Keyring::Bob, Ed25519Keyring::Bob, &SMOLLM2),
            well_known(Sr25519Keyring::Charlie, Ed25519Keyring::Charlie, &GEMMA3),
            well_known(Sr25519Keyring::Dave, Ed25519Keyring::Dave, &GEMMA3),
        ],
        well_known_accounts(),
        Some(Sr25519Keyring::Alice.to_account_id()),
    )
}

fn testnet() -> Value {
    genesis(Preset::Production, vec![], vec![], None)
}

/// The preset called `id` as JSON, a patch to the default genesis; `None` if it does not exist.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let preset = match id.as_str() {
        DEVELOPMENT => development(),
        LOCAL_TESTNET => local_testnet(),
        TESTNET => testnet(),
        _ => return None,
    };
    serde_json::to_vec(&preset).ok()
}

/// The names of all presets.
pub fn preset_names() -> Vec<PresetId> {
    [DEVELOPMENT, LOCAL_TESTNET, TESTNET]
        .into_iter()
        .map(PresetId::from)
        .collect()
}
