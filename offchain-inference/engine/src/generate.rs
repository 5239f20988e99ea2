// SPDX-License-Identifier: Apache-2.0
//! Options and results of a generation; stop strings and cancelling.

use crate::{
    drawing::Drawing,
    sampling::Sampling,
    tokenizer::{TokenId, Tokenizer},
    Hidden,
};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};

/// Options of a generation.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// The most tokens to generate.
    pub max_tokens: usize,
    /// The text ends before the first of these.
    pub stop: Vec<String>,
    /// Sampling of the tokens.
    pub sampling: Sampling,
    /// Draws the tokens in place of `sampling`, so that others can repeat the draws. Backends that
    /// see no logits sample all the same, and return no [`Computation`].
    pub drawing: Option<Drawing>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            stop: vec![],
            sampling: Sampling::default(),
            drawing: None,
        }
    }
}

/// The computation behind a text whose tokens a [`Drawing`] drew.
#[derive(Clone, Debug, PartialEq)]
pub struct Computation {
    /// The tokens of the prompt.
    pub context: Vec<TokenId>,
    /// The row behind the final norm from which each generated token followed.
    pub rows: Hidden,
}

/// The reason why a generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended its turn.
    EndOfTurn,
    /// This stop string appeared.
    Stop(String),
    /// The limit on tokens was reached.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// The caller cancelled.
    Cancelled,
}

/// A generated text.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The text, without stop string and special tokens.
    pub text: String,
    /// The tokens drawn, the one that ended the turn included. Empty if the backend does not tell.
    pub tokens: Vec<TokenId>,
    /// The reason for its end.
    pub finish: Finish,
    /// Tokens in the prompt, if the backend tells.
    pub prompt_tokens: Option<usize>,
    /// Tokens of the prompt that an earlier request had computed.
    pub cached_tokens: usize,
    /// Passes over the layers after the prompt's: at most one a token, fewer where guesses were
    /// right. 0 for backends that do not tell.
    pub passes: usize,
    /// Guessed tokens that passes verified.
    pub guessed: usize,
    /// Guessed tokens that were right.
    pub guessed_right: usize,
    /// Time until the first token was drawn.
    pub prefill: Duration,
    /// Time from there to the end.
    pub decode: Duration,
    /// The computation, if a [`Drawing`] drew at least one token.
    pub computation: Option<Computation>,
}

/// The text that a generation with these stop strings makes of its tokens.
pub fn said(tokenizer: &Tokenizer, tokens: &[TokenId], stop: &[String]) -> String {
    let mut stream = tokenizer.stream();
    let mut filter = StopFilter::new(stop);
    let mut text = String::new();
    for &token in tokens {
        let ends = tokenizer.ends_generation(token);
        let piece = if ends {
            // Half a character at the end counts only if the model chose to end there.
            std::mem::replace(&mut stream, tokenizer.stream()).finish()
        } else {
            stream.push(token)
        };
        let (piece, stopped) = filter.push(&piece);
        text.push_str(&piece);
        if stopped.is_some() {
            return text;
        }
        if ends {
            break;
        }
    }
    text.push_str(&filter.finish());
    text
}

/// A flag to stop work from another thread. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag; work that looks at it ends soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True if the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets text through except what may be the beginning of a stop string.
pub(crate) struct StopFilter<'a> {
    stop: &'a [String],
    held: String,
}

impl<'a> StopFilter<'a> {
    pub fn new(stop: &'a [String]) -> Self {
        Self {
            stop,
            held: String::new(),
        }
    }

    /// Takes `text`; returns the text that can be passed on, and the stop string if one is
    /// complete. Nothing more may be pushed after that.
    pub fn push(&mut self, text: &str) -> (String, Option<&'a str>) {
        self.held.push_str(text);
        let stops = self
            .stop
            .iter()
            .map(String::as_str)
            .filter(|stop| !stop.is_empty());
        let found = stops
            .clone()
            .filter_map(|stop| Some((self.held.find(stop)?, stop)))
            .min();
        if let Some((at, stop)) = found {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), Some(stop));
        }
        let keep = stops.map(|stop| begun(&self.held, stop)).max().unwrap_or(0);
        let held = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, held), None)
    }

    /// Returns the text that is still held back, at the end.
    pub fn finish(self) -> String {
        self.held
    }
}

/// The length of the longest end of `text` that is a proper beginning of `stop`.
fn begun(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(i, _)| i)
        .rev()
        .find(|&i| {
            stop.get(..i)
                .is_some_and(|beginning| text.ends_with(beginning))
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_before_a_stop_string_comes_through_once() {
        let stop = vec!["END".to_owned(), "\n\n".to_owned()];
        let mut filter = StopFilter::new(&stop);
        assert_eq!(filter.push("abE"), ("ab".into(), None));
        assert_eq!(filter.push("Nx"), ("ENx".into(), None));
        assert_eq!(filter.push("\n"), (String::new(), None));
        assert_eq!(filter.push("\nEND"), (String::new(), Some("\n\n")));
    }

    proptest! {
        #[test]
        fn any_cut_of_the_text_gives_the_same(text in "[abé]{0,24}", cuts in proptest::collection::vec(0usize..24, 0..6)) {
            let stop = vec!["aba".to_owned(), "éé".to_owned(), "b".repeat(4)];
            let whole = {
                let first = stop.iter().filter_map(|s| text.find(s.as_str())).min();
                text[..first.unwrap_or(text.len())].to_owned()
            };
            let mut cuts: Vec<_> = cuts.into_iter().filter(|&c| text.is_char_boundary(c)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut filter = StopFilter::new(&stop);
            let mut passed = String::new();
            let mut stopped = false;
            for pair in cuts.windows(2) {
                let (text, stop) = filter.push(&text[pair[0]..pair[1]]);
                passed.push_str(&text);
                if stop.is_some() {
                    stopped = true;
                    break;
                }
            }
            if !stopped {
                passed.push_str(&filter.finish());
            }
            prop_assert_eq!(passed, whole);
        }
    }
}
