// SPDX-License-Identifier: Apache-2.0
//! Consistent sets of parameters, from which a runtime takes its constants.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_runtime::Permill;

use crate::BlockNumber;

/// The parameters that differ between chains. Amounts are configured by the runtime.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct RoundParameters {
    /// `MinResponses`.
    pub min_responses: u32,
    /// `MaxResponses`.
    pub max_responses: u32,
    /// `MinRankings`.
    pub min_rankings: u32,
    /// `MaxRankings`.
    pub max_rankings: u32,
    /// `ApprovalThreshold`.
    pub approval_threshold: Permill,
    /// `SlashShare`.
    pub slash_share: Permill,
    /// `CommitWindow`.
    pub commit_window: BlockNumber,
    /// `RevealWindow`.
    pub reveal_window: BlockNumber,
    /// `RankWindow`.
    pub rank_window: BlockNumber,
    /// `DiscloseWindow`.
    pub disclose_window: BlockNumber,
    /// `RetentionPeriod`.
    pub retention_period: BlockNumber,
    /// `Longevity`.
    pub longevity: BlockNumber,
}

impl RoundParameters {
    /// Maximum number of blocks of a round, as long as enough authorities author and the agenda is
    /// not full.
    pub const fn longest_round(&self) -> BlockNumber {
        self.commit_window
            .saturating_add(self.reveal_window)
            .saturating_add(self.rank_window)
            .saturating_add(self.disclose_window)
    }
}

/// For a network of strangers with blocks of about a second.
///
/// With `MinRankings` 9, every response is ranked by all others in rounds of up to ten agents. Four
/// agents are the minimum that is useful. The windows for inference are two minutes each, those for
/// keys half a minute. A phase ends early anyway, so the windows matter only if an agent is
/// missing. A day of retention lets every client see the answer.
pub const PRODUCTION: RoundParameters = RoundParameters {
    min_responses: 4,
    max_responses: 500,
    min_rankings: 9,
    max_rankings: 16,
    approval_threshold: Permill::from_percent(30),
    slash_share: Permill::from_percent(10),
    commit_window: 120,
    reveal_window: 30,
    rank_window: 120,
    disclose_window: 30,
    retention_period: 86_400,
    longevity: 64,
};

/// For one machine that runs all models: two agents are enough, and everything is short.
pub const DEV: RoundParameters = RoundParameters {
    min_responses: 2,
    max_responses: 32,
    min_rankings: 3,
    commit_window: 60,
    reveal_window: 10,
    rank_window: 60,
    disclose_window: 10,
    retention_period: 600,
    ..PRODUCTION
};

/// The paper's parameters, for simulations: every agent ranks a third of the others, and the best
/// response wins however bad it is.
pub const PAPER: RoundParameters = RoundParameters {
    min_rankings: 0,
    max_rankings: 167,
    approval_threshold: Permill::zero(),
    ..PRODUCTION
};

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::assignment::rankings;

    #[test]
    fn the_paper_s_agents_rank_a_third_of_the_others_in_every_round() {
        for n in 2..=PAPER.max_responses {
            assert_eq!(
                rankings(n, PAPER.min_rankings, PAPER.max_rankings),
                (n - 1).div_ceil(3),
                "{n} agents"
            );
        }
    }

    #[test]
    fn production_agents_rank_all_others_up_to_ten_and_a_third_from_28_to_49() {
        let k = |n| rankings(n, PRODUCTION.min_rankings, PRODUCTION.max_rankings);
        assert_eq!((k(4), k(10), k(11), k(28)), (3, 9, 9, 9));
        assert_eq!((k(29), k(49), k(50), k(500)), (10, 16, 16, 16));
    }

    #[test]
    fn agents_of_one_machine_rank_a_third_and_at_least_three() {
        let k = |n| rankings(n, DEV.min_rankings, DEV.max_rankings);
        assert_eq!((k(2), k(4), k(10), k(11)), (1, 3, 3, 4));
    }
}
