// SPDX-License-Identifier: Apache-2.0
//! Genesis states by name: `development`, `local_testnet` and the template `testnet`.

use alloc::{vec, vec::Vec};

use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_genesis_builder::PresetId;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

use crate::{
    AccountId, Balance, BalancesConfig, RuntimeGenesisConfig, SessionConfig, SessionKeys,
    SudoConfig, UNIT,
};

/// One validator, Alice, who is also sudo; the well-known accounts hold funds.
pub const DEVELOPMENT: &str = sp_genesis_builder::DEV_RUNTIME_PRESET;
/// Four validators, Alice to Dave, Alice is sudo; the well-known accounts hold funds.
pub const LOCAL_TESTNET: &str = sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET;
/// No well-known key and no validator: the operator fills in sudo, session keys and balances.
pub const TESTNET: &str = "testnet";

/// What each well-known account holds in the development presets.
const DEVELOPMENT_ENDOWMENT: Balance = 1_000_000 * UNIT;

/// A validator's account and its session keys.
type Validator = (AccountId, AuraId, GrandpaId);

fn well_known(account: Sr25519Keyring, finality: Ed25519Keyring) -> Validator {
    (
        account.to_account_id(),
        account.public().into(),
        finality.public().into(),
    )
}

fn genesis(validators: Vec<Validator>, endowed: Vec<AccountId>, sudo: Option<AccountId>) -> Value {
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: endowed
                .into_iter()
                .map(|who| (who, DEVELOPMENT_ENDOWMENT))
                .collect(),
        },
        session: SessionConfig {
            keys: validators
                .into_iter()
                .map(|(who, aura, grandpa)| (who.clone(), who, SessionKeys { aura, grandpa }))
                .collect(),
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
        vec![well_known(Sr25519Keyring::Alice, Ed25519Keyring::Alice)],
        well_known_accounts(),
        Some(Sr25519Keyring::Alice.to_account_id()),
    )
}

fn local_testnet() -> Value {
    genesis(
        vec![
            well_known(Sr25519Keyring::Alice, Ed25519Keyring::Alice),
            well_known(Sr25519Keyring::Bob, Ed25519Keyring::Bob),
            well_known(Sr25519Keyring::Charlie, Ed25519Keyring::Charlie),
            well_known(Sr25519Keyring::Dave, Ed25519Keyring::Dave),
        ],
        well_known_accounts(),
        Some(Sr25519Keyring::Alice.to_account_id()),
    )
}

fn testnet() -> Value {
    genesis(vec![], vec![], None)
}

/// The preset called `id` as JSON, a patch to the default genesis; `None` if there is none.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let preset = match id.as_str() {
        DEVELOPMENT => development(),
        LOCAL_TESTNET => local_testnet(),
        TESTNET => testnet(),
        _ => return None,
    };
    serde_json::to_vec(&preset).ok()
}

/// The names that [`get_preset`] knows.
pub fn preset_names() -> Vec<PresetId> {
    [DEVELOPMENT, LOCAL_TESTNET, TESTNET]
        .into_iter()
        .map(PresetId::from)
        .collect()
}
