// SPDX-License-Identifier: Apache-2.0

//! The prompt of a request: one question, or a conversation.

use std::borrow::Cow;

use starling_engine::chat::{Message, Role};
use starling_primitives::chat::{self, Chat};

/// A prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Length on chain, in bytes.
    bytes: usize,
    /// The requester's instructions.
    system: Option<String>,
    /// The turns before the question.
    earlier: Vec<Message>,
    /// The last turn.
    question: String,
}

impl From<&str> for Prompt {
    /// Reads a prompt of the chain. One that is no chat prompt is a question, and so is one that
    /// only begins like a chat prompt: anybody can write a prompt, and all agents must read the
    /// same.
    fn from(text: &str) -> Self {
        let mut prompt = Self {
            bytes: text.len(),
            system: None,
            earlier: vec![],
            question: text.to_owned(),
        };
        let Ok(Some(chat)) = Chat::read(text) else {
            return prompt;
        };
        let mut turns = chat.into_turns();
        if let Some(question) = turns.pop() {
            prompt.question = question.text;
        }
        for turn in turns {
            match turn.role {
                chat::Role::System => prompt.system = Some(turn.text),
                chat::Role::User => prompt.earlier.push(Message::user(turn.text)),
                chat::Role::Assistant => prompt.earlier.push(Message::assistant(turn.text)),
            }
        }
        prompt
    }
}

impl Prompt {
    /// The length of the prompt on chain, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The question: the last turn of a conversation.
    pub fn question(&self) -> &str {
        &self.question
    }

    /// Role and text of each turn before the question.
    pub fn history(&self) -> Vec<[&str; 2]> {
        let system = self.system.iter().map(|text| [SYSTEM, text.as_str()]);
        let earlier = self.earlier.iter().map(|message| {
            let role = match message.role {
                Role::System => SYSTEM,
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            [role, message.content.as_str()]
        });
        system.chain(earlier).collect()
    }

    /// All that the prompt says, for filters, from which JSON would hide words.
    pub fn text(&self) -> Cow<'_, str> {
        if self.system.is_none() && self.earlier.is_empty() {
            return Cow::Borrowed(&self.question);
        }
        let history = self.history();
        let texts = history.iter().map(|[_, text]| *text);
        let texts: Vec<&str> = texts.chain([self.question()]).collect();
        Cow::Owned(texts.join("\n\n"))
    }

    /// The conversation for a model, with `question` as its last turn. The operator's instructions
    /// come before the requester's.
    pub fn messages(&self, operator: Option<&str>, question: &str) -> Vec<Message> {
        let system: Vec<&str> = operator.into_iter().chain(self.system.as_deref()).collect();
        let system = (!system.is_empty()).then(|| Message::system(system.join("\n\n")));
        let mut messages: Vec<Message> = system.into_iter().collect();
        messages.extend(self.earlier.iter().cloned());
        messages.push(Message::user(question));
        messages
    }
}

const SYSTEM: &str = "system";

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::chat::{Turn, MARKER};

    fn conversation() -> Prompt {
        let turn = |role, text: &str| Turn {
            role,
            text: text.to_owned(),
        };
        let chat = Chat::new(vec![
            turn(chat::Role::System, "Be \"short\"."),
            turn(chat::Role::User, "One?"),
            turn(chat::Role::Assistant, "1"),
            turn(chat::Role::User, "Two?"),
        ]);
        Prompt::from(chat.unwrap().to_prompt().as_str())
    }

    #[test]
    fn a_chat_prompt_is_a_conversation_and_other_text_a_question() {
        let chat = conversation();
        assert_eq!(chat.question(), "Two?");
        assert_eq!(
            chat.messages(None, chat.question()),
            [
                Message::system("Be \"short\"."),
                Message::user("One?"),
                Message::assistant("1"),
                Message::user("Two?"),
            ]
        );
        // What does not parse is one question, whatever it begins with.
        for text in [
            "Why?",
            "[[\"user\",\"x\"]]",
            &format!("{MARKER}[[\"owl\",\"x\"]]"),
        ] {
            let question = Prompt::from(text);
            assert_eq!(question.messages(None, "x"), [Message::user("x")]);
            assert_eq!(
                (question.question(), question.text().as_ref()),
                (text, text)
            );
            assert_eq!(question.bytes(), text.len());
        }
    }

    #[test]
    fn filters_see_what_is_said_and_hooks_who_said_it() {
        let chat = conversation();
        assert_eq!(chat.text(), "Be \"short\".\n\nOne?\n\n1\n\nTwo?");
        assert_eq!(
            chat.history(),
            [
                ["system", "Be \"short\"."],
                ["user", "One?"],
                ["assistant", "1"]
            ]
        );
    }

    #[test]
    fn the_operator_speaks_before_the_requester() {
        let system = |prompt: &Prompt| prompt.messages(Some("I am an owl."), "x").remove(0);
        let both = Message::system("I am an owl.\n\nBe \"short\".");
        assert_eq!(system(&conversation()), both);
        assert_eq!(
            system(&Prompt::from("Why?")),
            Message::system("I am an owl.")
        );
    }
}
