// SPDX-License-Identifier: Apache-2.0
//! Evidence that two servers disagree.
//!
//! A server signs a [`Claim`](super::Claim) about a step towards everyone: these layers of this
//! model turn the input sequence with this digest into this output. Two claims of different agents
//! about the same inputs with different outputs are [`Evidence`]. It has about 600 bytes, which fit
//! a transaction. The [`Exhibit`] holds the inputs and outputs themselves; computing the layers
//! again shows which of the two is wrong. The claims bind the exhibit by digests, so it can be
//! supplied later and elsewhere. Everything is coded in SCALE, by `starling-evidence`.

use starling_evidence::{Evidence, Exhibit, Fault, Flaw, SignedOutput};

use super::{compare, mean, Tolerance, Verdict};
use crate::{
    auth::{Account, Directory},
    wire::WireFormat,
};

/// Reasons why evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// No such agent.
    #[error("no agent has the account {0:02x?}")]
    UnknownAgent(Account),
    /// The signature was not made with the agent's key.
    #[error("the signature is not that of the agent {0:02x?}")]
    Signature(Account),
    /// The claims do not contradict each other.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// The exhibit does not match the claims.
    #[error(transparent)]
    Exhibit(#[from] Fault),
}

/// Whether two agents claim different outputs of the same computation. Needs no exhibit.
pub fn check(evidence: &Evidence, directory: &dyn Directory) -> Result<(), EvidenceError> {
    evidence.contradicts()?;
    let mut answers = evidence.answers().into_iter();
    answers.try_for_each(|answer| check_answer(answer, directory))
}

/// Whether the agent signed the claim with a key that is or was its own. A new key does not make the
/// claims of the old one void.
fn check_answer(answer: &SignedOutput, directory: &dyn Directory) -> Result<(), EvidenceError> {
    let account = answer.claim.account;
    let is_own = directory.owner(&answer.claim.key) == Some(account);
    if is_own && answer.is_genuine(&directory.network()) {
        return Ok(());
    }
    Err(match directory.agent(&account) {
        Some(_) => EvidenceError::Signature(account),
        None => EvidenceError::UnknownAgent(account),
    })
}

/// Distance of the outputs, if the claims are about the same computation and the exhibit matches
/// them. The authors of the claims are not checked. If the wire formats differ, the tolerance is
/// that of the coarser one.
pub fn judge(evidence: &Evidence, exhibit: &Exhibit) -> Result<Verdict, EvidenceError> {
    let Outputs { rows, width, wire } = outputs(evidence, exhibit)?;
    Ok(rows.map_or(Verdict::APART, |[a, b]| compare(&a, &b, width, wire)))
}

/// Whether the outputs are so far apart that a committee, which measures all rows together, will
/// hardly clear both agents. [`judge`] goes by the worst row: a control token makes one such row of
/// honest servers too, and so may a cheat that wants an accuser to lose its bond.
pub fn is_plain(evidence: &Evidence, exhibit: &Exhibit) -> Result<bool, EvidenceError> {
    let Outputs { rows, width, wire } = outputs(evidence, exhibit)?;
    let mean = rows.and_then(|[a, b]| mean(&a, &b, width));
    Ok(mean.is_none_or(|mean| !Tolerance::of(wire).admits_mean(mean)))
}

/// The decoded outputs of an exhibit.
struct Outputs {
    /// `None` if bytes do not decode: they are no output, and agree with none.
    rows: Option<[Vec<f32>; 2]>,
    width: usize,
    /// The coarser of their wire formats.
    wire: WireFormat,
}

/// The outputs, if the claims are about the same computation and the exhibit matches them.
fn outputs(evidence: &Evidence, exhibit: &Exhibit) -> Result<Outputs, EvidenceError> {
    let (first, second) = (&evidence.first.claim.body, &evidence.second.claim.body);
    if !first.same_question(second) {
        return Err(Flaw::OtherQuestion.into());
    }
    exhibit.check(evidence)?;
    let size = |n: u32| usize::try_from(n).map_err(|_| Fault::Outside);
    let (width, rows) = (size(exhibit.width)?, size(first.rows)?);
    let wires = [first.wire, second.wire].map(WireFormat::from);
    let output = |wire: WireFormat, bytes: &[u8]| wire.decode(bytes, rows, width).ok();
    let decoded = output(wires[0], &exhibit.first).zip(output(wires[1], &exhibit.second));
    Ok(Outputs {
        rows: decoded.map(<[Vec<f32>; 2]>::from),
        width,
        wire: wires[0].max(wires[1]),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        auth::{AgentRecord, Identity, Key, Signed},
        integrity::{Claim, History},
        transport::Peer,
    };
    use codec::{DecodeAll, Encode};
    use proptest::{prelude::*, sample::select};
    use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};
    use sha2::{Digest as _, Sha256};

    const WIDTH: usize = 8;

    fn pair(agent: u8) -> Keypair {
        MiniSecretKey::from_bytes(&[agent; 32])
            .unwrap()
            .expand_to_keypair(ExpansionMode::Ed25519)
    }

    /// From an agent's number to that of its former key.
    const FORMER: u8 = 100;

    struct Agents;

    impl Directory for Agents {
        fn agent(&self, account: &Account) -> Option<AgentRecord> {
            (account[0] < 9).then(|| AgentRecord {
                account: *account,
                key: pair(account[0]).public.to_bytes(),
                bond: 1,
                rating: 1.0,
                active: true,
            })
        }

        fn owner(&self, key: &Key) -> Option<Account> {
            let owns = |agent: &u8| {
                let keys = [*agent, agent + FORMER].map(|seed| pair(seed).public.to_bytes());
                keys.contains(key)
            };
            (0..9).find(owns).map(|agent| [agent; 32])
        }

        fn network(&self) -> [u8; 32] {
            [7; 32]
        }

        fn now(&self) -> u64 {
            0
        }
    }

    struct Agent(u8);

    impl Identity for Agent {
        fn account(&self) -> Option<Account> {
            Some([self.0; 32])
        }

        fn key(&self) -> Option<Key> {
            Some(pair(self.0).public.to_bytes())
        }

        fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
            Some(pair(self.0).sign_simple(b"substrate", message).to_bytes())
        }
    }

    /// An agent with the key that it had before.
    struct Former(u8);

    impl Identity for Former {
        fn account(&self) -> Option<Account> {
            Agent(self.0).account()
        }

        fn key(&self) -> Option<Key> {
            Agent(self.0 + FORMER).key()
        }

        fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
            Agent(self.0 + FORMER).sign(message)
        }
    }

    fn answer(agent: u8, claim: Claim) -> SignedOutput {
        answer_of(agent, &Agent(agent), claim)
    }

    fn answer_of(peer: u8, identity: &dyn Identity, claim: Claim) -> SignedOutput {
        let peer = Peer::new([peer]);
        let claim = Signed::new(claim, identity, &Agents.network(), &peer, None);
        SignedOutput {
            peer,
            claim: claim.unwrap(),
        }
    }

    fn floats(n: usize, seed: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.7 + seed).sin()).collect()
    }

    /// Positions before the step, and rows of the step.
    const POSITIONS: usize = 3;
    const ROWS: usize = 2;

    fn inputs() -> Vec<f32> {
        floats((POSITIONS + ROWS) * WIDTH, 0.0)
    }

    /// A claim of `agent` with this output.
    fn claimed(agent: u8, wire: WireFormat, output: &[f32]) -> (SignedOutput, Vec<u8>) {
        let mut history = History::default();
        history.push(&inputs(), WIDTH);
        let bytes = wire.encode(output, WIDTH);
        let claim = Claim {
            model: [1; 32],
            layers: (3, 9),
            wire: wire.into(),
            positions: POSITIONS as u32,
            rows: ROWS as u32,
            before: history.digest_at(POSITIONS).unwrap(),
            after: history.digest(),
            output: Sha256::digest(&bytes).into(),
            time: 1,
        };
        (answer(agent, claim), bytes)
    }

    fn case(a: &[f32], wire_a: WireFormat, b: &[f32], wire_b: WireFormat) -> (Evidence, Exhibit) {
        let (first, first_bytes) = claimed(1, wire_a, a);
        let (second, second_bytes) = claimed(2, wire_b, b);
        let exhibit = Exhibit {
            width: WIDTH as u32,
            inputs: WireFormat::F32.encode(&inputs(), WIDTH),
            first: first_bytes,
            second: second_bytes,
            tokens: vec![],
        };
        (Evidence { first, second }, exhibit)
    }

    pub(in crate::integrity) fn conflict() -> (Evidence, Exhibit) {
        let honest = floats(ROWS * WIDTH, 2.0);
        case(
            &honest,
            WireFormat::F32,
            &floats(ROWS * WIDTH, 2.5),
            WireFormat::F32,
        )
    }

    #[test]
    fn a_conflict_is_proven_and_judged() {
        let (evidence, exhibit) = conflict();
        assert_eq!(check(&evidence, &Agents), Ok(()));
        assert!(!judge(&evidence, &exhibit).unwrap().agrees);
        let bytes = evidence.encode();
        assert!(bytes.len() < 650, "{}", bytes.len());
        assert_eq!(Evidence::decode_all(&mut &bytes[..]), Ok(evidence));
        let bytes = exhibit.encode();
        assert_eq!(Exhibit::decode_all(&mut &bytes[..]), Ok(exhibit));
    }

    #[test]
    fn honest_servers_with_different_wires_agree() {
        let honest = floats(ROWS * WIDTH, 2.0);
        for wire in WireFormat::ALL {
            let (evidence, exhibit) = case(&honest, wire, &honest, WireFormat::F32);
            assert!(judge(&evidence, &exhibit).unwrap().agrees, "{wire}");
        }
    }

    #[test]
    fn bytes_that_do_not_decode_agree_with_nothing() {
        let mut garbage = floats(ROWS * WIDTH, 2.0);
        garbage[3] = f32::NAN;
        let mut other = garbage.clone();
        other[4] = f32::NAN;
        for rows in [floats(ROWS * WIDTH, 2.0), other] {
            let (evidence, exhibit) = case(&garbage, WireFormat::F32, &rows, WireFormat::F32);
            assert!(!judge(&evidence, &exhibit).unwrap().agrees);
            assert_eq!(is_plain(&evidence, &exhibit), Ok(true));
        }
    }

    #[test]
    fn a_difference_of_one_row_is_not_plain_unless_it_is_large() {
        let honest = floats(ROWS * WIDTH, 2.0);
        let by = |factor: f32| {
            let mut rows = honest.clone();
            rows[0] *= factor;
            let (evidence, exhibit) = case(&honest, WireFormat::F32, &rows, WireFormat::F32);
            let plain = is_plain(&evidence, &exhibit).unwrap();
            (judge(&evidence, &exhibit).unwrap().agrees, plain)
        };
        assert_eq!(by(1.0), (true, false));
        assert_eq!(by(1.2), (false, false));
        assert_eq!(by(2.0), (false, true));
    }

    #[test]
    fn any_change_of_an_answer_breaks_the_signature() {
        let (evidence, _) = conflict();
        let change = |change: &dyn Fn(&mut SignedOutput)| {
            let mut changed = evidence.first.clone();
            change(&mut changed);
            check_answer(&changed, &Agents)
        };
        let broken = Err(EvidenceError::Signature([1; 32]));
        assert_eq!(change(&|_| ()), Ok(()));
        assert_eq!(change(&|a| a.claim.body.model[0] ^= 1), broken);
        assert_eq!(change(&|a| a.claim.body.layers.1 += 1), broken);
        assert_eq!(
            change(&|a| a.claim.body.wire = WireFormat::F16.into()),
            broken
        );
        assert_eq!(change(&|a| a.claim.body.output[31] ^= 1), broken);
        assert_eq!(change(&|a| a.claim.body.after[31] ^= 1), broken);
        assert_eq!(change(&|a| a.claim.body.time += 1), broken);
        assert_eq!(change(&|a| a.peer = Peer::new([1, 0])), broken);
        let other = Err(EvidenceError::Signature([3; 32]));
        assert_eq!(change(&|a| a.claim.account = [3; 32]), other);
        let unknown = Err(EvidenceError::UnknownAgent([200; 32]));
        assert_eq!(change(&|a| a.claim.account = [200; 32]), unknown);
        // Another agent's account with one's own key.
        let mut posed = answer(2, evidence.first.claim.body.clone());
        posed.claim.account = [1; 32];
        assert_eq!(check_answer(&posed, &Agents), broken);
    }

    #[test]
    fn a_new_key_does_not_make_the_claims_of_the_old_one_void() {
        let (Evidence { first, second }, _) = conflict();
        let mut former = answer_of(1, &Former(1), first.claim.body.clone());
        assert_eq!(former.claim.account, first.claim.account);
        assert_ne!(former.claim.key, first.claim.key);
        let evidence = Evidence {
            first: former.clone(),
            second,
        };
        assert_eq!(check(&evidence, &Agents), Ok(()));
        // It is nobody else's.
        former.claim.account = [3; 32];
        let other = Err(EvidenceError::Signature([3; 32]));
        assert_eq!(check_answer(&former, &Agents), other);
    }

    #[test]
    fn evidence_that_proves_nothing_is_refused() {
        let (Evidence { first, second }, exhibit) = conflict();
        let check = |second: SignedOutput| {
            let first = first.clone();
            check(&Evidence { first, second }, &Agents)
        };
        assert_eq!(check(first.clone()), Err(Flaw::SameAgent.into()));
        let same = answer(2, first.claim.body.clone());
        assert_eq!(check(same), Err(Flaw::SameOutput.into()));
        let mut other = second.claim.body.clone();
        other.before[0] ^= 1;
        let other = answer(2, other);
        assert_eq!(check(other.clone()), Err(Flaw::OtherQuestion.into()));
        let apart = Evidence {
            first: first.clone(),
            second: other,
        };
        assert_eq!(judge(&apart, &exhibit), Err(Flaw::OtherQuestion.into()));
        let mut forged = second;
        forged.claim.signature[0] ^= 1;
        assert_eq!(check(forged), Err(EvidenceError::Signature([2; 32])));
    }

    #[test]
    fn an_exhibit_is_bound_by_the_claims() {
        let (evidence, exhibit) = conflict();
        let judge = |change: &dyn Fn(&mut Exhibit)| {
            let mut changed = exhibit.clone();
            change(&mut changed);
            super::judge(&evidence, &changed).map(|verdict| verdict.agrees)
        };
        let inputs = Err(Fault::Inputs.into());
        let outputs = Err(Fault::Outputs.into());
        let outside = Err(Fault::Outside.into());
        assert_eq!(judge(&|_| ()), Ok(false));
        assert_eq!(judge(&|e| e.inputs[2] ^= 1), inputs);
        assert_eq!(judge(&|e| e.inputs.truncate(4)), outside);
        assert_eq!(judge(&|e| e.width = 0), outside);
        assert_eq!(judge(&|e| e.width = u32::MAX), outside);
        assert_eq!(judge(&|e| e.first[2] ^= 1), outputs);
        assert_eq!(judge(&|e| e.second.push(0)), outputs);
    }

    proptest! {
        #[test]
        fn histories_do_not_depend_on_cuts_or_wires(rows in 0usize..12, cut in 0usize..12, wire in select(&WireFormat::ALL)) {
            let bytes = wire.encode(&floats(rows * WIDTH, 1.0), WIDTH);
            let values = wire.decode(&bytes, rows, WIDTH).unwrap();
            let mut whole = History::default();
            whole.push(&values, WIDTH);
            prop_assert_eq!(whole.len(), rows);
            let cut = cut.min(rows);
            let (head, tail) = values.split_at(cut * WIDTH);
            let mut parts = History::default();
            parts.push(head, WIDTH);
            prop_assert_eq!(Some(parts.digest()), whole.digest_at(cut));
            // A fork that took another way and came back.
            parts.push(&[9.0; WIDTH], WIDTH);
            prop_assert_ne!(Some(parts.digest()), whole.digest_at(cut + 1));
            parts.truncate(cut);
            let again = wire.encode(tail, WIDTH);
            parts.push(&wire.decode(&again, rows - cut, WIDTH).unwrap(), WIDTH);
            prop_assert_eq!(parts, whole);
        }
    }
}
