// SPDX-License-Identifier: Apache-2.0
//! The ways in which a set is fixed, and things of which there is one for each way.

use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The way in which a set was fixed.
///
/// Each way has a polynomial of its own: shares that were given in one way tell nothing about a key
/// together with shares that were given in another.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Way {
    /// All members have sealed or passed.
    #[codec(index = 0)]
    Full,
    /// By the collector of a view.
    #[codec(index = 1)]
    View(u8),
}

/// One thing for the full set, and one for each view. The index is a [`Way`], and nothing else is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct PerWay<T> {
    /// That of the full set.
    pub full: T,
    /// Those of the views.
    pub views: Vec<T>,
}

impl<T> PerWay<T> {
    /// One thing for each way of a broadcast with so many views.
    pub fn new(views: u8, mut make: impl FnMut(Way) -> T) -> Self {
        Self {
            full: make(Way::Full),
            views: (0..views).map(|view| make(Way::View(view))).collect(),
        }
    }

    /// That of a way.
    pub fn get(&self, way: Way) -> Option<&T> {
        match way {
            Way::Full => Some(&self.full),
            Way::View(view) => self.views.get(usize::from(view)),
        }
    }

    /// All of them, with their ways.
    pub fn iter(&self) -> impl Iterator<Item = (Way, &T)> {
        let views = (0..=u8::MAX).map(Way::View).zip(&self.views);
        core::iter::once((Way::Full, &self.full)).chain(views)
    }

    /// The image of each of them; `None` if one has none.
    pub fn try_map<U>(&self, mut map: impl FnMut(Way, &T) -> Option<U>) -> Option<PerWay<U>> {
        let full = map(Way::Full, &self.full)?;
        let views = (0..=u8::MAX).map(Way::View).zip(&self.views);
        let views = views
            .map(|(way, one)| map(way, one))
            .collect::<Option<_>>()?;
        Some(PerWay { full, views })
    }

    /// Whether there is one for each of so many views, and no more.
    pub fn has_views(&self, views: u8) -> bool {
        self.views.len() == usize::from(views)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_own() {
        let ways = PerWay::new(2, |way| way);
        assert!(ways.has_views(2) && !ways.has_views(1));
        for way in [Way::Full, Way::View(0), Way::View(1)] {
            assert_eq!(ways.get(way), Some(&way));
        }
        assert_eq!(ways.get(Way::View(2)), None);
        assert!(ways.iter().all(|(way, one)| way == *one));
        assert_eq!(ways.iter().count(), 3);
        assert_eq!(ways.try_map(|_, way| Some(*way)), Some(ways.clone()));
        assert_eq!(
            ways.try_map(|way, _| (way != Way::View(1)).then_some(())),
            None
        );
    }
}
