// SPDX-License-Identifier: Apache-2.0
//! The forced changes of GRANDPA's set that a specification tells.
//!
//! A forced change (`grandpa.noteStalled`) is proven by no justification, so a node that starts
//! from finality proofs has to be told. The specification is trusted already: it has the genesis.

use std::collections::BTreeSet;

use sc_chain_spec::ChainSpecExtension;
use serde::{Deserialize, Serialize};
use sp_consensus_grandpa::{AuthorityList, SetId};
use starling_runtime::{BlockNumber, Hash};

/// The extensions of a specification, beside its genesis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ChainSpecExtension)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
    /// The forced changes of GRANDPA's set, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finality_forks: Vec<FinalityFork>,
}

/// A block of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// Its height.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: Hash,
}

/// A forced change of GRANDPA's set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FinalityFork {
    /// The block that the change names as the last final one before it.
    pub last_final: Place,
    /// The block with which it came into force.
    pub in_force: Place,
    /// Number of the new set.
    pub set_id: SetId,
    /// The new set: keys and weights.
    pub authorities: AuthorityList,
}

impl FinalityFork {
    fn check(&self) -> Result<(), &'static str> {
        if self.last_final.number >= self.in_force.number {
            return Err("`inForce` is not above `lastFinal`");
        }
        if self.set_id == 0 {
            return Err("`setId` is 0, which is the set of the genesis");
        }
        if self.authorities.is_empty() {
            return Err("`authorities` is empty");
        }
        if self.authorities.iter().any(|(_, weight)| *weight == 0) {
            return Err("a weight in `authorities` is 0");
        }
        let keys: BTreeSet<_> = self.authorities.iter().map(|(key, _)| key).collect();
        if keys.len() < self.authorities.len() {
            return Err("a key is twice in `authorities`");
        }
        Ok(())
    }
}

/// Checks that forks are well-formed and follow each other.
///
/// # Errors
/// Names the first fork that is wrong, by its place in the list, and what is wrong with it.
pub fn check(forks: &[FinalityFork]) -> Result<(), String> {
    let wrong = |index: usize, what: &str| {
        format!("finalityForks[{index}]: {what}; export it again with `export-finality-forks`")
    };
    for (index, fork) in forks.iter().enumerate() {
        fork.check().map_err(|what| wrong(index, what))?;
    }
    let pairs = forks.iter().zip(forks.iter().skip(1));
    for (index, (before, after)) in pairs.enumerate() {
        let follows = before.last_final.number < after.last_final.number
            && before.in_force.number < after.in_force.number
            && before.set_id < after.set_id;
        if !follows {
            return Err(wrong(
                index.saturating_add(1),
                "it is not later than the one before",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sp_consensus_grandpa::AuthorityId;
    use sp_core::{crypto::UncheckedFrom, ed25519};

    use super::*;

    fn key(n: u8) -> AuthorityId {
        ed25519::Public::unchecked_from([n; 32]).into()
    }

    fn place(number: BlockNumber) -> Place {
        let hash = Hash::from_low_u64_be(number.into());
        Place { number, hash }
    }

    fn fork(last_final: BlockNumber, set_id: SetId) -> FinalityFork {
        FinalityFork {
            last_final: place(last_final),
            in_force: place(last_final + 100),
            set_id,
            authorities: vec![(key(1), 1), (key(2), 1)],
        }
    }

    #[test]
    fn forks_survive_a_specification() {
        let extensions = Extensions {
            finality_forks: vec![fork(30, 4), fork(500, 9)],
        };
        let json = serde_json::to_value(&extensions).unwrap();
        let first = json.pointer("/finalityForks/0/lastFinal/number");
        assert_eq!(first, Some(&30.into()), "{json}");
        assert_eq!(
            serde_json::from_value::<Extensions>(json).unwrap(),
            extensions
        );
        assert_eq!(check(&extensions.finality_forks), Ok(()));
        let none = serde_json::to_string(&Extensions::default()).unwrap();
        assert_eq!(none, "{}");
    }

    #[test]
    fn a_fork_that_is_none_is_refused_by_name() {
        let break_it = |change: fn(&mut FinalityFork)| {
            let mut forks = [fork(30, 4), fork(500, 9)];
            change(&mut forks[1]);
            check(&forks).unwrap_err()
        };
        type Wrong = (fn(&mut FinalityFork), &'static str);
        let wrong: [Wrong; 8] = [
            (|fork| fork.in_force.number = 500, "`inForce`"),
            (|fork| fork.set_id = 0, "`setId`"),
            (|fork| fork.authorities.clear(), "empty"),
            (|fork| fork.authorities[0].1 = 0, "weight"),
            (|fork| fork.authorities[0].0 = key(2), "twice"),
            (|fork| fork.set_id = 4, "later"),
            (|fork| fork.last_final.number = 30, "later"),
            (|fork| *fork = self::fork(29, 10), "later"),
        ];
        for (change, what) in wrong {
            let error = break_it(change);
            assert!(error.starts_with("finalityForks[1]: "), "{error}");
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn unknown_fields_and_missing_ones_are_refused() {
        let whole = serde_json::to_value(fork(30, 4)).unwrap();
        for field in ["lastFinal", "inForce", "setId", "authorities"] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(field);
            let error = serde_json::from_value::<FinalityFork>(part).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let mut more = whole;
        more["delay"] = 5.into();
        assert!(serde_json::from_value::<FinalityFork>(more).is_err());
    }
}
