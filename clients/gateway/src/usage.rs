// SPDX-License-Identifier: Apache-2.0
//! Numbers of tokens, by the tokenizers of the models in the store.
//!
//! A round has no such numbers, and none are estimated. The gateway counts what it can count: it
//! has the texts, and where the model store has the file that an agent announces, the tokenizer,
//! too.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{json, Value};
use starling_engine::{
    chat::{ChatTemplate, Message},
    gguf::Gguf,
    prompt::Prompt,
    tokenizer::Tokenizer,
};
use starling_models::{Entry, Store};
use starling_primitives::chat::{Chat, Role};

use crate::outcome::Outcome;

/// The numbers of tokens of a prompt and the answers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The prompt as the winner's model reads it, without what its operator adds.
    pub prompt: usize,
    /// Each answer as its model reads it.
    pub answers: Vec<usize>,
    /// The maximum for an answer.
    pub limit: usize,
}

impl Usage {
    /// The field `usage` of a completion.
    pub fn of_completion(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.answered(),
            "total_tokens": self.total(),
        })
    }

    /// The field `usage` of a response.
    pub fn of_response(&self) -> Value {
        json!({
            "input_tokens": self.prompt,
            "output_tokens": self.answered(),
            "total_tokens": self.total(),
        })
    }

    /// Whether an answer is as long as it may be, so that it was cut.
    pub fn is_cut(&self, answer: usize) -> bool {
        let tokens = self.answers.get(answer);
        tokens.is_some_and(|tokens| *tokens >= self.limit)
    }

    fn answered(&self) -> usize {
        self.answers
            .iter()
            .fold(0, |sum, tokens| sum.saturating_add(*tokens))
    }

    fn total(&self) -> usize {
        self.prompt.saturating_add(self.answered())
    }
}

/// Counts as one model reads.
trait Count: Send + Sync {
    /// The tokens of the prompt of a round. `None` if the model's template refuses it.
    fn prompt(&self, prompt: &str) -> Option<usize>;

    /// The tokens of an answer.
    fn answer(&self, answer: &str) -> usize;
}

/// The tokenizers by the SHA-256 of their models' files, in hexadecimal.
#[derive(Default)]
pub struct Tokenizers(Mutex<HashMap<String, Arc<dyn Count>>>);

impl Tokenizers {
    /// Loads the tokenizers of all models in a store, or in the user's store. The files are checked
    /// first, which takes a while: until then their tokens are not counted, and nobody waits.
    pub fn load(folder: Option<PathBuf>) -> Arc<Self> {
        let tokenizers = Arc::new(Self::default());
        let loading = tokenizers.clone();
        let thread = std::thread::Builder::new().name("tokenizers".to_owned());
        if let Err(error) = thread.spawn(move || loading.fill(folder)) {
            crate::say(&format!("no tokens are counted: {error}"));
        }
        tokenizers
    }

    fn fill(&self, folder: Option<PathBuf>) {
        let store = match Store::open(folder) {
            Ok(store) => store,
            Err(error) => return crate::say(&format!("no tokens are counted: {error}")),
        };
        let entries = store.manifest().entries();
        for entry in entries.filter(|entry| store.is_fetched(entry)) {
            match Model::open(&store, entry) {
                Ok(model) => self.insert(&entry.sha256, model),
                Err(error) => {
                    let name = &entry.name;
                    crate::say(&format!("tokens of {name:?} are not counted: {error}"));
                },
            }
        }
    }

    fn insert(&self, sha256: &str, count: impl Count + 'static) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(digits(sha256), Arc::new(count));
    }

    fn of(&self, sha256: &str) -> Option<Arc<dyn Count>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&digits(sha256)).cloned()
    }

    /// Counts the prompt of a round, and `texts`, the answers with which it answers a request, the
    /// winner's first. `None` unless the tokenizer of each is known.
    pub fn count(&self, outcome: &Outcome, texts: &[String]) -> Option<Usage> {
        let counts = texts.iter().zip(outcome.model_hashes());
        let counts: Vec<_> = counts
            .map(|(text, hash)| Some((text, self.of(hash?)?)))
            .collect::<Option<_>>()?;
        let (_, winner) = counts.first()?;
        Some(Usage {
            prompt: winner.prompt(outcome.prompt()?)?,
            answers: counts
                .iter()
                .map(|(text, count)| count.answer(text))
                .collect(),
            limit: outcome.max_tokens()?,
        })
    }
}

/// A hash without its prefix, in lower case.
fn digits(sha256: &str) -> String {
    sha256.trim_start_matches("0x").to_ascii_lowercase()
}

/// The tokenizer of a model, and its template.
struct Model {
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl Model {
    fn open(store: &Store, entry: &Entry) -> Result<Self, Box<dyn std::error::Error>> {
        let gguf = Gguf::open(&store.path(&entry.name)?)?;
        let tokenizer = Tokenizer::from_gguf(gguf.metadata())?;
        let text = |token: Option<u32>| token.and_then(|token| tokenizer.token_text(token));
        let template = ChatTemplate::new(
            tokenizer.chat_template(),
            text(tokenizer.bos()),
            text(tokenizer.eos()),
        )?;
        Ok(Self {
            tokenizer,
            template,
        })
    }
}

impl Count for Model {
    fn prompt(&self, prompt: &str) -> Option<usize> {
        let rendered = self.template.render(&messages(prompt), true).ok()?;
        Some(self.tokenizer.encode_prompt(&rendered).len())
    }

    fn answer(&self, answer: &str) -> usize {
        let answer = Prompt::data(answer);
        self.tokenizer.encode_continuation(&answer).len()
    }
}

/// The messages of a prompt, as agents read it. One that is no chat prompt is a question.
pub fn messages(prompt: &str) -> Vec<Message> {
    let Ok(Some(chat)) = Chat::read(prompt) else {
        return vec![Message::user(prompt)];
    };
    let turns = chat.into_turns().into_iter();
    turns
        .map(|turn| match turn.role {
            Role::System => Message::system(turn.text),
            Role::User => Message::user(turn.text),
            Role::Assistant => Message::assistant(turn.text),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model whose tokens are words.
    struct Words;

    impl Count for Words {
        fn prompt(&self, prompt: &str) -> Option<usize> {
            let messages = messages(prompt).into_iter();
            Some(messages.map(|message| self.answer(&message.content)).sum())
        }

        fn answer(&self, answer: &str) -> usize {
            answer.split_whitespace().count()
        }
    }

    fn outcome() -> Outcome {
        let candidate = |hash: &str, state: &str| json!({ "model_hash": hash, "state": state });
        Outcome {
            report: json!({
                "prompt": "Why is it so?",
                "terms": { "max_tokens": 3 },
                "candidates": [
                    candidate("0xAB", "valid"),
                    candidate("0xef", "spoiled"),
                    candidate("0xcd", "valid"),
                ],
            }),
        }
    }

    #[test]
    fn tokens_are_counted_where_each_tokenizer_is_known_and_else_not_at_all() {
        let tokenizers = Tokenizers::default();
        tokenizers.insert("ab", Words);
        let texts = ["It is.".to_owned(), "Who knows it?".to_owned()];
        let one = tokenizers.count(&outcome(), &texts[..1]).unwrap();
        assert_eq!((one.prompt, one.answers.as_slice()), (4, [2].as_slice()));
        assert_eq!(
            one.of_completion(),
            json!({ "prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6 })
        );
        assert_eq!(tokenizers.count(&outcome(), &texts), None);
        tokenizers.insert("cd", Words);
        let both = tokenizers.count(&outcome(), &texts).unwrap();
        assert_eq!(
            both.of_response(),
            json!({ "input_tokens": 4, "output_tokens": 5, "total_tokens": 9 })
        );
        assert!(!both.is_cut(0) && both.is_cut(1) && !both.is_cut(2));
    }

    #[test]
    fn nothing_is_counted_without_answers_or_facts() {
        let tokenizers = Tokenizers::default();
        tokenizers.insert("ab", Words);
        assert_eq!(tokenizers.count(&outcome(), &[]), None);
        let text = ["It is.".to_owned()];
        for field in ["prompt", "terms", "candidates"] {
            let mut outcome = outcome();
            outcome.report[field] = Value::Null;
            assert_eq!(tokenizers.count(&outcome, &text), None, "{field}");
        }
    }
}
