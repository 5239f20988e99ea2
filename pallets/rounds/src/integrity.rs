// SPDX-License-Identifier: Apache-2.0
//! Consistency of the parameters.

use frame_support::{dispatch::DispatchClass, traits::Get};
use starling_primitives::{Balance, Position};

use crate::{BlockNumber, Config, MaxSealed, Pallet, Room, WeightInfo};

impl<T: Config> Pallet<T> {
    /// Panics in tests of the runtime if the parameters are inconsistent.
    pub(crate) fn check_config() {
        let windows = [
            T::CommitWindow::get(),
            T::RevealWindow::get(),
            T::RankWindow::get(),
            T::DiscloseWindow::get(),
        ];
        assert!(
            windows.iter().all(|window| *window > 0),
            "every window needs a block"
        );
        assert!(
            T::MinResponses::get() >= 2,
            "a response that nobody else ranks cannot be chosen"
        );
        assert!(
            T::MinResponses::get() <= T::MaxResponses::get(),
            "MinResponses > MaxResponses"
        );
        assert!(
            T::MaxResponses::get() <= u32::from(Position::MAX),
            "a position must hold every response"
        );
        assert!(
            T::MinRankings::get() <= T::MaxRankings::get(),
            "MinRankings > MaxRankings"
        );
        assert!(T::MaxRankings::get() > 0, "somebody must rank");
        assert!(
            T::MaxRankings::get() <= u32::from(u16::MAX),
            "the sum of a response's scores must fit 32 bits"
        );
        assert!(T::MaxTransitions::get() > 0, "rounds must end");
        assert!(
            T::MaxTransitionAgents::get() >= T::MaxResponses::get()
                && T::MaxTransitionAgents::get() >= T::RatingPage::get(),
            "the largest round must fit into a block"
        );
        assert!(T::RatingPage::get() > 0, "ratings must move");
        assert!(T::PurgePage::get() > 0, "rounds must be purged");
        assert!(T::MaxOpenRounds::get() > 0, "a round must open");
        assert!(
            T::MaxOpenRounds::get() <= T::MaxStoredRounds::get(),
            "open rounds are stored rounds"
        );
        assert!(T::MaxRequests::get() > 0, "an account must be able to ask");
        assert!(T::Longevity::get() > 0, "a message must live for a block");
        assert!(
            T::MessagePriority::get()
                .checked_add(BlockNumber::MAX.into())
                .is_some(),
            "a later message must have a higher priority than an earlier one"
        );
        assert!(
            T::MinSlash::get() <= T::MaxSlash::get(),
            "MinSlash > MaxSlash"
        );
        for fee in Self::fees() {
            let lost = Self::slash_of(fee).saturating_add(Self::ticket_price(fee));
            assert!(
                Self::refund_if_withheld(fee, lost) <= lost,
                "withholding a key pays at a fee of {fee}"
            );
        }
        let limits = T::BlockWeights::get();
        let room = Room {
            transitions: T::MaxTransitions::get(),
            agents: T::MaxTransitionAgents::get(),
        };
        let reserved =
            T::WeightInfo::on_initialize(T::MaxOpenRounds::get(), T::MaxAuthorities::get())
                .saturating_add(Self::weight_of(room))
                .saturating_add(T::WeightInfo::purge(T::PurgePage::get()));
        assert!(
            reserved.all_lte(limits.max_block.div(2)),
            "the transitions of a block must not take more than half of it"
        );
        let most = limits
            .get(DispatchClass::Operational)
            .max_extrinsic
            .unwrap_or(limits.max_block);
        let commit = T::WeightInfo::commit(MaxSealed::<T>::get());
        assert!(
            commit.all_lte(most),
            "the largest message must fit into a block"
        );
    }

    /// The minimum fee and its doublings, for rules that hold at every fee. Slash and ticket have a
    /// minimum and are straight above it, so a rule that holds at these fees holds between them.
    fn fees() -> impl Iterator<Item = Balance> {
        core::iter::successors(Some(T::MinFee::get().max(1)), |fee| (*fee).checked_mul(2))
            .take_while(|fee| *fee < Balance::MAX >> 32)
    }
}
