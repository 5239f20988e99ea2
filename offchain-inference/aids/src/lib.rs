// SPDX-License-Identifier: Apache-2.0
//! Aids to a language model that cannot compute and does not know.
//!
//! | module | content |
//! |---|---|
//! | [`arithmetic`] | finds arithmetic in a text, and computes or corrects it |
//! | [`calculator`] | lets a model write calls of a calculator, and puts in their values |
//! | [`knowledge`] | finds the passages of a folder of texts that a question is about |
//!
//! Texts come from anybody. Each function is bounded in time, memory and depth, and gives a text
//! back as it is where it cannot help.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod arithmetic;
pub mod calculator;
pub mod knowledge;
