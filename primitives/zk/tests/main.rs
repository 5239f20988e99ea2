// SPDX-License-Identifier: Apache-2.0
//! Private heads, from outside.

mod features;
mod file;
mod proofs;
mod table;
