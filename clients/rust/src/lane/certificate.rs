// SPDX-License-Identifier: Apache-2.0
//! The check of an answer against the committee that the chain names.

use sp_core::crypto::AccountId32;
use starling_lane_primitives::{
    messages::{payload, Ask, Message},
    Certificate, Committee, Hash, Phase, Slot,
};
use starling_primitives::api::lanes::MemberView;
use subxt_signer::sr25519::{verify, PublicKey, Signature};

/// The reason why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The committee has no size that a committee can have.
    #[error("a committee of {0} members is none")]
    Committee(usize),
    /// Signers and signatures do not fit together.
    #[error("its signatures are not those of its signers")]
    Malformed,
    /// Somebody outside of the committee signs.
    #[error("its signer {0} is no member of the committee")]
    Stranger(u8),
    /// A signature is not that of its member under this outcome.
    #[error("the signature of {0} is wrong")]
    Signature(AccountId32),
    /// Fewer members than a quorum sign.
    #[error("{got} members sign it, and a quorum is {quorum}")]
    TooFew {
        /// Number of signers.
        got: usize,
        /// The number that is needed.
        quorum: u8,
    },
}

/// Checks that a quorum of the committee votes for this outcome of a request. Returns the signers, in
/// the order of members.
pub fn check(
    ask: &Ask,
    outcome: &Hash,
    certificate: &Certificate,
    committee: &[MemberView<AccountId32>],
) -> Result<Vec<AccountId32>, Distrust> {
    let size = committee.len();
    let sizes = u8::try_from(size).ok().and_then(Committee::of);
    let quorum = sizes.ok_or(Distrust::Committee(size))?.quorum();
    let slot = Slot {
        genesis: ask.genesis,
        lane: ask.lane,
        epoch: ask.epoch,
        seq: ask.seq,
        phase: Phase::Scores,
    };
    let vote = Message::Vote(*outcome);
    let mut signers = vec![];
    for (member, signature) in certificate.signed().ok_or(Distrust::Malformed)? {
        let view = committee.get(usize::from(member));
        let view = view.ok_or(Distrust::Stranger(member))?;
        let signed = payload(&slot, view.agent.as_ref(), &vote);
        let key: &[u8] = view.key.as_ref();
        let key = <[u8; 32]>::try_from(key).map(PublicKey);
        let is_signed = key.is_ok_and(|key| verify(&Signature(*signature), signed, &key));
        if !is_signed {
            return Err(Distrust::Signature(view.agent.clone()));
        }
        signers.push(view.agent.clone());
    }
    match signers.len() < usize::from(quorum) {
        true => Err(Distrust::TooFew {
            got: signers.len(),
            quorum,
        }),
        false => Ok(signers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer;
    use starling_lane_primitives::certificate::Signature as Bytes;
    use subxt_signer::sr25519::Keypair;

    const OUTCOME: Hash = [9; 32];

    fn keys() -> Vec<Keypair> {
        let names = ["alice", "bob", "charlie", "dave"];
        names.map(|name| signer::development(name).unwrap()).into()
    }

    fn committee() -> Vec<MemberView<AccountId32>> {
        let member = |(place, key): (u8, &Keypair)| MemberView {
            agent: AccountId32::new([place; 32]),
            key: sp_core::sr25519::Public::from_raw(key.public_key().0).into(),
            point: [0; 32],
            peer: [0; 32],
            bond: 1,
            rating: 0,
        };
        (0..).zip(&keys()).map(member).collect()
    }

    fn ask() -> Ask {
        Ask {
            genesis: [1; 32],
            lane: 2,
            epoch: 3,
            seq: 4,
            prompt: b"why?".to_vec(),
            max_tokens: 8,
            fee: 5,
            expiry: 6,
        }
    }

    /// The vote of a member.
    fn vote(member: u8, ask: &Ask, outcome: Hash, phase: Phase) -> (u8, Bytes) {
        let slot = Slot {
            genesis: ask.genesis,
            lane: ask.lane,
            epoch: ask.epoch,
            seq: ask.seq,
            phase,
        };
        let signed = payload(&slot, &[member; 32], &Message::Vote(outcome));
        (member, keys()[usize::from(member)].sign(&signed).0)
    }

    fn votes(members: &[u8]) -> Vec<(u8, Bytes)> {
        let vote = |member: &u8| vote(*member, &ask(), OUTCOME, Phase::Scores);
        members.iter().map(vote).collect()
    }

    fn checked(votes: Vec<(u8, Bytes)>) -> Result<Vec<AccountId32>, Distrust> {
        check(&ask(), &OUTCOME, &Certificate::new(votes), &committee())
    }

    #[test]
    fn any_quorum_proves_an_outcome_and_its_signers_are_named() {
        for missing in 0..4 {
            let members: Vec<u8> = (0..4).filter(|member| *member != missing).collect();
            let signers = members.iter().map(|place| AccountId32::new([*place; 32]));
            assert_eq!(checked(votes(&members)), Ok(signers.collect()));
        }
        assert_eq!(checked(votes(&[0, 1, 2, 3])).map(|all| all.len()), Ok(4));
    }

    #[test]
    fn fewer_than_a_quorum_prove_nothing() {
        for (members, got) in [(&[][..], 0), (&[3], 1), (&[0, 2], 2), (&[1, 1, 2], 2)] {
            let few = Distrust::TooFew { got, quorum: 3 };
            assert_eq!(checked(votes(members)), Err(few));
        }
    }

    #[test]
    fn one_wrong_signature_spoils_a_certificate() {
        let wrong = Err(Distrust::Signature(AccountId32::new([3; 32])));
        let with = |last: (u8, Bytes)| checked([votes(&[0, 1, 2]), vec![last]].concat());
        assert_eq!(with(vote(3, &ask(), [8; 32], Phase::Scores)), wrong);
        assert_eq!(with(vote(3, &ask(), OUTCOME, Phase::Responses)), wrong);
        // Each place of the request is signed: no vote for one request counts for another.
        for change in [
            |ask: &mut Ask| ask.genesis = [2; 32],
            |ask: &mut Ask| ask.lane = 3,
            |ask: &mut Ask| ask.epoch = 4,
            |ask: &mut Ask| ask.seq = 5,
        ] {
            let mut other = ask();
            change(&mut other);
            assert_eq!(with(vote(3, &other, OUTCOME, Phase::Scores)), wrong);
        }
        // Another member's signature, and a flipped bit.
        assert_eq!(with((3, votes(&[0])[0].1)), wrong);
        let (member, mut signature) = votes(&[3])[0];
        signature[0] ^= 1;
        assert_eq!(with((member, signature)), wrong);
    }

    #[test]
    fn strangers_and_odd_committees_are_refused() {
        let stranger = [votes(&[0, 1, 2]), vec![(4, [0; 64])]].concat();
        assert_eq!(checked(stranger), Err(Distrust::Stranger(4)));
        let certificate = Certificate::new(votes(&[0, 1, 2]));
        for size in [0, 3] {
            let few = committee().into_iter().take(size).collect::<Vec<_>>();
            let checked = check(&ask(), &OUTCOME, &certificate, &few);
            assert_eq!(checked, Err(Distrust::Committee(size)));
        }
        let Certificate::Sr25519 { signatures, .. } = certificate;
        let malformed = Certificate::Sr25519 {
            signers: 0b1111,
            signatures,
        };
        let checked = check(&ask(), &OUTCOME, &malformed, &committee());
        assert_eq!(checked, Err(Distrust::Malformed));
    }
}
