// SPDX-License-Identifier: Apache-2.0
//! Sketches and traces, from outside.

mod distance;
mod format;
mod make;
mod merkle;
mod shown;
mod trace;
