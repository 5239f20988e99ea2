// SPDX-License-Identifier: Apache-2.0
//! Claims, evidence and verdicts, from outside.

mod exhibit;
mod format;
mod verdict;
