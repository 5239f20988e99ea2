// SPDX-License-Identifier: Apache-2.0
//! The worker, from outside.

mod abort;
mod adapter;
#[path = "../../engine/tests/common/mod.rs"]
mod engine;
mod foreign_keys;
mod full_disk;
mod lane_round;
mod lanes;
mod replay;
mod shards;
mod traces;
