// SPDX-License-Identifier: Apache-2.0
//! The proof that shows a requester the response that an outcome names.
//!
//! A requester has asked one node, and that may lie. Members sign the hash of an outcome, and an
//! outcome has the root of the set of responses and that of their keys. So these with the winner's
//! seal bind its response to the signatures, and nobody need be believed.

use alloc::vec::Vec;
use core::fmt;

use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

use crate::{
    messages::{Ask, Named},
    outcome::{keys_root, set_root, Key, Outcome},
    seal::Seal,
    Member,
};

/// An outcome, and what binds the winner's response to it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Proof {
    /// The outcome.
    pub outcome: Outcome,
    /// The set of responses.
    pub responses: Vec<Named>,
    /// The keys that opened them, in the order of members.
    pub keys: Vec<Key>,
    /// The winner's seal.
    pub seal: Option<Seal>,
}

/// The reason why a proof shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The outcome is that of another request.
    Ask,
    /// The set of responses is not that of the outcome.
    Responses,
    /// The keys are not those of the outcome, or the winner has none.
    Keys,
    /// The seal is not that of the winner, or there is none, or one without a winner.
    Seal,
    /// The winner's key does not open its seal.
    Key,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ask => "its outcome is that of another request",
            Self::Responses => "its set of responses is not that of its outcome",
            Self::Keys => "its keys are not those of its outcome",
            Self::Seal => "its seal is not that of the winner",
            Self::Key => "the winner's key does not open its seal",
        })
    }
}

impl Proof {
    /// Opens the winner's value; `None` if the outcome has no winner. The outcome itself is proven
    /// by the signatures under its hash, which are not checked here.
    pub fn open(&self, ask: &Ask) -> Result<Option<(Member, Vec<u8>)>, Unproven> {
        let outcome = &self.outcome;
        if outcome.ask != ask.hash() {
            return Err(Unproven::Ask);
        }
        if outcome.responses != set_root(&self.responses) {
            return Err(Unproven::Responses);
        }
        if outcome.response_keys != keys_root(&self.keys) {
            return Err(Unproven::Keys);
        }
        let (winner, seal) = match (outcome.winner, &self.seal) {
            (Some(winner), Some(seal)) => (winner, seal),
            (None, None) => return Ok(None),
            (Some(_), None) | (None, Some(_)) => return Err(Unproven::Seal),
        };
        let named = Named {
            member: winner,
            seal: Some(seal.hash()),
        };
        if !self.responses.contains(&named) {
            return Err(Unproven::Seal);
        }
        let mut keys = self.keys.iter();
        let (_, key) = keys.find(|(by, _)| *by == winner).ok_or(Unproven::Keys)?;
        let value = seal.open_with(key).map_err(|_| Unproven::Key)?;
        Ok(Some((winner, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        seal::{DecryptionKey, Place, Point},
        Committee, Form, Phase, Slot,
    };

    const COMMITTEE: Committee = Committee::SMALLEST;

    fn ask() -> Ask {
        Ask {
            genesis: [1; 32],
            lane: 2,
            epoch: 3,
            seq: 4,
            prompt: b"why?".to_vec(),
            max_tokens: 8,
            form: Form::Free,
            fee: 5,
            expiry: 6,
        }
    }

    /// The seal of a member with its key.
    fn sealed(member: Member, value: &[u8]) -> (Seal, [u8; 32]) {
        let points: Vec<Point> = COMMITTEE
            .members()
            .map(|member| DecryptionKey::from_bytes(&[member + 1; 64]).public())
            .collect();
        let slot = Slot {
            genesis: [1; 32],
            lane: 2,
            epoch: 3,
            seq: 4,
            phase: Phase::Responses,
        };
        let place = Place {
            slot,
            ask: ask().hash(),
            sealer: [member; 32],
        };
        let secret = [member; 32];
        let seal = Seal::new(COMMITTEE, place, &points, 1, &secret, value).unwrap();
        let shares: Vec<_> = COMMITTEE
            .members()
            .map(|member| {
                let key = DecryptionKey::from_bytes(&[member + 1; 64]);
                let shares = seal.own_shares(member, &key).unwrap().unwrap();
                (member, shares.full)
            })
            .collect();
        let opened = seal.open(COMMITTEE, crate::Way::Full, &shares).unwrap();
        (seal, opened.key)
    }

    /// The proof of a request in which a member has won, and the seals of all.
    fn proof(winner: Option<Member>) -> (Proof, Vec<Seal>) {
        let all: Vec<_> = COMMITTEE
            .members()
            .map(|member| sealed(member, &[member; 9]))
            .collect();
        let members = || COMMITTEE.members();
        let named = |(member, (seal, _)): (Member, &(Seal, _))| Named {
            member,
            seal: Some(seal.hash()),
        };
        let responses: Vec<Named> = members().zip(&all).map(named).collect();
        let keys: Vec<Key> = members()
            .zip(&all)
            .map(|(by, (_, key))| (by, *key))
            .collect();
        let seals: Vec<Seal> = all.into_iter().map(|(seal, _)| seal).collect();
        let proof = Proof {
            outcome: Outcome {
                ask: ask().hash(),
                basis: [6; 32],
                responses: set_root(&responses),
                response_keys: keys_root(&keys),
                scores: [7; 32],
                score_keys: [8; 32],
                winner,
                count: None,
                payouts: vec![([9; 32], 5)],
            },
            responses,
            keys,
            seal: winner.map(|winner| seals[usize::from(winner)].clone()),
        };
        (proof, seals)
    }

    #[test]
    fn the_winners_value_opens() {
        for winner in COMMITTEE.members() {
            let value = proof(Some(winner)).0.open(&ask());
            assert_eq!(value, Ok(Some((winner, vec![winner; 9]))));
        }
        assert_eq!(proof(None).0.open(&ask()), Ok(None));
    }

    #[test]
    fn each_part_is_bound() {
        let (good, seals) = proof(Some(1));
        let refused = |change: &dyn Fn(&mut Proof)| {
            let mut changed = good.clone();
            change(&mut changed);
            changed.open(&ask())
        };
        let wrong = Err::<Option<(Member, Vec<u8>)>, Unproven>;
        // Another set, a truncated one, one in another order.
        let set = wrong(Unproven::Responses);
        assert_eq!(refused(&|proof| proof.responses[0].seal = None), set);
        assert_eq!(refused(&|proof| proof.responses.truncate(3)), set);
        assert_eq!(refused(&|proof| proof.responses.swap(0, 1)), set);
        let keys = wrong(Unproven::Keys);
        assert_eq!(refused(&|proof| proof.keys[1].1 = [0; 32]), keys);
        assert_eq!(refused(&|proof| proof.keys.truncate(3)), keys);
        // Another seal of the set, a changed one, none.
        let seal = wrong(Unproven::Seal);
        assert_eq!(refused(&|proof| proof.seal = Some(seals[2].clone())), seal);
        assert_eq!(refused(&|proof| proof.seal = None), seal);
        assert_eq!(refused(&|proof| proof.outcome.winner = None), seal);
        assert_eq!(refused(&|proof| proof.outcome.winner = Some(2)), seal);
        let flip = |proof: &mut Proof| {
            if let Some(seal) = &mut proof.seal {
                seal.ciphertext[0] ^= 1;
            }
        };
        assert_eq!(refused(&flip), seal);
        let mut other = ask();
        other.prompt = b"who?".to_vec();
        assert_eq!(good.open(&other), wrong(Unproven::Ask));
    }

    #[test]
    fn a_spoiled_value_cannot_have_won() {
        let (mut spoiled, _) = proof(Some(1));
        spoiled.keys[1].1 = [0; 32];
        spoiled.outcome.response_keys = keys_root(&spoiled.keys);
        assert_eq!(spoiled.open(&ask()), Err(Unproven::Key));
    }
}
