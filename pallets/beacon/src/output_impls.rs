// SPDX-License-Identifier: Apache-2.0
//! The required output of a block's author, and its use.

use codec::Decode;
use frame_support::ensure;
use frame_system::pallet_prelude::BlockNumberFor;
use sp_consensus_aura::{Slot, AURA_ENGINE_ID};
use sp_core::sr25519::Public;
use sp_runtime::{
    traits::{One, Saturating, UniqueSaturatedInto, Zero},
    DispatchResult,
};
use starling_primitives::{
    beacon::{accumulate, input, Output, EPOCH},
    traits::Randomness,
    H256,
};

use crate::{Accumulator, Awaited, Config, Error, Pallet, Seed};

impl<T: Config> Pallet<T> {
    /// Notes the author that Aura's present set names for this block's slot. A block without a slot
    /// has none.
    pub(crate) fn await_author() {
        let authorities = pallet_aura::Authorities::<T>::get();
        let author = Self::slot().and_then(|slot| {
            let number = u64::try_from(authorities.len()).ok()?;
            let place = slot.checked_rem(number)?;
            let author = authorities.get(usize::try_from(place).ok()?)?;
            Some((author.clone(), Slot::from(slot)))
        });
        Awaited::<T>::set(author);
    }

    /// The slot in the digest of this block.
    fn slot() -> Option<u64> {
        let digest = frame_system::Pallet::<T>::digest();
        let mut items = digest.logs.iter().filter_map(|item| item.as_pre_runtime());
        let (_, mut slot) = items.find(|(engine, _)| *engine == AURA_ENGINE_ID)?;
        Slot::decode(&mut slot).ok().map(u64::from)
    }

    pub(crate) fn do_reveal(output: &Output) -> DispatchResult {
        let (author, slot) = Awaited::<T>::get().ok_or(Error::<T>::NotAwaited)?;
        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        let asked = input(genesis, Seed::<T>::get(), slot.into());
        let author: Public = author.into();
        ensure!(output.is_of(&author, &asked), Error::<T>::WrongOutput);
        Awaited::<T>::kill();
        Accumulator::<T>::mutate(|hash| *hash = accumulate(*hash, output));
        Ok(())
    }

    /// At the end of an epoch, puts the next seed in force.
    pub(crate) fn end_block(now: BlockNumberFor<T>) {
        let next: u32 = now.saturating_add(One::one()).unique_saturated_into();
        if next.checked_rem(EPOCH) == Some(0) {
            Seed::<T>::put(Accumulator::<T>::get());
        }
    }

    /// Checks that no block ended without its author's output.
    #[cfg(any(feature = "std", feature = "try-runtime"))]
    pub fn do_try_state() -> DispatchResult {
        ensure!(!Awaited::<T>::exists(), "a block lacks its author's output");
        Ok(())
    }
}

impl<T: Config> Randomness for Pallet<T> {
    fn value() -> H256 {
        Accumulator::<T>::get()
    }
}
