// SPDX-License-Identifier: Apache-2.0
//! Which spans make the best chain.
