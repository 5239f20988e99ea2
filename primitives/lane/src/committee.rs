// SPDX-License-Identifier: Apache-2.0
//! Numbers of members, faults and quorum.

use crate::Way;

/// The index of a member in the order of draws: `0 .. n`.
pub type Member = u8;

/// The sizes of a committee of `n = 3f + 1` members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Committee {
    f: u8,
}

impl Committee {
    /// The largest number of faulty members that the rules allow: 16 members.
    pub const MAX_FAULTS: u8 = 5;

    /// Four members. For development: a lane of a network of strangers has at least seven, `f = 2`.
    pub const SMALLEST: Self = Self { f: 1 };

    /// A committee that bears `f` faulty members; `None` if `f` is 0 or above
    /// [`Self::MAX_FAULTS`].
    pub fn bearing(f: u8) -> Option<Self> {
        (1..=Self::MAX_FAULTS).contains(&f).then_some(Self { f })
    }

    /// The committee of `members` members; `None` if there is no such size.
    pub fn of(members: u8) -> Option<Self> {
        let f = members.checked_sub(1)?.checked_div(3)?;
        Self::bearing(f).filter(|committee| committee.n() == members)
    }

    /// The number of faulty members that it bears.
    pub fn f(self) -> u8 {
        self.f
    }

    /// The number of members, `3f + 1`.
    pub fn n(self) -> u8 {
        self.f.saturating_mul(3).saturating_add(1)
    }

    /// The number of members whose word counts, `2f + 1`: two quorums share an honest member.
    pub fn quorum(self) -> u8 {
        self.f.saturating_mul(2).saturating_add(1)
    }

    /// The number of views of a broadcast, `f + 2`: the collectors of two of them at least are
    /// honest.
    pub fn views(self) -> u8 {
        self.f.saturating_add(2)
    }

    /// The number of opens that settle a set which was fixed in this way: a quorum, but all members
    /// but one for a full set.
    ///
    /// A member that seals twice makes two full sets. Among a quorum of words of other members,
    /// only one of the two can then have settled, so that everybody goes on with this one. With
    /// fewer opens nobody could tell which, if `f` is 2 or more.
    pub fn opens(self, way: Way) -> u8 {
        match way {
            Way::Full => self.n().saturating_sub(1),
            Way::View(_) => self.quorum(),
        }
    }

    /// All members.
    pub fn members(self) -> core::ops::Range<Member> {
        0..self.n()
    }

    /// The member that collects the echoes of a view: member `seq mod n` in view 0, then the next.
    pub fn collector(self, seq: u32, view: u8) -> Member {
        let turn = u64::from(seq).saturating_add(view.into());
        turn.checked_rem(self.n().into())
            .and_then(|member| Member::try_from(member).ok())
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_quorums_share_an_honest_member() {
        for f in 1..=Committee::MAX_FAULTS {
            let committee = Committee::bearing(f).unwrap();
            assert!(2 * committee.quorum() - committee.n() > committee.f());
            assert!(committee.n() - committee.f() >= committee.quorum());
            assert!(committee.opens(Way::Full) >= committee.quorum());
        }
        let sizes: Vec<u8> = (0..=u8::MAX)
            .filter(|n| Committee::of(*n).is_some())
            .collect();
        assert_eq!(sizes, [4, 7, 10, 13, 16]);
        assert_eq!(Committee::bearing(0), None);
        assert_eq!(Committee::bearing(6), None);
    }

    #[test]
    fn every_member_collects_in_turn() {
        let committee = Committee::bearing(1).unwrap();
        let turns: Vec<_> = (0..5).map(|view| committee.collector(6, view)).collect();
        assert_eq!(turns, [2, 3, 0, 1, 2]);
        assert_eq!(committee.collector(u32::MAX, u8::MAX), 2);
    }
}
