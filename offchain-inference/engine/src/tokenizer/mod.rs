// SPDX-License-Identifier: Apache-2.0
//! Tokenizers built from the metadata of a GGUF file: byte-level BPE (`tokenizer.ggml.model =
//! "gpt2"`) and SentencePiece-like (`"llama"`), with the same result as llama.cpp on the same file.
//!
//! Special tokens are recognised in a text only if the caller says that the text is a template
//! ([`Specials::Parse`]). In all other text ([`Specials::Literal`]) `<|im_end|>` is ten characters
//! like any others, and no sequence of merges can end in a special token.

mod bpe;
mod pretokenize;
mod spm;
mod stream;
mod symbols;
#[cfg(test)]
mod tests;
mod vocab;

pub use stream::TokenStream;
pub use vocab::TokenKind;

use crate::prompt::{Part, Prompt};
use aho_corasick::{AhoCorasick, MatchKind};
use bpe::Bpe;
use candle_core::quantized::gguf_file::Value;
use pretokenize::PreTokenizer;
use spm::{Spm, SPACE};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};
use vocab::Vocab;

/// The number of a token in the vocabulary.
pub type TokenId = u32;

/// An error in building a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The GGUF file lacks a key.
    #[error("the model file has no {0}")]
    Missing(&'static str),
    /// A key has a value of the wrong type or out of range.
    #[error("the tokenizer in the model file is malformed: {0}")]
    Malformed(String),
    /// `tokenizer.ggml.model` names an algorithm that this engine lacks.
    #[error("tokenizer model {0:?} is not supported (supported: gpt2, llama)")]
    UnsupportedModel(String),
    /// `tokenizer.ggml.pre` names a pre-tokenizer that this engine lacks.
    #[error("pre-tokenizer {0:?} is not supported (supported: gpt-2, smollm, llama-bpe, qwen2, tekken, gpt-4o, dbrx and their synonyms)")]
    UnsupportedPreTokenizer(String),
    /// The template asks for a token that the vocabulary lacks.
    #[error("token {0} is not in the vocabulary of {1} tokens")]
    OutOfRange(TokenId, usize),
}

/// Treatment of special tokens that are written out in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Specials {
    /// They are special tokens: the text is a template's.
    Parse,
    /// They are plain characters: the text is a person's or a model's.
    Literal,
}

enum Model {
    Bpe(Bpe, HashMap<char, u8>),
    Spm(Spm),
}

/// Texts that are matched whole before the rest is segmented. Leftmost-longest; llama.cpp goes
/// through the tokens from the longest to the shortest, which is the same unless a token begins
/// inside another one that does not contain it.
struct Matcher {
    automaton: AhoCorasick,
    ids: Vec<TokenId>,
}

impl Matcher {
    fn new<'a>(tokens: impl Iterator<Item = (TokenId, &'a str)>) -> Result<Self, TokenizerError> {
        let (ids, texts): (Vec<_>, Vec<_>) = tokens.filter(|(_, text)| !text.is_empty()).unzip();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts)
            .map_err(|e| TokenizerError::Malformed(e.to_string()))?;
        Ok(Self { automaton, ids })
    }
}

/// Text between special tokens, or such a token.
enum Fragment {
    Token(TokenId),
    Text(String),
}

/// A tokenizer. Cheap to share, immutable.
pub struct Tokenizer {
    vocab: Vocab,
    model: Model,
    /// Control, unknown and user-defined tokens.
    specials: Matcher,
    /// User-defined tokens alone.
    user_defined: Matcher,
    bos: Option<TokenId>,
    eos: Option<TokenId>,
    end_of_generation: BTreeSet<TokenId>,
    add_bos: bool,
    add_space_prefix: bool,
    /// White space behind a special token is the token's.
    strips_after_specials: bool,
    chat_template: Option<String>,
}

/// Tokens that end a turn or a text, whatever the file says about them (llama.cpp's list).
const END_OF_GENERATION: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
];

impl Tokenizer {
    /// Builds the tokenizer from a GGUF file's metadata.
    pub fn from_gguf(metadata: &HashMap<String, Value>) -> Result<Self, TokenizerError> {
        let gguf = Metadata(metadata);
        let texts = gguf.array("tokenizer.ggml.tokens")?.ok_or(MISSING_TOKENS)?;
        let kinds = gguf.array("tokenizer.ggml.token_type")?.unwrap_or_default();
        let scores = gguf.array("tokenizer.ggml.scores")?.unwrap_or_default();
        for (name, other) in [("token_type", kinds), ("scores", scores)] {
            if !other.is_empty() && other.len() != texts.len() {
                return Err(TokenizerError::Malformed(format!(
                    "{} tokens but {} entries of {name}",
                    texts.len(),
                    other.len()
                )));
            }
        }
        let texts = texts.iter().map(string).collect::<Result<Vec<_>, _>>()?;
        // llama.cpp's names for them, so that different ones stay different.
        let texts: Vec<Cow<'_, str>> = (0..)
            .zip(texts)
            .map(|(id, text)| match text {
                "" => Cow::Owned(format!("[EMPTY_{id}]")),
                text => Cow::Borrowed(text),
            })
            .collect();
        let kinds = texts
            .iter()
            .enumerate()
            .map(|(i, text)| match kinds.get(i) {
                Some(kind) => integer(kind).map(|n| marker_kind(TokenKind::from_gguf(n), text)),
                None => Ok(TokenKind::Normal),
            });
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        let scores = scores.iter().map(float).collect::<Result<Vec<_>, _>>()?;
        let scores = scores.into_iter().chain(std::iter::repeat(0.0));
        let tokens: Vec<_> = texts
            .iter()
            .zip(kinds)
            .zip(scores)
            .map(|((t, k), s)| (t.as_ref(), k, s))
            .collect();
        let mut vocab = Vocab::new(tokens.into_iter())?;

        let id = |key: &'static str| gguf.token(key, vocab.len());
        let bos = id("tokenizer.ggml.bos_token_id")?;
        let eos = id("tokenizer.ggml.eos_token_id")?;
        let unknown = id("tokenizer.ggml.unknown_token_id")?;
        let mut end_of_generation: BTreeSet<_> = END_OF_GENERATION
            .iter()
            .filter_map(|text| vocab.id(text))
            .collect();
        end_of_generation.extend(eos);
        for &token in &end_of_generation {
            vocab.set_kind(token, TokenKind::Control);
        }

        let add_bos = gguf.flag("tokenizer.ggml.add_bos_token")?;
        let add_space_prefix = gguf.flag("tokenizer.ggml.add_space_prefix")?;
        let (model, default_bos, default_prefix) = match gguf.string("tokenizer.ggml.model")? {
            Some("gpt2") => {
                let name = gguf
                    .string("tokenizer.ggml.pre")?
                    .ok_or(TokenizerError::Missing("tokenizer.ggml.pre"))?;
                let merges = gguf
                    .array("tokenizer.ggml.merges")?
                    .ok_or(TokenizerError::Missing("tokenizer.ggml.merges"))?;
                let merges = merges.iter().map(string).collect::<Result<Vec<_>, _>>()?;
                let llama3 = matches!(name, "llama3" | "llama-v3" | "llama-bpe" | "tekken");
                let pre = PreTokenizer::named(name)?;
                let bpe = Bpe::new(&vocab, merges.into_iter(), pre, llama3)?;
                (Model::Bpe(bpe, bpe::char_to_byte_table()), llama3, false)
            },
            Some("llama") => (Model::Spm(Spm::new(&vocab, unknown)), true, true),
            Some(other) => return Err(TokenizerError::UnsupportedModel(other.into())),
            None => return Err(TokenizerError::Missing("tokenizer.ggml.model")),
        };
        let of_kind = |wanted: fn(TokenKind) -> bool| {
            vocab
                .iter()
                .filter(move |(_, _, kind)| wanted(*kind))
                .map(|(id, text, _)| (id, text))
        };
        let user_defined = Matcher::new(of_kind(|kind| kind == TokenKind::UserDefined))?;
        let specials = Matcher::new(of_kind(|kind| {
            matches!(
                kind,
                TokenKind::UserDefined | TokenKind::Control | TokenKind::Unknown
            )
        }))?;
        Ok(Self {
            model,
            specials,
            user_defined,
            bos,
            eos,
            end_of_generation,
            add_bos: add_bos.unwrap_or(default_bos) && bos.is_some(),
            add_space_prefix: add_space_prefix.unwrap_or(default_prefix),
            strips_after_specials: gguf
                .string("general.name")?
                .is_some_and(strips_after_specials),
            chat_template: gguf.string("tokenizer.chat_template")?.map(Into::into),
            vocab,
        })
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.vocab.len()
    }

    /// True if there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first difference that makes tokens of `other` mean something else: in number, text, kind
    /// or work. `None` if the tokens of one are those of the other. Ways to cut a text may differ.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.len() != other.len() {
            return Some(format!("{} tokens instead of {}", other.len(), self.len()));
        }
        let mut pairs = self.vocab.iter().zip(other.vocab.iter());
        if let Some(((id, text, kind), (_, found, found_kind))) = pairs.find(|(a, b)| a != b) {
            return Some(format!(
                "{found:?} ({found_kind:?}) as token {id} instead of {text:?} ({kind:?})"
            ));
        }
        let special = [
            ("begins", self.bos, other.bos),
            ("ends", self.eos, other.eos),
        ];
        let (work, own, found) = special.into_iter().find(|(_, own, found)| own != found)?;
        let name = |token: Option<TokenId>| match token.and_then(|token| self.token_text(token)) {
            Some(text) => format!("{text:?}"),
            None => "none".into(),
        };
        Some(format!(
            "{} as the token that {work} a text instead of {}",
            name(found),
            name(own)
        ))
    }

    /// The token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// The token that ends a text, if the model has one.
    pub fn eos(&self) -> Option<TokenId> {
        self.eos
    }

    /// True if `token` ends a generation.
    pub fn ends_generation(&self, token: TokenId) -> bool {
        self.end_of_generation.contains(&token)
    }

    /// True if only a template may bring `token` into a prompt.
    pub fn is_special(&self, token: TokenId) -> bool {
        self.vocab.is_special(token)
    }

    /// The token's entry in the vocabulary, not detokenised.
    pub fn token_text(&self, token: TokenId) -> Option<&str> {
        self.vocab.text(token)
    }

    /// The token with this entry in the vocabulary.
    pub fn token_id(&self, text: &str) -> Option<TokenId> {
        self.vocab.id(text)
    }

    /// The kind of a token; `None` outside the vocabulary.
    pub fn token_kind(&self, token: TokenId) -> Option<TokenKind> {
        self.vocab.kind(token)
    }

    /// The chat template in the model file; base models have none.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// Texts of the special tokens.
    pub fn special_texts(&self) -> impl Iterator<Item = &str> {
        self.vocab
            .iter()
            .filter(|(_, _, kind)| kind.is_special())
            .map(|(_, text, _)| text)
    }

    /// Tokenises `text` as the beginning of a sequence, with the token that begins a text if the
    /// model wants one.
    pub fn encode(&self, text: &str, specials: Specials) -> Vec<TokenId> {
        let part = match specials {
            Specials::Parse => Part::Template(text.into()),
            Specials::Literal => Part::Data(text.into()),
        };
        self.encode_prompt(&Prompt::from(part))
    }

    /// Tokenises a prompt: special tokens only from its template parts. The token that begins a
    /// text is added unless the template wrote it.
    pub fn encode_prompt(&self, prompt: &Prompt) -> Vec<TokenId> {
        let mut tokens = self.encode_fragments(prompt, true);
        if let Some(bos) = self.bos.filter(|_| self.add_bos) {
            if tokens.first() != Some(&bos) {
                tokens.insert(0, bos);
            }
        }
        tokens
    }

    /// Tokenises the continuation of a prompt: nothing is added in front.
    pub fn encode_continuation(&self, prompt: &Prompt) -> Vec<TokenId> {
        self.encode_fragments(prompt, false)
    }

    fn encode_fragments(&self, prompt: &Prompt, at_start: bool) -> Vec<TokenId> {
        let mut tokens = Vec::new();
        let mut after_special = at_start;
        for fragment in self.fragments(prompt) {
            match fragment {
                Fragment::Token(id) => {
                    tokens.push(id);
                    after_special = true;
                },
                Fragment::Text(text) => {
                    self.encode_text(&text, after_special, &mut tokens);
                    after_special = false;
                },
            }
        }
        tokens
    }

    /// Cuts a prompt at its tokens that are matched whole. Text runs over the borders of parts, so
    /// that a template's newline and the data after it are segmented together, as in training.
    fn fragments(&self, prompt: &Prompt) -> Vec<Fragment> {
        let mut marked = vec![];
        let mut run = String::new();
        for part in prompt.parts() {
            let (text, specials) = match part {
                Part::Data(text) => (text, None),
                Part::Template(text) => (text, Some(&self.specials)),
            };
            let Some(matcher) = specials else {
                run.push_str(text);
                continue;
            };
            cut(matcher, text, &mut run, &mut marked, |id| {
                self.vocab.is_special(id)
            });
        }
        flush(&mut run, &mut marked);
        let mut fragments = vec![];
        let mut strips = false;
        for fragment in marked {
            let (fragment, after) = match fragment {
                Fragment::Text(text) if strips => (Fragment::Text(stripped(&text)), false),
                Fragment::Text(text) => (Fragment::Text(text), false),
                Fragment::Token(token) => (Fragment::Token(token), self.strips_after(token)),
            };
            strips = after;
            match fragment {
                Fragment::Text(text) => {
                    cut(&self.user_defined, &text, &mut run, &mut fragments, |_| {
                        true
                    });
                    flush(&mut run, &mut fragments);
                },
                token => fragments.push(token),
            }
        }
        fragments
    }

    fn strips_after(&self, token: TokenId) -> bool {
        let keeps = ["<unk>", "<s>", "<|endoftext|>"];
        let text = self.vocab.text(token);
        self.strips_after_specials && text.is_some_and(|text| !keeps.contains(&text))
    }

    fn encode_text(&self, text: &str, after_special: bool, tokens: &mut Vec<TokenId>) {
        match &self.model {
            Model::Bpe(bpe, _) => bpe.encode(&self.vocab, text, tokens),
            Model::Spm(spm) => {
                let prefix = if self.add_space_prefix && after_special {
                    SPACE
                } else {
                    ""
                };
                let text = format!("{prefix}{}", text.replace(' ', SPACE));
                spm.encode(&self.vocab, &text, tokens);
            },
        }
    }

    /// The text of `tokens` from the beginning of a sequence; special tokens have none.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        let mut stream = self.stream();
        let mut text: String = tokens.iter().map(|&token| stream.push(token)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// Starts to detokenise a stream of tokens.
    pub fn stream(&self) -> TokenStream<'_> {
        TokenStream::new(self)
    }

    /// Appends the bytes that `token` stands for; none for special tokens.
    pub fn token_bytes(&self, token: TokenId, out: &mut Vec<u8>) {
        let (Some(text), Some(kind)) = (self.vocab.text(token), self.vocab.kind(token)) else {
            return;
        };
        match (kind, &self.model) {
            (TokenKind::Unknown | TokenKind::Control | TokenKind::Unused, _) => {},
            (TokenKind::UserDefined, _) => out.extend_from_slice(text.as_bytes()),
            (TokenKind::Byte, _) => {
                let hex = text.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
                out.extend(hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()));
            },
            (TokenKind::Normal, Model::Spm(_)) => {
                out.extend_from_slice(text.replace(SPACE, " ").as_bytes());
            },
            (TokenKind::Normal, Model::Bpe(_, bytes)) => {
                out.extend(text.chars().filter_map(|c| bytes.get(&c)));
            },
        }
    }

    /// Removes the space that [`Self::encode`] puts in front of a text, if it does.
    fn strip_space_prefix(&self, bytes: &mut Vec<u8>) {
        if self.add_space_prefix && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
    }
}

/// Cuts `text` at the tokens of `matcher` that `wanted` lets through; text goes to `run`.
fn cut(
    matcher: &Matcher,
    text: &str,
    run: &mut String,
    out: &mut Vec<Fragment>,
    wanted: impl Fn(TokenId) -> bool,
) {
    let mut done = 0;
    for found in matcher.automaton.find_iter(text) {
        let Some(&id) = matcher.ids.get(found.pattern().as_usize()) else {
            continue;
        };
        if wanted(id) {
            run.push_str(text.get(done..found.start()).unwrap_or_default());
            flush(run, out);
            out.push(Fragment::Token(id));
            done = found.end();
        }
    }
    run.push_str(text.get(done..).unwrap_or_default());
}

fn flush(run: &mut String, out: &mut Vec<Fragment>) {
    if !run.is_empty() {
        out.push(Fragment::Text(std::mem::take(run)));
    }
}

/// True if a model of this name was trained without the white space behind special tokens. Only the
/// name says so, for llama.cpp too.
fn strips_after_specials(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("phi-3") || name.contains("phi3")
}

/// Without the white space of C in front.
fn stripped(text: &str) -> String {
    text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
        .to_owned()
}

/// User-defined tokens that steer a model all the same: `<start_of_image>`, `[multimodal]`,
/// `<|channel|>`. A vocabulary's other user-defined tokens (newlines, HTML tags) are text.
fn marker_kind(kind: TokenKind, text: &str) -> TokenKind {
    let tag = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
    let bracket = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let marker = tag.is_some_and(|tag| tag.contains(['_', '|'])) || bracket.is_some();
    match kind {
        TokenKind::UserDefined if marker => TokenKind::Control,
        kind => kind,
    }
}

const MISSING_TOKENS: TokenizerError = TokenizerError::Missing("tokenizer.ggml.tokens");

/// Typed access to a GGUF file's metadata.
struct Metadata<'a>(&'a HashMap<String, Value>);

impl<'a> Metadata<'a> {
    fn get<T>(
        &self,
        key: &'static str,
        read: impl Fn(&'a Value) -> Result<T, TokenizerError>,
    ) -> Result<Option<T>, TokenizerError> {
        self.0
            .get(key)
            .map(read)
            .transpose()
            .map_err(|error| match error {
                TokenizerError::Malformed(what) => {
                    TokenizerError::Malformed(format!("{key}: {what}"))
                },
                other => other,
            })
    }

    fn array(&self, key: &'static str) -> Result<Option<&'a [Value]>, TokenizerError> {
        self.get(key, |value| {
            Ok(value.to_vec().map_err(malformed)?.as_slice())
        })
    }

    fn string(&self, key: &'static str) -> Result<Option<&'a str>, TokenizerError> {
        self.get(key, string)
    }

    fn flag(&self, key: &'static str) -> Result<Option<bool>, TokenizerError> {
        self.get(key, |value| value.to_bool().map_err(malformed))
    }

    fn token(&self, key: &'static str, len: usize) -> Result<Option<TokenId>, TokenizerError> {
        self.get(key, |value| {
            let id = integer(value)?;
            TokenId::try_from(id)
                .ok()
                .filter(|&id| (id as usize) < len)
                .ok_or_else(|| TokenizerError::Malformed(format!("{id} is not a token")))
        })
    }
}

/// candle appends a backtrace to its messages.
fn malformed(error: candle_core::Error) -> TokenizerError {
    let message = error.to_string();
    TokenizerError::Malformed(message.lines().next().unwrap_or_default().to_owned())
}

fn string(value: &Value) -> Result<&str, TokenizerError> {
    value.to_string().map(String::as_str).map_err(malformed)
}

fn integer(value: &Value) -> Result<i64, TokenizerError> {
    Ok(match value {
        Value::U8(n) => i64::from(*n),
        Value::I8(n) => i64::from(*n),
        Value::U16(n) => i64::from(*n),
        Value::I16(n) => i64::from(*n),
        Value::U32(n) => i64::from(*n),
        Value::I32(n) => i64::from(*n),
        Value::I64(n) => *n,
        other => {
            return Err(TokenizerError::Malformed(format!(
                "not an integer: {other:?}"
            )));
        },
    })
}

fn float(value: &Value) -> Result<f32, TokenizerError> {
    value.to_f32().map_err(malformed)
}
