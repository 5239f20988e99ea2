// SPDX-License-Identifier: Apache-2.0
//! An OpenAI-compatible gateway and an MCP server.
//!
//! The gateway asks the swarm for programs that know no chain. It holds the keys that pay, so it
//! runs beside a node and not in one.
//!
//! | module | content |
//! |---|---|
//! | [`request`] | a request for a completion or a response, and the refusal of a bad one |
//! | [`conversation`] | the messages of a conversation as the prompt of one round |
//! | [`place`] | the round of a question, or its request in a lane |
//! | [`completion`], [`stream`] | the answer of a round as OpenAI objects, whole or in chunks |
//! | [`responses`] | the object `response` |
//! | [`outcome`] | the outcome of a round for programs |
//! | [`usage`] | numbers of tokens, where a tokenizer is known |
//! | [`failure`] | the error table: status, headers and error object |
//! | [`config`], [`api_key`] | keys, models and limits |
//! | [`guard`] | who may call: `Host`, `Origin`, type of the body |
//! | [`node`] | the connection to a node |
//! | [`store`] | requests and spending on disk |
//! | [`desk`] | questions that are paid once and followed to their end |
//! | [`lane`] | the lane that questions go over while one takes them |
//! | [`gateway`], [`server`], [`mcp`] | callers and models, HTTP, MCP |
//! | [`survey`], [`dashboard`] | what the dashboard reads, and its files |
//! | [`court`] | the cases of disputes |
//! | [`pace`] | how many blocks the phases of rounds take |
//! | [`light`] | the light client that pages verify answers with |
//! | [`metrics`] | counters for Prometheus |

pub mod api_key;
pub mod completion;
pub mod config;
pub mod conversation;
pub mod court;
pub mod dashboard;
pub mod desk;
pub mod failure;
pub mod gateway;
pub mod guard;
pub mod lane;
pub mod light;
pub mod mcp;
pub mod metrics;
pub mod node;
pub mod outcome;
pub mod pace;
pub mod place;
pub mod request;
pub mod responses;
pub mod server;
pub mod store;
pub mod stream;
pub mod survey;
pub mod usage;

/// The value at a path such as `/error/code`, or null.
pub(crate) fn at<'a>(value: &'a serde_json::Value, path: &str) -> &'a serde_json::Value {
    static NULL: serde_json::Value = serde_json::Value::Null;
    value.pointer(path).unwrap_or(&NULL)
}

/// Tells the operator of trouble, on standard error. Never has a key or a text of a caller.
pub(crate) fn say(words: &str) {
    eprintln!("gateway: {words}");
}
