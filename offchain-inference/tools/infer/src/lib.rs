// SPDX-License-Identifier: Apache-2.0
//! The commands of `starling-infer`. `starling model` shares some of them.

pub mod adapter;
pub mod aids;
pub mod audit;
pub mod bench;
mod common;
pub mod evaluate;
pub mod generate;
pub mod head;
pub mod injection;
pub mod models;
pub mod rank;
mod recommend;
pub mod sketches;
pub mod tokenize;

pub use starling_engine::{chat::Message, generate::Cancel};

pub use common::{
    cancel_on_interrupt, exit_code, item_bar, model_path, Failure, FetchBar, StoreArgs,
};
