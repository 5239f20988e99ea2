// SPDX-License-Identifier: Apache-2.0

mod accuse;
mod appeal;
mod committee;
mod holders;
mod integrity;
mod property;
mod publish;
mod settlement;
