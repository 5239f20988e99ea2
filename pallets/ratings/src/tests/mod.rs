// SPDX-License-Identifier: Apache-2.0

mod counts;
mod integrity;
mod presets;
mod property;
mod try_state;
mod weight;
mod window;
