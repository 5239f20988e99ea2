// SPDX-License-Identifier: Apache-2.0
//! The chance that committees fall to an adversary: arithmetic alone, without a chain.
//!
//! Of `n` holders with equal bonds the adversary owns `m`, a share `β = m / n`. The chance that it
//! owns exactly `x` of a committee of `c` is
//!
//! - hypergeometric, since nobody is drawn twice: `C(m, x) · C(n − m, c − x) / C(n, c)`;
//! - binomial, the limit for ever more holders: `C(c, x) · βˣ · (1 − β)ᶜ⁻ˣ`.
//!
//! A committee that decides nothing is drawn once more from the same holders. With the chance `u`
//! of an undecided one, an instance ends as a number of members lets it with `1 + u` times that
//! number's chance, and without a ruling with `u²`. A wrong ruling is appealed, and holders of the
//! first committee are left out then: `n − c` remain, of which the adversary owns `m − x`.

/// The holders of a model, of which committees are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holders {
    /// So many.
    Limited {
        /// All of them.
        all: u32,
        /// The adversary's.
        owned: u32,
    },
    /// More than any number, of which this share is the adversary's.
    Endless {
        /// The share, from 0 to 1.
        share: f64,
    },
}

impl Holders {
    /// The chance that the adversary owns exactly `owned` of `size` members.
    pub fn chance(self, size: u32, owned: u32) -> f64 {
        let honest = size.saturating_sub(owned);
        match self {
            _ if owned > size => 0.0,
            Self::Limited { all, owned: bad } => {
                let good = all.saturating_sub(bad);
                choose(bad, owned) * choose(good, honest) / choose(all, size).max(1.0)
            },
            Self::Endless { share } => {
                let of = |share: f64, count: u32| share.powi(count.cast_signed());
                choose(size, owned) * of(share, owned) * of(1.0 - share, honest)
            },
        }
    }

    /// The members of a committee of at most `most`; none if there are fewer than `least` holders.
    fn size(self, most: u32, least: u32) -> Option<u32> {
        match self {
            Self::Limited { all, .. } => Some(most.min(all)).filter(|size| *size >= least),
            Self::Endless { .. } => Some(most),
        }
    }

    /// The holders that are in no committee of `size`, of which the adversary owned `owned`.
    fn without(self, size: u32, owned: u32) -> Self {
        match self {
            Self::Limited { all, owned: bad } => Self::Limited {
                all: all.saturating_sub(size),
                owned: bad.saturating_sub(owned),
            },
            Self::Endless { .. } => self,
        }
    }
}

/// The number of ways to choose `taken` of `all`.
fn choose(all: u32, taken: u32) -> f64 {
    if taken > all {
        return 0.0;
    }
    (0..taken)
        .map(|place| f64::from(all - place) / f64::from(place + 1))
        .product()
}

/// The end of a committee's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guilty are convicted, and nobody else is.
    Right,
    /// An honest server is convicted, or a guilty one is cleared.
    Wrong,
    /// It says that there is no exhibit: the case ends without a verdict.
    Void,
    /// It does not agree: another committee is drawn, once.
    Undecided,
}

/// Sizes of committees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Members of a first committee, at most.
    pub first: u32,
    /// Members of that of an appeal, at most.
    pub appeal: u32,
    /// Members without which there is no committee.
    pub least: u32,
}

/// The chances of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chances {
    /// The first ruling is wrong.
    pub wrong_first: f64,
    /// The last one is.
    pub wrong: f64,
    /// There is no verdict in the end.
    pub none: f64,
}

/// The chances of an instance.
struct Instance {
    /// The adversary's members, with the end that they lead to and the chance of it.
    ends: Vec<(u32, End, f64)>,
    /// The chance that both committees are undecided.
    undecided: f64,
}

impl Instance {
    fn new(holders: Holders, size: u32, end: impl Fn(u32, u32) -> End) -> Self {
        let drawn: Vec<(u32, End, f64)> = (0..=size)
            .map(|owned| (owned, end(size, owned), holders.chance(size, owned)))
            .collect();
        let is_undecided = |end: End| end == End::Undecided;
        let without = drawn.iter().filter(|(_, end, _)| is_undecided(*end));
        let undecided = total(without.map(|(_, _, chance)| *chance));
        let ends = drawn.into_iter().filter(|(_, end, _)| !is_undecided(*end));
        Self {
            ends: ends
                .map(|(owned, end, chance)| (owned, end, chance * (1.0 + undecided)))
                .collect(),
            undecided: undecided * undecided,
        }
    }

    fn chance(&self, of: End) -> f64 {
        let ends = self.ends.iter().filter(|(_, end, _)| *end == of);
        total(ends.map(|(_, _, chance)| *chance))
    }
}

/// The sum of chances. That of none is 0, and −0 by `sum`.
fn total(chances: impl Iterator<Item = f64>) -> f64 {
    chances.fold(0.0, |total, chance| total + chance)
}

/// The chance that a committee of `size` has `members` of the adversary's or more.
pub fn captured(holders: Holders, size: u32, members: u32) -> f64 {
    total((members..=size).map(|owned| holders.chance(size, owned)))
}

/// The chances of a case, where `end(size, owned)` is the end of a committee's work. Wrong rulings
/// are appealed, and no others.
pub fn chances(holders: Holders, sizes: Sizes, end: impl Fn(u32, u32) -> End) -> Chances {
    let mut chances = Chances::default();
    let Some(size) = holders.size(sizes.first, sizes.least) else {
        chances.none = 1.0;
        return chances;
    };
    let first = Instance::new(holders, size, &end);
    chances.wrong_first = first.chance(End::Wrong);
    chances.none = first.undecided + first.chance(End::Void);
    let wrong = first.ends.iter().filter(|(_, end, _)| *end == End::Wrong);
    for (owned, _, chance) in wrong {
        let rest = holders.without(size, *owned);
        match rest.size(sizes.appeal, sizes.least) {
            None => chances.none += chance,
            Some(size) => {
                let appeal = Instance::new(rest, size, &end);
                chances.wrong += chance * appeal.chance(End::Wrong);
                chances.none += chance * (appeal.undecided + appeal.chance(End::Void));
            },
        }
    }
    chances
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        first: 9,
        appeal: 21,
        least: 9,
    };

    fn close(left: f64, right: f64, by: f64) {
        assert!((left / right - 1.0).abs() < by, "{left} {right}");
    }

    /// Right with two thirds of honest members, and wrong with two thirds of others.
    fn two_thirds(size: u32, owned: u32) -> End {
        match 2 * size {
            twice if 3 * owned >= twice => End::Wrong,
            twice if 3 * (size - owned) >= twice => End::Right,
            _ => End::Undecided,
        }
    }

    /// The figures of the design's table on committees.
    #[test]
    fn of_endless_holders_the_chances_are_those_of_the_design() {
        for (size, members, expected) in [
            (5, 4, [4.6e-4, 6.7e-3, 4.4e-2]),
            (9, 6, [6.4e-5, 3.1e-3, 4.0e-2]),
            (21, 14, [5.9e-10, 4.5e-6, 1.6e-3]),
        ] {
            for (share, expected) in [0.1, 0.2, 0.33].into_iter().zip(expected) {
                let chance = captured(Holders::Endless { share }, size, members);
                close(chance, expected, 0.05);
            }
        }
    }

    #[test]
    fn the_chances_of_all_numbers_of_members_are_one_and_many_holders_are_as_endless_ones() {
        let many = Holders::Limited {
            all: 100_000,
            owned: 20_000,
        };
        let endless = Holders::Endless { share: 0.2 };
        let few = Holders::Limited { all: 12, owned: 4 };
        for holders in [many, endless, few] {
            close(captured(holders, 9, 0), 1.0, 1e-9);
        }
        close(captured(many, 9, 6), captured(endless, 9, 6), 0.01);
        // Of twelve with four bad ones any nine have at least one and at most four.
        assert_eq!((few.chance(9, 0), few.chance(9, 5)), (0.0, 0.0));
        close(few.chance(9, 1), 4.0 / 220.0, 1e-9);
    }

    #[test]
    fn appeals_and_second_draws_count() {
        let endless = Holders::Endless { share: 0.2 };
        let (first, appeal) = (captured(endless, 9, 6), captured(endless, 21, 14));
        let undecided = captured(endless, 9, 4) - first;
        let chances = chances(endless, SIZES, two_thirds);
        close(chances.wrong_first, first * (1.0 + undecided), 1e-9);
        assert!(chances.none > undecided * undecided);
        assert!((first * appeal..2.0 * first * appeal).contains(&chances.wrong));
    }

    #[test]
    fn without_a_second_committee_an_appeal_ends_without_a_verdict() {
        let of = |all, owned| chances(Holders::Limited { all, owned }, SIZES, two_thirds);
        let few = of(17, 8);
        assert_eq!(few.wrong, 0.0);
        assert!(few.wrong_first > 0.0 && few.none >= few.wrong_first);
        assert_eq!(of(8, 8).none, 1.0);
        let all = of(60, 60);
        close(all.wrong, 1.0, 1e-9);
    }
}
