// SPDX-License-Identifier: Apache-2.0
//! The probability of a response to the model.

use super::{
    copies::{segments, Segment},
    quote::transcript,
    sigmoid, skip_empty, Quoting, Ranker, Task,
};
use crate::{
    backend::{Ask, Backend, BackendError, Evaluation, NodeId, PromptTree},
    chat::Message,
    generate::Cancel,
    prompt::Prompt,
};

/// The mean log-probability of a response's tokens given the conversation, as
/// `exp(mean) ∈ (0, 1]`: the geometric mean of the tokens' probabilities.
///
/// Copies (see [`Quoting::discount_copies`]) count with their log-probabilities but not with their
/// number of tokens: `Σ ln p / number of new tokens`. So copying never makes a response better, and
/// an expected copy costs next to nothing.
#[derive(Clone, Debug, Default)]
pub struct Likelihood {
    /// The precautions around responses.
    pub quoting: Quoting,
    /// Subtract three quarters of the log-probability of the same tokens after an empty question,
    /// and score `sigmoid(mean)`: the information of the conversation about the response, a
    /// pointwise mutual information per token. Twice the work. Nothing is subtracted for copies,
    /// which are already as probable as can be.
    pub minus_unconditional: bool,
}

/// The part of the unconditional log-probability that is subtracted. All of it makes worse choices
/// among sound answers; half of it leaves fluent nonsense its advantage (`docs/ranking.md`).
const UNCONDITIONAL: f64 = 0.75;

impl Ranker for Likelihood {
    fn name(&self) -> &'static str {
        if self.minus_unconditional {
            "lift"
        } else {
            "likelihood"
        }
    }

    fn rank(
        &self,
        backend: &dyn Backend,
        task: Task<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<f64>, BackendError> {
        skip_empty(task.responses, |responses| {
            let question = transcript(task.messages);
            let mut tree = PromptTree::new();
            let given = tree.root(prefix(backend, task.messages)?, Ask::Nothing);
            let alone = if self.minus_unconditional {
                Some(tree.root(prefix(backend, &[Message::user("")])?, Ask::Nothing))
            } else {
                None
            };
            let responses: Vec<Vec<Piece>> = responses
                .iter()
                .map(|response| {
                    let text = self.quoting.cut(backend, response.trim_start());
                    let segments = if self.quoting.discount_copies {
                        segments(&question, text)
                    } else {
                        vec![Segment::novel(text)]
                    };
                    self.add(backend, &mut tree, (given, alone), &segments)
                })
                .collect();
            let answers = backend.evaluate(&tree, cancel)?;
            Ok(responses
                .iter()
                .map(|pieces| {
                    let mean = mean(pieces, &answers);
                    if self.minus_unconditional {
                        sigmoid(mean)
                    } else {
                        mean.exp()
                    }
                })
                .collect())
        })
    }
}

/// A segment of a response, with its places in the tree.
struct Piece {
    given: NodeId,
    alone: Option<NodeId>,
    copied: bool,
}

impl Likelihood {
    /// Adds a response, segment after segment.
    fn add(
        &self,
        backend: &dyn Backend,
        tree: &mut PromptTree,
        (mut given, mut alone): (NodeId, Option<NodeId>),
        segments: &[Segment<'_>],
    ) -> Vec<Piece> {
        // Base models go on after "Answer:", chat models begin a line.
        let mut space = if backend.chat().is_plain() { " " } else { "" };
        let mut pieces = Vec::with_capacity(segments.len());
        // Nothing is asked about copies at the end.
        let last_new = segments.iter().rposition(|segment| !segment.copied);
        for (i, segment) in segments.iter().enumerate() {
            alone = alone.filter(|_| Some(i) <= last_new);
            let text =
                Prompt::data(std::mem::take(&mut space)).then(self.quoting.quote(segment.text));
            let baseline = if segment.copied {
                Ask::Nothing
            } else {
                Ask::Tokens
            };
            given = tree.child(given, text.clone(), Ask::Tokens);
            alone = alone.map(|alone| tree.child(alone, text, baseline));
            pieces.push(Piece {
                given,
                alone,
                copied: segment.copied,
            });
        }
        pieces
    }
}

fn prefix(backend: &dyn Backend, messages: &[Message]) -> Result<Prompt, BackendError> {
    Ok(backend.chat().render(messages, true)?)
}

/// The sum over all tokens, less a part of that without the question, by the number of new ones.
fn mean(pieces: &[Piece], answers: &[Evaluation]) -> f64 {
    let (mut sum, mut new) = (0.0, 0);
    for piece in pieces {
        let given = logprobs(answers, piece.given);
        let alone = piece
            .alone
            .map_or(&[][..], |alone| logprobs(answers, alone));
        sum += total(given) - UNCONDITIONAL * total(alone);
        new += if piece.copied { 0 } else { given.len() };
    }
    sum / new.max(1) as f64
}

fn logprobs(answers: &[Evaluation], node: NodeId) -> &[f32] {
    match answers.get(node.0) {
        Some(Evaluation::Tokens(logprobs)) => logprobs,
        _ => &[],
    }
}

fn total(logprobs: &[f32]) -> f64 {
    logprobs.iter().map(|&p| f64::from(p)).sum()
}
