// SPDX-License-Identifier: Apache-2.0
//! Chat prompts: a conversation as the prompt of one round.
//!
//! A prompt that begins with [`MARKER`] is a chat prompt. A list of pairs in JSON follows, such as
//! `[["system","Be short."],["user","Why?"],["assistant","So."],["user","Really?"]]`. Every other
//! prompt is one question.
//!
//! Roles come from the structure alone. JSON escapes whatever could end a text, so that no text can
//! pass for another turn, whatever it says.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use serde::Deserialize;
use serde_json::Value;

/// The beginning of a chat prompt of version 1. Its first character is one that nobody types.
pub const MARKER: &str = "\u{1}chat/1\n";

/// The maximum number of turns. The chain's bound of a prompt limits their texts.
pub const MAX_TURNS: usize = 64;

/// The author of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The program that asks.
    System,
    /// The person who asks.
    User,
    /// A model, in an earlier answer.
    Assistant,
}

impl Role {
    /// The name in a chat prompt.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The author.
    pub role: Role,
    /// The text.
    pub text: String,
}

/// A conversation that waits for the assistant: a system turn or none, then the user and the
/// assistant in turns, from the user's first one to the user's last one.
///
/// Templates of many models take no other order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat(Vec<Turn>);

/// The reason why turns are no conversation. Turns are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No list of pairs follows the marker.
    NoList(String),
    /// There are more turns than [`MAX_TURNS`].
    TooManyTurns(usize),
    /// This turn is the system's and not the first one.
    SystemNotFirst(usize),
    /// This turn has the author of the turn before it, or the assistant begins with it.
    OutOfTurn(usize),
    /// This turn has no text.
    NoText(usize),
    /// The last turn is not the user's.
    NoQuestion,
}

impl Chat {
    /// Checks turns.
    pub fn new(turns: Vec<Turn>) -> Result<Self, Fault> {
        check(&turns)?;
        Ok(Self(turns))
    }

    /// Reads a prompt. `None` if it is one question, without the marker.
    pub fn read(prompt: &str) -> Result<Option<Self>, Fault> {
        let Some(list) = prompt.strip_prefix(MARKER) else {
            return Ok(None);
        };
        let pairs: Vec<(Role, String)> =
            serde_json::from_str(list).map_err(|error| Fault::NoList(error.to_string()))?;
        let turns = pairs
            .into_iter()
            .map(|(role, text)| Turn { role, text })
            .collect();
        Self::new(turns).map(Some)
    }

    /// Writes the prompt.
    pub fn to_prompt(&self) -> String {
        let pair = |turn: &Turn| {
            let pair = [turn.role.name(), turn.text.as_str()];
            Value::from(pair.map(Value::from).to_vec())
        };
        let pairs: Vec<Value> = self.0.iter().map(pair).collect();
        let mut prompt = MARKER.to_string();
        prompt.push_str(&Value::from(pairs).to_string());
        prompt
    }

    /// The turns, the oldest first.
    pub fn turns(&self) -> &[Turn] {
        &self.0
    }

    /// The turns, the oldest first.
    pub fn into_turns(self) -> Vec<Turn> {
        self.0
    }
}

fn check(turns: &[Turn]) -> Result<(), Fault> {
    if turns.len() > MAX_TURNS {
        return Err(Fault::TooManyTurns(turns.len()));
    }
    let mut next = Role::User;
    for (index, turn) in turns.iter().enumerate() {
        if turn.text.trim().is_empty() {
            return Err(Fault::NoText(index));
        }
        match turn.role {
            Role::System if index == 0 => {},
            Role::System => return Err(Fault::SystemNotFirst(index)),
            role if role != next => return Err(Fault::OutOfTurn(index)),
            Role::User => next = Role::Assistant,
            Role::Assistant => next = Role::User,
        }
    }
    match turns.last().map(|turn| turn.role) {
        Some(Role::User) => Ok(()),
        _ => Err(Fault::NoQuestion),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoList(reason) => {
                write!(
                    f,
                    "no list of pairs [role, text] follows the marker: {reason}"
                )
            },
            Self::TooManyTurns(turns) => {
                write!(
                    f,
                    "the conversation has {turns} turns; at most {MAX_TURNS} are read"
                )
            },
            Self::SystemNotFirst(turn) => {
                write!(f, "turn {turn} is the system's, which may only begin")
            },
            Self::OutOfTurn(turn) => {
                write!(
                    f,
                    "turn {turn} is out of order: the user begins, and the two take turns"
                )
            },
            Self::NoText(turn) => write!(f, "turn {turn} has no text"),
            Self::NoQuestion => f.write_str("the last turn is not the user's"),
        }
    }
}

impl core::error::Error for Fault {}
