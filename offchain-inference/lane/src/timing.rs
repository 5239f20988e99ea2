// SPDX-License-Identifier: Apache-2.0
//! Waiting times.

/// A time in microseconds.
pub type Time = u64;

/// A duration in microseconds.
pub type Duration = u64;

/// The longest delay between two members that is waited for.
pub const MAX_DELAY: Duration = 130_000;

/// A member's wait beyond delays: for signature checks and for its turn on the processor.
const SLACK: Duration = 15_000;

/// The waiting times of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The delay to the other members, one way.
    pub delay: Duration,
    /// The time that members have for ranking.
    pub rank: Duration,
}

impl Timing {
    /// `D`: the time that a member waits for seals after it has enough of them.
    pub fn patience(self) -> Duration {
        self.delay
            .min(MAX_DELAY)
            .saturating_mul(3)
            .saturating_add(SLACK)
    }

    /// The time that a member waits for the set of a view to be opened: `2D` in view 0, then twice
    /// as much in each. So the views of honest members meet, whatever the delays are.
    pub fn of_view(self, view: u8) -> Duration {
        let factor = 2u64.checked_shl(view.into()).unwrap_or(u64::MAX);
        self.patience().saturating_mul(factor)
    }
}
