// SPDX-License-Identifier: Apache-2.0
//! The checks of a traced answer, in their order: each is cheaper than the next (section 2).
//!
//! [`claims`] comes before the answer is computed again, [`computation`] after. The first check that
//! fails decides. Between the thresholds an answer convicts nobody.

use crate::{
    distance::{squared, Thresholds, Verdict},
    layout::chunks,
    merkle::Tree,
    trace::{token_digest, Trace, ATTEMPTS, VERSION},
    Hash, Kind, Layout, Sketch,
};
use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{error::Error, fmt};
use scale_info::TypeInfo;

/// The defect of a traced answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The trace is not the one that was committed.
    Commitment,
    /// The trace has a version that nobody knows yet.
    Version(u8),
    /// The attempt is not one of those allowed.
    Attempt(u8),
    /// The settings of the draws are out of range.
    Settings,
    /// The model is not the registered one.
    Model,
    /// The token ids are not those of the trace.
    Ids,
    /// The tokens before the answer are not those of the prompt, from this position on.
    Context(u32),
    /// The tokens of the answer do not read as the text.
    Text,
    /// The sketches are not those of the trace.
    Sketches,
    /// The verifier computed other positions than the answer has.
    Shape,
    /// The tokens are not what this model draws with this key: their mean gap.
    Tokens(u16),
    /// The rows of this chunk are not what this model computes.
    Chunk(u16),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commitment => f.write_str("the trace is not the committed one"),
            Self::Version(version) => write!(
                f,
                "the trace has version {version}, and this program knows {VERSION}: upgrade it"
            ),
            Self::Attempt(attempt) => {
                write!(f, "attempt {attempt} is not below {ATTEMPTS}")
            },
            Self::Settings => f.write_str("top_p of the trace is not from 1 to 1000"),
            Self::Model => f.write_str("the model is not the registered one"),
            Self::Ids => f.write_str("the token ids are not those of the trace"),
            Self::Context(at) => {
                write!(
                    f,
                    "token {at} of the context does not follow from the prompt"
                )
            },
            Self::Text => f.write_str("the tokens do not read as the answer"),
            Self::Sketches => f.write_str("the sketches are not those of the trace"),
            Self::Shape => f.write_str("the verifier computed other positions; compute all again"),
            Self::Tokens(mean) => write!(
                f,
                "the model draws other tokens with this key: mean gap {mean}/4096"
            ),
            Self::Chunk(chunk) => write!(f, "the model computes other rows in chunk {chunk}"),
        }
    }
}

impl Error for Fault {}

/// Two mean gaps of tokens, in units of 2⁻¹², that part three verdicts.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct MeanGaps {
    /// Up to here the model drew the tokens.
    pub accept: u16,
    /// Beyond this it did not.
    pub reject: u16,
}

impl MeanGaps {
    /// The verdict on a mean gap.
    pub const fn judge(self, mean: u16) -> Verdict {
        if mean <= self.accept {
            Verdict::Accept
        } else if mean <= self.reject {
            Verdict::Unclear
        } else {
            Verdict::Reject
        }
    }
}

/// The limits of a model's traced answers.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Profile {
    /// Of the sketches of answers.
    pub answers: Thresholds,
    /// Of the tokens of answers.
    pub tokens: MeanGaps,
    /// Of the sketches of distributions.
    pub distributions: Thresholds,
}

/// The public facts about an answer.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The committed hash of its trace.
    pub commitment: Hash,
    /// The SHA-256 of the registered model.
    pub model: Hash,
    /// The revealed text.
    pub text: &'a str,
}

/// Checks all that needs no computation of the model: that the trace is the committed one and in
/// range; the model; the ids, of which `context` gives those of the prompt; and the text, as
/// `text` reads it from the ids of the answer.
///
/// # Errors
/// The first [`Fault`].
pub fn claims(
    claim: &Claim<'_>,
    trace: &Trace,
    ids: &[u32],
    context: impl FnOnce() -> Vec<u32>,
    text: impl FnOnce(&[u32]) -> String,
) -> Result<(), Fault> {
    committed(trace, &claim.commitment)?;
    in_range(trace)?;
    same_model(trace, &claim.model)?;
    let (before, said) = same_ids(trace, ids)?;
    same_context(before, &context())?;
    same_text(&text(said), claim.text)
}

/// Checks that the trace is the committed one.
///
/// # Errors
/// [`Fault::Commitment`].
pub fn committed(trace: &Trace, commitment: &Hash) -> Result<(), Fault> {
    check(trace.hash() == *commitment, Fault::Commitment)
}

/// Checks version, attempt and settings.
///
/// # Errors
/// [`Fault::Version`], [`Fault::Attempt`], [`Fault::Settings`].
pub fn in_range(trace: &Trace) -> Result<(), Fault> {
    check(trace.version == VERSION, Fault::Version(trace.version))?;
    check(trace.attempt < ATTEMPTS, Fault::Attempt(trace.attempt))?;
    let top_p = trace.settings.top_p;
    check((1..=1000).contains(&top_p), Fault::Settings)
}

/// Checks that the model is the registered one.
///
/// # Errors
/// [`Fault::Model`].
pub fn same_model(trace: &Trace, registered: &Hash) -> Result<(), Fault> {
    check(trace.model == *registered, Fault::Model)
}

/// Checks the token ids, and parts them into those of the context and those of the answer.
///
/// # Errors
/// [`Fault::Ids`].
pub fn same_ids<'a>(trace: &Trace, ids: &'a [u32]) -> Result<(&'a [u32], &'a [u32]), Fault> {
    check(token_digest(ids) == trace.token_digest, Fault::Ids)?;
    let context = usize::try_from(trace.context).map_err(|_| Fault::Ids)?;
    let (before, said) = ids.split_at_checked(context).ok_or(Fault::Ids)?;
    check(u32::try_from(said.len()) == Ok(trace.tokens), Fault::Ids)?;
    Ok((before, said))
}

/// Checks the ids of the context against those that the model's template makes of the prompt.
///
/// # Errors
/// [`Fault::Context`] with the first position that differs.
pub fn same_context(context: &[u32], expected: &[u32]) -> Result<(), Fault> {
    if context == expected {
        return Ok(());
    }
    let both = context.iter().zip(expected);
    let same = both.take_while(|(own, other)| own == other).count();
    Err(Fault::Context(u32::try_from(same).unwrap_or(u32::MAX)))
}

/// Checks the text that the ids of the answer read as. White space at both ends does not count.
///
/// # Errors
/// [`Fault::Text`].
pub fn same_text(read: &str, revealed: &str) -> Result<(), Fault> {
    check(read.trim() == revealed, Fault::Text)
}

/// The results of one pass over all ids of an answer, by a verifier.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    /// The gap of each token of the answer, in units of 2⁻¹².
    pub gaps: &'a [u16],
    /// The sketch of each chunk.
    pub sketches: &'a [Sketch],
}

/// Checks an answer against its computation by a verifier: the tokens first, and then the sketches
/// that its author shows.
///
/// [`Verdict::Unclear`] if any of them is. What is rejected is a fault.
///
/// # Errors
/// The first [`Fault`].
pub fn computation(
    trace: &Trace,
    shown: &[Sketch],
    replay: Replay<'_>,
    profile: &Profile,
) -> Result<Verdict, Fault> {
    let tokens = same_tokens(trace, replay.gaps, profile.tokens)?;
    same_tree(trace, shown)?;
    let sketches = same_sketches(trace, shown, replay.sketches, profile.answers)?;
    Ok(match (tokens, sketches) {
        (Verdict::Accept, verdict) => verdict,
        (verdict, _) => verdict,
    })
}

/// Checks that the model draws the tokens.
///
/// # Errors
/// [`Fault::Shape`] unless there is a gap for each token, [`Fault::Tokens`] beyond the limit.
pub fn same_tokens(trace: &Trace, gaps: &[u16], limits: MeanGaps) -> Result<Verdict, Fault> {
    check(u32::try_from(gaps.len()) == Ok(trace.tokens), Fault::Shape)?;
    let mean = mean_gap(gaps).ok_or(Fault::Shape)?;
    match limits.judge(mean) {
        Verdict::Reject => Err(Fault::Tokens(mean)),
        verdict => Ok(verdict),
    }
}

/// The mean of gaps, rounded down; `None` of none.
pub fn mean_gap(gaps: &[u16]) -> Option<u16> {
    let sum = gaps
        .iter()
        .fold(0u64, |sum, &gap| sum.saturating_add(gap.into()));
    let mean = sum.checked_div(u64::try_from(gaps.len()).ok()?)?;
    u16::try_from(mean).ok()
}

/// Checks that the shown sketches are all of those under the trace's root.
///
/// # Errors
/// [`Fault::Sketches`].
pub fn same_tree(trace: &Trace, shown: &[Sketch]) -> Result<(), Fault> {
    let tree = Tree::new(shown).map_err(|_| Fault::Sketches)?;
    let counted = usize::from(trace.chunks) == shown.len();
    let expected = chunks(trace.tokens).count() == shown.len();
    let rooted = tree.root() == trace.sketch_root;
    check(counted && expected && rooted, Fault::Sketches)
}

/// Checks that the model computes the rows of each chunk.
///
/// # Errors
/// [`Fault::Shape`] unless there are two sketches for each chunk, [`Fault::Chunk`] with the first
/// one beyond the limit.
pub fn same_sketches(
    trace: &Trace,
    shown: &[Sketch],
    own: &[Sketch],
    limits: Thresholds,
) -> Result<Verdict, Fault> {
    check(shown.len() == own.len(), Fault::Shape)?;
    check(chunks(trace.tokens).count() == own.len(), Fault::Shape)?;
    let mut worst = Verdict::Accept;
    let pairs = shown.iter().zip(own);
    for ((number, chunk), (shown, own)) in chunks(trace.tokens).enumerate().zip(pairs) {
        let layout = Layout::largest(Kind::Answer, chunk.len()).ok_or(Fault::Shape)?;
        match limits.judge(squared(layout, shown, own)) {
            Verdict::Reject => {
                let number = u16::try_from(number).unwrap_or(u16::MAX);
                return Err(Fault::Chunk(number));
            },
            Verdict::Unclear => worst = Verdict::Unclear,
            Verdict::Accept => {},
        }
    }
    Ok(worst)
}

fn check(holds: bool, fault: Fault) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(fault)
    }
}
