// SPDX-License-Identifier: Apache-2.0
//! How probable the model finds a response.

use super::{sigmoid, skip_empty, Quoting, Ranker, Task};
use crate::{
    backend::{Answer, Ask, Backend, BackendError, NodeId, PromptTree},
    chat::Message,
    generate::Cancel,
    prompt::Prompt,
};

/// The mean log-probability of a response's tokens given the conversation, as
/// `exp(mean) ∈ (0, 1]`: the geometric mean of the tokens' probabilities.
#[derive(Clone, Debug, Default)]
pub struct Likelihood {
    /// The precautions around responses.
    pub quoting: Quoting,
    /// Subtract the mean log-probability of the same response after an empty question, and score
    /// `sigmoid(difference)`: what the conversation tells about the response. Twice the work.
    pub minus_unconditional: bool,
}

impl Ranker for Likelihood {
    fn name(&self) -> &'static str {
        "likelihood"
    }

    fn rank(
        &self,
        backend: &dyn Backend,
        task: Task<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<f64>, BackendError> {
        skip_empty(task.responses, |responses| {
            let texts: Vec<_> = responses
                .iter()
                .map(|response| {
                    // Base models go on after "Answer:", chat models begin a line.
                    let space = if backend.chat().is_plain() { " " } else { "" };
                    Prompt::data(space).then(self.quoting.part(backend, response.trim_start()))
                })
                .collect();
            let mut tree = PromptTree::new();
            let root = tree.root(prefix(backend, task.messages)?, Ask::Nothing);
            add(&mut tree, root, &texts);
            if self.minus_unconditional {
                let empty = [Message::user("")];
                let root = tree.root(prefix(backend, &empty)?, Ask::Nothing);
                add(&mut tree, root, &texts);
            }
            let answers = backend.evaluate(&tree, cancel)?;
            let means: Vec<f64> = answers.iter().filter_map(mean).collect();
            let (given, alone) = means.split_at(texts.len().min(means.len()));
            Ok(if self.minus_unconditional {
                given
                    .iter()
                    .zip(alone)
                    .map(|(given, alone)| sigmoid(given - alone))
                    .collect()
            } else {
                given.iter().map(|mean| mean.exp()).collect()
            })
        })
    }
}

fn prefix(backend: &dyn Backend, messages: &[Message]) -> Result<Prompt, BackendError> {
    Ok(backend.chat().render(messages, true)?)
}

fn add(tree: &mut PromptTree, root: NodeId, texts: &[Prompt]) {
    for text in texts {
        tree.child(root, text.clone(), Ask::Tokens);
    }
}

fn mean(answer: &Answer) -> Option<f64> {
    match answer {
        Answer::Tokens(logprobs) => {
            let sum: f64 = logprobs.iter().map(|&p| f64::from(p)).sum();
            Some(sum / logprobs.len().max(1) as f64)
        },
        _ => None,
    }
}
