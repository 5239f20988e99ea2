// SPDX-License-Identifier: Apache-2.0
//! The adversaries, and what of a case belongs to each.

use serde::{Deserialize, Serialize};
use starling_evidence::verdict::two_thirds;

use crate::capture::End;

/// An adversary, with a share of the executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adversary {
    /// A server that returns wrong rows. An honest agent accuses it, and its executors vouch for
    /// it.
    Liar,
    /// The same, but it accuses an honest server itself.
    Captured,
    /// The same liar with an honest accuser. Its executors compute right, and say of their second
    /// numerics that they are far from the first, so that the tolerance covers the lie.
    Blurring,
    /// An accuser of two honest servers whose bits an input makes differ. Its executors call both
    /// wrong.
    Framer,
    /// An accuser of two honest servers without ground. Its executors keep the committee from
    /// agreeing, which saves most of its bond.
    Griefer,
    /// Executors that say that nobody showed them an exhibit.
    Lazy,
    /// Executors that copy an output of the exhibit, and invent the rows that it does not show.
    Copying,
}

impl Adversary {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Liar,
        Self::Captured,
        Self::Blurring,
        Self::Framer,
        Self::Griefer,
        Self::Lazy,
        Self::Copying,
    ];

    /// Whether the first server of a case is guilty. The second one never is.
    pub fn has_guilty(self) -> bool {
        !matches!(self, Self::Framer | Self::Griefer)
    }

    /// Whether the guilty server is the adversary's.
    pub(super) fn owns_guilty(self) -> bool {
        matches!(self, Self::Liar | Self::Captured | Self::Blurring)
    }

    /// Whether the accuser is the adversary's.
    pub(super) fn owns_accuser(self) -> bool {
        matches!(self, Self::Captured | Self::Framer | Self::Griefer)
    }

    /// The end of a committee's work, if the adversary owns `owned` of `size` members.
    pub fn end(self, size: u32, owned: u32) -> End {
        let quorum = two_thirds(size as usize) as u32;
        let is_honest = size.saturating_sub(owned) >= quorum;
        let is_captured = owned >= quorum;
        match self {
            // The tolerance follows from the median.
            Self::Blurring if owned >= size - size / 2 => End::Wrong,
            Self::Blurring => End::Right,
            _ if is_honest => End::Right,
            Self::Liar | Self::Captured | Self::Framer if is_captured => End::Wrong,
            Self::Lazy if is_captured => End::Void,
            _ => End::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_capture_a_committee_and_a_third_keeps_it_from_deciding() {
        for adversary in [Adversary::Liar, Adversary::Captured, Adversary::Framer] {
            let ends = [3, 4, 5, 6].map(|owned| adversary.end(9, owned));
            let undecided = End::Undecided;
            assert_eq!(ends, [End::Right, undecided, undecided, End::Wrong]);
        }
        assert_eq!(Adversary::Copying.end(9, 9), End::Undecided);
        assert_eq!(Adversary::Lazy.end(9, 6), End::Void);
        assert_eq!(Adversary::Lazy.end(9, 5), End::Undecided);
    }
}
