// SPDX-License-Identifier: Apache-2.0
//! Evidence that two servers disagree.
//!
//! A server signs a [`Claim`] about a step towards everyone: these layers of this model turn the
//! input sequence with this digest into this output. Two claims of different agents about the same
//! inputs with different outputs are [`Evidence`]. It has about 600 bytes, which fit a transaction.
//! The [`Exhibit`] holds the inputs and outputs themselves; computing the layers again shows which
//! of the two is wrong. The claims bind the exhibit by digests, so it can be supplied later and
//! elsewhere. Everything is coded in SCALE.

use codec::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use super::{compare, Verdict};
use crate::{
    auth::{Account, Directory, Signed, Statement},
    transport::{ModelId, Peer},
    wire::WireFormat,
};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The digests of a sequence of input rows: one for each position.
///
/// `d₀ = 0`, `dᵢ = SHA-256(dᵢ₋₁ ‖ row i as little-endian binary32)`. Rows are hashed as decoded. So
/// a sequence has the same digest in any wire format that it was decoded from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<Digest>);

impl History {
    /// Appends row-major rows of `width`.
    pub fn push(&mut self, rows: &[f32], width: usize) {
        for row in rows.chunks_exact(width.max(1)) {
            let mut hash = Sha256::new_with_prefix(self.digest());
            hash.update(WireFormat::F32.encode(row, width));
            self.0.push(hash.finalize().into());
        }
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no position.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all but the first `len` positions.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// The digest of the whole sequence.
    pub fn digest(&self) -> Digest {
        self.0.last().copied().unwrap_or_default()
    }

    /// The digest of the first `len` positions, if there are that many.
    pub fn digest_at(&self, len: usize) -> Option<Digest> {
        match len.checked_sub(1) {
            None => Some(Digest::default()),
            Some(last) => self.0.get(last).copied(),
        }
    }
}

/// A server's statement of its output in one step.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Claim {
    /// SHA-256 of the model's file.
    pub model: ModelId,
    /// First layer, and one past the last.
    pub layers: (u32, u32),
    /// Wire format of the output.
    pub wire: WireFormat,
    /// Positions of the sequence before the step.
    pub positions: u32,
    /// Rows of the step.
    pub rows: u32,
    /// [`History`] before the step.
    pub before: Digest,
    /// [`History`] after it.
    pub after: Digest,
    /// SHA-256 of the output's wire bytes.
    pub output: Digest,
    /// Time of signing, in milliseconds since the Unix epoch.
    pub time: u64,
}

impl Statement for Claim {
    const PURPOSE: &'static [u8] = b"claim";
}

impl Claim {
    /// Whether both claims are about the same computation.
    fn same_question(&self, other: &Self) -> bool {
        let question = |c: &Self| (c.model, c.layers, c.positions, c.rows, c.before, c.after);
        question(self) == question(other)
    }
}

/// A claim with its author.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct SignedOutput {
    /// Bytes of the node's p2p identity.
    pub peer: Vec<u8>,
    /// The claim, signed for everyone.
    pub claim: Signed<Claim>,
}

impl SignedOutput {
    /// Whether the agent signed the claim with a key that is or was its own. A new key does not
    /// make the claims of the old one void.
    pub fn check(&self, directory: &dyn Directory) -> Result<(), EvidenceError> {
        let account = self.claim.account;
        let is_own = directory.owner(&self.claim.key) == Some(account);
        if is_own && self.is_genuine(&directory.network()) {
            return Ok(());
        }
        Err(match directory.agent(&account) {
            Some(_) => EvidenceError::Signature(account),
            None => EvidenceError::UnknownAgent(account),
        })
    }

    /// Whether the claim is signed with the key that it names, on this network. The network's
    /// directory knows the owner of the key.
    pub fn is_genuine(&self, network: &[u8; 32]) -> bool {
        let peer = Peer::new(self.peer.as_slice());
        self.claim.is_genuine(network, &peer, None)
    }
}

/// Two answers that contradict each other.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Evidence {
    /// One answer.
    pub first: SignedOutput,
    /// The other answer.
    pub second: SignedOutput,
}

/// Inputs and outputs that the claims name by digest.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Exhibit {
    /// Elements of a row.
    pub width: u32,
    /// All input rows of the sequence up to and with the step, as little-endian binary32.
    pub inputs: Vec<u8>,
    /// Wire bytes of the first server's output.
    pub first: Vec<u8>,
    /// Wire bytes of the second server's output.
    pub second: Vec<u8>,
}

/// Reasons why evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// No such agent.
    #[error("no agent has the account {0:02x?}")]
    UnknownAgent(Account),
    /// The signature was not made with the agent's key.
    #[error("the signature is not that of the agent {0:02x?}")]
    Signature(Account),
    /// Both claims are by the same agent.
    #[error("both claims are by the same agent")]
    SameAgent,
    /// The claims are about different inputs, layers or models.
    #[error("the claims are not about the same computation")]
    OtherQuestion,
    /// The claims name the same output.
    #[error("the claims name the same output")]
    SameOutput,
    /// The exhibit does not match the claims.
    #[error("the exhibit's {0} are not those of the claims")]
    OtherExhibit(&'static str),
}

impl Evidence {
    /// Whether two agents claim different outputs of the same computation. Needs no exhibit.
    pub fn check(&self, directory: &dyn Directory) -> Result<(), EvidenceError> {
        let (first, second) = (&self.first.claim, &self.second.claim);
        if first.account == second.account {
            return Err(EvidenceError::SameAgent);
        }
        let (first, second) = (&first.body, &second.body);
        if !first.same_question(second) {
            return Err(EvidenceError::OtherQuestion);
        }
        if (first.output, first.wire) == (second.output, second.wire) {
            return Err(EvidenceError::SameOutput);
        }
        self.first.check(directory)?;
        self.second.check(directory)
    }

    /// Distance of the outputs, if the claims are about the same computation and the exhibit
    /// matches them. The authors of the claims are not checked. If the wire formats differ, the
    /// tolerance is that of the coarser one.
    pub fn judge(&self, exhibit: &Exhibit) -> Result<Verdict, EvidenceError> {
        let (first, second) = (&self.first.claim.body, &self.second.claim.body);
        if !first.same_question(second) {
            return Err(EvidenceError::OtherQuestion);
        }
        let other = EvidenceError::OtherExhibit;
        let size = |n: u32| usize::try_from(n).map_err(|_| other("rows"));
        let (width, rows) = (size(exhibit.width)?, size(first.rows)?);
        let positions = size(first.positions)?;
        let total = positions.checked_add(rows).ok_or(other("rows"))?;
        let inputs = WireFormat::F32
            .decode(&exhibit.inputs, total, width)
            .map_err(|_| other("inputs"))?;
        let mut history = History::default();
        history.push(&inputs, width);
        let digests = (history.digest_at(positions), history.digest());
        if digests != (Some(first.before), first.after) {
            return Err(other("inputs"));
        }
        let output = |bytes: &[u8], claim: &Claim| {
            let digest: Digest = Sha256::digest(bytes).into();
            if digest != claim.output {
                return Err(other("outputs"));
            }
            // Bytes that do not decode are no output, and agree with none.
            Ok(claim.wire.decode(bytes, rows, width).unwrap_or_default())
        };
        let a = output(&exhibit.first, first)?;
        let b = output(&exhibit.second, second)?;
        Ok(compare(&a, &b, width, first.wire.max(second.wire)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::auth::{AgentRecord, Identity, Key};
    use codec::DecodeAll;
    use proptest::{prelude::*, sample::select};
    use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};

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
        let peer = vec![peer];
        let signer = Peer::new(peer.as_slice());
        let claim = Signed::new(claim, identity, &Agents.network(), &signer, None);
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
            wire,
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
        assert_eq!(evidence.check(&Agents), Ok(()));
        assert!(!evidence.judge(&exhibit).unwrap().agrees);
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
            assert!(evidence.judge(&exhibit).unwrap().agrees, "{wire}");
        }
    }

    #[test]
    fn bytes_that_do_not_decode_agree_with_nothing() {
        let mut garbage = floats(ROWS * WIDTH, 2.0);
        garbage[3] = f32::NAN;
        let (evidence, exhibit) = case(
            &garbage,
            WireFormat::F32,
            &floats(ROWS * WIDTH, 2.0),
            WireFormat::F32,
        );
        assert!(!evidence.judge(&exhibit).unwrap().agrees);
    }

    #[test]
    fn any_change_of_an_answer_breaks_the_signature() {
        let (evidence, _) = conflict();
        let change = |change: &dyn Fn(&mut SignedOutput)| {
            let mut changed = evidence.first.clone();
            change(&mut changed);
            changed.check(&Agents)
        };
        let broken = Err(EvidenceError::Signature([1; 32]));
        assert_eq!(change(&|_| ()), Ok(()));
        assert_eq!(change(&|a| a.claim.body.model[0] ^= 1), broken);
        assert_eq!(change(&|a| a.claim.body.layers.1 += 1), broken);
        assert_eq!(change(&|a| a.claim.body.wire = WireFormat::F16), broken);
        assert_eq!(change(&|a| a.claim.body.output[31] ^= 1), broken);
        assert_eq!(change(&|a| a.claim.body.after[31] ^= 1), broken);
        assert_eq!(change(&|a| a.claim.body.time += 1), broken);
        assert_eq!(change(&|a| a.peer.push(0)), broken);
        let other = Err(EvidenceError::Signature([3; 32]));
        assert_eq!(change(&|a| a.claim.account = [3; 32]), other);
        let unknown = Err(EvidenceError::UnknownAgent([200; 32]));
        assert_eq!(change(&|a| a.claim.account = [200; 32]), unknown);
        // Another agent's account with one's own key.
        let mut posed = answer(2, evidence.first.claim.body.clone());
        posed.claim.account = [1; 32];
        assert_eq!(posed.check(&Agents), broken);
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
        assert_eq!(evidence.check(&Agents), Ok(()));
        // It is nobody else's.
        former.claim.account = [3; 32];
        let other = Err(EvidenceError::Signature([3; 32]));
        assert_eq!(former.check(&Agents), other);
    }

    #[test]
    fn evidence_that_proves_nothing_is_refused() {
        let (Evidence { first, second }, exhibit) = conflict();
        let check = |second: SignedOutput| {
            let first = first.clone();
            Evidence { first, second }.check(&Agents)
        };
        assert_eq!(check(first.clone()), Err(EvidenceError::SameAgent));
        let same = answer(2, first.claim.body.clone());
        assert_eq!(check(same), Err(EvidenceError::SameOutput));
        let mut other = second.claim.body.clone();
        other.before[0] ^= 1;
        let other = answer(2, other);
        assert_eq!(check(other.clone()), Err(EvidenceError::OtherQuestion));
        let apart = Evidence {
            first: first.clone(),
            second: other,
        };
        assert_eq!(apart.judge(&exhibit), Err(EvidenceError::OtherQuestion));
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
            evidence.judge(&changed).map(|verdict| verdict.agrees)
        };
        let inputs = Err(EvidenceError::OtherExhibit("inputs"));
        let outputs = Err(EvidenceError::OtherExhibit("outputs"));
        assert_eq!(judge(&|_| ()), Ok(false));
        assert_eq!(judge(&|e| e.inputs[2] ^= 1), inputs);
        assert_eq!(judge(&|e| e.inputs.truncate(4)), inputs);
        assert_eq!(judge(&|e| e.width = 0), inputs);
        assert_eq!(judge(&|e| e.width = u32::MAX), inputs);
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
