// SPDX-License-Identifier: Apache-2.0

mod bond;
mod candidates;
mod chill;
mod deregister;
mod genesis;
mod integrity;
mod key;
mod locks;
mod offences;
mod property;
mod register;
mod reservations;
mod seats;
mod seats_property;
mod session;
mod slash;
mod unbond;

/// The other tests run [`crate::Pallet::do_try_state`] at their end. These tests show that it
/// detects broken state.
mod try_state;
