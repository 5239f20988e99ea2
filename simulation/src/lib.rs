// SPDX-License-Identifier: Apache-2.0

#![doc = include_str!("../README.md")]

pub mod ability;
pub mod behaviour;
pub mod capture;
pub mod chain;
pub mod changes;
pub mod experiments;
pub mod keys;
pub mod models;
pub mod output;
pub mod page;
pub mod runner;
pub mod selection;
pub mod stats;
pub mod swarm;
pub mod tables;
pub mod votes;
