// SPDX-License-Identifier: Apache-2.0
//! How hidden states travel: wire codes.
