// SPDX-License-Identifier: Apache-2.0
//! Backends: a model in this process ([`LocalBackend`]) or behind an OpenAI-compatible HTTP
//! endpoint ([`HttpBackend`]). Rankers and evaluations see only the [`Backend`] trait.

mod http;
mod local;
mod tree;

pub use crate::draft::DraftModel;
pub use http::{Api, HttpBackend, HttpConfig};
pub use local::LocalBackend;
pub use tree::{Ask, Evaluation, Node, NodeId, PromptTree};

use crate::{
    chat::{ChatError, ChatTemplate, Message},
    config::Config,
    generate::{Cancel, GenerateOptions, Generation},
    prompt::Prompt,
    sampling::SamplingError,
    tokenizer::{Tokenizer, TokenizerError},
};

/// A backend's error. The backend can serve again after any of them.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// An error of the engine.
    #[error(transparent)]
    Engine(#[from] crate::Error),
    /// The tokenizer could not be built.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The messages do not fit the template.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// Sampling parameters are out of range, or the output cannot be sampled from.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// A prompt, or a part of one that is to be scored, has no text.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// Candidates whose first tokens are the same cannot be told apart.
    #[error("the answers {0:?} and {1:?} begin with the same token")]
    SameToken(String, String),
    /// The tokenizer in the model file and the weights disagree.
    #[error("the tokenizer has {tokenizer} tokens, the model {model}")]
    VocabularyMismatch {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Rows of the model's head.
        model: usize,
    },
    /// A draft model whose tokens mean something else.
    #[error(
        "the draft model {draft:?} cannot draft for {model:?}: it has another tokenizer, with \
         {difference}; choose a smaller model of the same family"
    )]
    OtherTokenizer {
        /// Name of the draft model.
        draft: String,
        /// Name of the model that it should draft for.
        model: String,
        /// The first difference.
        difference: String,
    },
    /// The endpoint could not be reached or broke off.
    #[error("{url}: {reason}")]
    Http {
        /// The endpoint.
        url: String,
        /// The failure.
        reason: String,
    },
    /// The endpoint lacks what the caller needs.
    #[error("{url} does not return {what}; use a server that does")]
    NotOffered {
        /// The endpoint.
        url: String,
        /// The missing data.
        what: &'static str,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Fails if the tokenizer and the weights of a model disagree.
pub(crate) fn check_vocabulary(tokenizer: &Tokenizer, config: &Config) -> Result<(), BackendError> {
    let (tokenizer, model) = (tokenizer.len(), config.vocab);
    if tokenizer == model {
        Ok(())
    } else {
        Err(BackendError::VocabularyMismatch { tokenizer, model })
    }
}

/// A language model that generates text and tells the probability of text.
pub trait Backend: Send + Sync {
    /// The model's name, for people.
    fn name(&self) -> &str;

    /// Tokens that the model can attend to, if known.
    fn context_length(&self) -> Option<usize>;

    /// The template that turns conversations into prompts.
    fn chat(&self) -> &ChatTemplate;

    /// The longest beginning of `text` that takes at most `max_tokens` tokens as data.
    fn cut<'a>(&self, text: &'a str, max_tokens: usize) -> &'a str;

    /// Whether [`cut`](Self::cut) knows the tokens. Otherwise it counts bytes, and cuts far too
    /// much.
    fn knows_tokens(&self) -> bool {
        true
    }

    /// Generates from `prompt`. `on_text` gets the text piece by piece as it comes.
    fn generate(
        &self,
        prompt: &Prompt,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, BackendError>;

    /// Generates the next turn of a conversation, up to what ends a turn by the model's template.
    fn reply(
        &self,
        messages: &[Message],
        options: &GenerateOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, BackendError> {
        reply_by_template(self, messages, options, cancel, on_text)
    }

    /// Answers the questions of the nodes of `tree`, in their order. Computes shared prefixes once
    /// if the backend can.
    fn evaluate(&self, tree: &PromptTree, cancel: &Cancel)
        -> Result<Vec<Evaluation>, BackendError>;
}

/// [`Backend::reply`] for a backend that continues texts: the template makes one of the messages.
fn reply_by_template<B: Backend + ?Sized>(
    backend: &B,
    messages: &[Message],
    options: &GenerateOptions,
    cancel: &Cancel,
    on_text: &mut dyn FnMut(&str),
) -> Result<Generation, BackendError> {
    let prompt = backend.chat().render(messages, true)?;
    let mut options = options.clone();
    let ends = backend.chat().stop_strings().iter().copied();
    options.stop.extend(ends.map(str::to_owned));
    backend.generate(&prompt, &options, cancel, on_text)
}
