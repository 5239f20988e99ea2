// SPDX-License-Identifier: Apache-2.0
//! The case and the values that a proof is about (section 6).

use codec::Encode;
use merlin::Transcript;

use crate::{commitment::Commitment, features::Features};

/// A ranker's score of a response in a round: a proof for one case is none for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct Case {
    /// Hash of the chain's first block.
    pub genesis: [u8; 32],
    /// The round.
    pub round: u64,
    /// The account of the ranker.
    pub ranker: [u8; 32],
    /// The position of the response in the round.
    pub position: u16,
}

/// The claim that a registered head has this output for these features. Only the proof is taken
/// from the prover: the verifier has all of the claim.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The case.
    pub case: &'a Case,
    /// The registered head of the case's ranker.
    pub head: &'a Commitment,
    /// The features of the prompt and the response of the case.
    pub features: &'a Features,
    /// The output.
    pub output: i64,
}

impl Statement<'_> {
    /// The beginning of the transcript from which all challenges follow. Labels and order are the
    /// format of a proof.
    pub(crate) fn transcript(&self) -> Transcript {
        let mut transcript = Transcript::new(b"starling/head/v1");
        transcript.append_message(b"case", &self.case.encode());
        transcript.append_message(b"head", &self.head.encode());
        transcript.append_message(b"x", &self.features.encode());
        transcript.append_message(b"y", &self.output.encode());
        transcript
    }
}
