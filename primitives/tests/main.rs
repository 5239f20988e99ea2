// SPDX-License-Identifier: Apache-2.0
//! The rules of the round protocol, from outside.

mod answer_keys;
mod assignment;
mod binding;
mod chat;
mod choice;
mod codec;
mod sealing;
