// SPDX-License-Identifier: Apache-2.0
//! The contents of a set.

use std::{collections::BTreeSet, sync::Arc};

use starling_lane_primitives::{messages::Named, outcome::set_root, Hash, Member};

/// The members of a set with their seals, ascending. Copies share the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contents(Arc<Vec<Named>>);

impl Contents {
    /// The members with their seals.
    pub fn iter(&self) -> impl Iterator<Item = &Named> {
        self.0.iter()
    }

    /// The root of the set, which signatures and outcomes name.
    pub fn root(&self) -> Hash {
        set_root(&self.0)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the entry is in the set.
    pub fn contains(&self, named: &Named) -> bool {
        self.0.binary_search(named).is_ok()
    }

    /// The members, each once.
    pub fn members(&self) -> BTreeSet<Member> {
        self.iter().map(|named| named.member).collect()
    }
}

impl FromIterator<Named> for Contents {
    fn from_iter<I: IntoIterator<Item = Named>>(names: I) -> Self {
        let names: BTreeSet<Named> = names.into_iter().collect();
        Self(Arc::new(names.into_iter().collect()))
    }
}
