// SPDX-License-Identifier: Apache-2.0
//! Pre-tokenizers: how text is cut into words before byte-pair merging, by the name in
//! `tokenizer.ggml.pre`. The patterns are llama.cpp's.

use super::TokenizerError;
use regex::Regex;

const DIGIT: &str = r"\p{N}";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]*[\p{L}--[A-Z]]+|[^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]+[\p{L}--[A-Z]]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]*[\p{L}--[A-Z]]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]+[\p{L}--[A-Z]]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+";

/// Splits text into words with a sequence of patterns, each applied within the pieces of the one
/// before. Linear in the length of the text: the patterns' `\s+(?!\S)` is done by hand.
pub(super) struct PreTokenizer {
    patterns: Vec<Regex>,
    /// A run of white space that ends in a newline is a word of its own and keeps its last
    /// character.
    newline_ends_word: bool,
}

impl PreTokenizer {
    /// The pre-tokenizer called `name`.
    pub fn named(name: &str) -> Result<Self, TokenizerError> {
        let (patterns, newline_ends_word): (&[&str], bool) = match name {
            "gpt-2" | "gpt2" | "mpt" | "olmo" | "jais" => (&[GPT2], false),
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" => {
                (&[DIGIT, GPT2], false)
            },
            "llama3" | "llama-v3" | "llama-bpe" | "dbrx" => (&[LLAMA3], true),
            "qwen2" | "deepseek-r1-qwen" => (&[QWEN2], true),
            "tekken" => (&[TEKKEN], true),
            "gpt-4o" => (&[GPT4O], true),
            other => return Err(TokenizerError::UnsupportedPreTokenizer(other.into())),
        };
        let patterns = patterns
            .iter()
            .map(|p| Regex::new(p).map_err(|e| TokenizerError::Malformed(e.to_string())))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            patterns,
            newline_ends_word,
        })
    }

    /// The words of `text`, in order; together they are `text`.
    pub fn split<'a>(&self, text: &'a str) -> Vec<&'a str> {
        self.patterns.iter().fold(vec![text], |pieces, pattern| {
            let mut words = Vec::with_capacity(pieces.len());
            for piece in pieces {
                self.split_piece(pattern, piece, &mut words);
            }
            words
        })
    }

    fn split_piece<'a>(&self, pattern: &Regex, piece: &'a str, words: &mut Vec<&'a str>) {
        let mut push = |range: std::ops::Range<usize>| {
            words.extend(piece.get(range).filter(|word| !word.is_empty()));
        };
        let mut done = 0;
        while let Some(found) = pattern.find_at(piece, done) {
            let end = match self.shortened(found.as_str(), found.end() == piece.len()) {
                Some(length) => found.start() + length,
                None => found.end(),
            };
            push(done..found.start());
            push(found.start()..end);
            done = end;
        }
        push(done..piece.len());
    }

    /// `\s+(?!\S)`: a run of two or more white space characters leaves its last one to the word
    /// that follows.
    fn shortened(&self, word: &str, at_end: bool) -> Option<usize> {
        let (last_start, last) = word.char_indices().next_back()?;
        let keeps_all = at_end
            || last_start == 0
            || !word.chars().all(char::is_whitespace)
            || (self.newline_ends_word && matches!(last, '\r' | '\n'));
        (!keeps_all).then_some(last_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_the_models_were_trained() {
        let gpt2 = PreTokenizer::named("gpt-2").unwrap();
        assert_eq!(
            gpt2.split("I'll pay  42 now!?\n\n  ok "),
            ["I", "'ll", " pay", " ", " 42", " now", "!?", "\n\n ", " ok", " "]
        );
        let smollm = PreTokenizer::named("smollm").unwrap();
        assert_eq!(smollm.split("a  42"), ["a", "  ", "4", "2"]);
        let llama3 = PreTokenizer::named("llama-bpe").unwrap();
        assert_eq!(
            llama3.split("x\n\n  12345"),
            ["x", "\n\n", " ", " ", "123", "45"]
        );
    }

    #[test]
    fn words_make_up_the_text() {
        for name in ["gpt-2", "smollm", "llama-bpe", "qwen2"] {
            let pre = PreTokenizer::named(name).unwrap();
            for text in [
                "",
                " ",
                "\u{85}\u{a0}x\u{3000}",
                "e\u{301}\u{200d}👩‍👩",
                "\0\u{1}9\r\n",
            ] {
                assert_eq!(pre.split(text).concat(), text, "{name} {text:?}");
            }
        }
    }
}
