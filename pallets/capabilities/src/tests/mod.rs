// SPDX-License-Identifier: Apache-2.0

mod choice;
mod governance;
mod integrity;
mod learning;
mod property;
mod questions;
mod reveal;
mod try_state;
