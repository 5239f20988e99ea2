// SPDX-License-Identifier: Apache-2.0
//! Answers about blocks, which never change.

use std::collections::{HashMap, VecDeque};

use codec::Encode;
use serde::Deserialize;
use serde_json::Value;
use subxt::{
    config::{
        substrate::{BlakeTwo256, SubstrateHeader},
        Hasher,
    },
    rpcs::client::RawValue,
    utils::H256,
};

/// The most bytes that are remembered.
const MOST_BYTES: usize = 4 << 20;

/// The most bytes of one answer that is remembered.
const MOST_BYTES_OF_ONE: usize = 1 << 20;

/// The most headers through which a runtime is followed.
const MOST_HEADERS: usize = 256;

/// The item of a header that says that the block changes the runtime.
const RUNTIME_CHANGED: &str = "0x08";

/// The storage key of the runtime's code.
const CODE: &str = "0x3a636f6465";

/// Methods about the block that their last parameter names.
const OF_A_BLOCK: [&str; 5] = [
    "chain_getBlock",
    "chain_getHeader",
    "state_call",
    "state_getStorage",
    "state_getStorageHash",
];

/// A question about one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    method: String,
    /// The parameters before the block.
    about: Vec<Value>,
    block: String,
}

impl Question {
    /// The question of a request, if it is about a block that it names by its hash.
    pub fn of(method: &str, params: Option<&RawValue>) -> Option<Self> {
        if !OF_A_BLOCK.contains(&method) {
            return None;
        }
        let mut about: Vec<Value> = serde_json::from_str(params?.get()).ok()?;
        let Some(Value::String(block)) = about.pop() else {
            return None;
        };
        (block.len() == 2 + 2 * H256::len_bytes()).then(|| Self {
            method: method.to_owned(),
            about,
            block,
        })
    }

    fn header(block: &str) -> Self {
        Self {
            method: "chain_getHeader".to_owned(),
            about: vec![],
            block: block.to_owned(),
        }
    }

    /// The question for the hash of the code that the block's runtime is.
    pub fn code(&self) -> Self {
        Self {
            method: "state_getStorageHash".to_owned(),
            about: vec![CODE.into()],
            block: self.block.clone(),
        }
    }

    /// The same question about another block.
    fn at(&self, block: &str) -> Self {
        Self {
            block: block.to_owned(),
            ..self.clone()
        }
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The parameters.
    pub fn params(&self) -> Box<RawValue> {
        let block = Value::from(self.block.as_str());
        let all: Vec<&Value> = self.about.iter().chain([&block]).collect();
        serde_json::value::to_raw_value(&all).unwrap_or_default()
    }

    fn function(&self) -> Option<&str> {
        let function = self.about.first().and_then(Value::as_str);
        function.filter(|_| self.method == "state_call")
    }

    /// The part of the metadata that is asked for, if any.
    pub fn metadata(&self) -> Option<String> {
        let function = self.function()?;
        let is_metadata = function.starts_with("Metadata_");
        is_metadata.then(|| Value::from(self.about.clone()).to_string())
    }

    fn key(&self) -> String {
        format!(
            "{} {} {}",
            self.method,
            Value::from(self.about.clone()),
            self.block
        )
    }
}

/// The parts of a header that tell whose runtime its block has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    parent_hash: String,
    digest: Digest,
}

#[derive(Deserialize)]
struct Digest {
    logs: Vec<String>,
}

/// The last answers, of bounded size.
#[derive(Default)]
pub struct Memory {
    answers: HashMap<String, Box<RawValue>>,
    /// The keys of the answers, the oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Memory {
    /// The answer to a question, if it is known.
    pub fn answer(&self, question: &Question) -> Option<Box<RawValue>> {
        let known = self.answers.get(&question.key()).cloned();
        match question.function() {
            Some("Core_version") => known.or_else(|| self.version(question)),
            _ => known,
        }
    }

    /// The version of a block's runtime, which is that of its parent unless the block changes it.
    fn version(&self, question: &Question) -> Option<Box<RawValue>> {
        let mut block = question.block.clone();
        for _ in 0..MOST_HEADERS {
            let header = self.answers.get(&Question::header(&block).key())?;
            let header: Header = serde_json::from_str(header.get()).ok()?;
            if header.digest.logs.iter().any(|log| log == RUNTIME_CHANGED) {
                return None;
            }
            block = header.parent_hash;
            if let Some(known) = self.answers.get(&question.at(&block).key()) {
                return Some(known.clone());
            }
        }
        None
    }

    /// Remembers an answer. A node that does not know a block yet may know it later.
    pub fn keep(&mut self, question: &Question, answer: &RawValue) {
        let key = question.key();
        let size = size(&key, answer);
        let is_known = self.answers.contains_key(&key);
        if is_known || answer.get() == "null" || size > MOST_BYTES_OF_ONE {
            return;
        }
        self.order.push_back(key.clone());
        self.answers.insert(key, answer.to_owned());
        self.bytes = self.bytes.saturating_add(size);
        while self.bytes > MOST_BYTES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.order.pop_front().unwrap_or_default();
        let size = match self.answers.remove(&oldest) {
            Some(answer) => size(&oldest, &answer),
            None => self.bytes,
        };
        self.bytes = self.bytes.saturating_sub(size);
    }

    /// Remembers a header.
    pub fn keep_header(&mut self, header: &RawValue) {
        if let Ok(read) = serde_json::from_str::<SubstrateHeader<H256>>(header.get()) {
            let hash = BlakeTwo256.hash(&read.encode());
            self.keep(&Question::header(&format!("{hash:?}")), header);
        }
    }
}

fn size(key: &str, answer: &RawValue) -> usize {
    key.len().saturating_add(answer.get().len())
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A header, and its hash.
    pub fn header(number: u32, parent: &[u8; 32], logs: &[&str]) -> (Value, [u8; 32]) {
        let zero = name(&[0; 32]);
        let header = json!({
            "parentHash": name(parent),
            "number": format!("{number:#x}"),
            "stateRoot": zero,
            "extrinsicsRoot": zero,
            "digest": { "logs": logs },
        });
        let read: SubstrateHeader<H256> = serde_json::from_value(header.clone()).unwrap();
        (header, BlakeTwo256.hash(&read.encode()).0)
    }

    /// The name of a block in JSON-RPC.
    pub fn name(hash: &[u8; 32]) -> String {
        format!("{:?}", H256(*hash))
    }

    fn question(method: &str, params: Value) -> Option<Question> {
        let params = serde_json::value::to_raw_value(&params).unwrap();
        Question::of(method, Some(&params))
    }

    #[test]
    fn only_questions_about_a_named_block_are_remembered() {
        let block = name(&[1; 32]);
        for (method, params) in [
            ("chain_getHeader", json!([null])),
            ("chain_getHeader", json!([7])),
            ("chain_getBlockHash", json!([block])),
            ("state_getStorage", json!(["0x00", null])),
            ("author_submitExtrinsic", json!([block])),
        ] {
            assert_eq!(question(method, params), None, "{method}");
        }
        assert_eq!(Question::of("chain_getHeader", None), None);
        let params = json!(["Core_version", "0x", block]);
        let asked = question("state_call", params.clone()).unwrap();
        assert_eq!(asked.method(), "state_call");
        assert_eq!(asked.params().get(), params.to_string());
        assert_eq!(asked.metadata(), None);
    }

    #[test]
    fn the_oldest_answers_are_forgotten_and_nothing_that_is_not_there_is_kept() {
        let mut memory = Memory::default();
        let of = |number: u32| {
            let block = name(&BlakeTwo256.hash(&number.encode()).0);
            question("state_getStorage", json!(["0x00", block])).unwrap()
        };
        let nothing = RawValue::from_string("null".to_owned()).unwrap();
        memory.keep(&of(0), &nothing);
        assert!(memory.answer(&of(0)).is_none());
        let large = json!("x".repeat(MOST_BYTES_OF_ONE / 2)).to_string();
        let large = RawValue::from_string(large).unwrap();
        for number in 0..20 {
            memory.keep(&of(number), &large);
            assert!(memory.bytes <= MOST_BYTES);
        }
        assert!(memory.answer(&of(0)).is_none());
        assert!(memory.answer(&of(19)).is_some());
        assert_eq!(memory.answers.len(), memory.order.len());
    }
}
