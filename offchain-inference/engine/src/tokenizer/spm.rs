// SPDX-License-Identifier: Apache-2.0
//! SentencePiece-like segmentation, as in llama.cpp's `SPM`: characters are merged, best score
//! first, while the merged text is a token; characters without a token become bytes.

use super::{symbols::Symbols, vocab::Vocab, TokenId};
use std::{cmp::Ordering, cmp::Reverse, ops::Range};

/// SentencePiece's stand-in for a space, U+2581.
pub(super) const SPACE: &str = "\u{2581}";

/// Finite or not, scores have a total order here.
#[derive(Clone, Copy, PartialEq)]
struct Score(f32);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        // −0 and 0 are equal for llama.cpp.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

/// The tokens of single bytes.
pub(super) struct Spm {
    bytes: Vec<Option<TokenId>>,
    unknown: Option<TokenId>,
}

impl Spm {
    pub fn new(vocab: &Vocab, unknown: Option<TokenId>) -> Self {
        let bytes = (0..=u8::MAX)
            .map(|b| vocab.id(&format!("<0x{b:02X}>")))
            .collect();
        Self { bytes, unknown }
    }

    /// Appends the tokens of `text`, spaces already replaced by [`SPACE`].
    pub fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<TokenId>) {
        let token = |range: &Range<usize>| {
            vocab
                .id(text.get(range.clone())?)
                .filter(|&id| !vocab.is_special(id))
        };
        let mut symbols = Symbols::new(text.char_indices().map(|(i, c)| i..i + c.len_utf8()));
        symbols.merge(|left, right| {
            let joined = left.start..right.end;
            let score = vocab.score(token(&joined)?);
            Some((Reverse(Score(score)), joined))
        });
        for range in symbols.into_values() {
            match token(&range) {
                Some(id) => out.push(id),
                None => {
                    let bytes = text.as_bytes().get(range).unwrap_or_default();
                    out.extend(bytes.iter().filter_map(|&b| {
                        self.bytes
                            .get(usize::from(b))
                            .copied()
                            .flatten()
                            .or(self.unknown)
                    }));
                },
            }
        }
    }
}
