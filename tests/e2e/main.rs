// SPDX-License-Identifier: Apache-2.0
//! Tests of a running node, each with a node and a chain of its own.

mod agent_trouble;
mod bad_input;
mod client;
mod doors;
mod examine;
mod feeless;
mod finality;
mod played;
mod refused_transactions;
mod runtime_cache;
mod session_keys;
mod swarm;
mod transfer;
