// SPDX-License-Identifier: Apache-2.0

mod assignment;
mod authorization;
mod commit;
mod concluded;
mod deadlines;
mod disclose;
mod full_rounds;
mod fuzz;
mod many_rounds;
mod offchain;
mod outcomes;
mod paid;
mod parameters;
mod pass;
mod purge;
mod ratings;
mod request;
mod reveal;
mod runtime_api;
mod scale;
mod scores;
mod silence;
mod slots;
