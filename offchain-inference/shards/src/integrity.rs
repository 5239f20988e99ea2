// SPDX-License-Identifier: Apache-2.0
//! Whether a span was computed as it should have been.
