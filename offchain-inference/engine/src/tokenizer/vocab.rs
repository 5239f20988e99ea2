// SPDX-License-Identifier: Apache-2.0
//! The vocabulary: token texts in one arena, looked up by text or by id.

use super::{TokenId, TokenizerError};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// The kind of a token (`tokenizer.ggml.token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Text.
    Normal,
    /// Stands for text that the vocabulary lacks.
    Unknown,
    /// Steers the model; has no text of its own.
    Control,
    /// Text that is matched whole, before the rest is segmented (runs of newlines, HTML tags).
    UserDefined,
    /// Reserved.
    Unused,
    /// One byte, for text that the vocabulary lacks.
    Byte,
}

impl TokenKind {
    /// From the number in the GGUF file, as in llama.cpp's `llama_token_type`.
    pub(super) fn from_gguf(n: i64) -> Self {
        match n {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }

    /// Must only come from a template, never from a user's or a model's text.
    pub fn is_special(self) -> bool {
        matches!(self, Self::Unknown | Self::Control | Self::Unused)
    }
}

/// Texts, kinds and scores of all tokens. A quarter of a million texts as separate strings would
/// take tens of megabytes; one arena with a table of ids takes a few.
pub(super) struct Vocab {
    arena: String,
    ends: Vec<usize>,
    kinds: Vec<TokenKind>,
    scores: Vec<f32>,
    index: HashTable<TokenId>,
    hasher: DefaultHashBuilder,
}

impl Vocab {
    /// Builds the vocabulary from `(text, kind, score)` in the order of the ids.
    pub fn new<'a>(
        tokens: impl ExactSizeIterator<Item = (&'a str, TokenKind, f32)>,
    ) -> Result<Self, TokenizerError> {
        let n = tokens.len();
        let mut vocab = Self {
            arena: String::new(),
            ends: Vec::with_capacity(n),
            kinds: Vec::with_capacity(n),
            scores: Vec::with_capacity(n),
            index: HashTable::with_capacity(n),
            hasher: DefaultHashBuilder::default(),
        };
        for (text, kind, score) in tokens {
            let id = TokenId::try_from(vocab.ends.len())
                .map_err(|_| TokenizerError::Malformed("too many tokens".into()))?;
            if let Some(first) = vocab.id(text) {
                return Err(TokenizerError::Malformed(format!(
                    "tokens {first} and {id} have the same text {text:?}"
                )));
            }
            vocab.arena.push_str(text);
            vocab.ends.push(vocab.arena.len());
            vocab.kinds.push(kind);
            vocab.scores.push(score);
            let Self {
                arena,
                ends,
                index,
                hasher,
                ..
            } = &mut vocab;
            index.insert_unique(hasher.hash_one(text), id, |&id| {
                hasher.hash_one(slice(arena, ends, id).unwrap_or_default())
            });
        }
        vocab.arena.shrink_to_fit();
        Ok(vocab)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn id(&self, text: &str) -> Option<TokenId> {
        self.index
            .find(self.hasher.hash_one(text), |&id| {
                self.text(id) == Some(text)
            })
            .copied()
    }

    pub fn text(&self, id: TokenId) -> Option<&str> {
        slice(&self.arena, &self.ends, id)
    }

    pub fn kind(&self, id: TokenId) -> Option<TokenKind> {
        self.kinds.get(id as usize).copied()
    }

    pub fn set_kind(&mut self, id: TokenId, kind: TokenKind) {
        if let Some(slot) = self.kinds.get_mut(id as usize) {
            *slot = kind;
        }
    }

    pub fn score(&self, id: TokenId) -> f32 {
        self.scores
            .get(id as usize)
            .copied()
            .unwrap_or(f32::NEG_INFINITY)
    }

    pub fn is_special(&self, id: TokenId) -> bool {
        self.kind(id).is_none_or(TokenKind::is_special)
    }

    /// `(id, text, kind)` of every token.
    pub fn iter(&self) -> impl Iterator<Item = (TokenId, &str, TokenKind)> {
        (0..self.len() as TokenId).filter_map(|id| Some((id, self.text(id)?, self.kind(id)?)))
    }
}

fn slice<'a>(arena: &'a str, ends: &[usize], id: TokenId) -> Option<&'a str> {
    let id = id as usize;
    let end = *ends.get(id)?;
    let start = match id.checked_sub(1) {
        Some(previous) => *ends.get(previous)?,
        None => 0,
    };
    arena.get(start..end)
}
