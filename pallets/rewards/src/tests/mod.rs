// SPDX-License-Identifier: Apache-2.0

mod integrity;
mod nobody;
mod presets;
mod property;
mod rankers;
mod treasury;
mod winner;
