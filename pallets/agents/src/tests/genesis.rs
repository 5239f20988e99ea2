// SPDX-License-Identifier: Apache-2.0

use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, Agents as Registered, GenesisConfig};

#[test]
fn genesis_agents_are_bonded_active_and_validators() {
    Chain::with_agents(&[(1, 100), (2, 200)]).run(|| {
        assert_eq!(<Agents as AgentRegistry<_>>::active_count(), 2);
        assert_eq!(<Agents as AgentRegistry<_>>::agent_of(&key(2)), Some(2));
        assert_eq!(held(1), 100);
        assert_eq!(free(1), ENDOWMENT - 100, "genesis takes no fee");
        assert_eq!(
            Registered::<Test>::get(1).unwrap().model.name.to_vec(),
            b"genesis"
        );
        assert_eq!(Authorities::get(), [2, 1]);
    });
}

#[test]
#[should_panic(expected = "BondTooLow")]
fn a_genesis_bond_below_the_minimum_is_refused() {
    Chain::with_agents(&[(1, 99)]).run(|| {});
}

#[test]
#[should_panic(expected = "AlreadyRegistered")]
fn a_genesis_agent_that_is_there_twice_is_refused() {
    Chain::with_agents(&[(1, 100), (1, 100)]).run(|| {});
}

#[test]
#[should_panic(expected = "3 has session keys in the genesis and is not an agent")]
fn session_keys_of_an_account_that_is_no_agent_are_refused() {
    Chain::with_agents(&[(1, 100), (2, 200)])
        .and_keys_of(3)
        .run(|| {});
}

#[test]
fn fewer_validators_than_an_election_needs_still_begin_a_chain() {
    MinValidators::set(3);
    Chain::with_agents(&[(1, 100)]).run(|| assert_eq!(Authorities::get(), [1]));
}

#[test]
fn the_genesis_is_written_as_json() {
    let json = serde_json::json!({
        "agents": [{
            "account": 1,
            "inferenceKey": key(1),
            "modelName": "SmolLM2-135M",
            "modelHash": format!("0x{}", "ab".repeat(32)),
            "bond": 100,
        }]
    });
    let config: GenesisConfig<Test> = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(config.agents[0].inference_key, key(1));
    assert_eq!(serde_json::to_value(&config).unwrap(), json);
}
