// SPDX-License-Identifier: Apache-2.0
//! The parameters of a scenario: a preset by name, and changes to it.

use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};
use sp_runtime::Permill;
use starling_primitives::fixed::ONE;
use starling_runtime::{
    parameters::{Parameters, Preset},
    Balance, UNIT,
};

use crate::experiments::short;

/// A scenario's changes to the parameters. Shares and ratings are numbers in `[0, 1]`, amounts are
/// in the currency's unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Changes {
    /// Name of the base preset: `production`, `dev` or `paper`; `production` if left out.
    pub base: Option<Preset>,
    /// `MinRankings`.
    pub min_rankings: Option<u32>,
    /// `MaxRankings`.
    pub max_rankings: Option<u32>,
    /// `MinResponses`.
    pub min_responses: Option<u32>,
    /// All four windows, in blocks.
    pub window: Option<u32>,
    /// `ApprovalThreshold`.
    pub approval_threshold: Option<f64>,
    /// `SlashShare`.
    pub slash_share: Option<f64>,
    /// `InitialRating`.
    pub initial_rating: Option<f64>,
    /// `WeightFloor`.
    pub weight_floor: Option<f64>,
    /// `MinSamples`.
    pub min_samples: Option<u32>,
    /// `MinSpread`.
    pub min_spread: Option<f64>,
    /// The winner's share.
    pub winner: Option<f64>,
    /// The rankers' share.
    pub rankers: Option<f64>,
    /// `LoserShare`.
    pub loser: Option<f64>,
    /// φ.
    pub forfeits: Option<f64>,
    /// Price of a ticket, as a share of the reward.
    pub ticket_share: Option<f64>,
    /// Minimum price of a ticket.
    pub min_ticket: Option<f64>,
}

impl Changes {
    /// The resulting parameters.
    pub fn parameters(&self) -> Result<Parameters> {
        let shares = [
            ("approval_threshold", self.approval_threshold),
            ("slash_share", self.slash_share),
            ("initial_rating", self.initial_rating),
            ("weight_floor", self.weight_floor),
            ("min_spread", self.min_spread),
            ("winner", self.winner),
            ("rankers", self.rankers),
            ("loser", self.loser),
            ("forfeits", self.forfeits),
            ("ticket_share", self.ticket_share),
        ];
        for (name, share) in shares {
            ensure!(
                share.is_none_or(|share| (0.0..=1.0).contains(&share)),
                "{name} must be between 0 and 1"
            );
        }
        ensure!(
            self.min_ticket
                .is_none_or(|ticket| (0.0..=1e6).contains(&ticket)),
            "min_ticket must be between 0 and a million"
        );
        ensure!(self.window != Some(0), "window must be above zero");
        let mut parameters = short(self.base.unwrap_or(Preset::Production));
        let fixed = |value: f64| (value * ONE as f64).round() as u64;
        let rounds = &mut parameters.rounds;
        set(&mut rounds.min_rankings, self.min_rankings);
        set(&mut rounds.max_rankings, self.max_rankings);
        set(&mut rounds.min_responses, self.min_responses);
        for window in [
            &mut rounds.commit_window,
            &mut rounds.reveal_window,
            &mut rounds.rank_window,
            &mut rounds.disclose_window,
        ] {
            set(window, self.window);
        }
        set(
            &mut rounds.approval_threshold,
            self.approval_threshold.map(permill),
        );
        set(&mut rounds.slash_share, self.slash_share.map(permill));
        let ratings = &mut parameters.ratings;
        set(&mut ratings.initial_rating, self.initial_rating.map(fixed));
        set(&mut ratings.weight_floor, self.weight_floor.map(fixed));
        set(&mut ratings.min_samples, self.min_samples);
        set(&mut ratings.min_spread, self.min_spread.map(fixed));
        let rewards = &mut parameters.rewards;
        set(&mut rewards.winner, self.winner.map(permill));
        set(&mut rewards.rankers, self.rankers.map(permill));
        set(&mut rewards.loser, self.loser.map(permill));
        set(&mut rewards.forfeits, self.forfeits.map(permill));
        set(&mut parameters.ticket_share, self.ticket_share.map(permill));
        let amount = |value: f64| (value * UNIT as f64).round() as Balance;
        set(&mut parameters.min_ticket, self.min_ticket.map(amount));
        Ok(parameters)
    }
}

fn permill(share: f64) -> Permill {
    Permill::from_rational((share * 1e6).round() as u32, 1_000_000)
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_a_scenario_leaves_out_stay_as_they_are() -> Result<()> {
        let changes: Changes =
            toml::from_str("base = \"paper\"\nmax_rankings = 5\nweight_floor = 0.5")?;
        let parameters = changes.parameters()?;
        assert_eq!(parameters.rounds.max_rankings, 5);
        assert_eq!(parameters.ratings.weight_floor, ONE / 2);
        assert_eq!(parameters.rewards, Preset::Paper.parameters().rewards);
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(toml::from_str::<Changes>("wieght_floor = 0.5").is_err());
        let changes: Changes = toml::from_str("loser = 1.5").expect("it is a number");
        let error = changes
            .parameters()
            .expect_err("it is not a share")
            .to_string();
        assert_eq!(error, "loser must be between 0 and 1");
    }
}
