// SPDX-License-Identifier: Apache-2.0

mod draw;
mod epochs;
mod equivocation;
mod escalate;
mod integrity;
mod lanes;
mod payment;
mod property;
mod settle;
