// SPDX-License-Identifier: Apache-2.0
//! Consistency of the parameters.

use frame_support::{dispatch::DispatchClass, traits::Get, weights::Weight};
use starling_primitives::{
    rules::Rule,
    traits::{holds, Consistent},
    Balance, Position,
};

use crate::{BlockNumber, Config, MaxSealed, Pallet, Room, WeightInfo};

impl<T: Config> Consistent for Pallet<T> {
    fn check() -> Result<(), Rule> {
        let windows = [
            T::CommitWindow::get(),
            T::RevealWindow::get(),
            T::RankWindow::get(),
            T::DiscloseWindow::get(),
        ];
        holds(windows.iter().all(|window| *window > 0), Rule::EmptyWindow)?;
        let (least, most) = (T::MinResponses::get(), T::MaxResponses::get());
        holds(least >= 2, Rule::TooFewToRank)?;
        holds(least <= most, Rule::MinResponsesAboveMax)?;
        holds(most <= u32::from(Position::MAX), Rule::TooManyPositions)?;
        holds(
            most <= T::MaxTransitionAgents::get(),
            Rule::RoundExceedsBlock,
        )?;
        let (least, most) = (T::MinRankings::get(), T::MaxRankings::get());
        holds(least <= most, Rule::MinRankingsAboveMax)?;
        holds(most > 0, Rule::NobodyRanks)?;
        let fits = T::WeightInfo::disclose(most).all_lte(Self::most_of_a_message());
        holds(most <= u32::from(u16::MAX) && fits, Rule::TooManyRankings)?;
        holds(T::Longevity::get() > 0, Rule::MessagesExpireAtOnce)?;
        let (least, most) = (T::MinSlash::get(), T::MaxSlash::get());
        holds(least <= most, Rule::MinSlashAboveMax)?;
        holds(
            Self::fees().all(Self::withholding_loses),
            Rule::WithholdingPays,
        )
    }
}

impl<T: Config> Pallet<T> {
    /// Panics in tests of the runtime if the parameters are inconsistent.
    pub(crate) fn check_config() {
        assert_eq!(<Self as Consistent>::check(), Ok(()));
        assert!(T::MaxTransitions::get() > 0, "rounds must end");
        assert!(
            T::MaxTransitionAgents::get() >= T::RatingPage::get(),
            "a page of ratings must fit into a block"
        );
        assert!(T::RatingPage::get() > 0, "ratings must move");
        assert!(T::PurgePage::get() > 0, "rounds must be purged");
        assert!(T::MaxOpenRounds::get() > 0, "a round must open");
        assert!(T::MaxRequests::get() > 0, "an account must be able to ask");
        assert!(
            T::MaxOpenRounds::get() <= T::MaxStoredRounds::get(),
            "open rounds are stored rounds"
        );
        assert!(
            T::MessagePriority::get()
                .checked_add(BlockNumber::MAX.into())
                .is_some(),
            "a later message must have a higher priority than an earlier one"
        );
        let room = Room {
            transitions: T::MaxTransitions::get(),
            agents: T::MaxTransitionAgents::get(),
        };
        let reserved =
            T::WeightInfo::on_initialize(T::MaxOpenRounds::get(), T::MaxAuthorities::get())
                .saturating_add(Self::weight_of(room))
                .saturating_add(T::WeightInfo::purge(T::PurgePage::get()));
        assert!(
            reserved.all_lte(T::BlockWeights::get().max_block.div(2)),
            "the transitions of a block must not take more than half of it"
        );
        for agents in [T::MinResponses::get(), Self::most_counted()] {
            let room = Self::weight_of_transition(Self::room_for_counting(agents));
            assert!(
                T::WeightInfo::choose(agents).all_lte(room),
                "a round whose answers are counted must take no more than its room"
            );
        }
        let commit = T::WeightInfo::commit(MaxSealed::<T>::get());
        assert!(
            commit.all_lte(Self::most_of_a_message()),
            "the largest message must fit into a block"
        );
    }

    fn most_of_a_message() -> Weight {
        let limits = T::BlockWeights::get();
        limits
            .get(DispatchClass::Operational)
            .max_extrinsic
            .unwrap_or(limits.max_block)
    }

    /// Whether an agent that withholds its key loses at least what its requester gets back for it.
    fn withholding_loses(fee: Balance) -> bool {
        let lost = Self::slash_of(fee).saturating_add(Self::ticket_price(fee));
        Self::refund_if_withheld(fee, lost) <= lost
    }

    /// The minimum fee and its doublings, for rules that hold at every fee. Slash and ticket have a
    /// minimum and are straight above it, so a rule that holds at these fees holds between them.
    fn fees() -> impl Iterator<Item = Balance> {
        core::iter::successors(Some(T::MinFee::get().max(1)), |fee| (*fee).checked_mul(2))
            .take_while(|fee| *fee < Balance::MAX >> 32)
    }
}
