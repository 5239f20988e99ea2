// SPDX-License-Identifier: Apache-2.0
//! Byte-level byte-pair encoding, GPT-2's.

use super::{pretokenize::PreTokenizer, symbols::Symbols, vocab::Vocab, TokenId, TokenizerError};
use std::collections::HashMap;

/// GPT-2's byte alphabet: printable Latin-1 bytes stand for themselves, the others for the
/// characters from U+0100 on.
pub(super) fn byte_to_char(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&b| !printable(b)).count() as u32;
    char::from_u32(0x100 + rank).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The inverse of [`byte_to_char`], as a table for the characters up to U+0143.
pub(super) fn char_to_byte_table() -> HashMap<char, u8> {
    (0..=u8::MAX).map(|b| (byte_to_char(b), b)).collect()
}

/// Merges and the tokens of single bytes.
pub(super) struct Bpe {
    pre: PreTokenizer,
    /// (left, right) → (rank, merged).
    merges: HashMap<(TokenId, TokenId), (u32, TokenId)>,
    bytes: Vec<Option<TokenId>>,
    /// A word that is a token is not segmented.
    whole_words: bool,
}

impl Bpe {
    pub fn new<'a>(
        vocab: &Vocab,
        merges: impl Iterator<Item = &'a str>,
        pre: PreTokenizer,
        whole_words: bool,
    ) -> Result<Self, TokenizerError> {
        let malformed = |merge: &str| TokenizerError::Malformed(format!("bad merge {merge:?}"));
        let mut table = HashMap::new();
        for (rank, merge) in (0u32..).zip(merges) {
            // The left part may itself begin with a space in vocabularies that are not byte-level.
            let at = merge
                .char_indices()
                .skip(1)
                .find(|(_, c)| *c == ' ')
                .map(|(i, _)| i);
            let (left, right) = at
                .and_then(|at| Some((merge.get(..at)?, merge.get(at + 1..)?)))
                .ok_or_else(|| malformed(merge))?;
            let id = |text: &str| vocab.id(text).ok_or_else(|| malformed(merge));
            let merged = id(&format!("{left}{right}"))?;
            if !vocab.is_special(merged) {
                table
                    .entry((id(left)?, id(right)?))
                    .or_insert((rank, merged));
            }
        }
        let bytes = (0..=u8::MAX)
            .map(|b| vocab.id(byte_to_char(b).encode_utf8(&mut [0; 4])))
            .collect();
        Ok(Self {
            pre,
            merges: table,
            bytes,
            whole_words,
        })
    }

    /// Appends the tokens of `text`. Bytes that the vocabulary lacks are dropped, as llama.cpp
    /// and the reference implementation do.
    pub fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<TokenId>) {
        for word in self.pre.split(text) {
            if let Some(id) = self.whole_word(vocab, word) {
                out.push(id);
                continue;
            }
            let bytes = word
                .bytes()
                .map(|b| self.bytes.get(usize::from(b)).copied().flatten());
            let mut symbols = Symbols::new(bytes);
            symbols.merge(|left, right| {
                let (rank, merged) = *self.merges.get(&((*left)?, (*right)?))?;
                Some((rank, Some(merged)))
            });
            out.extend(symbols.into_values().flatten());
        }
    }

    fn whole_word(&self, vocab: &Vocab, word: &str) -> Option<TokenId> {
        if !self.whole_words {
            return None;
        }
        let encoded: String = word.bytes().map(byte_to_char).collect();
        vocab.id(&encoded).filter(|&id| !vocab.is_special(id))
    }
}
