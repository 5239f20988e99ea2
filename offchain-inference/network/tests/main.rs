// SPDX-License-Identifier: Apache-2.0
//! The protocols of off-chain inference on networks of `sc-network`.

mod base;
mod lane_network;
mod shards;
mod survey_network;
