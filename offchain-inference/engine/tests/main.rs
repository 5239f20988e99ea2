// SPDX-License-Identifier: Apache-2.0
//! The engine with models of the store.

mod backend;
mod candle;
mod common;
mod guesses;
mod http;
mod llama_cpp;
mod rank;
mod tokenizer;
