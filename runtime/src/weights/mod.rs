// SPDX-License-Identifier: Apache-2.0
//! The weights of the protocol's pallets, measured by `scripts/weights`.

pub mod pallet_agents;
pub mod pallet_attestations;
pub mod pallet_authoring;
pub mod pallet_beacon;
pub mod pallet_capabilities;
pub mod pallet_disputes;
pub mod pallet_lanes;
pub mod pallet_protocol_parameters;
pub mod pallet_rewards;
pub mod pallet_rounds;
pub mod pallet_tickets;
pub mod pallet_votes;
