// SPDX-License-Identifier: Apache-2.0
//! The rules of an OpenAI-compatible gateway, as pure functions.
//!
//! Nothing here opens a socket, reads a chain or sends a transaction.
//!
//! | module | content |
//! |---|---|
//! | [`request`] | a request of `POST /v1/chat/completions`, and the refusal of a bad one |
//! | [`conversation`] | the messages of a conversation as the prompt of one round |
//! | [`completion`] | the answer of a round as an OpenAI object |
//! | [`failure`] | the error table: status, headers and error object |

pub mod completion;
pub mod conversation;
pub mod failure;
pub mod request;
