// SPDX-License-Identifier: Apache-2.0
//! The number of tokens that are worth drafting, by what passes and drafts cost.

use std::time::Duration;

/// Weight of the newest measurement of a drafted token in the running mean.
const NEWEST: f64 = 0.2;

/// Weight that an earlier pass keeps when another one follows.
const KEPT: f64 = 0.95;

/// Part of the time of a pass by which drafts must beat passes without any.
const LEAST_GAIN: f64 = 0.05;

/// Tokens that are computed together take this part of their time one by one, or less.
const TOGETHER: f64 = 0.25;

/// Tokens assumed to follow at most, when the gain of drafts is compared with the time in which the
/// draft model catches up with the text.
const TOKENS_TO_COME: usize = 64;

/// Measured times of passes and drafts. A line through the latest passes gives the seconds of a
/// pass by its rows; the weight of a pass falls with each one that follows.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Seconds of a drafted token.
    draft: f64,
    weight: f64,
    rows: f64,
    seconds: f64,
    rows_rows: f64,
    rows_seconds: f64,
}

/// Seconds of a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PassTime {
    /// With one row.
    pub one: f64,
    /// Of each further row.
    pub more: f64,
}

impl Pace {
    /// Of a draft model that drafts a token in these seconds, before the first pass.
    pub fn new(draft: f64) -> Self {
        Self {
            draft: draft.max(f64::MIN_POSITIVE),
            weight: 0.0,
            rows: 0.0,
            seconds: 0.0,
            rows_rows: 0.0,
            rows_seconds: 0.0,
        }
    }

    /// Seconds of a drafted token.
    pub fn draft(&self) -> f64 {
        self.draft
    }

    /// Records a drafted token.
    pub fn drafted(&mut self, took: Duration) {
        self.draft += NEWEST * (took.as_secs_f64() - self.draft);
    }

    /// Records a pass.
    pub fn passed(&mut self, rows: usize, took: Duration) {
        let (rows, seconds) = (rows as f64, took.as_secs_f64());
        let add = |sum: &mut f64, value: f64| *sum = *sum * KEPT + value;
        add(&mut self.weight, 1.0);
        add(&mut self.rows, rows);
        add(&mut self.seconds, seconds);
        add(&mut self.rows_rows, rows * rows);
        add(&mut self.rows_seconds, rows * seconds);
    }

    /// The time of a pass whose trunk computes `free` further rows in about the time of one;
    /// `None` before the first pass. A further row takes no longer than the trunk says. That is its
    /// time where all passes had the same number of rows.
    pub fn pass(&self, free: usize) -> Option<PassTime> {
        if self.weight <= 0.0 {
            return None;
        }
        let (rows, seconds) = (self.rows / self.weight, self.seconds / self.weight);
        let spread = (self.rows_rows / self.weight - rows * rows).max(0.0);
        let together = self.rows_seconds / self.weight - rows * seconds;
        let free = free as f64 + 1.0;
        let said = seconds / (free + rows - 1.0);
        // The trunk's word counts as much as passes whose numbers of rows spread by one.
        let more = ((together + said) / (spread + 1.0)).clamp(0.0, said);
        let one = (seconds - more * (rows - 1.0)).max(f64::MIN_POSITIVE);
        Some(PassTime { one, more })
    }
}

/// Cost of drafts, and the share of right ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    /// The time of a pass.
    pub pass: PassTime,
    /// Seconds of a drafted token.
    pub draft: f64,
    /// Probability that a drafted token is right if all before it are.
    pub right: f64,
    /// Tokens of the text that the draft model has to compute first.
    pub behind: usize,
    /// Tokens that may follow.
    pub left: usize,
}

/// The number of tokens to draft before a pass, at most `most`: that with the least time for each
/// token of the text. 0 where drafts gain little, or less than the draft model needs to catch up.
pub(super) fn length(odds: &Odds, most: usize) -> usize {
    let Odds { pass, draft, .. } = *odds;
    let mut best = (0, pass.one);
    // The token that the pass gives in any case, and the drafted ones that are right.
    let mut tokens = 1.0;
    let mut likely = 1.0;
    for length in 1..=most {
        likely *= odds.right;
        tokens += likely;
        let time = (pass.one + length as f64 * (pass.more + draft)) / tokens;
        if time >= best.1 {
            // More tokens are less likely and cost the same.
            break;
        }
        best = (length, time);
    }
    let gain = pass.one - best.1;
    let catching_up = odds.behind.saturating_sub(1) as f64 * draft * TOGETHER;
    let enough =
        gain >= LEAST_GAIN * pass.one && gain * odds.left.min(TOKENS_TO_COME) as f64 > catching_up;
    if enough {
        best.0
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odds(one: f64, draft: f64) -> Odds {
        Odds {
            pass: PassTime {
                one,
                more: one / 17.0,
            },
            draft,
            right: 0.7,
            behind: 1,
            left: 100,
        }
    }

    fn pace(passes: &[(usize, u64)]) -> Pace {
        let mut pace = Pace::new(0.003);
        for &(rows, milliseconds) in passes {
            pace.passed(rows, Duration::from_millis(milliseconds));
        }
        pace
    }

    #[test]
    fn slow_passes_are_worth_drafts_and_fast_ones_are_not() {
        assert!(length(&odds(0.2, 0.003), 16) >= 4);
        // A round trip of nothing: drafting takes as long as the pass.
        assert_eq!(length(&odds(0.003, 0.003), 16), 0);
        assert_eq!(length(&odds(0.003, 0.03), 16), 0);
    }

    #[test]
    fn the_length_grows_with_the_delay_and_with_the_share_that_is_right() {
        let lengths = [0.003, 0.01, 0.05, 0.2].map(|one| length(&odds(one, 0.003), 16));
        assert!(lengths.is_sorted(), "{lengths:?}");
        let of = |right| {
            let odds = Odds {
                right,
                ..odds(0.2, 0.003)
            };
            length(&odds, 16)
        };
        let lengths = [0.0, 0.3, 0.6, 0.8, 0.95, 1.0].map(of);
        assert!(lengths.is_sorted(), "{lengths:?}");
        assert_eq!((lengths[0], lengths[5]), (0, 16));
    }

    #[test]
    fn no_more_is_drafted_than_there_is_room_for() {
        for most in 0..5 {
            assert_eq!(length(&odds(10.0, 0.001), most), most.min(4));
        }
    }

    #[test]
    fn a_draft_that_is_far_behind_must_be_worth_the_way() {
        let far = |behind, left| {
            let odds = Odds {
                behind,
                left,
                ..odds(0.1, 0.01)
            };
            length(&odds, 16)
        };
        assert!(far(100, 50) > 0);
        assert_eq!(far(100, 3), 0);
        assert_eq!(far(10_000, 1_000_000), 0);
    }

    #[test]
    fn times_of_passes_are_learnt_from_passes() {
        assert_eq!(pace(&[]).pass(16), None);
        // Nothing tells rows apart yet: the trunk's word holds.
        let alike = pace(&[(1, 100); 8]).pass(9).unwrap();
        assert!((alike.one - 0.1).abs() < 1e-9, "{alike:?}");
        assert!((alike.more - 0.01).abs() < 1e-9, "{alike:?}");
        // Rows that cost a millisecond, where the trunk says ten.
        let cheap = pace(&[(1, 100), (9, 108), (5, 104), (13, 112)].repeat(4));
        let cheap = cheap.pass(9).unwrap();
        assert!((0.0005..0.002).contains(&cheap.more), "{cheap:?}");
        assert!((0.095..0.105).contains(&cheap.one), "{cheap:?}");
        // A delay that is gone is forgotten.
        let mut changed = vec![(5, 100); 40];
        changed.extend([(5, 10); 80]);
        let changed = pace(&changed).pass(9).unwrap();
        assert!(changed.one < 0.015, "{changed:?}");
    }

    #[test]
    fn a_drafted_token_moves_the_mean() {
        let mut pace = Pace::new(0.01);
        pace.drafted(Duration::from_millis(20));
        assert!((pace.draft() - 0.012).abs() < 1e-9);
    }
}
