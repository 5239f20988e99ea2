// SPDX-License-Identifier: Apache-2.0
//! `starling-node`: runs a validator or a full node of the Starling chain.

// The errors of `sc-cli` and `sc-service` are large; they are made once, when the node ends.
#![allow(clippy::result_large_err)]

mod agent;
mod cli;
mod client;
mod command;
mod endpoints;
mod finality;
mod key;
mod lanes;
mod quote;
mod rpc;
mod service;
mod traces;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", command::explain(&error));
            ExitCode::FAILURE
        },
    }
}
