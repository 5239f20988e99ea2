// SPDX-License-Identifier: Apache-2.0

mod buy;
mod integrity;
mod price;
mod property;
mod refund;
mod stake;
mod try_state;
