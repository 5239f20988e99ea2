// SPDX-License-Identifier: Apache-2.0
//! The tokenizers of both models against llama.cpp's on the same files, and against responses that
//! imitate control tokens. `starling-bench-llama-cpp record-tokens` records the fixtures.

use crate::common::{data, tokenizer, GEMMA3, MODELS, SMOLLM2};
use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use starling_engine::{
    chat::{ChatTemplate, Message},
    prompt::Prompt,
    tokenizer::{Specials, TokenId, Tokenizer},
};
use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};

#[derive(Deserialize)]
struct Recorded {
    literal: Vec<Vec<TokenId>>,
    parsed: Vec<Vec<TokenId>>,
    files: BTreeMap<String, RecordedFile>,
}

#[derive(Deserialize)]
struct RecordedFile {
    tokens: usize,
    sha256: String,
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    fs::read_to_string(path).unwrap()
}

fn recorded(model: &str) -> Recorded {
    serde_json::from_str(&fixture(&format!("tokens-{model}.json"))).unwrap()
}

fn nasty() -> Vec<String> {
    serde_json::from_str(&fixture("nasty.json")).unwrap()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// The SHA-256 of each file with recorded tokens, by its name. Other parts of the same public sets
/// have other tokens.
fn recorded_parts() -> BTreeMap<String, String> {
    let parts = fixture("evaluation.sha256");
    let lines = parts.lines().filter_map(|line| line.split_once("  "));
    lines
        .map(|(digest, name)| (name.to_owned(), digest.to_owned()))
        .collect()
}

#[test]
fn every_recorded_evaluation_file_has_its_digest() {
    let parts = recorded_parts();
    for model in MODELS {
        let recorded = recorded(model);
        assert!(recorded.files.keys().eq(parts.keys()), "{model}");
    }
}

#[test]
fn nasty_strings_have_the_tokens_of_llama_cpp() {
    for model in MODELS {
        let (tokenizer, recorded) = (tokenizer(model), recorded(model));
        let texts = nasty();
        assert_eq!(
            (texts.len(), texts.len()),
            (recorded.literal.len(), recorded.parsed.len())
        );
        for (i, text) in texts.iter().enumerate() {
            let literal = tokenizer.encode(text, Specials::Literal);
            assert_eq!(literal, recorded.literal[i], "{model} {text:?}");
            let parsed = tokenizer.encode(text, Specials::Parse);
            // llama.cpp adds the token that begins a text even if the text has one, and warns of
            // it; the engine does not.
            let twice = [tokenizer.bos().unwrap(); 2];
            let skip = usize::from(model == GEMMA3 && recorded.parsed[i].starts_with(&twice));
            let expected = &recorded.parsed[i][skip..];
            assert_eq!(parsed, expected, "{model} {text:?}, special tokens parsed");
        }
    }
}

#[test]
fn evaluation_texts_have_the_tokens_of_llama_cpp() {
    let Some(folder) = data() else {
        eprintln!("skipped: no evaluation data; name their folder with STARLING_DATA");
        return;
    };
    let parts = recorded_parts();
    for model in MODELS {
        let tokenizer = tokenizer(model);
        for (file, recorded) in recorded(model).files {
            let text = fs::read(folder.join(&file)).unwrap_or_default();
            if parts.get(&file) != Some(&hex(&Sha256::digest(&text))) {
                eprintln!("left out: {file} is not the part of its set whose tokens are recorded");
                continue;
            }
            let mut hasher = Sha256::new();
            let mut count = 0;
            for line in String::from_utf8(text).unwrap().lines() {
                let tokens = tokenizer.encode(line, Specials::Literal);
                count += tokens.len();
                tokens
                    .iter()
                    .for_each(|token| hasher.update(token.to_le_bytes()));
                hasher.update(u32::MAX.to_le_bytes());
            }
            assert_eq!(
                (count, hex(&hasher.finalize())),
                (recorded.tokens, recorded.sha256),
                "{model} {file}"
            );
        }
    }
}

#[test]
fn text_comes_back_from_its_tokens_at_once_and_in_a_stream() {
    for model in MODELS {
        let tokenizer = tokenizer(model);
        for text in nasty() {
            // SmolLM2's vocabulary lacks six control characters and the lead bytes of planes 4 and
            // up; a SentencePiece model cannot tell its own space mark from a space.
            let lossy = match model {
                SMOLLM2 => text
                    .bytes()
                    .any(|b| matches!(b, 4 | 6 | 0x13 | 0x14 | 0x16 | 0x1d | 0xf1..=0xff)),
                _ => text.contains('▁'),
            };
            if lossy {
                continue;
            }
            let tokens = tokenizer.encode(&text, Specials::Literal);
            assert_eq!(tokenizer.decode(&tokens), text, "{model}");
            let mut stream = tokenizer.stream();
            let mut pieces: Vec<String> = tokens.iter().map(|&t| stream.push(t)).collect();
            pieces.push(stream.finish());
            assert_eq!(pieces.concat(), text, "{model}, streamed");
        }
    }
}

#[test]
fn bytes_that_are_no_utf_8_come_out_as_replacement_characters() {
    let tokenizer = tokenizer(GEMMA3);
    let byte = |b: u8| tokenizer.token_id(&format!("<0x{b:02X}>")).unwrap();
    let text = |bytes: &[u8]| {
        let mut stream = tokenizer.stream();
        let mut text: String = bytes.iter().map(|&b| stream.push(byte(b))).collect();
        text.push_str(&stream.finish());
        text
    };
    assert_eq!(text("🦜é".as_bytes()), "🦜é");
    assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
    assert_eq!(text(b"\xf0\x9f"), "\u{fffd}");
}

/// The texts of special tokens in both models and in others.
fn markers() -> Vec<String> {
    let mut markers: Vec<String> = MODELS
        .iter()
        .flat_map(|model| {
            tokenizer(model)
                .special_texts()
                .take(40)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    markers.extend(
        [
            "<start_of_turn>",
            "<end_of_turn>",
            "<start_of_image>",
            "<|eot_id|>",
            "</s>",
            "[INST]",
            "<unused6241>",
            "<0x0A>",
        ]
        .map(str::to_owned),
    );
    markers
}

/// Text with special tokens, whole, broken and nested, between arbitrary characters.
fn hostile() -> impl Strategy<Value = String> {
    static MARKERS: LazyLock<Vec<String>> = LazyLock::new(markers);
    let marker = || proptest::sample::select(MARKERS.as_slice());
    let piece = prop_oneof![
        3 => marker(),
        1 => marker().prop_map(|m| m.chars().rev().collect()),
        1 => (marker(), 1usize..12).prop_map(|(m, n)| m.chars().take(n).collect()),
        1 => (marker(), marker()).prop_map(|(a, b)| a.replacen('|', &b, 1)),
        2 => any::<String>(),
        1 => "[ \n\t<>|_▁Ġ]{0,6}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

struct Model {
    tokenizer: Tokenizer,
    chat: ChatTemplate,
}

impl Model {
    fn specials(&self, tokens: &[TokenId]) -> Vec<TokenId> {
        tokens
            .iter()
            .copied()
            .filter(|&t| self.tokenizer.is_special(t))
            .collect()
    }

    fn chat_specials(&self, content: &str) -> Vec<TokenId> {
        let messages = [
            Message::system(content),
            Message::user(content),
            Message::assistant(content),
        ];
        let prompt = self.chat.render(&messages, true).unwrap();
        self.specials(&self.tokenizer.encode_prompt(&prompt))
    }
}

static LOADED: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let load = |name| {
        let tokenizer = tokenizer(name);
        let text = |id: Option<TokenId>| id.and_then(|id| tokenizer.token_text(id));
        let chat = ChatTemplate::new(
            tokenizer.chat_template(),
            text(tokenizer.bos()),
            text(tokenizer.eos()),
        );
        let chat = chat.unwrap();
        Model { tokenizer, chat }
    };
    MODELS.map(load).into()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_byte_of_a_response_becomes_a_special_token(text in hostile()) {
        for model in LOADED.iter() {
            let tokens = model.tokenizer.encode_continuation(&Prompt::data(text.as_str()));
            prop_assert_eq!(model.specials(&tokens), Vec::<TokenId>::new());
        }
    }

    #[test]
    fn a_conversation_has_the_special_tokens_of_its_template_alone(text in hostile()) {
        for model in LOADED.iter() {
            prop_assert_eq!(model.chat_specials(&text), model.chat_specials("x"));
        }
    }

    #[test]
    fn a_response_beside_template_text_stays_apart_from_it(text in hostile()) {
        for model in LOADED.iter() {
            let prompt = Prompt::template("<|im_").then_data(text.as_str()).then_template("|>>");
            prop_assert_eq!(
                model.specials(&model.tokenizer.encode_continuation(&prompt)),
                Vec::<TokenId>::new()
            );
        }
    }
}
