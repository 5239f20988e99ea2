// SPDX-License-Identifier: Apache-2.0
//! The benchmarks that `frame-omni-bencher` runs to measure weights.

use alloc::{string::String, vec::Vec};

use frame_benchmarking::{BenchmarkBatch, BenchmarkConfig, BenchmarkList};
use frame_support::traits::{StorageInfo, StorageInfoTrait, WhitelistedStorageKeys};
use sp_storage::TrackedStorageKey;

use crate::{
    Agents, AllPalletsWithSystem, Attestations, Authoring, Balances, Beacon, Capabilities,
    Disputes, Grandpa, Lanes, Multisig, Parameters, Proxy, Rewards, Rounds, Runtime, Sudo, Tickets,
    Timestamp, Utility, Votes,
};

use frame_system_benchmarking::{extensions::Pallet as SystemExtensions, Pallet as SystemBench};

impl frame_system_benchmarking::Config for Runtime {}

frame_benchmarking::define_benchmarks!(
    [frame_system, SystemBench::<Runtime>]
    [frame_system_extensions, SystemExtensions::<Runtime>]
    [pallet_agents, Agents]
    [pallet_attestations, Attestations]
    [pallet_authoring, Authoring]
    [pallet_balances, Balances]
    [pallet_beacon, Beacon]
    [pallet_capabilities, Capabilities]
    [pallet_disputes, Disputes]
    [pallet_grandpa, Grandpa]
    [pallet_lanes, Lanes]
    [pallet_multisig, Multisig]
    [pallet_protocol_parameters, Parameters]
    [pallet_proxy, Proxy]
    [pallet_rewards, Rewards]
    [pallet_rounds, Rounds]
    [pallet_sudo, Sudo]
    [pallet_tickets, Tickets]
    [pallet_timestamp, Timestamp]
    [pallet_utility, Utility]
    [pallet_votes, Votes]
);

/// The list of benchmarks, and the storage of every pallet.
pub fn metadata(extra: bool) -> (Vec<BenchmarkList>, Vec<StorageInfo>) {
    let mut list = Vec::<BenchmarkList>::new();
    list_benchmarks!(list, extra);
    (list, AllPalletsWithSystem::storage_info())
}

/// Runs one benchmark.
pub fn dispatch(config: BenchmarkConfig) -> Result<Vec<BenchmarkBatch>, String> {
    let whitelist: Vec<TrackedStorageKey> = AllPalletsWithSystem::whitelisted_storage_keys();
    let mut batches = Vec::<BenchmarkBatch>::new();
    let params = (&config, &whitelist);
    add_benchmarks!(params, batches);
    Ok(batches)
}
