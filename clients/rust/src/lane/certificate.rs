// SPDX-License-Identifier: Apache-2.0
//! The check of an answer against the committee that the chain names.
//!
//! Nothing of it is the word of a node: a quorum signs the hash of an outcome, and the proof binds
//! the winner's text and all payments to this hash.

use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_lane_primitives::{
    messages::{payload, Ask, Message},
    outcome::Count,
    proof::Unproven,
    Certificate, Committee, Hash, Phase, Proof, Slot,
};
use starling_primitives::{
    api::lanes::{CommitteeView, MemberView},
    lane_value,
};
use subxt_signer::sr25519::{verify, PublicKey, Signature};

use super::ask::{Answer, Payout};

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
    /// The proof does not show the response of its outcome.
    #[error("{0}")]
    Proof(Unproven),
    /// The outcome was chosen in another way than that of the epoch, or by other weights.
    #[error("its choice is not that of the epoch and its members")]
    Basis,
    /// The winner is outside of the committee.
    #[error("its winner {0} is no member of the committee")]
    Winner(u8),
    /// The winner's response is none.
    #[error("the response of {0} is no text")]
    Text(AccountId32),
}

/// The parts that an outcome names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The hash of the outcome.
    pub outcome: Hash,
    /// The best response, if one could win.
    pub answer: Option<Answer>,
    /// The votes behind it, where equal answers are counted.
    pub count: Option<Count>,
    /// The payments.
    pub payouts: Vec<Payout>,
}

/// Opens what a proof shows. Its outcome must rest on the choice and the weights of the committee.
/// Nobody has signed for it yet: see [`check`].
pub fn open(
    ask: &Ask,
    proof: &Proof,
    committee: &CommitteeView<AccountId32>,
) -> Result<Shown, Distrust> {
    if proof.outcome.basis != committee.basis() {
        return Err(Distrust::Basis);
    }
    let answer = match proof.open(ask).map_err(Distrust::Proof)? {
        None => None,
        Some((winner, value)) => {
            let view = committee.members.get(usize::from(winner));
            let agent = &view.ok_or(Distrust::Winner(winner))?.agent;
            let text = lane_value::text(&value, ask.max_tokens);
            Some(Answer {
                agent: agent.to_ss58check(),
                text: text.ok_or_else(|| Distrust::Text(agent.clone()))?,
            })
        },
    };
    let payouts = proof.outcome.payouts.iter();
    Ok(Shown {
        outcome: proof.outcome.hash(),
        answer,
        count: proof.outcome.count,
        payouts: payouts
            .map(|(account, amount)| Payout {
                account: AccountId32::new(*account).to_ss58check(),
                amount: amount.to_string(),
            })
            .collect(),
    })
}

/// Checks that a quorum of the committee votes for what a proof shows. Returns that with the
/// signers, in the order of members.
pub fn check(
    ask: &Ask,
    proof: &Proof,
    certificate: &Certificate,
    committee: &CommitteeView<AccountId32>,
) -> Result<(Shown, Vec<AccountId32>), Distrust> {
    let shown = open(ask, proof, committee)?;
    let signers = signers(ask, &shown.outcome, certificate, &committee.members)?;
    Ok((shown, signers))
}

/// Checks that a quorum of the committee votes for this outcome of a request. Returns the signers, in
/// the order of members.
fn signers(
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

/// A request with its committee, its responses and their votes.
#[cfg(test)]
pub(super) mod fixture {
    use starling_lane_primitives::{
        certificate::Signature as Bytes,
        messages::Named,
        outcome::{keys_root, set_root, Key, Outcome},
        seal::{DecryptionKey, Place, Point, Seal},
        Form, Way,
    };
    use starling_primitives::choice::{Capabilities, Choice, Votes};
    use subxt_signer::sr25519::Keypair;

    use super::*;
    use crate::signer;

    const SIZE: Committee = Committee::SMALLEST;

    fn keys() -> Vec<Keypair> {
        let names = ["alice", "bob", "charlie", "dave"];
        names.map(|name| signer::development(name).unwrap()).into()
    }

    pub fn committee() -> CommitteeView<AccountId32> {
        let member = |(place, key): (u8, &Keypair)| MemberView {
            agent: AccountId32::new([place; 32]),
            key: sp_core::sr25519::Public::from_raw(key.public_key().0).into(),
            point: [0; 32],
            peer: [0; 32],
            bond: 1,
            rating: 0,
            known: Capabilities::default(),
        };
        CommitteeView {
            choice: Choice::Votes(Votes::default()),
            members: (0..).zip(&keys()).map(member).collect(),
        }
    }

    /// The votes that the outcome tells of.
    pub const COUNT: Count = Count {
        is_voted: true,
        votes: 3,
        responses: 4,
        share_of_votes: 3 << 30,
        share_of_weight: 1 << 31,
    };

    pub fn ask() -> Ask {
        Ask {
            genesis: [1; 32],
            lane: 2,
            epoch: 3,
            seq: 4,
            prompt: b"why?".to_vec(),
            max_tokens: 8,
            form: Form::Short,
            fee: 5,
            expiry: 6,
        }
    }

    fn slot(ask: &Ask, phase: Phase) -> Slot {
        Slot {
            genesis: ask.genesis,
            lane: ask.lane,
            epoch: ask.epoch,
            seq: ask.seq,
            phase,
        }
    }

    /// The vote of a member.
    pub fn vote(member: u8, ask: &Ask, outcome: Hash, phase: Phase) -> (u8, Bytes) {
        let message = Message::Vote(outcome);
        let signed = payload(&slot(ask, phase), &[member; 32], &message);
        (member, keys()[usize::from(member)].sign(&signed).0)
    }

    /// A member's seal of its response, and its key.
    pub fn sealed(member: u8, value: &[u8]) -> (Seal, [u8; 32]) {
        let secret = |member: u8| DecryptionKey::from_bytes(&[member.wrapping_add(1); 64]);
        let points: Vec<Point> = SIZE.members().map(|by| secret(by).public()).collect();
        let place = Place {
            slot: slot(&ask(), Phase::Responses),
            ask: ask().hash(),
            sealer: [member; 32],
        };
        let random = [member; 32];
        let seal = Seal::new(SIZE, place, &points, 1, &random, value).unwrap();
        let share = |by: u8| seal.own_shares(by, &secret(by)).unwrap().unwrap().full;
        let shares: Vec<_> = SIZE.members().map(|by| (by, share(by))).collect();
        let key = seal.open(SIZE, Way::Full, &shares).unwrap().key;
        (seal, key)
    }

    /// The proof of a request in which this member has won, or nobody. Member 2 says that it is a
    /// bird, and the others that it is a fish.
    pub fn proof(winner: Option<u8>) -> Proof {
        let text = |member| match member {
            2 => "A bird.",
            _ => "A fish.",
        };
        let all: Vec<(u8, (Seal, [u8; 32]))> = SIZE
            .members()
            .map(|by| (by, sealed(by, &lane_value::response(text(by), 8))))
            .collect();
        let named = all.iter().map(|(member, (seal, _))| Named {
            member: *member,
            seal: Some(seal.hash()),
        });
        let responses: Vec<Named> = named.collect();
        let keys: Vec<Key> = all.iter().map(|(by, (_, key))| (*by, *key)).collect();
        let seal = all.into_iter().find(|(by, _)| Some(*by) == winner);
        Proof {
            outcome: Outcome {
                ask: ask().hash(),
                basis: committee().basis(),
                responses: set_root(&responses),
                response_keys: keys_root(&keys),
                scores: [7; 32],
                score_keys: [8; 32],
                winner,
                count: Some(COUNT),
                payouts: vec![([9; 32], 5)],
            },
            responses,
            keys,
            seal: seal.map(|(_, (seal, _))| seal),
        }
    }

    /// The votes of three members for an outcome.
    pub fn certificate(outcome: Hash) -> Certificate {
        Certificate::new((0..3).map(|by| vote(by, &ask(), outcome, Phase::Scores)))
    }
}

#[cfg(test)]
mod tests {
    use starling_lane_primitives::{
        certificate::Signature as Bytes,
        messages::Named,
        outcome::{keys_root, set_root},
    };
    use starling_primitives::choice::Choice;

    use super::{
        fixture::{ask, certificate, committee, proof, sealed, vote, COUNT},
        *,
    };

    const OUTCOME: Hash = [9; 32];

    fn votes(members: &[u8]) -> Vec<(u8, Bytes)> {
        let vote = |member: &u8| vote(*member, &ask(), OUTCOME, Phase::Scores);
        members.iter().map(vote).collect()
    }

    fn checked(votes: Vec<(u8, Bytes)>) -> Result<Vec<AccountId32>, Distrust> {
        signers(
            &ask(),
            &OUTCOME,
            &Certificate::new(votes),
            &committee().members,
        )
    }

    #[test]
    fn any_quorum_proves_an_outcome_and_its_signers_are_named() {
        for missing in 0..4 {
            let members: Vec<u8> = (0..4).filter(|member| *member != missing).collect();
            let all = members.iter().map(|place| AccountId32::new([*place; 32]));
            assert_eq!(checked(votes(&members)), Ok(all.collect()));
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
            let few = committee()
                .members
                .into_iter()
                .take(size)
                .collect::<Vec<_>>();
            let checked = signers(&ask(), &OUTCOME, &certificate, &few);
            assert_eq!(checked, Err(Distrust::Committee(size)));
        }
        let Certificate::Sr25519 { signatures, .. } = certificate;
        let malformed = Certificate::Sr25519 {
            signers: 0b1111,
            signatures,
        };
        let checked = signers(&ask(), &OUTCOME, &malformed, &committee().members);
        assert_eq!(checked, Err(Distrust::Malformed));
    }
    #[test]
    fn a_quorum_signs_for_the_text_of_the_winner() {
        for (winner, text) in [(2, "A bird."), (1, "A fish.")] {
            let proof = proof(Some(winner));
            let votes = certificate(proof.outcome.hash());
            let (shown, signers) = check(&ask(), &proof, &votes, &committee()).unwrap();
            let answer = Answer {
                agent: AccountId32::new([winner; 32]).to_ss58check(),
                text: text.into(),
            };
            assert_eq!(shown.answer, Some(answer));
            assert_eq!(shown.payouts[0].amount, "5");
            assert_eq!(shown.count, Some(COUNT));
            assert_eq!(signers.len(), 3);
        }
        let nobody = proof(None);
        let votes = certificate(nobody.outcome.hash());
        let (shown, _) = check(&ask(), &nobody, &votes, &committee()).unwrap();
        assert_eq!(shown.answer, None);
    }

    /// The changes that a lying node makes to an honest certificate.
    fn lie(change: &dyn Fn(&mut Proof)) -> Result<(), Distrust> {
        let mut changed = proof(Some(2));
        let votes = certificate(changed.outcome.hash());
        change(&mut changed);
        check(&ask(), &changed, &votes, &committee()).map(drop)
    }

    #[test]
    fn a_node_cannot_change_what_a_quorum_has_signed() {
        assert_eq!(lie(&|_| {}), Ok(()));
        let unsigned = Err(Distrust::Signature(AccountId32::new([0; 32])));
        let refused = |why| Err(Distrust::Proof(why));
        // Another winner, with its own seal and without.
        assert_eq!(lie(&|it| *it = proof(Some(1))), unsigned);
        assert_eq!(lie(&|it| *it = proof(None)), unsigned);
        let seal = refused(Unproven::Seal);
        assert_eq!(lie(&|it| it.outcome.winner = Some(1)), seal);
        // Another text under the winner's name.
        let text = lane_value::response("A fish.", 8);
        let (other, key) = sealed(2, &text);
        assert_eq!(lie(&|it| it.seal = Some(other.clone())), seal);
        assert_eq!(lie(&|it| it.seal = None), seal);
        // The set and the keys that would go with that.
        let named = Named {
            member: 2,
            seal: Some(other.hash()),
        };
        let set = refused(Unproven::Responses);
        assert_eq!(lie(&|it| it.responses[2] = named), set);
        assert_eq!(lie(&|it| it.responses.truncate(3)), set);
        assert_eq!(lie(&|it| it.keys.truncate(3)), refused(Unproven::Keys));
        let all = |it: &mut Proof| {
            it.seal = Some(other.clone());
            it.responses[2] = named;
            it.keys[2] = (2, key);
            it.outcome.responses = set_root(&it.responses);
            it.outcome.response_keys = keys_root(&it.keys);
        };
        assert_eq!(lie(&all), unsigned);
        // Other payments, and another request.
        assert_eq!(lie(&|it| it.outcome.payouts[0].1 = 6), unsigned);
        assert_eq!(lie(&|it| it.outcome.payouts.clear()), unsigned);
        assert_eq!(lie(&|it| it.outcome.ask = [0; 32]), refused(Unproven::Ask));
        // Other votes, and other weights.
        assert_eq!(lie(&|it| it.outcome.count = None), unsigned);
        assert_eq!(lie(&|it| it.outcome.basis = [0; 32]), Err(Distrust::Basis));
    }

    #[test]
    fn a_quorum_that_chose_by_other_weights_than_the_chains_proves_nothing() {
        let good = proof(Some(2));
        let votes = certificate(good.outcome.hash());
        let refused = |change: &dyn Fn(&mut CommitteeView<AccountId32>)| {
            let mut other = committee();
            change(&mut other);
            check(&ask(), &good, &votes, &other).map(drop)
        };
        assert_eq!(refused(&|_| {}), Ok(()));
        let wrong = Err(Distrust::Basis);
        assert_eq!(refused(&|it| it.choice = Choice::Paper), wrong);
        assert_eq!(refused(&|it| it.members[3].rating = 1), wrong);
        assert_eq!(refused(&|it| it.members[3].known.short.rounds = 1), wrong);
    }

    #[test]
    fn a_winner_outside_of_the_committee_or_without_a_text_is_none() {
        let mut few = committee();
        few.members.truncate(2);
        let mut stranger = proof(Some(2));
        stranger.outcome.basis = few.basis();
        let shown = open(&ask(), &stranger, &few);
        assert_eq!(shown, Err(Distrust::Winner(2)));
        let mut empty = proof(Some(2));
        let (seal, key) = sealed(2, &lane_value::response("", 8));
        empty.responses[2].seal = Some(seal.hash());
        empty.keys[2].1 = key;
        empty.outcome.responses = set_root(&empty.responses);
        empty.outcome.response_keys = keys_root(&empty.keys);
        empty.seal = Some(seal);
        let shown = open(&ask(), &empty, &committee());
        assert_eq!(shown, Err(Distrust::Text(AccountId32::new([2; 32]))));
    }
}
