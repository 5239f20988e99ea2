// SPDX-License-Identifier: Apache-2.0
//! BERT's tokenizer without case: words, and the longest known pieces of them (WordPiece).

use std::collections::HashMap;

use regex::Regex;
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use super::Reason;

/// Longest word that is cut into pieces, in characters.
const LONGEST: usize = 100;

/// Beginning of a piece that goes on with a word.
const GOES_ON: &str = "##";

/// Chinese characters; each is a word.
const IDEOGRAPH: &str = r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}";

/// Punctuation; each character is a word.
const PUNCTUATION: &str = r"\p{P}$+<=>^`|~";

/// `tokenizer.json`, as far as it matters.
#[derive(Deserialize)]
struct File {
    model: Model,
    normalizer: Option<Normalizer>,
}

#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
    vocab: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(default)]
    lowercase: bool,
}

/// A tokenizer.
pub(super) struct Words {
    /// Pieces at the beginning of a word.
    first: HashMap<String, u32>,
    /// Pieces that go on with a word.
    further: HashMap<String, u32>,
    start: u32,
    end: u32,
    unknown: u32,
    control: Regex,
    accent: Regex,
    word: Regex,
}

impl Words {
    /// From the bytes of `tokenizer.json`. Fails if it is no WordPiece without case, or has tokens
    /// beyond the `vocabulary` of the weights.
    pub fn new(json: &[u8], vocabulary: usize) -> Reason<Self> {
        let at = |reason: String| format!("tokenizer.json: {reason}");
        let file: File = serde_json::from_slice(json).map_err(|error| at(error.to_string()))?;
        let kind = file.model.r#type.as_deref().unwrap_or("WordPiece");
        if kind != "WordPiece" || !file.normalizer.is_some_and(|one| one.lowercase) {
            return Err(at("it is no WordPiece tokenizer of lower case".into()));
        }
        let is_known = |token: &u32| usize::try_from(*token).is_ok_and(|id| id < vocabulary);
        if !file.model.vocab.values().all(is_known) {
            return Err(at(format!(
                "it has tokens beyond the {vocabulary} of the weights"
            )));
        }
        let (mut first, mut further) = (HashMap::new(), HashMap::new());
        for (piece, token) in file.model.vocab {
            match piece.strip_prefix(GOES_ON) {
                Some(rest) => further.insert(rest.to_owned(), token),
                None => first.insert(piece, token),
            };
        }
        let special = |name: &str| {
            let token = first.get(name).copied();
            token.ok_or_else(|| at(format!("it has no token {name}")))
        };
        let regex = |pattern: &str| Regex::new(pattern).map_err(|error| error.to_string());
        Ok(Self {
            start: special("[CLS]")?,
            end: special("[SEP]")?,
            unknown: special("[UNK]")?,
            control: regex(r"[\p{C}\x{FFFD}&&[^\t\n\r]]")?,
            accent: regex(r"\p{Mn}")?,
            word: regex(&format!(
                r"[{PUNCTUATION}{IDEOGRAPH}]|[^\s{PUNCTUATION}{IDEOGRAPH}]+"
            ))?,
            first,
            further,
        })
    }

    /// At most `most` tokens of a text, those at both ends included.
    pub fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        let room = most.saturating_sub(1).max(1);
        let mut tokens = vec![self.start];
        let text = self.plain(text);
        for word in self.word.find_iter(&text) {
            if tokens.len() >= room {
                break;
            }
            self.pieces(word.as_str(), &mut tokens);
        }
        tokens.truncate(room);
        tokens.push(self.end);
        tokens
    }

    /// A text without control characters, case and accents.
    fn plain(&self, text: &str) -> String {
        let text = self.control.replace_all(text, "");
        let apart: String = text.nfd().collect();
        self.accent.replace_all(&apart, "").to_lowercase()
    }

    fn pieces(&self, word: &str, tokens: &mut Vec<u32>) {
        let before = tokens.len();
        let mut rest = word;
        let mut pieces = &self.first;
        while !rest.is_empty() {
            let Some((token, end)) = longest(pieces, rest) else {
                break;
            };
            tokens.push(token);
            rest = rest.get(end..).unwrap_or_default();
            pieces = &self.further;
        }
        if !rest.is_empty() || word.chars().nth(LONGEST).is_some() {
            tokens.truncate(before);
            tokens.push(self.unknown);
        }
    }
}

/// The longest of `pieces` that `text` begins with, and its length. No piece is longer than
/// [`LONGEST`] characters.
fn longest(pieces: &HashMap<String, u32>, text: &str) -> Option<(u32, usize)> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let ends: Vec<usize> = ends.take(LONGEST).collect();
    ends.into_iter().rev().find_map(|end| {
        let token = pieces.get(text.get(..end)?)?;
        Some((*token, end))
    })
}
